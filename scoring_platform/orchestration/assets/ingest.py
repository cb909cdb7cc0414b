"""Assets of the ingest group: one per raw table that some configured source gives."""

from __future__ import annotations

import dagster as dg

from scoring_platform.contracts.raw import RAW_TABLES
from scoring_platform.orchestration.assets.factory import Frame, raw_asset


def ingest_assets(frame: Frame) -> list[dg.AssetsDefinition]:
    """Return the raw assets this configuration has a source for."""
    return [raw_asset(frame, table.name) for table in RAW_TABLES if table.name in frame.settings.raw_tables]
