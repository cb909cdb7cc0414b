"""Schedules: when the daily job runs."""

from collections.abc import Iterator
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from scoring_platform.lake.tree import Lake
from scoring_platform.orchestration.jobs import LANE, AssetJob
from scoring_platform.pipeline.history import missing_days
from scoring_platform.settings import Settings

DAILY_AT = "0 6 * * *"
_FIRST = {"dagster/priority": "10"}


def daily_scoring_schedule(settings: Settings, job: AssetJob) -> dg.ScheduleDefinition:
    """At 06:00 in the business zone: the day before; days missed by an outage come first, as one range."""

    @dg.schedule(
        name="daily_scoring_schedule",
        job=job,
        cron_schedule=DAILY_AT,
        execution_timezone=settings.config.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every morning at 06:00 for the day before; days an outage left out are computed first.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        tick = context.scheduled_execution_time.astimezone(ZoneInfo(settings.config.time_zone))
        day = tick.date() - timedelta(days=1)
        gap = missed(settings, day)
        if gap:
            yield dg.RunRequest(
                run_key=f"catch-up-{day}",
                tags={
                    **LANE,
                    **_FIRST,
                    "dagster/asset_partition_range_start": gap[0].isoformat(),
                    "dagster/asset_partition_range_end": gap[-1].isoformat(),
                },
            )
        yield dg.RunRequest(run_key=f"daily-{day}", partition_key=day.isoformat())

    return schedule


def missed(settings: Settings, day: date) -> list[date]:
    """Return the days before ``day`` that an outage left out, oldest first and without a gap; at most catch_up_days."""
    lake = Lake(settings.lake_root)
    missing = missing_days(lake, settings, day)
    return missing.state
