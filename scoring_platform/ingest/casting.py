"""Turns values as given into the contract's types; what cannot be turned becomes null.

A cast never guesses and never loses: "1,234" is no number, 2.5 no whole number, NaN nothing at all. A time is
one of the years 1 to 9999, which everything after the engine can hold as well: what lies further away is none.

Belongs here: SQL per column kind. Does not belong here: what follows from a null (``judging``).
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import ibis.expr.datatypes as dt

from scoring_platform.contracts.table import Table
from scoring_platform.lake.engine import literal, quoted, sql_type

KIND_WORDS = {
    "decimal(18, 4)": "an amount",
    "int64": "a whole number",
    "float64": "a number",
    "date": "a date",
    "boolean": "true or false",
}

# A day less than the years have, so that an instant has its day in any time zone.
_INSTANTS = "BETWEEN TIMESTAMPTZ '0001-01-02 00:00:00+00' AND TIMESTAMPTZ '9999-12-30 23:59:59.999999+00'"
_DATES = "BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'"

_WHOLE_TYPES = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT"}


def is_json(table: Table, name: str) -> bool:
    """Whether a column holds free-form extras as JSON text."""
    column = table.columns.get(name)
    return column is not None and (column.metadata or {}).get("unit") == "JSON"


def cast_sql(name: str, given: str | None, kind: dt.DataType, *, json: bool, zone: ZoneInfo) -> str:
    """Return the SQL that casts the column ``name``.

    The session's time zone has to be the source's: times without an offset are read in it.

    Args:
        name: The column.
        given: Its type as given; None when the source does not give it.
        kind: The contract's type.
        json: Whether it holds JSON text.
        zone: Business time zone, in which an instant has its day.
    """
    if given is None:
        return f"CAST({literal('{}') if json else 'NULL'} AS {sql_type(kind)})"
    value = quoted(name)
    if json:
        return _json(value, given)
    if given == "JSON":
        value, given = f"({value} ->> '$')", "VARCHAR"
    if kind.is_string():
        return _text(value, given)
    if given == "VARCHAR":
        value = f"nullif(trim({value}), '')"
    if kind.is_integer():
        return _whole(value, given)
    if kind.is_floating():
        return f"CASE WHEN isfinite(TRY_CAST({value} AS DOUBLE)) THEN TRY_CAST({value} AS DOUBLE) END"
    if kind.is_date():
        return _date(value, given, zone)
    if kind.is_timestamp():
        return _instant(value, given)
    return f"TRY_CAST({value} AS {sql_type(kind)})"


def _json(value: str, given: str) -> str:
    if given != "VARCHAR":
        return f"coalesce(CAST(CASE WHEN {value} IS NOT NULL THEN to_json({value}) END AS VARCHAR), '{{}}')"
    text = f"coalesce(nullif(trim({value}), ''), '{{}}')"
    return f"CASE WHEN json_valid({text}) THEN {text} END"


def _text(value: str, given: str) -> str:
    if given in {"DOUBLE", "FLOAT"}:  # an id column with gaps is read as 17850.0
        whole = f"{value} = floor({value}) AND isfinite({value}) AND abs({value}) < 1e18"
        value = f"CASE WHEN {whole} THEN CAST(CAST({value} AS BIGINT) AS VARCHAR) ELSE CAST({value} AS VARCHAR) END"
    return f"nullif(trim(CAST({value} AS VARCHAR)), '')"


def _whole(value: str, given: str) -> str:
    if given in _WHOLE_TYPES:
        return f"TRY_CAST({value} AS BIGINT)"
    number = f"TRY_CAST({value} AS DOUBLE)"
    whole = f"CASE WHEN {number} = floor({number}) THEN TRY_CAST({number} AS BIGINT) END"
    if given != "VARCHAR":
        return whole
    # Digits go straight to a whole number: a floating-point number keeps only the first 15 of them.
    return f"CASE WHEN regexp_full_match({value}, '[+-]?[0-9]+') THEN TRY_CAST({value} AS BIGINT) ELSE {whole} END"


def _instant(value: str, given: str) -> str:
    if given == "VARCHAR":  # shop exports put a space before the offset, which the engine does not read
        value = f"regexp_replace({value}, '\\s+([+-][0-9])', '\\1')"
    return _within(_INSTANTS, f"TRY_CAST({value} AS TIMESTAMPTZ)")


def _date(value: str, given: str, zone: ZoneInfo) -> str:
    """A date stays as written; a time of day with it makes it an instant, which has its day in the business zone."""
    business = f"CAST(timezone({literal(zone.key)}, {_instant(value, given)}) AS DATE)"
    if given == "TIMESTAMP WITH TIME ZONE":
        return _within(_DATES, business)
    if given.startswith("TIMESTAMP"):
        midnight = f"CAST({value} AS TIME) = TIME '00:00:00'"
        return _within(_DATES, f"CASE WHEN {midnight} THEN CAST({value} AS DATE) ELSE {business} END")
    plain = f"TRY_CAST({value} AS DATE)"
    if given != "VARCHAR":
        return _within(_DATES, plain)
    midnight = f"regexp_replace({value}, '[T ]+0?0:00(:00([.]0+)?)?$', '')"
    plain = f"TRY_CAST({midnight} AS DATE)"
    return _within(_DATES, f"CASE WHEN contains({midnight}, ':') THEN {business} ELSE {plain} END")


def _within(bounds: str, cast: str) -> str:
    """The cast; null outside ``bounds``, and where even trying is an error, as it is near the bounds of the engine."""
    return f"CASE WHEN TRY({cast}) {bounds} THEN TRY({cast}) END"
