"""Small named tables for domain tests: contract columns with harmless defaults, rows in, rows out.

Belongs here: making tables and reading results. Does not belong here: expectations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa

from scoring_platform.config.scoring import Rfm, Scoring, Segments
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.domain.identity import Scopes
from scoring_platform.domain.running import Days

DAY = date(2026, 3, 31)
LONG_AGO = date(2000, 1, 1)
SCOPES = Scopes(shops=("shop", "files"), crms=("hubspot",))

_GIVEN = {"source": "shop", "currency": "JPY", "channel": None, "properties": "{}", "attributes": "{}"}


def before(days: int, *, day: date = DAY) -> date:
    """The day that many days before."""
    return day - timedelta(days=days)


def noon(day: date) -> datetime:
    """Noon of a day, UTC."""
    return datetime.combine(day, time(12), tzinfo=UTC)


class Database:
    """One in-memory engine."""

    def __init__(self) -> None:
        self.backend = ibis.duckdb.connect(threads=1)
        self._names = 0
        self._empty: dict[str, ir.Table] = {}

    def materialise(self, expression: ir.Table) -> ir.Table:
        """Compute a table once."""
        self._names += 1
        return self.backend.create_table(f"t{self._names}", expression, temp=True)

    def empty(self, name: str) -> ir.Table:
        """The contract ``name`` without rows, made once."""
        if name not in self._empty:
            self._empty[name] = self.materialise(table(name))
        return self._empty[name]

    def rows(self, expression: ir.Table, *columns: str) -> list[Any]:
        """Rows as dictionaries, or as tuples of ``columns``; in a fixed order."""
        found = self.backend.to_pyarrow(expression).to_pylist()
        if not columns:
            return sorted(found, key=str)
        return sorted((tuple(row[name] for name in columns) for row in found), key=str)

    def one(self, expression: ir.Table) -> dict[str, Any]:
        """The only row."""
        (row,) = self.rows(expression)
        return dict(row)


def frame(schema: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> ir.Table:
    """A table of plain rows."""
    typed = ibis.schema(dict(schema))
    return ibis.memtable(pa.Table.from_pylist([dict(row) for row in rows], schema=typed.to_pyarrow()), schema=typed)


def table(name: str, *rows: Mapping[str, Any], extra: Mapping[str, str] | None = None) -> ir.Table:
    """Rows of the contract ``name`` with ``as_of``; columns left out get a harmless value."""
    contract = contract_of(name)
    kinds = {**dict(contract.schema.items()), **(extra or {}), "as_of": "date"}
    nullable = {column for column, given in contract.columns.items() if given.nullable}
    filled = [_filled(row, kinds, nullable, number) for number, row in enumerate(rows)]
    return frame(kinds, filled)


def _filled(row: Mapping[str, Any], kinds: Mapping[str, Any], nullable: set[str], number: int) -> dict[str, Any]:
    unknown = set(row) - set(kinds)
    assert not unknown, f"no such column: {unknown}"
    day = row.get("as_of") or row.get("active_on") or row.get("survey_date") or DAY
    found = {}
    for name, kind in kinds.items():
        value = row[name] if name in row else _default(name, ibis.dtype(kind), name in nullable, day, number)
        found[name] = Decimal(str(value)) if ibis.dtype(kind).is_decimal() and value is not None else value
    return found


def _default(name: str, kind: dt.DataType, nullable: bool, day: date, number: int) -> Any:
    if name == "as_of":
        return day
    if nullable:
        return None
    if name in _GIVEN:
        return _GIVEN[name]
    if kind.is_string():
        return f"{name}-{number}"
    if kind.is_date():
        return day
    if kind.is_timestamp():
        return noon(day)
    if kind.is_boolean():
        return False
    return [] if kind.is_array() else 0


def days(*wanted: date) -> ir.Table:
    """The days to compute."""
    return frame({"as_of": "date"}, [{"as_of": day} for day in wanted or (DAY,)])


def as_days(*wanted: date, lag: int = 0) -> Days:
    """The same as the platform passes them on."""
    chosen = sorted(wanted or [DAY])
    return Days(days(*chosen), chosen[0], chosen[-1], lag)


def owners(since: date = LONG_AGO, **customers: str) -> ir.Table:
    """Node to customer, given as ``c1="customer_ref|shop|r1"``; several nodes are separated by a space."""
    rows = [
        {"node": node, "customer_id": name, "first_seen_on": since}
        for name, nodes in customers.items()
        for node in nodes.split(" ")
    ]
    return frame({"node": "string", "customer_id": "string", "first_seen_on": "date"}, rows)


def activity(*rows: Mapping[str, Any]) -> ir.Table:
    """Rows of customer_activity; a row with orders is a purchase day."""
    return table(
        "customer_activity",
        *[{"customer_id": "c1", "purchase_day": int(bool(row.get("orders"))), **row} for row in rows],
    )


SCORING = Scoring()
RFM = Rfm()
SEGMENTS = Segments()
