"""When the daily job is asked for, and for which days."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from scoring_platform.orchestration.build import build_definitions
from scoring_platform_tests.end_to_end.fixtures import OpenShop, shop
from scoring_platform_tests.end_to_end.platform import Platform

DAY = date(2026, 11, 20)


def asked_for(platform: Platform, tick: datetime) -> list[dg.RunRequest]:
    """What the schedule asks for at a tick."""
    definitions = build_definitions(platform.settings)
    schedule = definitions.resolve_schedule_def("daily_scoring_schedule")
    with platform.instance() as instance:
        repository = definitions.get_repository_def()
        with dg.build_schedule_context(
            instance=instance, scheduled_execution_time=tick, repository_def=repository
        ) as context:
            return list(schedule.evaluate_tick(context).run_requests or [])


def publish_empty_days(platform: Platform, days: list[date]) -> None:
    """Make days look computed."""
    for day in days:
        version = platform.lake.root / ".versions" / "customer_segments" / f"as_of={day}" / "0"
        version.mkdir(parents=True)
        link = platform.lake.root / "customer_segments" / f"as_of={day}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(version)


@pytest.mark.parametrize(
    ("zone", "tick"),
    [
        ("Asia/Tokyo", datetime(2026, 11, 21, 6, tzinfo=ZoneInfo("Asia/Tokyo"))),
        ("Asia/Tokyo", datetime(2026, 11, 20, 21, tzinfo=ZoneInfo("UTC"))),
        ("America/New_York", datetime(2026, 11, 21, 11, tzinfo=ZoneInfo("UTC"))),
        ("Pacific/Auckland", datetime(2026, 11, 20, 17, tzinfo=ZoneInfo("UTC"))),
    ],
)
def test_a_tick_asks_for_yesterday_in_the_business_zone(open_shop: OpenShop, zone: str, tick: datetime) -> None:
    requests = asked_for(open_shop(time_zone=zone), tick)

    assert [(one.partition_key, one.run_key) for one in requests] == [(str(DAY), f"daily-{DAY}")]


@pytest.mark.parametrize(
    ("morning", "day"),
    [
        # The night the clocks went back has 25 hours, the one they go forward 23: yesterday is still yesterday.
        (date(2026, 10, 25), date(2026, 10, 24)),
        (date(2026, 10, 26), date(2026, 10, 25)),
        (date(2027, 3, 28), date(2027, 3, 27)),
        (date(2027, 3, 29), date(2027, 3, 28)),
    ],
)
def test_summer_time_moves_no_day(open_shop: OpenShop, morning: date, day: date) -> None:
    tick = datetime.combine(morning, time(6), tzinfo=ZoneInfo("Europe/Berlin"))
    requests = asked_for(open_shop(time_zone="Europe/Berlin"), tick)

    assert [one.partition_key for one in requests] == [str(day)]


def test_the_schedule_ticks_at_six_in_the_business_zone(open_shop: OpenShop) -> None:
    schedule = build_definitions(open_shop(time_zone="Europe/Berlin").settings).resolve_schedule_def(
        "daily_scoring_schedule"
    )

    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 6 * * *", "Europe/Berlin")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_days_an_outage_left_out_come_first_as_one_range(open_shop: OpenShop) -> None:
    platform = open_shop()
    publish_empty_days(platform, [DAY - timedelta(days=offset) for offset in (5, 4)])

    catch_up, daily = asked_for(platform, datetime(2026, 11, 21, 6, tzinfo=ZoneInfo("Asia/Tokyo")))

    assert catch_up.tags["dagster/asset_partition_range_start"] == "2026-11-17"
    assert catch_up.tags["dagster/asset_partition_range_end"] == "2026-11-19"
    assert catch_up.run_key == f"catch-up-{DAY}"
    assert int(catch_up.tags["dagster/priority"]) > int(daily.tags.get("dagster/priority", "0"))
    assert daily.partition_key == str(DAY)
    assert catch_up.tags["scoring/lane"] == "daily"


def test_a_long_outage_is_caught_up_for_the_configured_days_only(tmp_path: Path) -> None:
    platform = shop(tmp_path, catch_up_days=3)
    publish_empty_days(platform, [DAY - timedelta(days=60)])

    catch_up, _ = asked_for(platform, datetime(2026, 11, 21, 6, tzinfo=ZoneInfo("Asia/Tokyo")))

    assert catch_up.tags["dagster/asset_partition_range_start"] == "2026-11-17"
    assert catch_up.tags["dagster/asset_partition_range_end"] == "2026-11-19"
