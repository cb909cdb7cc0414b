"""The sandbox CRM with our properties in place, and what every HubSpot test asks of it.

Belongs here: the account, writes, what became of them. Does not belong here: what a test expects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scoring_platform.config.connections import HubspotDestination
from scoring_platform.destinations.hubspot import Hubspot
from scoring_platform.destinations.preflight import crm_fields
from scoring_platform.destinations.protocol import CrmReceipt, CrmWrite
from scoring_platform.sandbox import hubspot as sandbox
from scoring_platform.sandbox.outbox import contacts
from scoring_platform_tests.destinations.running import Running, company, serving

FIELDS = crm_fields(HubspotDestination.model_validate({}).fields, {})


@contextmanager
def opened(folder: Path) -> Iterator[Running]:
    """The sandbox CRM with our properties in place and nothing recorded yet."""
    with serving("/hubspot", sandbox.routes(company(folder))) as running:
        crm(running.url).provision(FIELDS)
        running.calls.clear()
        yield running


def crm(url: str, *, token: str = "pat-sandbox", timeout: float = 5.0, mode: str = "upsert") -> Hubspot:
    settings = HubspotDestination.model_validate({"mode": mode})
    return Hubspot.connect(settings, url, token=lambda: token, timeout=timeout, attempts=3)


def write(number: int, **changes: Any) -> CrmWrite:
    given = {
        "customer_id": f"c{number:04d}",
        "email": f"new{number:04d}@example.jp",
        "destination_id": None,
        "properties": {"customer_score": str(number % 101), "customer_segment": "loyal", "score_date": "2026-11-20"},
    }
    return CrmWrite(**{**given, **changes})


def statuses(receipts: Sequence[CrmReceipt]) -> dict[str, int]:
    found = [receipt.status for receipt in receipts]
    return {status: found.count(status) for status in set(found)}


def ours(folder: Path) -> dict[str, dict[str, str]]:
    return {one["customer_key"]: one for one in contacts(folder) if "customer_key" in one}
