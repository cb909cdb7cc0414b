"""Extracts: up to which instant each source has been read.

Belongs here: one watermark per source and raw table. Does not belong here: the overlap a source is read with.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select

from scoring_platform.ledger.schema import EXTRACTS
from scoring_platform.ledger.store import Ledger, upsert

Extract = tuple[str, str]
"""Source and raw table."""


def read_watermarks(ledger: Ledger) -> dict[Extract, datetime]:
    """Return the watermark of every extract that has been read before."""
    with ledger.reading() as connection:
        return {(row.source, row.table): row.watermark for row in connection.execute(select(EXTRACTS))}


def advance_watermarks(ledger: Ledger, watermarks: Mapping[Extract, datetime]) -> None:
    """Move watermarks forward, all or none; an older instant than the recorded one changes nothing."""
    with ledger.writing() as connection:
        stored = select(EXTRACTS).with_for_update()
        known = {(row.source, row.table): row.watermark for row in connection.execute(stored)}
        rows = [
            {"source": source, "table": table, "watermark": instant}
            for (source, table), instant in watermarks.items()
            if (source, table) not in known or instant > known[source, table]
        ]
        upsert(connection, EXTRACTS, rows)
