"""What all source tests share: a window, a zone, credentials, and reading a whole table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from scoring_platform.sources.protocol import Page, Window

TOKYO = ZoneInfo("Asia/Tokyo")
WINDOW = Window(since=datetime(2026, 11, 20, tzinfo=UTC), until=datetime(2026, 11, 21, tzinfo=UTC))


class Fetching(Protocol):
    """The part of a source that reads tables."""

    def fetch(self, table: str, window: Window) -> Iterator[Page]: ...


def credential(name: str) -> str:
    """A secret that names itself."""
    return f"secret-{name}"


def rows(source: Fetching, table: str, window: Window = WINDOW) -> list[dict[str, Any]]:
    """Every row of a table."""
    return [dict(row) for page in source.fetch(table, window) for row in page]
