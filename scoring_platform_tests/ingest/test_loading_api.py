"""A vendor's API gives what changed: incremental loads end where one load of everything would."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring_platform.errors import TransientError
from scoring_platform.ledger.extracts import read_watermarks
from scoring_platform.sources.protocol import Window
from scoring_platform_tests.scenario import MONDAY, Home, Shop, close_home, days_from, open_home, order

TOKYO = ZoneInfo("Asia/Tokyo")
TUESDAY = MONDAY + timedelta(days=1)
WEDNESDAY = MONDAY + timedelta(days=2)


def test_a_late_update_rewrites_the_day_it_belongs_to(home: Home) -> None:
    shop = Shop(TOKYO)
    shop.change("2026-03-02 10:00:00", order("o1", "2026-03-02T10:00:00+09:00"))
    shop.change("2026-03-03 05:00:00", order("o1", "2026-03-02T10:00:00+09:00", refunded_amount="250"))
    home.load(MONDAY, sources=[shop])
    assert home.load(TUESDAY, sources=[shop]).touched == ()
    (row,) = home.rows()
    assert row["refunded_amount"] == 250, "known before the morning of the first run"
    shop.change("2026-03-04 12:00:00", order("o1", "2026-03-02T10:00:00+09:00", status="cancelled"))
    assert home.load(WEDNESDAY, sources=[shop]).touched == (MONDAY,)
    assert home.rows()[0]["status"] == "cancelled"


def test_each_extraction_begins_an_hour_before_the_end_of_the_last_day(home: Home) -> None:
    shop = Shop(TOKYO)
    home.load(MONDAY, sources=[shop])
    home.load(WEDNESDAY, sources=[shop])
    second = shop.windows[1]
    assert second.since == datetime(2026, 3, 3, 0, tzinfo=TOKYO) - timedelta(hours=1)
    assert second.until == datetime(2026, 3, 5, 6, tzinfo=TOKYO)


def test_an_order_dated_tomorrow_is_there_tomorrow(home: Home) -> None:
    shop = Shop(TOKYO)
    shop.change("2026-03-02 22:00:00", order("o1", "2026-03-03T00:30:00+09:00"))
    shop.change("2026-03-02 12:00:00", order("o2", "2026-03-12T00:30:00+09:00"))
    home.load(MONDAY, sources=[shop])
    assert home.rows() == []
    assert read_watermarks(home.ledger) == {("shop", "raw_orders"): datetime(2026, 3, 2, 22, tzinfo=TOKYO)}
    home.load(TUESDAY, sources=[shop])
    assert [row["order_id"] for row in home.rows(day=TUESDAY)] == ["o1"]
    assert home.reasons() == ["ordered_at is in the future"], "set aside, so nothing waits for its day"
    assert read_watermarks(home.ledger) == {("shop", "raw_orders"): datetime(2026, 3, 4, 0, tzinfo=TOKYO)}


def test_an_older_version_that_comes_late_changes_nothing(home: Home) -> None:
    shop = Shop(TOKYO)
    new = order("o1", "2026-03-03T10:00:00+09:00", status="cancelled")
    shop.change("2026-03-03 23:30:00", new)
    home.load([MONDAY, TUESDAY], sources=[shop])
    before = home.versions()
    stale = {**order("o1", "2026-03-02T10:00:00+09:00"), "updated_at": "2026-03-02T10:00:00+09:00"}
    shop.known.append((datetime(2026, 3, 4, 10, tzinfo=TOKYO), stale))
    home.load(WEDNESDAY, sources=[shop])
    assert {day: version for day, version in home.versions().items() if day != WEDNESDAY} == before


def test_a_bad_update_keeps_the_good_version_until_it_is_mended(home: Home) -> None:
    shop = Shop(TOKYO)
    shop.change("2026-03-02 10:00:00", order("o1", "2026-03-02T10:00:00+09:00"))
    home.load(MONDAY, sources=[shop])
    shop.change("2026-03-03 10:00:00", order("o1", "2026-03-02T10:00:00+09:00", total_amount="?"))
    home.load(TUESDAY, sources=[shop])
    assert [row["total_amount"] for row in home.rows()] == [1000]
    assert home.reasons() == ["total_amount is not an amount"]
    shop.change("2026-03-04 10:00:00", order("o1", "2026-03-02T10:00:00+09:00", total_amount="900"))
    home.load(WEDNESDAY, sources=[shop])
    assert [row["total_amount"] for row in home.rows()] == [900]
    assert home.set_aside() == []


def test_a_blocked_day_is_asked_for_again(home: Home) -> None:
    shop = Shop(TOKYO)
    for number in range(6):
        shop.change("2026-03-02 10:00:00", order(f"o{number}", "2026-03-02T10:00:00+09:00", status="x"))
    assert home.load(MONDAY, sources=[shop]).blocked
    assert read_watermarks(home.ledger) == {}
    assert home.versions() == {}


def test_a_source_that_fails_leaves_everything_as_it_was(home: Home) -> None:
    class Failing(Shop):
        def fetch(self, table: str, window: Window) -> Any:
            yield [order("o2", "2026-03-02T10:00:00+09:00")]
            msg = "timeout"
            raise TransientError(msg)

    shop = Shop(TOKYO)
    shop.change("2026-03-02 10:00:00", order("o1", "2026-03-02T10:00:00+09:00"))
    home.load(MONDAY, sources=[shop])
    before = home.versions()
    with pytest.raises(TransientError):
        home.load(TUESDAY, sources=[Failing(TOKYO)])
    assert home.versions() == before
    assert not any((home.engine.lake.root / ".staging").iterdir())


DAYS = days_from(MONDAY, 3)
changes = st.tuples(
    st.sampled_from(["o1", "o2", "o3", "o4"]),
    st.integers(0, 3 * 24 - 1),  # the hour of the change
    st.integers(0, 3 * 24 - 1),  # how many hours before it the order was placed
    st.sampled_from(["paid", "cancelled", "pending"]),
    st.integers(1, 3),  # how often the API gives it
)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=st.lists(changes, max_size=12), random=st.randoms(use_true_random=False))
def test_daily_loads_end_where_one_load_of_everything_would(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, int, int, str, int]], random: Any
) -> None:
    start = datetime(2026, 3, 2, tzinfo=TOKYO)
    shop = Shop(TOKYO)
    seen: set[tuple[str, int]] = set()
    for order_id, hour, age, status, times in history:
        if (order_id, hour) in seen:
            continue
        seen.add((order_id, hour))
        placed = max(start, start + timedelta(hours=hour - age))
        at = (start + timedelta(hours=hour)).strftime("%Y-%m-%d %H:%M:%S")
        for _ in range(times):
            shop.change(at, order(order_id, placed.astimezone(UTC).isoformat(), status=status))
    random.shuffle(shop.known)
    daily, at_once = (open_home(tmp_path_factory.mktemp(name)) for name in ("daily", "at_once"))
    for day in DAYS:
        daily.load(day, sources=[shop])
    at_once.load(DAYS, sources=[shop])
    assert daily.versions() == at_once.versions()
    assert len({row["order_id"] for row in daily.rows()}) == len(daily.rows()) == len({entry[0] for entry in history})
    close_home(daily)
    close_home(at_once)
