"""Jobs: what runs together."""

from __future__ import annotations

import dagster as dg

DAILY_SCORING_JOB = "daily_scoring_job"
LANE = {"scoring/lane": "daily"}


def daily_scoring_job(partitions: dg.DailyPartitionsDefinition) -> dg.UnresolvedAssetJobDefinition:
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
