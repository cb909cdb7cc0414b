"""Plan, then apply: each row acknowledged once, and nothing forgotten."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from scoring_platform.errors import TransientError
from scoring_platform.pipeline import crm_plan, crm_sync
from scoring_platform.pipeline.crm_sync import Applied
from scoring_platform_tests.domain.tables import table
from scoring_platform_tests.pipeline.scenario import START, RecordingCrm, Shop, open_shop

DAY = START + timedelta(days=9)
NEXT = DAY + timedelta(days=1)


def judged(shop: Shop, day: date, scores: Sequence[int], *, segment: str = "vip", reachable: int = 99) -> None:
    """Publish what c0, c1, … came to on a day; only the first ``reachable`` have an address."""
    for name in ("customer_scores", "customer_segments", "customer_profiles"):
        rows = [_judged(name, f"c{n}", score, segment, n < reachable) for n, score in enumerate(scores)]
        shop.write(name, table(name, *[{**row, "as_of": day} for row in rows]), [day])


def _judged(name: str, who: str, score: int, segment: str, reachable: bool) -> dict[str, Any]:
    if name == "customer_scores":
        return {"customer_id": who, "total_score": Decimal(score), "horizon_days": 90}
    if name == "customer_segments":
        return {"customer_id": who, "segment": segment}
    consents = {"consent_email_marketing": "unknown", "consent_web_tracking": "unknown"}
    return {"customer_id": who, "email": f"{who}@example.jp" if reachable else None, **consents}


def run(shop: Shop, day: date, crm: RecordingCrm) -> Applied:
    """Plan and sync a day, as the two assets do."""
    step = shop.step(day)
    shop.write(crm_plan.PLAN, crm_plan.crm_sync_plan(step, ["hubspot"]), [day])
    applied = crm_sync.apply_plan(step, [crm])
    shop.write(crm_sync.SYNC, crm_sync.crm_sync(step, applied.held), [day])
    return applied


def versions(shop: Shop, day: date) -> list[str | None]:
    return [shop.engine.lake.version_id(name, day) for name in (crm_plan.PLAN, crm_sync.SYNC)]


def operations(shop: Shop, day: date) -> Counter[str]:
    return Counter(row["operation"] for row in shop.rows(crm_plan.PLAN, day))


def statuses(shop: Shop, day: date) -> dict[str, str]:
    return {row["customer_id"]: row["status"] for row in shop.rows(crm_sync.SYNC, day)}


def test_a_rerun_sends_nothing_and_changes_no_row(tmp_path: Path) -> None:
    crm = RecordingCrm(refuses={"c1@example.jp"})
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10, 20, 30, 40, 50], reachable=4)
        applied = run(shop, DAY, crm)
        first = versions(shop, DAY)
        sent = len(crm.writes)
        again = run(shop, DAY, crm)

        assert (applied.counts, again.counts) == ({"acknowledged": 3, "dead": 1}, {})
        assert [len(batch) for batch in crm.batches] == [3, 1]
        assert len(crm.writes) == sent
        assert versions(shop, DAY) == first
        assert statuses(shop, DAY) == {
            "c0": "acknowledged", "c1": "dead", "c2": "acknowledged", "c3": "acknowledged",
        }  # fmt: skip
        assert operations(shop, DAY) == {"create": 4, "skip": 1}


def test_the_next_day_writes_only_what_changed_to_the_known_record(tmp_path: Path) -> None:
    crm = RecordingCrm(refuses={"c1@example.jp"})
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10, 20, 30])
        run(shop, DAY, crm)
        crm.batches.clear()
        judged(shop, NEXT, [10, 20, 34])
        run(shop, NEXT, crm)

        (write,) = crm.writes
        assert (write.customer_id, write.destination_id) == ("c2", "k-c2")
        assert write.properties == {"customer_score": "34", "score_date": NEXT.isoformat()}
        assert operations(shop, NEXT) == {"update": 1, "skip": 1}, "what the CRM refused waits until it changes"
        crm.batches.clear()
        judged(shop, NEXT + timedelta(days=1), [10, 24, 34])
        run(shop, NEXT + timedelta(days=1), crm)
        assert [write.customer_id for write in crm.writes] == ["c1"]


def test_what_was_not_taken_is_tried_again_on_the_same_day(tmp_path: Path) -> None:
    crm = RecordingCrm(throttles={"c1@example.jp"})
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10, 20])
        assert run(shop, DAY, crm).counts == {"acknowledged": 1, "retry": 1}
        crm.throttles.clear()
        crm.batches.clear()
        assert run(shop, DAY, crm).counts == {"acknowledged": 1}

        assert [write.customer_id for write in crm.writes] == ["c1"]
        assert set(statuses(shop, DAY).values()) == {"acknowledged"}
        assert operations(shop, DAY) == {"create": 2}


def test_a_crm_that_breaks_off_keeps_what_it_took_and_gets_the_rest_later(tmp_path: Path) -> None:
    crm = RecordingCrm(breaks_after=1, error=TransientError("hubspot: 503"))
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10, 20, 30, 40, 50])
        applied = run(shop, DAY, crm)
        assert (applied.counts, applied.stopped) == ({"acknowledged": 3}, "hubspot: hubspot: 503")
        assert Counter(statuses(shop, DAY).values()) == {"acknowledged": 3, "held": 2}
        crm.error = None
        run(shop, DAY, crm)

        assert [write.customer_id for write in crm.writes] == ["c0", "c1", "c2", "c3", "c4"]
        assert set(statuses(shop, DAY).values()) == {"acknowledged"}


def test_a_planned_value_that_no_longer_holds_is_not_sent(tmp_path: Path) -> None:
    crm = RecordingCrm()
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10, 20])
        run(shop, DAY, crm)
        crm.throttles = {"c1@example.jp"}
        judged(shop, NEXT, [10, 25])
        assert run(shop, NEXT, crm).counts == {"retry": 1}
        crm.throttles, crm.batches = set(), []
        judged(shop, NEXT, [10, 20])
        run(shop, NEXT, crm)

        assert crm.writes == []
        assert shop.rows(crm_plan.PLAN, NEXT) == []


def test_a_later_date_alone_sends_nothing_even_for_an_earlier_plan(tmp_path: Path) -> None:
    crm = RecordingCrm()
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10])
        run(shop, DAY, crm)
        judged(shop, NEXT, [10], segment="loyal")
        run(shop, NEXT, crm)
        crm.batches.clear()
        # The record now bears the later date; the earlier day's plan holds only its score.
        plan = shop.rows(crm_plan.PLAN, DAY)[0]
        only_score = {"customer_score": "10", "score_date": DAY.isoformat()}
        changed = table(crm_plan.PLAN, {**plan, "payload": json.dumps(only_score)})
        shop.write(crm_plan.PLAN, changed, [DAY])
        crm_sync.apply_plan(shop.step(DAY), [crm])

        assert crm.writes == []
