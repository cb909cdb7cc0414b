"""One in-memory engine for the folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scoring_platform_tests.domain.tables import Database


@pytest.fixture(scope="session")
def db() -> Iterator[Database]:
    """An engine that only holds what tests put there."""
    opened = Database()
    yield opened
    opened.backend.disconnect()
