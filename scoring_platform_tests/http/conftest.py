"""One server for the folder, and retries that do not wait."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina

from scoring_platform_tests.http.loopback import Loopback, serving


@pytest.fixture(scope="package")
def _server() -> Iterator[Loopback]:
    with serving() as loopback:
        yield loopback


@pytest.fixture
def server(_server: Loopback) -> Loopback:
    """A real server on loopback; the test decides what it answers."""
    _server.seen.clear()
    return _server


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=10, cap=True):
        yield
