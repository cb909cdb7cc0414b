"""What a person sees of a materialisation: rows, bytes, days, top reasons.

Belongs here: results to Dagster metadata. Does not belong here: charts of the report (``reporting``).
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import dagster as dg
import ibis

from scoring_platform.contracts.masking import mask_row, mask_text
from scoring_platform.contracts.table import Table
from scoring_platform.ingest.loading import Loaded
from scoring_platform.ingest.quarantine import quarantine_table
from scoring_platform.lake.write import Written
from scoring_platform.orchestration.checks import records
from scoring_platform.pipeline.step import Step

SAMPLE_ROWS = 5


def loaded_metadata(loaded: Loaded) -> dict[str, Any]:
    """Return the metadata of a raw table."""
    reasons: dict[str, int] = {}
    for verdict in loaded.verdicts:
        for reason, count in verdict.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + count
    run_rows = sum(verdict.rows for verdict in loaded.verdicts)
    return {
        "dagster/row_count": run_rows,
        "delivered": loaded.delivered,
        "set aside": sum(reasons.values()),
        "days changed": len(loaded.written.changed_days),
        "days rewritten by late updates": ", ".join(str(day) for day in loaded.touched) or "none",
        "top reasons": records({"reason": reason, "rows": count} for reason, count in list(reasons.items())[:10]),
    }


def quarantine_samples(step: Step, table: Table, loaded: Loaded) -> list[dict[str, Any]]:
    """Return some rows that were set aside on the latest days with any: day, source, key and reason."""
    days = [verdict.day for verdict in loaded.verdicts if verdict.quarantined][-SAMPLE_ROWS:]
    if not days:
        return []
    rows = step.engine.read(quarantine_table(table), days)
    chosen = rows.select("as_of", "source", "row_key", "reason").order_by(ibis.desc("as_of"), "row_key", "reason")
    personal = bool(table.personal_columns & set(table.key))
    return [
        {
            "day": str(row["as_of"]),
            "source": row["source"],
            "key": "***" if personal else mask_text(str(row["row_key"] or "")).replace("\x1f", " / "),
            "reason": mask_text(row["reason"]),
        }
        for row in chosen.limit(SAMPLE_ROWS * 4).to_pyarrow().to_pylist()
    ]


def written_metadata(step: Step, table: Table, written: Written) -> dict[str, Any]:
    """Return the metadata of a computed table: rows, versions, a masked sample."""
    size = sum(Path(file).stat().st_size for version in written.versions for file in version.files)
    newest = written.versions[-1:]
    sample = step.engine.scan(table, newest).limit(SAMPLE_ROWS).to_pyarrow().to_pylist()
    return {
        "dagster/row_count": newest[0].rows if newest else 0,
        "days": len(written.versions),
        "days changed": len(written.changed_days),
        "bytes": size,
        "version": newest[0].version if newest else "none",
        "config_version": step.settings.config_version,
        "sample (personal data masked)": records(mask_row(table, row) for row in sample),
    }


def image(png: bytes, alt: str) -> dg.MarkdownMetadataValue:
    """Return a chart that the UI shows inline."""
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{base64.b64encode(png).decode()})")
