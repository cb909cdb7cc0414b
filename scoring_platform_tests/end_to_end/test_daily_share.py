"""Thirty ordinary days of the sandbox company: few are written each day, and nobody's record is far from the truth."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from scoring_platform.domain.crm_plan import STREAMS
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.ledger.receipts import Outcome, Scope, read_receipts, record_outcomes
from scoring_platform.ledger.store import Ledger
from scoring_platform.pipeline.crm_plan import fresh_plan
from scoring_platform.pipeline.step import Step, span
from scoring_platform_tests.end_to_end.platform import Platform, packaged, write_config

FIRST, LAST = date(2026, 10, 15), date(2026, 11, 15)
MOST = 0.10


def written(platform: Platform, ledger: Ledger, day: date) -> float:
    """Let the CRM acknowledge what is due on a day; return which share of the customers that is."""
    with duckdb.connect() as connection:
        step = Step(DuckDBEngine(connection, platform.lake), platform.settings, ledger, [day], datetime.now(UTC))
        rows = [row for row in fresh_plan(step, ["hubspot"]).to_pyarrow().to_pylist() if row["operation"] != "skip"]
    for stream in STREAMS:
        outcomes = [
            Outcome(row["customer_id"], "acknowledged", day, "", json.loads(row["payload"]), row["customer_id"])
            for row in rows
            if row["stream"] == stream
        ]
        record_outcomes(ledger, Scope("hubspot", stream), outcomes, now=datetime.now(UTC))
    return len({row["customer_id"] for row in rows}) / len(platform.rows("customer_segments", day))


def far_from_the_truth(platform: Platform, ledger: Ledger, day: date) -> list[Any]:
    """Customers whose record in the CRM is further from their scores than the dead bands allow."""
    rules, receipts = platform.settings.config.crm, read_receipts(ledger, Scope("hubspot", "scores"))
    found = []
    for row in platform.rows("customer_scores", day):
        receipt = receipts.get(row["customer_id"])
        if receipt is None:
            continue
        has = receipt.acknowledged
        clv, known = float(row["clv_12m"] or 0), float(has.get("clv_12m") or 0)
        off = [
            abs(float(row["total_score"]) - float(has["customer_score"] or 0)) > rules.score_dead_band + 0.5,
            (has.get("rfm_code") or "") != (row["rfm_code"] or ""),
            (has.get("churn_band") or "") != (row["churn_band"] or ""),
            abs(clv - known) > rules.clv_dead_band * known + 1,
        ]
        if any(off):
            found.append((row["customer_id"], off))
    return found


@pytest.mark.drill
@pytest.mark.timeout(1800)
def test_an_ordinary_day_writes_less_than_a_tenth_of_the_customers(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home", write_config(tmp_path / "scoring.yaml", packaged()))
    platform.set_clock(LAST)
    with platform.company():
        assert platform.command("run", "--date", str(LAST)).code == 0
        assert platform.command("backfill", "--from", str(FIRST), "--to", str(LAST)).code == 0
    with Ledger("sqlite://") as ledger:
        shares = {}
        for day in span(FIRST, LAST):
            shares[day] = written(platform, ledger, day)
            assert far_from_the_truth(platform, ledger, day) == []
    ordinary = {day: share for day, share in shares.items() if day > FIRST + timedelta(days=1) and day.day != 1}

    assert len(ordinary) >= 28
    assert max(ordinary.values()) < MOST, ordinary
