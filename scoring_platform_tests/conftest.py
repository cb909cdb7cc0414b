"""What holds for every test: no setting or home of the person who runs them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest


@pytest.fixture(scope="session", autouse=True)
def _nothing_from_outside() -> None:
    """Forget SCORING_* and DAGSTER_HOME, so that a test sees what it sets itself and writes to no real home."""
    for name in [name for name in os.environ if name.startswith("SCORING_") or name == "DAGSTER_HOME"]:
        del os.environ[name]


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests in one process, and those that look at the two mornings: these are made once per process."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        group = "mornings" if _sees_mornings(item, fixtures) else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


def _sees_mornings(item: pytest.Item, fixtures: Sequence[str]) -> bool:
    return "mornings" in fixtures or item.path.stem == "test_second_stack"
