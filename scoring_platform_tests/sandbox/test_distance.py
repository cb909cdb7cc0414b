"""Vendors can be as far away as they are in life."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
from starlette.routing import Mount

from scoring_platform.sandbox import hubspot
from scoring_platform.sandbox.distance import Distance
from scoring_platform_tests.destinations.pipedrive_company import Stage
from scoring_platform_tests.destinations.running import company, serving


def test_a_call_takes_as_long_as_the_way_is(tmp_path: Path) -> None:
    stage = Stage()
    stage._app = Distance(Mount("", routes=hubspot.routes(company(tmp_path))), seconds=0.3)
    with serving("/hubspot", [Mount("", app=stage)]) as running:
        began = time.monotonic()
        assert httpx.get(f"{running.url}/crm/v3/objects/contacts", trust_env=False).status_code == 401
        assert time.monotonic() - began >= 0.3
