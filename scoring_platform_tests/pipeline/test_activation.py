"""Which run may send: the newest day while it is fresh, by the wall clock or that of the data."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from scoring_platform.pipeline import activation
from scoring_platform_tests.domain.tables import table
from scoring_platform_tests.pipeline.scenario import START, Shop, open_shop

DAY = START + timedelta(days=9)
NEXT = DAY + timedelta(days=1)


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
