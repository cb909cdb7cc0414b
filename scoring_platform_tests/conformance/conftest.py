"""The company with every vendor configured, served once for the folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina

from scoring_platform.http.limits import RateLimit
from scoring_platform_tests.conformance.world import NOW, World, serving


@pytest.fixture(scope="package")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest.fixture
def world(_world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The company and its vendors; clock, faults and counts are put back, and nothing waits."""
    monkeypatch.setattr(RateLimit, "take", lambda _: 0.0)
    _world.company.faults.forget_requests()
    # As many attempts as the sources themselves make, so that tests see how often they ask.
    with stamina.set_testing(True, attempts=100, cap=True):
        yield _world
    _world.company.clock.set(NOW)
    _world.company.faults.clear()
