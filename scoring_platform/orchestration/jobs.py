"""Jobs: what runs together."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as AssetJob

__all__ = ["DAILY_SCORING_JOB", "LANE", "AssetJob", "daily_scoring_job"]

DAILY_SCORING_JOB = "daily_scoring_job"
LANE = {"scoring/lane": "daily"}


def daily_scoring_job() -> AssetJob:
    """Everything for one day, or for a range of days: collect, score, segment, write back, report."""
    return dg.define_asset_job(
        DAILY_SCORING_JOB,
        selection=dg.AssetSelection.all(),
        description="Collects a day from every source, scores and segments every customer, writes the CRM back and "
        "delivers the report.",
        tags=LANE,
        executor_def=dg.in_process_executor,
    )
