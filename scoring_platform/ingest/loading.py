"""Loads raw tables: extract, judge, merge with what is published, publish day by day.

For every day in scope (the days of the run, and published days that a late update touches) the new picture is what was
published, replaced row by row by what was delivered. Bad rows go to quarantine. A day whose share of bad rows is over
the limit, or that is suspiciously empty, keeps what was published before.

Belongs here: the order of the steps and the verdict per day. Does not belong here: Dagster, vendors, row rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir

from scoring_platform.config.model import ScoringConfig
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.contracts.table import Table
from scoring_platform.ingest.guards import DayVerdict, judge_days
from scoring_platform.ingest.judging import Judgement, Rates, judge, local_day, reporting_currency
from scoring_platform.ingest.quarantine import quarantine_table, quarantined
from scoring_platform.ingest.staging import write_pages
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.write import Written, publish
from scoring_platform.ledger.extracts import advance_watermarks, read_watermarks
from scoring_platform.ledger.store import Ledger
from scoring_platform.sources.files import Files
from scoring_platform.sources.protocol import Source, Window

AnySource = Source | Files


@dataclass(frozen=True)
class Load:
    """One load of one raw table.

    Attributes:
        table: The raw table.
        days: Days of the run, oldest first.
        sources: Configured sources that give the table.
        config: The configuration.
        now: The fixed upper end of the extraction.
        info: What is recorded with every published version.
    """

    table: Table
    days: Sequence[date]
    sources: Sequence[AnySource]
    config: ScoringConfig
    now: datetime
    info: Mapping[str, object] = field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        """Business time zone."""
        return ZoneInfo(self.config.time_zone)


@dataclass(frozen=True)
class Loaded:
    """What a load did.

    Attributes:
        verdicts: One per day of the run.
        written: What was published.
        touched: Days outside the run that a late update rewrote.
        delivered: Rows the sources gave.
    """

    verdicts: tuple[DayVerdict, ...]
    written: Written
    touched: tuple[date, ...]
    delivered: int

    @property
    def blocked(self) -> tuple[DayVerdict, ...]:
        """Days that were not published."""
        return tuple(verdict for verdict in self.verdicts if verdict.blocked)


def load(engine: DuckDBEngine, request: Load, ledger: Ledger) -> Loaded:
    """Load ``request.table`` for its days and publish those that pass.

    Raises:
        ConfigurationError: A query or the currencies are wrong.
        SourceError: A source failed; nothing was published.
    """
    judged, windows = _extract(engine, request, ledger)
    scope = _scope(engine, request, judged)
    picture = _picture(engine, request, judged, scope)
    with engine.lake.staging() as folder:
        staged = engine.stage(request.table, picture, scope, folder=folder)
        aside = quarantined(engine, request.table, judged, scope=scope, run_days=request.days, now=request.now,
                            complete=_complete_sources(request))
        verdicts = judge_days(engine, request.table, staged, aside, days=scope, rules=request.config.ingest,
                              guarded=_guarded(request))
        blocked = {verdict.day for verdict in verdicts if verdict.blocked}
        written = publish(engine, request.table, [day for day in staged if day.day not in blocked], info=request.info)
    with engine.lake.staging() as folder:
        table = quarantine_table(request.table)
        changed_quarantine = [day for day in aside.days if day not in blocked or day in aside.counts]
        publish(engine, table, engine.stage(table, aside.rows, changed_quarantine, folder=folder), info=request.info)
    if not blocked:
        advance_watermarks(ledger, _reached(request, windows))
    run_days = set(request.days)
    return Loaded(
        verdicts=tuple(verdict for verdict in verdicts if verdict.day in run_days),
        written=written,
        touched=tuple(day for day in written.changed_days if day is not None and day not in run_days),
        delivered=int(judged.count().execute()),
    )


def _extract(
    engine: DuckDBEngine, request: Load, ledger: Ledger
) -> tuple[ir.Table, dict[str, Window]]:
    """Stage and judge what every source gives; return the judged rows and the window asked of each source."""
    parts: list[ir.Table] = []
    windows: dict[str, Window] = {}
    known = read_watermarks(ledger)
    for source in request.sources:
        with engine.lake.staging() as folder:
            if isinstance(source, Files):
                source.extract(request.table, folder)
            else:
                windows[source.name] = _window(engine, request, watermark=known.get((source.name, request.table.name)))
                write_pages(request.table, source.fetch(request.table.name, windows[source.name]), folder)
            parts.append(_judge_part(engine, request, source, folder))
    if not parts:
        return _nothing(engine, request.table), windows
    return engine.materialise(ibis.union(*parts)) if len(parts) > 1 else parts[0], windows


def _judge_part(engine: DuckDBEngine, request: Load, source: AnySource, folder: Path) -> ir.Table:
    rules = request.config.ingest
    by = Judgement(
        source=source.name,
        zone=request.zone,
        source_zone=source.zone if isinstance(source, Files) else ZoneInfo("UTC"),
        extracted_at=request.now,
        future_tolerance=timedelta(hours=rules.future_tolerance_hours),
        rates=Rates(_reporting(engine, request, folder), request.config.currency.rates),
    )
    orders = None
    if request.table.day_from:
        parent = contract_of(request.table.day_from)
        orders = engine.read(parent, engine.lake.days(parent.name))
    judged = judge(engine, request.table, folder, by=by, orders=orders)
    start = request.config.history_start
    return judged.filter(judged.as_of.isnull() | (judged.as_of >= start) | ibis.literal(request.table.partition == "state"))


def _reporting(engine: DuckDBEngine, request: Load, folder: Path) -> str | None:
    configured = request.config.currency.reporting
    if configured or not request.table.amounts:
        return configured
    orders = contract_of("raw_orders")
    published = engine.read(orders, engine.lake.days(orders.name))
    seen = set(published.currency.topk(10).to_pandas()["currency"])
    if "currency" in request.table.given_columns:
        frame = engine.connection.execute(
            f"SELECT DISTINCT trim(currency) FROM read_parquet('{folder}/*.parquet') "
            "WHERE regexp_matches(trim(currency), '^[A-Z]{3}$') LIMIT 10"
        ).fetchall()
        seen |= {row[0] for row in frame}
    return reporting_currency(None, sorted(seen))


def _window(engine: DuckDBEngine, request: Load, *, watermark: datetime | None) -> Window:
    """Reach back to the last extraction, less the overlap, and to the first day that is not published."""
    overlap = timedelta(minutes=request.config.ingest.overlap_minutes)
    if request.table.partition == "state":
        known = watermark is not None and engine.lake.latest(request.table.name) is not None
        since = watermark - overlap if known and watermark else datetime(1970, 1, 1, tzinfo=UTC)
        return Window(since, request.now)
    published = set(engine.lake.days(request.table.name, first=request.days[0], last=request.days[-1]))
    missing = [day for day in request.days if day not in published]
    starts = [_start_of(day, request.zone) for day in missing[:1]]
    starts += [watermark - overlap] if watermark is not None else [_start_of(request.days[0], request.zone)]
    return Window(min(starts), request.now)


def _reached(request: Load, windows: Mapping[str, Window]) -> dict[tuple[str, str], datetime]:
    """Watermarks stop at the end of the run's last day: what came later is asked for again next time."""
    end = _start_of(request.days[-1] + timedelta(days=1), request.zone)
    return {(source, request.table.name): min(window.until, end) for source, window in windows.items()}


def _start_of(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def _scope(engine: DuckDBEngine, request: Load, judged: ir.Table) -> list[date]:
    """The run's days, and published days up to its last that a delivered row belongs to or leaves."""
    if request.table.partition == "state":
        return list(request.days)
    published = set(engine.lake.days(request.table.name, last=request.days[-1]))
    delivered = _days_in(judged.filter(judged.as_of.notnull()).select("as_of"))
    moved = _days_of_moved_rows(engine, request, judged, sorted(published))
    return sorted(set(request.days) | ((delivered | moved) & published))


def _days_in(rows: ir.Table) -> set[date]:
    values = rows.distinct().to_pandas()["as_of"]
    return {value.date() if hasattr(value, "date") else value for value in values}


def _days_of_moved_rows(engine: DuckDBEngine, request: Load, judged: ir.Table, published: list[date]) -> set[date]:
    """Published days that hold a delivered key which now belongs to another day."""
    key = list(request.table.key)
    good = judged.filter(judged._reason.isnull())
    known = engine.read(request.table, published).select(*key, "as_of")
    named = {"_" + name: name for name in key}
    new = good.select(**{"_" + name: good[name] for name in key}, _new_day=good.as_of)
    same = [known[name].identical_to(new[alias]) for alias, name in named.items()]
    moved = known.join(new, [*same, known.as_of != new._new_day]).select("as_of")
    return _days_in(moved)


def _complete_sources(request: Load) -> frozenset[str]:
    """Sources whose every extract is the full picture, so that what it no longer has is gone."""
    return frozenset(source.name for source in request.sources if isinstance(source, Files))


def _guarded(request: Load) -> bool:
    """Whether an empty day of this table is suspicious at all."""
    return any(not isinstance(source, Files) or source.settings.cadence == "daily" for source in request.sources)


def _picture(engine: DuckDBEngine, request: Load, judged: ir.Table, scope: Sequence[date]) -> ir.Table:
    """What the days of ``scope`` hold now: delivered rows win over published ones with the same key."""
    table = request.table
    columns = [*table.schema.names, "as_of"]
    good = judged.filter(judged._reason.isnull()).select(columns)
    base = _base(engine, request, scope)
    base = base.filter(~base.source.isin(list(_complete_sources(request)))) if _complete_sources(request) else base
    merged = engine.materialise(_latest(table, good, base))
    if table.partition == "event":
        return merged.filter(merged.as_of.isin(list(scope)))
    days = engine.ibis.sql(" UNION ALL ".join(f"SELECT DATE '{day}' AS _day" for day in scope))
    created = merged.as_of
    state = merged.cross_join(days)
    state = state.filter(created.isnull() | (state.as_of <= state._day))
    return state.mutate(as_of=state._day).select(columns)


def _base(engine: DuckDBEngine, request: Load, scope: Sequence[date]) -> ir.Table:
    """Published rows that delivered ones are merged into; ``as_of`` is the day a row belongs to."""
    table = request.table
    if table.partition == "event":
        return engine.read(table, scope).select(*table.schema.names, "as_of")
    newest = engine.lake.latest(table.name)
    rows = engine.read(table, [newest] if newest else [])
    assert table.day_column is not None
    return rows.mutate(as_of=local_day(rows[table.day_column], request.zone)).select(*table.schema.names, "as_of")


def _latest(table: Table, good: ir.Table, base: ir.Table) -> ir.Table:
    """One row per key: the greatest version, delivered before published, then a fixed order."""
    both = ibis.union(good.mutate(_delivered=1), base.mutate(_delivered=0))
    order = [ibis.desc(both[table.version_column])] if table.version_column else []
    rest = [both[name] for name in table.schema.names if name not in table.key]
    ranked = both.mutate(
        _rank=ibis.row_number().over(
            group_by=list(table.key), order_by=[*order, ibis.desc(both._delivered), both.as_of, *rest]
        )
    )
    return ranked.filter(ranked._rank == 0).drop("_rank", "_delivered")


def _nothing(engine: DuckDBEngine, table: Table) -> ir.Table:
    empty = engine.read(table, [])
    null = ibis.null(str)
    return engine.materialise(empty.mutate(_payload=null, _key=null, _reason=null))
