"""A home with the packaged configuration and its sandbox, a few weeks after the company opened."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import stamina

from scoring_platform.sandbox.connection import Endpoint
from scoring_platform.settings import PACKAGED_CONFIG
from scoring_platform_tests.end_to_end.platform import Platform


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    home: Path = tmp_path_factory.mktemp("conformance") / "home"
    made = Platform(home, PACKAGED_CONFIG)
    made.set_clock(date(2025, 11, 10))
    return made


@pytest.fixture(scope="module")
def _running(platform: Platform) -> Iterator[Endpoint]:
    with platform.company() as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(_running: Endpoint) -> Iterator[Endpoint]:
    """The sandbox; faults and counts are forgotten after the test, and retries do not wait."""
    _running.forget_requests()
    with stamina.set_testing(True, attempts=2):
        yield _running
    _running.clear_faults()
