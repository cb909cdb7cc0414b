"""A home with scores to write and a running CRM, and the sync of it as a process that can be killed.

Belongs here: making the home, running the sync. Does not belong here: expectations.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.destinations.preflight import require_fields
from scoring_platform.destinations.registry import open_crms
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.tree import Lake
from scoring_platform.lake.write import write
from scoring_platform.pipeline import crm_plan
from scoring_platform.pipeline.crm_sync import Applied, apply_plan
from scoring_platform.pipeline.step import Step
from scoring_platform_tests.domain.tables import table
from scoring_platform_tests.end_to_end.platform import REPOSITORY, Platform, packaged, write_config

DAY = date(2026, 11, 20)
RELEASED = ("scores", "nps")
SECTIONS: Mapping[str, Mapping[str, Any]] = {
    "hubspot": {"endpoint": "sandbox", "provision": "auto"},
    "salesforce": {"endpoint": "sandbox"},
    "pipedrive": {"endpoint": "sandbox", "provision": "auto"},
}
"""Each CRM as it is configured here."""


def crm_home(root: Path, crm: str) -> Platform:
    """A home that writes to one CRM of the sandbox."""
    written = packaged()
    written["destinations"] = {crm: dict(SECTIONS[crm])}
    platform = Platform(root / "home", write_config(root / "scoring.yaml", written))
    platform.set_clock(DAY)
    return platform


def judge(platform: Platform, scores: Sequence[int], *, refused: int = 0) -> None:
    """Publish that c0, c1, … came to these scores, and plan the day; addresses of the last ``refused`` are none."""
    consents = {"consent_email_marketing": "unknown", "consent_web_tracking": "unknown"}
    ids = [f"c{number:06}" for number in range(len(scores))]
    hosts = ["example.jp"] * (len(ids) - refused) + ["nowhere"] * refused
    rows: dict[str, list[dict[str, Any]]] = {
        "customer_scores": [
            {"customer_id": one, "total_score": Decimal(score), "horizon_days": 90, "rfm_code": f"{score % 5 + 1}55"}
            for one, score in zip(ids, scores, strict=True)
        ],
        "customer_segments": [{"customer_id": one, "segment": "vip"} for one in ids],
        "customer_profiles": [
            {"customer_id": one, "email": f"{one}@{host}", **consents} for one, host in zip(ids, hosts, strict=True)
        ],
        "nps_responses": [],
    }
    with platform.ledger() as ledger, duckdb.connect(config={"threads": 1}) as connection:
        engine = DuckDBEngine(connection, platform.lake)
        for name, given in rows.items():
            made = table(name, *[{**row, "as_of": DAY} for row in given])
            write(engine, contract_of(name), made, days=[DAY], info={})
        step = Step(engine, platform.settings, ledger, [DAY], datetime.now(UTC))
        plan = crm_plan.crm_sync_plan(step, platform.settings.crms)
        write(engine, contract_of(crm_plan.PLAN), plan, days=[DAY], info={})


def planned(platform: Platform) -> dict[str, dict[str, Any]]:
    """Payload of every row that is to be written, by customer."""
    rows = platform.rows(crm_plan.PLAN, DAY)
    return {row["customer_id"]: json.loads(row["payload"]) for row in rows if row["operation"] != "skip"}


def sync(platform: Platform) -> Applied:
    """Write what is due, in this process."""
    settings = platform.settings
    with platform.ledger() as ledger, duckdb.connect(config={"threads": 1}) as connection, open_crms(settings) as crms:
        engine = DuckDBEngine(connection, Lake(settings.lake_root))
        require_fields(settings, crms)
        step = Step(engine, settings, ledger, [DAY], datetime.now(UTC))
        return apply_plan(step, crms, released=RELEASED)


def start_sync(platform: Platform) -> subprocess.Popen[str]:
    """Write what is due in a process of its own, and of its own group."""
    return subprocess.Popen(
        [sys.executable, "-c", f"from {__name__} import main; main()"],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "HOME": str(platform.config.parent), **platform.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def main() -> None:
    """Be that process."""
    sync(Platform(Path(os.environ["SCORING_HOME"]), Path(os.environ["SCORING_CONFIG"])))
