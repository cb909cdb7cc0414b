"""Retries that do not wait, and a scripted server for answers the sandbox never gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina
from starlette.routing import Mount

from scoring_platform_tests.destinations import running
from scoring_platform_tests.destinations.pipedrive_company import Stage
from scoring_platform_tests.destinations.salesforce_org import Org, OrgStage, staging
from scoring_platform_tests.http.loopback import Loopback, serving


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture(scope="package")
def stage() -> Iterator[Stage]:
    """One server that plays the Pipedrive of whichever company a test gives it."""
    played = Stage()
    with running.serving("/pipedrive", [Mount("", app=played)]) as served:
        played.running = served
        yield played


@pytest.fixture(scope="package")
def _server() -> Iterator[Loopback]:
    with serving() as loopback:
        yield loopback


@pytest.fixture(scope="package")
def org_stage() -> Iterator[OrgStage]:
    """The sandbox's Salesforce, one organisation after the other."""
    with staging() as opened:
        yield opened


@pytest.fixture
def org(org_stage: OrgStage, tmp_path: Path) -> Org:
    """A new organisation of the sandbox's Salesforce."""
    return org_stage.open(tmp_path)


@pytest.fixture
def scripted(_server: Loopback) -> Loopback:
    """A real server whose answers the test decides."""
    _server.seen.clear()
    return _server
