"""Which days are missing before a day can be computed."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from scoring_platform.pipeline.history import Missing, missing_days
from scoring_platform.pipeline.step import span
from scoring_platform_tests.domain.tables import table
from scoring_platform_tests.pipeline.scenario import START, Shop, open_shop

DAY = START + timedelta(days=20)


def missing(shop: Shop, day: date = DAY) -> Missing:
    return missing_days(shop.engine.lake, shop.settings, day)


def segment_days(shop: Shop, *days: date) -> None:
    rows = [{"customer_id": "c1", "segment": "vip", "as_of": day} for day in days]
    shop.write("customer_segments", table("customer_segments", *rows), days)


def test_an_empty_lake_lacks_every_event_day_before_the_run_and_no_state(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        assert missing(shop) == Missing(events=span(START, DAY - timedelta(days=1)), state=[])


def test_with_every_event_day_nothing_is_missing(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        shop.publish(DAY - timedelta(days=1))

        assert missing(shop) == Missing(events=[], state=[])


def test_a_gap_in_one_table_is_loaded_as_one_range(tmp_path: Path) -> None:
    with open_shop(tmp_path, tables=["raw_orders", "raw_events"]) as shop:
        shop.write("raw_events", table("raw_events"), span(START, DAY))
        shop.write("raw_orders", table("raw_orders"), [*span(START, DAY - timedelta(days=9)), DAY - timedelta(days=5)])

        assert missing(shop).events == span(DAY - timedelta(days=8), DAY - timedelta(days=1))


def test_days_left_out_by_an_outage_are_caught_up_as_far_as_configured(tmp_path: Path) -> None:
    with open_shop(tmp_path, "catch_up_days: 7", tables=["raw_orders"]) as shop:
        segment_days(shop, DAY - timedelta(days=20), DAY - timedelta(days=4), DAY - timedelta(days=1))
        assert missing(shop).state == span(DAY - timedelta(days=7), DAY - timedelta(days=2))
        segment_days(shop, *span(DAY - timedelta(days=7), DAY - timedelta(days=3)))
        assert missing(shop).state == [DAY - timedelta(days=2)]


def test_days_before_the_first_computed_one_were_not_left_out(tmp_path: Path) -> None:
    with open_shop(tmp_path, tables=["raw_orders"]) as shop:
        segment_days(shop, DAY - timedelta(days=2))

        assert missing(shop).state == [DAY - timedelta(days=1)]
