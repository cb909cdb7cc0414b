"""Daily partitions in the business time zone.

Belongs here: what a partition is, and the days a run covers. Does not belong here: jobs.
"""

from __future__ import annotations

from datetime import date

import dagster as dg

from scoring_platform.config.model import ScoringConfig


def daily_partitions(config: ScoringConfig) -> dg.DailyPartitionsDefinition:
    """Return one partition per business day since ``history_start``."""
    return dg.DailyPartitionsDefinition(start_date=config.history_start.isoformat(), timezone=config.time_zone)


def run_days(context: dg.AssetExecutionContext) -> list[date]:
    """Return the days of the run, one or many, oldest first."""
    return sorted(date.fromisoformat(key) for key in context.partition_keys)
