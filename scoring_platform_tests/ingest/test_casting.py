"""Values as given become the contract's types, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import ibis.expr.datatypes as dt
import pytest

from scoring_platform.contracts.columns import INSTANT, MONEY
from scoring_platform.ingest.casting import cast_sql

TOKYO = ZoneInfo("Asia/Tokyo")


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def cast(
    connection: duckdb.DuckDBPyConnection,
    value: str,
    given: str,
    kind: dt.DataType,
    *,
    json: bool = False,
    source_zone: str = "UTC",
) -> Any:
    connection.execute(f"SET TimeZone = '{source_zone}'")
    sql = cast_sql("x", given, kind, json=json, zone=TOKYO)
    row = connection.execute(f"SELECT CAST(({sql}) AS VARCHAR) FROM (SELECT CAST({value} AS {given}) AS x)").fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("12", "12.0000"),
        ("-0.10", "-0.1000"),
        (" 12.5 ", "12.5000"),
        ("1e3", "1000.0000"),
        ("99999999999999.9999", "99999999999999.9999"),
        ("", None),
        ("1,234", None),
        ("12,50", None),
        ("NaN", None),
        ("inf", None),
        ("¥100", None),
        ("100000000000000", None),
    ],
)
def test_an_amount_is_exact_or_nothing(connection: duckdb.DuckDBPyConnection, text: str, amount: str | None) -> None:
    assert cast(connection, f"'{text}'", "VARCHAR", MONEY) == amount


@pytest.mark.parametrize(
    ("value", "given", "number"),
    [
        ("'12'", "VARCHAR", "12"),
        ("'12.0'", "VARCHAR", "12"),
        ("'1e3'", "VARCHAR", "1000"),
        ("'9007199254740993'", "VARCHAR", "9007199254740993"),
        ("9007199254740993", "BIGINT", "9007199254740993"),
        ("7.0", "DOUBLE", "7"),
        ("'2.5'", "VARCHAR", None),
        ("2.5", "DOUBLE", None),
        ("'NaN'", "DOUBLE", None),
        ("'99999999999999999999'", "VARCHAR", None),
    ],
)
def test_a_whole_number_is_never_rounded(
    connection: duckdb.DuckDBPyConnection, value: str, given: str, number: str | None
) -> None:
    assert cast(connection, value, given, dt.int64) == number


@pytest.mark.parametrize(
    ("value", "given", "text"),
    [
        ("17850", "DOUBLE", "17850"),
        ("17850.5", "DOUBLE", "17850.5"),
        ("17850", "BIGINT", "17850"),
        ("'  A-1 '", "VARCHAR", "A-1"),
        ("'  '", "VARCHAR", None),
        ("'007'", "VARCHAR", "007"),
        ("""'"A-1"'""", "JSON", "A-1"),
    ],
)
def test_an_id_read_as_a_number_is_written_without_its_fraction(
    connection: duckdb.DuckDBPyConnection, value: str, given: str, text: str | None
) -> None:
    assert cast(connection, value, given, dt.string) == text


@pytest.mark.parametrize(("text", "flag"), [("true", "true"), ("0", "false"), ("maybe", None), ("", None)])
def test_true_and_false_come_in_several_spellings(
    connection: duckdb.DuckDBPyConnection, text: str, flag: str | None
) -> None:
    assert cast(connection, f"'{text}'", "VARCHAR", dt.boolean) == flag


@pytest.mark.parametrize("text", ["NaN", "inf", "-Infinity", "1,5"])
def test_a_number_is_finite(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    assert cast(connection, f"'{text}'", "VARCHAR", dt.float64) is None


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        ("2026-03-02 09:00:00", "Asia/Tokyo", "2026-03-02 00:00:00+00"),
        ("2026-03-02T09:00:00Z", "Asia/Tokyo", "2026-03-02 09:00:00+00"),
        ("2026-03-02T09:00:00+0900", "UTC", "2026-03-02 00:00:00+00"),
        ("2026-03-02 09:00:00 +0900", "UTC", "2026-03-02 00:00:00+00"),
        ("2026-03-02 09:00:00 UTC", "Asia/Tokyo", "2026-03-02 09:00:00+00"),
        ("2026/3/2 9:00", "Asia/Tokyo", "2026-03-02 00:00:00+00"),
        ("2026-03-02", "Europe/Berlin", "2026-03-01 23:00:00+00"),
        # The hour that does not exist is read as the one after it, the hour that comes twice as its second time.
        ("2026-03-08 02:30:00", "America/New_York", "2026-03-08 07:30:00+00"),
        ("2026-11-01 01:30:00", "America/New_York", "2026-11-01 06:30:00+00"),
        ("2026-03-29 02:30:00", "Europe/Berlin", "2026-03-29 01:30:00+00"),
        ("2026-10-25 02:30:00", "Europe/Berlin", "2026-10-25 01:30:00+00"),
        ("03/02/2026", "UTC", None),
        ("infinity", "UTC", None),
        ("yesterday", "UTC", None),
    ],
)
def test_a_time_without_an_offset_is_read_in_the_zone_of_its_source(
    connection: duckdb.DuckDBPyConnection, text: str, zone: str, instant: str | None
) -> None:
    connection.execute("SET TimeZone = 'UTC'")
    expected = None
    if instant:
        row = connection.execute(f"SELECT epoch_us(TIMESTAMPTZ '{instant}')").fetchone()
        assert row is not None
        expected = row[0]
    connection.execute(f"SET TimeZone = '{zone}'")
    sql = cast_sql("x", "VARCHAR", INSTANT, json=False, zone=TOKYO)
    assert connection.execute(f"SELECT epoch_us({sql}) FROM (SELECT '{text}' AS x)").fetchone() == (expected,)


@pytest.mark.parametrize(
    ("value", "given", "day"),
    [
        ("'2026-03-02'", "VARCHAR", date(2026, 3, 2)),
        ("'2026/3/2'", "VARCHAR", date(2026, 3, 2)),
        ("'2026-03-02 00:00:00'", "VARCHAR", date(2026, 3, 2)),
        ("'2026-03-02T23:30:00Z'", "VARCHAR", date(2026, 3, 3)),
        ("'2026-03-02T23:30:00+09:00'", "VARCHAR", date(2026, 3, 2)),
        ("'2026-03-02 20:00'", "VARCHAR", date(2026, 3, 3)),
        ("'2026-03-02 00:00'", "TIMESTAMP", date(2026, 3, 2)),
        ("'2026-03-02 20:00'", "TIMESTAMP", date(2026, 3, 3)),
        ("'2026-03-02 20:00:00+00'", "TIMESTAMP WITH TIME ZONE", date(2026, 3, 3)),
        ("'2026-03-02'", "DATE", date(2026, 3, 2)),
        ("20260302", "BIGINT", None),
        ("'2026-02-30'", "VARCHAR", None),
        ("'infinity'", "VARCHAR", None),
    ],
)
def test_a_date_stays_as_written_and_an_instant_has_its_day_in_the_business_zone(
    connection: duckdb.DuckDBPyConnection, value: str, given: str, day: date | None
) -> None:
    assert cast(connection, value, given, dt.date) == (day.isoformat() if day else None)


FAR = [
    "294247-01-10",
    "294247-01-10T04:00:54Z",
    "290309-12-22 (BC) 00:00:00",
    "0000-01-01",
    "0001-01-01 (BC) 00:00:00+00",
    "-infinity",
    "infinity",
    "10000-01-01 00:00:00",
    "9999-12-31T23:59:59Z",
]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("given", ["VARCHAR", "JSON", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "DATE"])
@pytest.mark.parametrize("kind", [INSTANT, dt.date], ids=["instant", "date"])
def test_a_time_out_of_the_calendar_is_nothing_and_no_error(
    connection: duckdb.DuckDBPyConnection, kind: dt.DataType, given: str, zone: str
) -> None:
    texts = [text for text in FAR if given != "DATE" or not text.startswith("9999")]
    connection.execute("SET TimeZone = 'UTC'")
    value = "to_json(text)" if given == "JSON" else f"CAST(text AS {given})"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE far AS SELECT {value} AS x FROM (SELECT unnest($1) AS text)", [texts]
    )
    connection.execute(f"SET TimeZone = '{zone}'")
    sql = cast_sql("x", given, kind, json=False, zone=TOKYO)
    assert connection.execute(f"SELECT {sql} FROM far").fetchall() == [(None,)] * len(texts)


@pytest.mark.parametrize(
    ("text", "kind", "read"),
    [
        ("9999-12-30T23:59:59Z", INSTANT, True),
        ("9999-12-31T00:00:00Z", INSTANT, False),
        ("0001-01-02T00:00:00Z", INSTANT, True),
        ("0001-01-01T23:59:59Z", INSTANT, False),
        ("9999-12-31", dt.date, True),
        ("9999-12-30T23:59:59Z", dt.date, True),
        ("0001-01-01", dt.date, True),
    ],
)
def test_the_calendar_ends_where_every_zone_still_has_a_day(
    connection: duckdb.DuckDBPyConnection, text: str, kind: dt.DataType, *, read: bool
) -> None:
    assert (cast(connection, f"'{text}'", "VARCHAR", kind) is not None) == read


@pytest.mark.parametrize(
    ("value", "given", "text"),
    [
        ("{'a': 1, 'b': 'x'}", "STRUCT(a INTEGER, b VARCHAR)", '{"a":1,"b":"x"}'),
        ("""'{"a": 1}'""", "VARCHAR", '{"a": 1}'),
        ("""'{"a":1}'""", "JSON", '{"a":1}'),
        ("NULL", "VARCHAR", "{}"),
        ("NULL", "STRUCT(a INTEGER)", "{}"),
        ("' '", "VARCHAR", "{}"),
        ("'{broken'", "VARCHAR", None),
    ],
)
def test_extras_become_json_whatever_they_were(
    connection: duckdb.DuckDBPyConnection, value: str, given: str, text: str | None
) -> None:
    assert cast(connection, value, given, dt.string, json=True) == text


def test_extras_that_a_source_does_not_give_are_an_empty_object() -> None:
    assert "'{}'" in cast_sql("properties", None, dt.string, json=True, zone=TOKYO)
