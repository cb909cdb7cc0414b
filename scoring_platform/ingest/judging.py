"""Judges staged raw rows: types, contract rules, time, currency.

Every staged row ends up in one temporary table with its typed columns, its business day, its payload as given and, when
it cannot be used, the reason. Nothing is dropped here.

Belongs here: text to type, row to reason. Does not belong here: which days are published (``loading``).
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from scoring_platform.contracts.columns import INSTANT, MONEY
from scoring_platform.contracts.rules import row_rules
from scoring_platform.contracts.table import ORDER_TIME, Table
from scoring_platform.errors import ConfigurationError
from scoring_platform.ingest.casting import KIND_WORDS, cast_sql, is_json
from scoring_platform.lake.engine import DuckDBEngine, literal, quoted

UNKNOWN_ORDER = "order_id is not a published order"

_EARLIEST = date(1980, 1, 1)
"""No system told of events before: such a time is zero, or seconds that were read as milliseconds."""


@dataclass(frozen=True)
class Rates:
    """The reporting currency and the rates into it, by currency and month."""

    reporting: str | None
    rates: Mapping[str, Mapping[str, Decimal]]


@dataclass(frozen=True)
class Judgement:
    """What rows are judged by.

    Attributes:
        source: Name of the source, written into every row.
        zone: Business time zone.
        source_zone: Zone of times without an offset.
        extracted_at: Instant of the extraction.
        future_tolerance: How much later than the extraction an event may be.
        history_start: First day that is loaded: an event before it is not wanted, unless its time makes no sense.
        rates: Currency rates.
    """

    source: str
    zone: ZoneInfo
    source_zone: ZoneInfo
    extracted_at: datetime
    future_tolerance: timedelta
    history_start: date
    rates: Rates

    @property
    def earliest(self) -> date:
        """The first day on which an event can have happened."""
        return min(_EARLIEST, self.history_start)


def judge(
    engine: DuckDBEngine, table: Table, folder: Path, *, by: Judgement, orders: ir.Table | None = None
) -> ir.Table:
    """Return the staged rows below ``folder`` as a temporary table.

    It has the contract's columns, ``as_of`` (business day, null when unreadable), ``_payload`` (the row as given, JSON
    text), ``_key`` (its key as text) and ``_reason`` (null for a good row).

    Args:
        engine: The engine.
        table: The raw table.
        folder: Where the source's rows were staged.
        by: What to judge by.
        orders: Published orders, for tables whose day and currency come from their order.
    """
    given = _typed(engine, table, folder, by)
    typed = _with_defaults(table, given)
    if orders is not None:
        typed = _with_order(typed, orders, by.zone)
    else:
        typed = typed.mutate(as_of=_business_day(table, typed, by))
    typed = _with_reporting_amounts(table, typed, by.rates)
    reasons = [typed["_cast_reason"], *_rule_reasons(table, typed), *_time_reasons(table, typed, by)]
    if table.day_from:
        reasons.append(ibis.ifelse(typed["_order_found"], ibis.null(str), UNKNOWN_ORDER))
    if table.amounts:
        reasons.append(_currency_reason(typed, by.rates))
    # Joining skips the nulls, and only nulls give null.
    judged = typed.mutate(
        _reason=ibis.array(reasons).join("; ").nullif(""),
        _key=row_key(table, typed),
        as_of=ibis.ifelse(_too_early(table, typed, by), ibis.null("date"), typed.as_of),
    )
    rows = engine.materialise(judged.select(*table.schema.names, "as_of", "_payload", "_key", "_reason"))
    engine.forget(given)
    return rows


def _typed(engine: DuckDBEngine, table: Table, folder: Path, by: Judgement) -> ir.Table:
    files = literal(str(folder / "*.parquet"))
    rows = f"FROM read_parquet({files}, hive_partitioning = false)"
    described = engine.connection.execute(f"DESCRIBE SELECT * {rows}").fetchall()
    given = {row[0]: row[1] for row in described if row[0] in table.given_columns}
    casts, reasons = [], []
    for name in table.given_columns:
        kind = INSTANT if name == ORDER_TIME else table.schema[name]
        cast = cast_sql(name, given.get(name), kind, json=is_json(table, name), zone=by.zone)
        casts.append(f"{cast} AS {quoted(name)}")
        if name in given and (is_json(table, name) or not kind.is_string()):
            words = "JSON" if is_json(table, name) else KIND_WORDS.get(str(kind), "a time")
            reasons.append(
                f"CASE WHEN {cast} IS NULL AND nullif(trim(CAST({quoted(name)} AS VARCHAR)), '') IS NOT NULL "
                f"THEN {literal(f'{name} is not {words}')} END"
            )
    payload = ", ".join(f"{quoted(name)} := {quoted(name)}" for name in given)
    # Casts of times without an offset follow the session's zone; the result is an instant.
    engine.connection.execute(f"SET TimeZone = '{by.source_zone.key}'")
    try:
        return engine.materialise(
            engine.ibis.sql(
                f"SELECT {', '.join(casts)}, {literal(by.source)} AS source, "
                f"CAST(to_json(struct_pack({payload})) AS VARCHAR) AS _payload, "
                f"nullif(concat_ws('; ', {', '.join(reasons) or 'NULL'}), '') AS _cast_reason "
                f"{rows}"
            )
        )
    finally:
        engine.connection.execute("SET TimeZone = 'UTC'")


def _with_defaults(table: Table, typed: ir.Table) -> ir.Table:
    """A source that does not tell when it last changed a row changed it when it happened."""
    when = typed[table.time_column]
    if "updated_at" in table.columns and when.type().is_timestamp():
        return typed.mutate(updated_at=ibis.coalesce(typed["updated_at"], when))
    return typed


def _business_day(table: Table, typed: ir.Table, by: Judgement) -> ir.Column:
    value = typed[table.time_column]
    return local_day(value, by.zone) if value.type().is_timestamp() else value


def _in_zone(zone: str, instant: dt.Timestamp("UTC")) -> dt.timestamp:  # type: ignore[valid-type]
    """DuckDB's ``timezone``: the wall-clock time of an instant in a zone."""


_wall_clock = ibis.udf.scalar.builtin(_in_zone, name="timezone")


def local_day(instant: ir.Column, zone: ZoneInfo) -> ir.Column:
    """Return the calendar day of ``instant`` in ``zone``."""
    return _wall_clock(ibis.literal(zone.key), instant).cast("date")


def _with_order(typed: ir.Table, orders: ir.Table, zone: ZoneInfo) -> ir.Table:
    found = orders.select(
        "source",
        "order_id",
        _order_day=orders.as_of,
        _order_currency=orders.currency,
        _order_updated=orders.updated_at,
    )
    joined = typed.left_join(found, ["source", "order_id"])
    return joined.mutate(
        as_of=ibis.coalesce(joined._order_day, local_day(joined[ORDER_TIME], zone)),
        currency=joined._order_currency,
        updated_at=ibis.coalesce(joined.updated_at, joined._order_updated),
        _order_found=joined._order_day.notnull(),
    )


def _with_reporting_amounts(table: Table, typed: ir.Table, rates: Rates) -> ir.Table:
    if not table.amounts:
        return typed
    factor = _factor(typed, rates)
    amounts = {f"{name}_reporting": (typed[name] * factor).round(4).cast(MONEY) for name in table.amounts}
    return typed.mutate(**amounts)


def _factor(typed: ir.Table, rates: Rates) -> ir.Value:
    """The rate of the row's currency in the month of its day; null when there is none."""
    kind = dt.Decimal(18, 8)
    month = typed["as_of"].strftime("%Y-%m")
    cases: list[tuple[ir.BooleanValue, ir.Value]] = []
    if rates.reporting:
        cases.append((typed["currency"] == rates.reporting, ibis.literal(Decimal(1), type=kind)))
    for currency, by_month in sorted(rates.rates.items()):
        for key, rate in sorted(by_month.items()):
            cases.append(((typed["currency"] == currency) & (month == key), ibis.literal(rate, type=kind)))
    return ibis.cases(*cases, else_=ibis.null(kind)) if cases else ibis.null(kind)


def _currency_reason(typed: ir.Table, rates: Rates) -> ir.Value:
    readable = typed["currency"].re_search("^[A-Z]{3}$").fill_null(False) & typed["as_of"].notnull()
    missing = readable & _factor(typed, rates).isnull()
    words = ibis.literal("currency has no rate from ") + typed["currency"] + f" to {rates.reporting} in "
    return ibis.ifelse(missing, words + typed["as_of"].strftime("%Y-%m"), ibis.null(str))


def _rule_reasons(table: Table, typed: ir.Table) -> list[ir.Value]:
    judged_elsewhere = {f"{name}_reporting" for name in table.amounts}
    if table.day_from:
        judged_elsewhere |= {"currency", "updated_at"}
    failed_cast = typed["_cast_reason"].fill_null("")
    # A time of change that is not given is the row's own time: only that one is named when it cannot be read.
    stands_for = {"updated_at": table.day_column} if table.day_column else {}
    return [
        ibis.ifelse(
            rule.violated & ~failed_cast.contains(f"{stands_for.get(rule.column) or rule.column} is not "),
            ibis.literal(rule.reason),
            ibis.null(str),
        )
        for rule in row_rules(table, typed)
        if rule.column not in judged_elsewhere
    ]


def _time_reasons(table: Table, typed: ir.Table, by: Judgement) -> list[ir.Value]:
    when = table.time_column
    limit = by.extracted_at + by.future_tolerance
    value = typed[when]
    timed = value.type().is_timestamp()
    late = value > (ibis.literal(limit, type=INSTANT) if timed else limit.astimezone(by.zone).date())
    early = f"{when} is implausibly early (before {by.earliest.year}): seconds taken for milliseconds?"
    return [
        ibis.ifelse(late, ibis.literal(f"{when} is in the future"), ibis.null(str)),
        ibis.ifelse(_too_early(table, typed, by), ibis.literal(early), ibis.null(str)),
    ]


def _too_early(table: Table, typed: ir.Table, by: Judgement) -> ir.BooleanValue:
    """Whether an event's day makes no sense, so that it has none; a customer or a contact may be of any age."""
    if table.partition == "state":
        return ibis.literal(False)
    return (typed["as_of"] < by.earliest).fill_null(False)


def row_key(table: Table, rows: ir.Table) -> ir.Value:
    """Return the key of judged or published rows as text; a row without a whole key is named by its payload."""
    text = ibis.array([rows[name].cast(str).fill_null("") for name in table.key]).join("\x1f")
    required = [name for name in table.key if not table.columns[name].nullable]
    if "_payload" not in rows.columns or not required:
        return text
    incomplete = functools.reduce(operator.or_, [rows[name].isnull() for name in required])
    return ibis.ifelse(incomplete, rows["_payload"], text)


def reporting_currency(configured: str | None, seen: list[str]) -> str | None:
    """Return the reporting currency: the configured one, else the only one seen.

    Raises:
        ConfigurationError: Several currencies were seen and none is configured.
    """
    if configured is not None:
        return configured
    if len(seen) > 1:
        msg = (
            f"orders come in several currencies ({', '.join(sorted(seen))}): set currency.reporting, and "
            "currency.rates by month for the others"
        )
        raise ConfigurationError(msg)
    return seen[0] if seen else None
