"""Brakes of a sync: a first one goes slowly, a bad one stops, an unusual one does not begin."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest

from scoring_platform.config.crm import Brakes
from scoring_platform.ledger.receipts import Outcome, Scope, record_outcomes
from scoring_platform.pipeline import brakes, crm_plan, crm_sync
from scoring_platform.pipeline.crm_sync import Applied
from scoring_platform_tests.domain.tables import table
from scoring_platform_tests.pipeline.scenario import RecordingCrm, Shop, open_shop
from scoring_platform_tests.pipeline.test_crm_sync import DAY, judged, statuses

PEOPLE = 100


def synced(
    shop: Shop, day: date, scores: list[int], crm: RecordingCrm, *, released: tuple[str, ...] = (), segment: str = "vip"
) -> Applied:
    """Publish, plan and sync a day."""
    judged(shop, day, scores, segment=segment, reachable=10_000)
    step = shop.step(day)
    shop.write(crm_plan.PLAN, crm_plan.crm_sync_plan(step, ["hubspot"]), [day])
    applied = crm_sync.apply_plan(step, [crm], released=released)
    shop.write(crm_sync.SYNC, crm_sync.crm_sync(step, applied.held), [day])
    return applied


def ordinary_days(shop: Shop, crm: RecordingCrm, count: int) -> date:
    """Sync ``count`` days of which each but the first changes two in a hundred; return the day after."""
    scores = [50] * PEOPLE
    for number in range(count):
        scores[number % PEOPLE] += 5 if number else 0
        scores[(number + 50) % PEOPLE] += 5 if number else 0
        synced(shop, DAY + timedelta(days=number), scores, crm)
    return DAY + timedelta(days=count)


def test_a_first_sync_begins_with_the_canary_and_grows() -> None:
    sizes = brakes.steps(Brakes(canary=4, ramp=3), 100, first=True)

    assert [next(sizes) for _ in range(6)] == [4, 12, 36, 100, 100, 100]
    assert next(brakes.steps(Brakes(canary=4), 100, first=False)) == 100
    assert next(brakes.steps(Brakes(canary=0), 100, first=True)) == 100


def test_the_canary_is_for_the_first_sync_of_a_stream_alone(tmp_path: Path) -> None:
    crm = RecordingCrm(batch_size=40)
    with open_shop(tmp_path, "crm: {brakes: {canary: 2, ramp: 5}}") as shop:
        synced(shop, DAY, [10] * PEOPLE, crm)
        assert [len(batch) for batch in crm.batches] == [2, 10, 40, 40, 8]
        crm.batches.clear()
        synced(shop, DAY + timedelta(days=1), [10] * 80 + [20] * 20, crm)

        assert [len(batch) for batch in crm.batches] == [20]


def test_a_sync_that_is_refused_again_and_again_stops_and_says_why(tmp_path: Path) -> None:
    crm = RecordingCrm(batch_size=10, refuses={f"c{n}@example.jp" for n in range(PEOPLE)})
    with open_shop(tmp_path, "crm: {brakes: {canary: 5, reject_minimum: 10}}") as shop:
        applied = synced(shop, DAY, [10] * PEOPLE, crm)

        assert applied.counts == {"dead": 15}
        assert "stopped after 15 rows, of which 15 were refused: INVALID_EMAIL" in applied.stopped
        assert Counter(statuses(shop, DAY).values()) == {"dead": 15, "held": 85}


def test_one_bad_row_among_many_stops_nothing(tmp_path: Path) -> None:
    crm = RecordingCrm(batch_size=10, refuses={"c7@example.jp"})
    with open_shop(tmp_path) as shop:
        assert synced(shop, DAY, [10] * PEOPLE, crm).counts == {"acknowledged": 99, "dead": 1}


def test_a_day_that_would_change_far_more_than_usual_waits_for_a_person(tmp_path: Path) -> None:
    crm = RecordingCrm(batch_size=50)
    with open_shop(tmp_path) as shop:
        unusual = ordinary_days(shop, crm, 5)
        crm.batches.clear()
        held = synced(shop, unusual, [90] * PEOPLE, crm)

        assert crm.writes == []
        assert "100 of 100 customers would be written, 100%; usual is 2.0%" in held.stopped
        assert {(row["status"], row["error_code"]) for row in shop.rows(crm_sync.SYNC, unusual)} == {("held", "HELD")}
        assert synced(shop, unusual, [90] * PEOPLE, crm, released=("scores",)).counts == {"acknowledged": PEOPLE}


def test_the_first_day_of_a_month_is_compared_with_its_like(tmp_path: Path) -> None:
    crm = RecordingCrm(batch_size=200)
    with open_shop(tmp_path) as shop:
        first, may = date(2026, 4, 1), date(2026, 5, 1)
        for number in range(4):
            synced(shop, first - timedelta(days=4 - number), [50 + 5 * number] + [50] * (PEOPLE - 1), crm)
        assert synced(shop, first, [60] * 40 + [50] * 60, crm).held == {}, "there was no such day before"
        for number in range(4):
            synced(shop, may - timedelta(days=4 - number), [60 + number % 2 * 5] + [60] * 39 + [50] * 60, crm)

        assert synced(shop, may, [20] * PEOPLE, crm).held == {}, "a bit more than twice as many as in April"


def test_a_shrunken_source_writes_nothing(tmp_path: Path) -> None:
    crm = RecordingCrm(batch_size=200)
    with open_shop(tmp_path) as shop:
        synced(shop, DAY, [10] * PEOPLE, crm)
        crm.batches.clear()
        applied = synced(shop, DAY + timedelta(days=1), [20] * 30, crm)

        assert crm.writes == []
        assert "customers fell from 100 to 30" in applied.stopped


def test_fields_of_many_are_not_emptied(tmp_path: Path) -> None:
    crm = RecordingCrm(batch_size=200)
    with open_shop(tmp_path) as shop:
        synced(shop, DAY, [10] * PEOPLE, crm)
        step = shop.step(DAY)
        rows = shop.rows(crm_plan.PLAN, DAY)
        blank = [{**row, "operation": "update", "payload": '{"rfm_code": ""}'} for row in rows[:20]]
        plan = table(crm_plan.PLAN, *blank)
        (scope, *_) = [one for one in crm_plan.scopes(step, "hubspot") if one.stream == "scores"]

        assert "fields of 20 of 100 customers would be emptied" in brakes.reason_to_hold(step, scope, plan)
        few = table(crm_plan.PLAN, *blank[:5])
        assert brakes.reason_to_hold(step, scope, few) == ""


@pytest.mark.parametrize("percentage", [0, 30, 100])
def test_a_rollout_reaches_its_share_of_customers_and_always_the_same(tmp_path: Path, percentage: int) -> None:
    crm = RecordingCrm(batch_size=500)
    with open_shop(tmp_path, f"crm: {{rollout: {{percentage: {percentage}}}}}") as shop:
        synced(shop, DAY, [10] * 400, crm)
        first = {write.customer_id for write in crm.writes}
        crm.batches.clear()
        synced(shop, DAY + timedelta(days=1), [20] * 400, crm, released=("scores",))

        assert {write.customer_id for write in crm.writes} == first
        assert len(first) == pytest.approx(4 * percentage, abs=30 if 0 < percentage < 100 else 0)


def test_a_rollout_by_segment_reaches_that_segment(tmp_path: Path) -> None:
    crm = RecordingCrm(batch_size=500)
    with open_shop(tmp_path, "crm: {rollout: {segments: [loyal]}}") as shop:
        synced(shop, DAY, [10] * 5, crm)
        assert crm.writes == []
        synced(shop, DAY + timedelta(days=1), [10] * 5, crm, segment="loyal")

        assert len(crm.writes) == 5


def test_a_dry_run_plans_and_writes_nothing(tmp_path: Path) -> None:
    crm = RecordingCrm()
    with open_shop(tmp_path, "crm: {dry_run: true}") as shop:
        applied = synced(shop, DAY, [10] * 5, crm)

        assert crm.writes == []
        assert "hubspot scores: dry run (crm.dry_run)" in applied.stopped
        assert len(shop.rows(crm_plan.PLAN, DAY)) == 5


def test_deals_that_are_written_first_lose_nothing_and_known_ones_do(tmp_path: Path) -> None:
    scope = Scope("hubspot", "scores", "deal")
    with open_shop(tmp_path) as shop:
        step = shop.step(DAY)
        known = [
            Outcome(f"c{n}", "acknowledged", DAY, "h", {"customer_score": "5"}, destination_id=f"d{n}")
            for n in range(60)
        ]
        record_outcomes(shop.ledger, scope, known, now=step.now)

        def held(first: int) -> str:
            rows = [
                {
                    "crm": "hubspot", "stream": "scores", "target": "deal", "customer_id": f"c{n}",
                    "record_id": f"d{n}", "operation": "update", "changed_fields": ["total_score"],
                    "payload": '{"customer_score": ""}',
                }
                for n in range(first, first + 10)
            ]  # fmt: skip
            return brakes.reason_to_hold(step, scope, step.engine.materialise(table(crm_plan.PLAN, *rows)))

        assert held(100) == ""
        assert held(0).startswith("fields of 10 of 60 customers would be emptied")
