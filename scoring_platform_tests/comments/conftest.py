"""One reader of the packaged taxonomy for all tests of this folder."""

from __future__ import annotations

import pytest

from scoring_platform.comments.reader import Reader
from scoring_platform.config.themes import Themes


@pytest.fixture(scope="session")
def reader() -> Reader:
    """Return a reader with the defaults."""
    return Reader(Themes())
