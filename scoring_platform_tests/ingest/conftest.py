"""One home per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scoring_platform_tests.scenario import Home, close_home, open_home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """An empty home."""
    opened = open_home(tmp_path)
    yield opened
    close_home(opened)
