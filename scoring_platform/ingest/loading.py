"""Loads raw tables: extract, judge, merge with what is published, publish day by day.

The days of the run, and published days that a late update touches, get their new picture (``picture``). Bad rows go to
quarantine. A day whose share of bad rows is over the limit, or that is suspiciously empty, keeps what was published.

Belongs here: the order of the steps and the verdict per day. Does not belong here: Dagster, vendors, row rules.
"""

from __future__ import annotations

import logging
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
from scoring_platform.ingest.guards import DayVerdict, Emptiness, judge_days
from scoring_platform.ingest.judging import Judgement, Rates, judge, reporting_currency
from scoring_platform.ingest.picture import Merge, new_picture
from scoring_platform.ingest.quarantine import FUTURE, Quarantined, quarantine_table, quarantined
from scoring_platform.ingest.staging import write_pages
from scoring_platform.lake.engine import DuckDBEngine, literal
from scoring_platform.lake.write import Written, publish
from scoring_platform.ledger.extracts import advance_watermarks, read_watermarks
from scoring_platform.ledger.store import Ledger
from scoring_platform.sources.files import Files
from scoring_platform.sources.protocol import Source, Window

AnySource = Source | Files

_log = logging.getLogger(__name__)


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
    def complete(self) -> frozenset[str]:
        """Sources whose every extract is the full picture, so that what it no longer has is gone."""
        return frozenset(source.name for source in self.sources if self.table.name in source.settings.whole)

    @property
    def zone(self) -> ZoneInfo:
        """Business time zone."""
        return ZoneInfo(self.config.time_zone)


@dataclass(frozen=True)
class Loaded:
    """What a load did.

    Attributes:
        verdicts: One per day of the run, and of other days that were to be rewritten but did not pass.
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
    with engine.sparing(request.config.engine.ingest_memory_limit):
        return _load(engine, request, ledger)


def _load(engine: DuckDBEngine, request: Load, ledger: Ledger) -> Loaded:
    judged, windows = _extract(engine, request, ledger)
    delivered = int(judged.count().execute())
    picture = new_picture(_merge(engine, request, judged))
    aside = quarantined(
        engine, request.table, judged, run_days=request.days, now=request.now, complete=request.complete
    )
    with engine.lake.staging() as folder:
        staged = engine.stage(request.table, picture.rows, picture.scope, folder=folder)
        verdicts = judge_days(
            engine,
            request.table,
            staged,
            aside,
            delivered=delivered,
            run_days=request.days,
            rules=request.config.ingest,
            emptiness=_emptiness(request, judged),
        )
        blocked = {verdict.day for verdict in verdicts if verdict.blocked}
        for loss in {verdict.loss for verdict in verdicts if verdict.loss}:
            _log.warning("%s: %s", request.table.name, loss)
        written = publish(engine, request.table, [day for day in staged if day.day not in blocked], info=request.info)
    _publish_quarantine(engine, request, aside)
    if not blocked:
        advance_watermarks(ledger, _reached(request, windows, judged))
    run_days = set(request.days)
    return Loaded(
        verdicts=tuple(verdict for verdict in verdicts if verdict.day in run_days or verdict.blocked),
        written=written,
        touched=tuple(day for day in written.changed_days if day is not None and day not in run_days),
        delivered=delivered,
    )


def _publish_quarantine(engine: DuckDBEngine, request: Load, aside: Quarantined) -> None:
    """Publish the days of the quarantine that changed; a day whose rows came right becomes empty."""
    if not aside.days:
        return
    table = quarantine_table(request.table)
    with engine.lake.staging() as folder:
        publish(engine, table, engine.stage(table, aside.rows, aside.days, folder=folder), info=request.info)


def _extract(engine: DuckDBEngine, request: Load, ledger: Ledger) -> tuple[ir.Table, dict[str, Window]]:
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
        history_start=request.config.history_start,
        rates=Rates(_reporting(engine, request, folder), request.config.currency.rates),
    )
    orders = None
    if request.table.day_from:
        parent = contract_of(request.table.day_from)
        orders = engine.read(parent, engine.lake.days(parent.name))
    return judge(engine, request.table, folder, by=by, orders=orders)


def _reporting(engine: DuckDBEngine, request: Load, folder: Path) -> str | None:
    configured = request.config.currency.reporting
    if configured or not request.table.amounts:
        return configured
    orders = contract_of("raw_orders")
    published = engine.read(orders, engine.lake.days(orders.name)).select("currency").distinct()
    seen = {row["currency"] for row in published.to_pyarrow().to_pylist()}
    if not request.table.day_from:
        files = literal(str(folder / "*.parquet"))
        given = engine.connection.execute(
            "SELECT DISTINCT trim(CAST(currency AS VARCHAR)) AS code FROM "
            f"read_parquet({files}, hive_partitioning = false) WHERE regexp_full_match(code, '[A-Z]{{3}}')"
        ).fetchall()
        seen |= {row[0] for row in given}
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


def _reached(request: Load, windows: Mapping[str, Window], judged: ir.Table) -> dict[tuple[str, str], datetime]:
    """Watermarks stop at the end of the run's last day: what came later is asked for again next time.

    They stop before it at the change of a row that belongs to a later day already (the clock of a till that is ahead,
    a delivery dated tomorrow), so that the run of its day is given it again.
    """
    end = _start_of(request.days[-1] + timedelta(days=1), request.zone)
    waiting = _waiting(request, judged) if windows else {}
    return {
        (source, request.table.name): min(window.until, end, waiting.get(source, end))
        for source, window in windows.items()
    }


def _waiting(request: Load, judged: ir.Table) -> dict[str, datetime]:
    """Return when the first of the rows was changed that wait for the run of a later day, by source."""
    if request.table.partition == "state" or request.table.version_column != "updated_at":
        return {}
    later = judged.filter(
        judged.as_of > request.days[-1], judged.updated_at.notnull(), ~judged._reason.fill_null("").contains(FUTURE)
    )
    first = later.group_by("source").aggregate(at=later.updated_at.min()).to_pyarrow().to_pylist()
    return {row["source"]: row["at"] for row in first}


def _start_of(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def _merge(engine: DuckDBEngine, request: Load, judged: ir.Table) -> Merge:
    return Merge(
        engine=engine,
        table=request.table,
        judged=judged,
        days=request.days,
        zone=request.zone,
        complete=request.complete,
        partial=len(request.complete) < len(request.sources),
    )


def _emptiness(request: Load, judged: ir.Table) -> Emptiness:
    expected = any(not isinstance(source, Files) or source.settings.cadence == "daily" for source in request.sources)
    if len(request.complete) < len(request.sources) or request.table.partition == "state":
        return Emptiness(expected)
    good = judged.filter(judged._reason.isnull())
    (covered,) = good.aggregate(first=good.as_of.min(), last=good.as_of.max()).to_pyarrow().to_pylist()
    return Emptiness(expected, whole=True, covered_from=covered["first"], covered_until=covered["last"])


def _nothing(engine: DuckDBEngine, table: Table) -> ir.Table:
    empty = engine.read(table, [])
    null = ibis.null(str)
    return engine.materialise(empty.mutate(_payload=null, _key=null, _reason=null))
