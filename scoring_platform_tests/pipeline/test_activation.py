"""Plan, then apply: each row acknowledged once, and nothing forgotten."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from scoring_platform.errors import TransientError
from scoring_platform.pipeline import activation
from scoring_platform.pipeline.activation import Applied
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
    shop.write(activation.PLAN, activation.crm_sync_plan(step, ["hubspot"]), [day])
    applied = activation.apply_plan(step, [crm])
    shop.write(activation.SYNC, activation.crm_sync(step), [day])
    return applied


def versions(shop: Shop, day: date) -> list[str | None]:
    return [shop.engine.lake.version_id(name, day) for name in (activation.PLAN, activation.SYNC)]


def operations(shop: Shop, day: date) -> Counter[str]:
    return Counter(row["operation"] for row in shop.rows(activation.PLAN, day))


def statuses(shop: Shop, day: date) -> dict[str, str]:
    return {row["customer_id"]: row["status"] for row in shop.rows(activation.SYNC, day)}


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
        judged(shop, NEXT, [10, 20, 31])
        run(shop, NEXT, crm)

        (write,) = crm.writes
        assert (write.customer_id, write.destination_id) == ("c2", "k-c2")
        assert write.properties == {"customer_score": "31", "score_date": NEXT.isoformat()}
        assert operations(shop, NEXT) == {"update": 1, "skip": 1}, "what the CRM refused waits until it changes"
        crm.batches.clear()
        judged(shop, NEXT + timedelta(days=1), [10, 21, 31])
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
        assert shop.rows(activation.PLAN, NEXT) == []


def test_a_later_date_alone_sends_nothing_even_for_an_earlier_plan(tmp_path: Path) -> None:
    crm = RecordingCrm()
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10])
        run(shop, DAY, crm)
        judged(shop, NEXT, [10], segment="loyal")
        run(shop, NEXT, crm)
        crm.batches.clear()
        # The record now bears the later date; the earlier day's plan holds only its score.
        plan = shop.rows(activation.PLAN, DAY)[0]
        only_score = {"customer_score": "10", "score_date": DAY.isoformat()}
        changed = table(activation.PLAN, {**plan, "payload": json.dumps(only_score)})
        shop.write(activation.PLAN, changed, [DAY])
        activation.apply_plan(shop.step(DAY), [crm])

        assert crm.writes == []


def permitted(shop: Shop, *days: date, released: Sequence[str] = (), now: datetime | None = None) -> str:
    return activation.run_permission(shop.step(*days, now=now), released=released).reason


def segment_days(shop: Shop, *days: date) -> None:
    rows: list[dict[str, Any]] = [{"customer_id": "c1", "segment": "vip", "as_of": day} for day in days]
    shop.write("customer_segments", table("customer_segments", *rows), days)


def test_only_the_newest_published_day_sends_while_it_is_fresh(tmp_path: Path) -> None:
    with open_shop(tmp_path, "activation: {clock: wall, max_age_days: 2}") as shop:
        segment_days(shop, DAY, NEXT)
        # 06:00 in Tokyo, still the evening before in UTC.
        morning = datetime(NEXT.year, NEXT.month, NEXT.day, 21, tzinfo=UTC)

        assert permitted(shop, NEXT, now=morning) == ""
        assert permitted(shop, NEXT, now=morning + timedelta(days=1)) == ""
        assert permitted(shop, NEXT, now=morning + timedelta(days=2)) == "too_old"
        assert permitted(shop, DAY, now=morning) == "not_newest"
        assert permitted(shop, DAY, now=morning, released=["scores"]) == ""
        assert permitted(shop, DAY, now=morning, released=["report"]) == "not_newest"
        assert permitted(shop, DAY, NEXT, now=morning, released=["scores"]) == "range"


def test_by_the_clock_of_the_data_today_follows_the_latest_event(tmp_path: Path) -> None:
    with open_shop(tmp_path, "activation: {clock: data}") as shop:
        segment_days(shop, DAY)
        shop.order("r1", DAY)
        shop.publish(NEXT + timedelta(days=5))
        shop.publish_states([NEXT + timedelta(days=5)])

        assert activation.today(shop.step(DAY)) == NEXT
        assert permitted(shop, DAY) == ""
        shop.order("r1", DAY + timedelta(days=4))
        shop.publish(NEXT + timedelta(days=5))
        assert permitted(shop, DAY) == "too_old"


def test_the_state_of_accounts_is_no_event(tmp_path: Path) -> None:
    with open_shop(tmp_path, "activation: {clock: data}") as shop:
        shop.order("r1", DAY)
        shop.add("raw_customers", {"customer_ref": "r1", "as_of": DAY})
        shop.publish(NEXT)

        assert activation.latest_event_day(shop.step(NEXT)) == DAY
