"""A hundred thousand customers in the CRM: what did not change is not written, and one that did is one row."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.pipeline.crm_sync import apply_plan
from scoring_platform.pipeline.step import Step
from scoring_platform_tests.end_to_end.crm_shop import DAY, crm_home, judge
from scoring_platform_tests.end_to_end.platform import Platform
from scoring_platform_tests.pipeline.scenario import RecordingCrm


def synced(platform: Platform, crm: RecordingCrm, scores: list[int]) -> RecordingCrm:
    """Judge everybody and write what is due to a CRM that takes all of it."""
    judge(platform, scores)
    crm.batches.clear()
    with platform.ledger() as ledger, duckdb.connect() as connection:
        step = Step(DuckDBEngine(connection, platform.lake), platform.settings, ledger, [DAY], datetime.now(UTC))
        apply_plan(step, [crm], released=("scores", "nps"))
    return crm


@pytest.mark.parametrize("people", [2_000, pytest.param(100_000, marks=[pytest.mark.drill, pytest.mark.timeout(900)])])
def test_of_many_customers_only_the_one_that_changed_is_written(tmp_path: Path, people: int) -> None:
    platform, crm = crm_home(tmp_path, "hubspot"), RecordingCrm(batch_size=100)
    scores = [number % 97 for number in range(people)]

    assert len(synced(platform, crm, scores).writes) == people
    assert synced(platform, crm, scores).batches == []
    (batch,) = synced(platform, crm, [*scores[:-1], scores[-1] + 3]).batches
    assert [write.customer_id for write in batch] == [f"c{people - 1:06}"]
