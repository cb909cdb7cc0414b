"""The new picture of a raw table: which days a load rewrites, and the rows they hold then.

A source of files gives everything it has, so what it no longer has is gone; its unchanged days are recognised by their
fingerprint and left alone. Any other source gives what changed, which replaces published rows with the same key. In
both a bad row never replaces the good version that was published before.

Belongs here: merging judged rows with published ones. Does not belong here: judging, publishing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir

from scoring_platform.contracts.table import Table
from scoring_platform.ingest.judging import UNKNOWN_ORDER, local_day, row_key
from scoring_platform.lake.engine import DuckDBEngine

_TOUCHED_BY_US = frozenset({"raw_crm_contacts"})
"""Tables whose records our own writes touch: their time of change says nothing by itself."""


@dataclass(frozen=True)
class Picture:
    """Rows with ``as_of`` and the days they are the whole content of."""

    rows: ir.Table
    scope: tuple[date, ...]


@dataclass(frozen=True)
class Merge:
    """What is merged.

    Attributes:
        engine: The engine.
        table: The raw table.
        judged: Judged rows of all sources.
        days: Days of the run, oldest first.
        zone: Business time zone.
        complete: Sources whose extract is the full picture.
        partial: Whether there are other sources.
    """

    engine: DuckDBEngine
    table: Table
    judged: ir.Table
    days: Sequence[date]
    zone: ZoneInfo
    complete: frozenset[str]
    partial: bool

    @property
    def columns(self) -> list[str]:
        """Columns of the picture."""
        return [*self.table.schema.names, "as_of"]

    def of_complete(self, rows: ir.Table) -> ir.Table:
        """Rows of complete sources."""
        return rows.filter(rows.source.isin(sorted(self.complete)))

    def of_others(self, rows: ir.Table) -> ir.Table:
        """Rows of all other sources, configured or not."""
        return rows.filter(~rows.source.isin(sorted(self.complete))) if self.complete else rows


def new_picture(merge: Merge) -> Picture:
    """Return the rows of every day the load rewrites: the run's, and published ones a delivered row touches."""
    if merge.table.partition == "state":
        return Picture(_state_rows(merge), tuple(merge.days))
    published = merge.engine.lake.days(merge.table.name, last=merge.days[-1])
    scope = set(merge.days)
    parts: list[ir.Table] = []
    if merge.complete:
        parts.append(_full_rows(merge, merge.engine.read(merge.table, published)))
        scope |= _changed_days(merge, parts[0], published)
    if merge.partial:
        scope |= _touched_days(merge, published)
    ordered = tuple(sorted(scope))
    before = merge.of_others(merge.engine.read(merge.table, ordered))
    if merge.partial or not parts or before.count().execute():
        parts.append(_latest(merge, merge.of_others(_good(merge)), before))
    # Computed before it is sorted and written: the two together would need twice the memory.
    rows = merge.engine.materialise(ibis.union(*parts) if len(parts) > 1 else parts[0])
    return Picture(rows.filter(rows.as_of.isin(ordered)), ordered)


def latest_known(merge: Merge, published: ir.Table) -> ir.Table:
    """Return one row per key of what is published and the good rows delivered, whatever day they belong to."""
    return _latest(merge, _good(merge), published)


def _good(merge: Merge) -> ir.Table:
    return merge.judged.filter(merge.judged._reason.isnull()).select(merge.columns)


def _full_rows(merge: Merge, published: ir.Table) -> ir.Table:
    """Everything complete sources have, and the published version of rows they now give in a bad one."""
    good = merge.of_complete(_good(merge))
    bad = merge.of_complete(merge.judged)
    bad = bad.filter(bad._reason.notnull() & ~bad._reason.contains(UNKNOWN_ORDER)).select(_key=bad._key).distinct()
    rows = _latest(merge, good)
    if bad.count().execute():
        before = merge.of_complete(published).select(merge.columns)
        before = before.mutate(_key=row_key(merge.table, before)).semi_join(bad, "_key")
        before = before.anti_join(good.select(_key=row_key(merge.table, good)), "_key").select(merge.columns)
        rows = ibis.union(rows, before)
    return merge.engine.materialise(rows)


def _changed_days(merge: Merge, rows: ir.Table, published: Iterable[date]) -> set[date]:
    """Published days whose rows of complete sources are not those of ``rows``."""
    engine, table = merge.engine, merge.table
    now = engine.fingerprints(table, rows)
    empty = engine.empty_fingerprint(table)
    suspects = [day for day in published if engine.lake.version_id(table.name, day) != now.get(day, empty)]
    if not merge.partial and len(suspects) <= len(merge.days):
        return set(suspects)
    before = engine.fingerprints(table, merge.of_complete(engine.read(table, suspects)))
    return {day for day in suspects if before.get(day, empty) != now.get(day, empty)}


def _touched_days(merge: Merge, published: Sequence[date]) -> set[date]:
    """Published days that a row of another source belongs to or leaves."""
    delivered = merge.of_others(merge.judged)
    touched = days_of(delivered) & set(published)
    key = list(merge.table.key)
    known = merge.of_others(merge.engine.read(merge.table, published)).select(*key, "as_of")
    good = merge.of_others(_good(merge))
    new = good.select(**{f"_{name}": good[name] for name in key}, _new_day=good.as_of)
    same = [known[name].identical_to(new[f"_{name}"]) for name in key]
    return touched | days_of(known.join(new, [*same, known.as_of != new._new_day]))


def days_of(rows: ir.Table) -> set[date]:
    """Return the days that occur in ``as_of``."""
    return {row["as_of"] for row in rows.select("as_of").distinct().to_pyarrow().to_pylist() if row["as_of"]}


def _state_rows(merge: Merge) -> ir.Table:
    """The full picture at the end of every day: what was created up to it, as now known."""
    engine, table = merge.engine, merge.table
    newest = engine.lake.latest(table.name)
    published = engine.read(table, [newest] if newest else [])
    published = published.mutate(as_of=local_day(published[table.time_column], merge.zone)).select(merge.columns)
    known = merge.of_others(published)
    parts = [_latest(merge, _news(merge, merge.of_others(_good(merge)), known), known)]
    if merge.complete:
        parts.append(_full_rows(merge, published))
    merged = engine.materialise(ibis.union(*parts) if len(parts) > 1 else parts[0])
    days = engine.ibis.sql(" UNION ALL ".join(f"SELECT DATE '{day}' AS _day" for day in merge.days))
    state = merged.cross_join(days)
    state = state.filter(state.as_of.isnull() | (state.as_of <= state._day))
    return state.mutate(as_of=state._day).select(merge.columns)


def _news(merge: Merge, good: ir.Table, published: ir.Table) -> ir.Table:
    """Rows that say something new: a contact that was only touched, by what we write to it say, stays as published."""
    if merge.table.name not in _TOUCHED_BY_US:
        return good
    told = [name for name in merge.columns if name not in {merge.table.version_column, "as_of"}]
    return good.anti_join(published, [good[name].identical_to(published[name]) for name in told])


def _latest(merge: Merge, good: ir.Table, before: ir.Table | None = None) -> ir.Table:
    """One row per key: the greatest version, delivered before published, then a fixed order."""
    table = merge.table
    both = good.mutate(_delivered=1)
    if before is not None:
        both = ibis.union(both, before.select(merge.columns).mutate(_delivered=0))
    order = [ibis.desc(both[table.version_column])] if table.version_column else []
    # A column named twice in an order is sorted by its last mention only.
    rest = [both[name] for name in table.schema.names if name not in {*table.key, table.version_column}]
    ranked = both.mutate(
        _rank=ibis.row_number().over(
            group_by=list(table.key), order_by=[*order, ibis.desc(both._delivered), both.as_of, *rest]
        )
    )
    return ranked.filter(ranked._rank == 0).select(merge.columns)
