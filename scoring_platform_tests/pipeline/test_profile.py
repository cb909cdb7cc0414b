from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from scoring_platform.errors import HistoryError
from scoring_platform.pipeline import profile
from scoring_platform.pipeline.step import span
from scoring_platform_tests.domain.tables import noon
from scoring_platform_tests.pipeline.scenario import START, Shop, open_shop

FIRST = START + timedelta(days=4)
SECOND = FIRST + timedelta(days=1)


def visits(shop: Shop) -> dict[date, int]:
    """Web sessions of known customers by day."""
    return {row["as_of"]: row["web_sessions"] for row in shop.rows("customer_activity") if row["web_sessions"]}


def recomputed(shop: Shop, day: date) -> list[date]:
    """Days of activity that a run of ``day`` computes."""
    return profile.activity_days(shop.step(day))


def morning(shop: Shop, day: date) -> list[date]:
    """Run a day: everything published as now known; returns the days of activity it computed."""
    shop.publish(day)
    shop.publish_states([day])
    step = shop.step(day)
    identities = profile.customer_identities(step)
    shop.write("customer_identities", identities, [day])
    wanted = recomputed(shop, day)
    inputs = {one: profile.activity_inputs(step, one) for one in wanted}
    shop.write("customer_activity", profile.customer_activity(step, wanted), wanted, inputs=inputs)
    return wanted


def test_a_first_run_computes_all_history_and_the_next_morning_its_day(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        shop.order("r1", START)

        assert morning(shop, FIRST) == span(START, FIRST)
        shop.order("r1", SECOND)
        assert morning(shop, SECOND) == [SECOND]
        assert {row["as_of"] for row in shop.rows("customer_activity")} == {START, SECOND}


def test_a_late_fact_recomputes_its_day(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        shop.order("r1", START)
        morning(shop, FIRST)
        shop.order("r1", START + timedelta(days=2))

        assert morning(shop, SECOND) == [START + timedelta(days=2), SECOND]
        assert recomputed(shop, SECOND) == [SECOND]


def test_a_late_tracking_decision_recomputes_every_day_after_it(tmp_path: Path) -> None:
    decided = START + timedelta(days=2)
    with open_shop(tmp_path) as shop:
        shop.add("raw_customers", {"customer_ref": "r1", "as_of": START})
        for day in span(START, FIRST):
            shop.add("raw_web_activity", {"customer_ref": "r1", "sessions": 1, "as_of": day})
        morning(shop, FIRST)
        assert visits(shop) == {}
        shop.add(
            "raw_consents",
            {"subject": "r1", "channel": "web", "purpose": "tracking", "status": "granted", "as_of": decided,
             "occurred_at": noon(decided)},
        )  # fmt: skip

        assert morning(shop, SECOND) == span(decided, SECOND)
        assert visits(shop) == dict.fromkeys(span(decided, FIRST), 1)


def test_what_a_device_did_counts_once_its_owner_is_known(tmp_path: Path) -> None:
    seen = START + timedelta(days=1)
    with open_shop(tmp_path, "consent: {tracking_default: granted}") as shop:
        shop.add("raw_web_activity", {"client_id": "d1", "sessions": 3, "as_of": seen})
        morning(shop, FIRST)
        assert visits(shop) == {}
        shop.add("raw_web_activity", {"client_id": "d1", "customer_ref": "r1", "sessions": 1, "as_of": SECOND})

        assert morning(shop, SECOND) == span(seen, SECOND)
        assert visits(shop) == {seen: 3, SECOND: 1}


def test_customers_that_come_apart_take_their_facts_with_them(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        for n in range(10):
            shop.order(f"r{n}", START, 2**n, email="info@example.jp")
        morning(shop, FIRST)
        assert [row["revenue"] for row in shop.rows("customer_activity")] == [1023]
        shop.order("r10", SECOND, 1024, email="info@example.jp")

        assert morning(shop, SECOND) == span(START, SECOND)
        assert sorted(row["revenue"] for row in shop.rows("customer_activity")) == [2**n for n in range(11)]


def test_missing_history_is_named_with_the_command_that_loads_it(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        shop.publish(FIRST)
        profile.require_history(shop.step(FIRST), profile.EVENT_TABLES)

        expected = rf"raw_orders lacks 1 of 6 days \({SECOND} to {SECOND}\).*scoring-platform run --date {SECOND}$"
        with pytest.raises(HistoryError, match=expected):
            profile.require_history(shop.step(SECOND), profile.EVENT_TABLES)
