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
FUTURE = "is in the future"


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
    """What a load does to the quarantine.

    Attributes:
        rows: The whole quarantine of the table, with ``as_of``.
        days: Days whose quarantine changes.
        counts: Rows set aside per day, those without a readable day left out.
        undated: Rows delivered now whose day cannot be read.
        reasons: How often each reason occurs per day.
        elsewhere: Rows set aside for the first time on days outside the run, by reason and day: no run of theirs would
            tell of them.
    """

    rows: ir.Table
    days: tuple[date, ...]
    counts: Mapping[date, int]
    undated: int = 0
    reasons: Mapping[date, Mapping[str, int]] = field(default_factory=dict)
    elsewhere: Mapping[str, int] = field(default_factory=dict)


def quarantined(
    engine: DuckDBEngine,
    table: Table,
    judged: ir.Table,
    *,
    run_days: Sequence[date],
    now: datetime,
    complete: frozenset[str],
) -> Quarantined:
    """Return the quarantine after a load: earlier rows that were not delivered again, and the bad ones delivered.

    A row without a readable day belongs to the day it was first seen on; a row of a later day waits for that day's run
    unless it lies in the future, where no run would look for it.

    Args:
        engine: The engine.
        table: The raw table.
        judged: Judged rows of all sources.
        run_days: Days of the run, oldest first.
        now: When a row that is new here was seen.
        complete: Sources whose every extract is the full picture.
    """
    store, last = quarantine_table(table), run_days[-1]
    days = engine.lake.days(store.name)
    if not days and not judged._reason.count().execute():  # the usual case, without a dozen queries about nothing
        return Quarantined(engine.read(store, []), (), {})
    before = engine.materialise(engine.read(store, days))
    bad = _bad_rows(table, judged, before, last=last, now=now)
    reachable = {*engine.lake.days(table.name, last=last), *run_days}
    bad = bad.filter(bad.as_of.isin(sorted(reachable)) | ((bad.as_of > last) & bad.reason.contains(FUTURE)))
    columns = [*store.schema.names, "as_of"]
    kept = _not_delivered(before, judged, last=last, complete=complete).select(columns)
    marked = ibis.union(bad.select(*columns, "_undated"), kept.mutate(_undated=ibis.literal(False)))
    after = engine.materialise(marked)
    reasons = _reasons(after)
    dated = _reasons(after.filter(~after._undated))
    return Quarantined(
        rows=after.select(columns),
        days=_differing_days(engine.fingerprints(store, before), engine.fingerprints(store, after.select(columns))),
        counts={day: sum(by_reason.values()) for day, by_reason in dated.items()},
        undated=int(after._undated.sum().fill_null(0).execute()),
        reasons=reasons,
        elsewhere=_elsewhere(after, run_days, now=now),
    )


def _elsewhere(after: ir.Table, run_days: Sequence[date], *, now: datetime) -> dict[str, int]:
    first_seen = after.filter(after.seen_at == ibis.literal(now, type=INSTANT))
    found = _reasons(first_seen.filter(first_seen.as_of.notin(list(run_days))))
    return {f"{reason} ({day})": n for day, by_reason in sorted(found.items()) for reason, n in by_reason.items()}


def _bad_rows(table: Table, judged: ir.Table, before: ir.Table, *, last: date, now: datetime) -> ir.Table:
    """Bad rows as quarantine rows: a row that was there already keeps when it was seen and, undated, its day."""
    bad = judged.filter(judged._reason.notnull())
    day = ibis.null("date") if table.partition == "state" else bad.as_of
    bad = bad.select("source", row_key=bad._key, reason=bad._reason, payload=bad._payload, _day=day).distinct()
    key = ["source", "row_key", "reason", "payload"]
    known = before.group_by(key).aggregate(_seen=before.seen_at.min(), _known=before.as_of.min())
    joined = bad.left_join(known, key)
    fallback = ibis.literal(last)
    undated = joined._day.isnull()
    if table.partition == "state":  # judged with the whole picture, every time it is delivered
        undated = ibis.literal(False)
    else:
        fallback = ibis.coalesce(joined._known, fallback)
    return joined.mutate(
        seen_at=ibis.coalesce(joined._seen, ibis.literal(now, type=INSTANT)),
        as_of=ibis.coalesce(joined._day, fallback),
        _undated=undated,
    )


def _not_delivered(before: ir.Table, judged: ir.Table, *, last: date, complete: frozenset[str]) -> ir.Table:
    """Earlier quarantine rows that this load says nothing about."""
    delivered = judged.select("source", row_key=judged._key).distinct()
    within = (before.as_of <= last) | before.reason.contains(FUTURE)
    full = before.source.isin(sorted(complete)) if complete else ibis.literal(False)
    untouched = before.filter(~within)
    open_ones = before.filter(within & ~full).anti_join(delivered, ["source", "row_key"])
    return ibis.union(untouched, open_ones.select(untouched.columns))


def _differing_days(before: Mapping[date, str], after: Mapping[date, str]) -> tuple[date, ...]:
    return tuple(sorted(day for day in {*before, *after} if before.get(day) != after.get(day)))


def _reasons(rows: ir.Table) -> dict[date, dict[str, int]]:
    counted = rows.group_by(["as_of", "reason"]).aggregate(n=rows.count()).order_by("as_of", ibis.desc("n"), "reason")
    found: dict[date, dict[str, int]] = {}
    for row in counted.to_pyarrow().to_pylist():
        by_reason = found.setdefault(row["as_of"], {})
        masked = mask_text(row["reason"])
        by_reason[masked] = by_reason.get(masked, 0) + row["n"]
    return found
