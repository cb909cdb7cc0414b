"""The sandbox's Pipedrive for tests: one server for all, a company of its own for each.

Belongs here: the client, the writes and the views that several test modules share. Does not belong here: expectations.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from scoring_platform.config.connections import PipedriveDestination
from scoring_platform.destinations.pipedrive import Pipedrive
from scoring_platform.destinations.preflight import crm_fields
from scoring_platform.destinations.protocol import CrmReceipt, CrmWrite
from scoring_platform.http.limits import Memory
from scoring_platform.sandbox import pipedrive as sandbox
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.credentials import CREDENTIALS
from scoring_platform.sandbox.faults import FaultMiddleware
from scoring_platform.sandbox.pipedrive_outbox import persons
from scoring_platform.sandbox.pipedrive_past import past_persons
from scoring_platform_tests.destinations.running import Running

LABELS = {"segment": ("ロイヤル", "離脱阻止"), "churn_band": ("low", "medium", "high")}
SETTINGS = PipedriveDestination.model_validate({})
FIELDS = crm_fields(SETTINGS.fields, LABELS)
PERSONS, PERSON_FIELDS = "/pipedrive/api/v2/persons", "/pipedrive/api/v2/personFields"
KEY = "顧客キー"
NOW = datetime(2026, 11, 20, 21, tzinfo=UTC)


class Stage:
    """What the server plays: one company after the other."""

    def __init__(self) -> None:
        self.running = Running()
        self._app: ASGIApp = Starlette()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def play(self, shop: Company, *middleware: Middleware, provisioned: bool = True) -> Running:
        """Let the server be the Pipedrive of ``shop`` from now on, with our fields in place and nothing recorded."""
        faults = Middleware(FaultMiddleware, faults=shop.faults)
        self._app = Starlette(routes=sandbox.routes(shop), middleware=[faults, *middleware])
        if provisioned:
            with closing(crm(self.running.url)) as pipedrive:
                pipedrive.provision(FIELDS)
        self.running.calls.clear()
        return self.running


def crm(
    url: str,
    *,
    token: str = "sandbox-pipedrive-token",
    timeout: float = 5.0,
    memory: Memory | None = None,
    **changed: Any,
) -> Pipedrive:
    settings = PipedriveDestination.model_validate(changed)
    secrets = {**CREDENTIALS["pipedrive"], "api_token": token}
    credential = secrets.__getitem__
    return Pipedrive.connect(settings, url, credential=credential, timeout=timeout, attempts=3, memory=memory)


def write(number: int, **changes: Any) -> CrmWrite:
    given = {
        "customer_id": f"c{number:04d}",
        "email": f"new{number:04d}@example.jp",
        "destination_id": None,
        "properties": {
            "スコア": number % 101,
            "RFM": "544",
            "セグメント": "ロイヤル",
            "離脱リスク": "low",
            "予測LTV": 12_300.5,
            "スコア更新日": "2026-11-20",
        },
    }
    return CrmWrite(**{**given, **changes})


def statuses(receipts: Sequence[CrmReceipt]) -> dict[str, int]:
    found = [receipt.status for receipt in receipts]
    return {status: found.count(status) for status in set(found)}


def ours(folder: Path) -> dict[str, dict[str, Any]]:
    """Persons by our key; that none has it twice is part of every test."""
    keyed = [one for one in persons(folder) if one["properties"].get(KEY)]
    assert len({one["properties"][KEY] for one in keyed}) == len(keyed)
    return {one["properties"][KEY]: one for one in keyed}


def paths(running: Running, method: str) -> list[str]:
    return [call.path for call in running.calls if call.method == method]


def late_in_the_listing(shop: Company) -> str:
    """Address of somebody near the end of a listing by time of change, who did not change in the last minutes."""
    everybody = past_persons(shop.crm_seed(), shop.clock.instant())
    return sorted(everybody, key=lambda one: (one.updated_at, one.id))[-10].email
