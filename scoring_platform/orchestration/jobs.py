"""Jobs: what runs together."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as AssetJob

__all__ = ["AssetJob", "DAILY_SCORING_JOB", "LANE", "daily_scoring_job"]

DAILY_SCORING_JOB = "daily_scoring_job"
LANE = {"scoring/lane": "daily"}


def daily_scoring_job(partitions: dg.DailyPartitionsDefinition) -> AssetJob:
    """Everything for one day, or for a range of days: collect, score, segment, write back, report."""
    return dg.define_asset_job(
        DAILY_SCORING_JOB,
        selection=dg.AssetSelection.all(),
        partitions_def=partitions,
        description="Collects a day from every source, scores and segments every customer, writes the CRM back and "
        "delivers the report.",
        tags=LANE,
        executor_def=dg.in_process_executor,
    )
