"""The quarantine: raw rows that cannot be used, kept with their reason and payload until they come right.

Belongs here: the quarantine table and its picture of a day. Does not belong here: judging rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import ibis
import ibis.expr.types as ir

from scoring_platform.contracts.columns import INSTANT, identifier, instant, json_text, text
from scoring_platform.contracts.masking import mask_text
from scoring_platform.contracts.table import Table
from scoring_platform.lake.engine import DuckDBEngine

QUARANTINE = "quarantine"


def quarantine_table(table: Table) -> Table:
    """Return the quarantine table of a raw table; it lies at ``quarantine/<table>``."""
    return Table(
        name=f"{QUARANTINE}/{table.name}",
        group="ingest",
        partition="event",
        key=("source", "row_key", "payload", "reason"),
        description=f"Rows of {table.name} that cannot be used, with the reason.",
        columns={
            "source": identifier("System the row came from"),
            "row_key": text("Key of the row, as far as readable", pii=True),
            "reason": text("Why it cannot be used"),
            "payload": json_text("The row as given"),
            "seen_at": instant("When it was first seen"),
        },
    )


@dataclass(frozen=True)
class Quarantined:
    """The quarantine's picture of the days in scope.

    Attributes:
        rows: Quarantine rows with ``as_of``.
        days: Days whose quarantine is to be written.
        counts: Rows set aside per day.
        delivered: Rows set aside among those this run delivered for the run's days, or for no published day.
        reasons: How often each reason occurs per day.
    """

    rows: ir.Table
    days: tuple[date, ...]
    counts: Mapping[date, int]
    reasons: Mapping[date, Mapping[str, int]] = field(default_factory=dict)


def quarantined(
    engine: DuckDBEngine,
    table: Table,
    judged: ir.Table,
    *,
    scope: Sequence[date],
    run_days: Sequence[date],
    now: datetime,
    complete: frozenset[str],
) -> Quarantined:
    """Return the quarantine of the days in scope: earlier rows not delivered again, and the bad ones delivered.

    A row without a readable day belongs to the run's last day; a row of a later day waits for that day's run unless it
    lies in the future, where no run would look for it.
    """
    last = run_days[-1]
    bad = judged.filter(judged._reason.notnull())
    future = bad._reason.contains("is in the future")
    day = ibis.coalesce(bad.as_of, ibis.literal(last))
    if table.partition == "state":
        day = ibis.literal(last)
    bad = bad.select("source", row_key=bad._key, reason=bad._reason, payload=bad._payload, as_of=day, _future=future)
    in_scope = bad.as_of.isin(list(scope)) | (bad._future & (bad.as_of > last))
    bad = bad.filter(in_scope).drop("_future").distinct()
    days = sorted(set(scope) | _days(bad))
    store = quarantine_table(table)
    before = engine.read(store, engine.lake.days(store.name, first=days[0], last=days[-1]))
    delivered = judged.select("source", row_key=judged._key).distinct()
    kept = before.filter(~before.source.isin(list(complete))) if complete else before
    kept = kept.anti_join(delivered, ["source", "row_key"])
    first_seen = before.select("source", "row_key", "reason", "payload", "as_of", _seen=before.seen_at)
    joined = bad.left_join(first_seen, ["source", "row_key", "reason", "payload", "as_of"])
    seen = ibis.coalesce(joined._seen, ibis.literal(now, type=INSTANT))
    new = joined.mutate(seen_at=seen).select(*store.schema.names, "as_of")
    rows = engine.materialise(ibis.union(new, kept.select(*store.schema.names, "as_of")))
    reasons = _reasons(rows)
    counts = {day: sum(by_reason.values()) for day, by_reason in reasons.items()}
    return Quarantined(rows, tuple(days), counts, reasons)


def _days(rows: ir.Table) -> set[date]:
    values = rows.select("as_of").distinct().to_pandas()["as_of"]
    return {value.date() if hasattr(value, "date") else value for value in values}


def _reasons(rows: ir.Table) -> dict[date, dict[str, int]]:
    frame = rows.group_by(["as_of", "reason"]).aggregate(n=rows.count()).order_by("as_of", ibis.desc("n")).to_pandas()
    found: dict[date, dict[str, int]] = {}
    for row in frame.to_dict("records"):
        day = row["as_of"].date() if hasattr(row["as_of"], "date") else row["as_of"]
        found.setdefault(day, {})[mask_text(row["reason"])] = int(row["n"])
    return found
