"""What holds for every test: no setting or home of the person who runs them."""

from __future__ import annotations

import gc
import os

import pytest


def pytest_collection_finish() -> None:
    """Look through the thousands of tests once, and not again and again while they run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session", autouse=True)
def _nothing_from_outside() -> None:
    """Forget SCORING_* and DAGSTER_HOME, so that a test sees what it sets itself and writes to no real home."""
    for name in [name for name in os.environ if name.startswith("SCORING_") or name == "DAGSTER_HOME"]:
        del os.environ[name]
