"""Retries that do not wait, and a scripted server for answers the sandbox never gives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina

from scoring_platform_tests.http.loopback import Loopback, serving


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture(scope="package")
def _server() -> Iterator[Loopback]:
    with serving() as loopback:
        yield loopback


@pytest.fixture
def scripted(_server: Loopback) -> Loopback:
    """A real server whose answers the test decides."""
    _server.seen.clear()
    return _server
