"""Write, audit, publish, for one day and for many."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import ibis
import pytest

from scoring_platform.contracts.columns import money
from scoring_platform.errors import ContractError
from scoring_platform.lake.audit import ContractBreachError
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.tree import Lake
from scoring_platform.lake.write import write
from scoring_platform_tests.lake.scenario import FIRST, TABLE, amounts
from scoring_platform_tests.scenario import Home, days_from


def test_sixty_days_at_once_equal_sixty_single_days(home: Home, tmp_path: Path) -> None:
    days = days_from(FIRST, 60)
    rows = amounts(*((day, f"n{n}", None, f"{day.day}.{n}") for day in days for n in range(day.day % 4)))
    at_once = write(home.engine, TABLE, rows, days=days, info={})
    with duckdb.connect(config={"threads": 1}) as connection:
        engine = DuckDBEngine(connection, Lake(tmp_path / "single"))
        table = engine.materialise(rows)
        for day in days:
            write(engine, TABLE, table, days=[day], info={})
        singles = {day: engine.lake.version_id(TABLE.name, day) for day in days}
    assert {version.day: version.version for version in at_once.versions} == singles
    assert at_once.rows == sum(day.day % 4 for day in days)


def test_a_day_without_rows_is_published_empty(home: Home) -> None:
    written = write(home.engine, TABLE, amounts((FIRST, "a", None, "1")), days=days_from(FIRST, 2), info={})
    assert [version.rows for version in written.versions] == [1, 0]
    assert home.engine.read(TABLE, [FIRST + timedelta(days=1)]).count().execute() == 0


def test_an_empty_day_of_an_older_contract_is_another_version(home: Home) -> None:
    write(home.engine, TABLE, amounts(), days=[FIRST], info={})
    wider = replace(TABLE, columns={**TABLE.columns, "more": money("More")})
    rows = amounts().mutate(more=ibis.null("decimal(18, 4)"))
    assert write(home.engine, wider, rows, days=[FIRST], info={}).changed_days == (FIRST,)
    assert home.engine.read(wider, [FIRST]).more.count().execute() == 0


def test_rows_of_other_days_are_left_out(home: Home) -> None:
    rows = amounts((FIRST, "a", None, "1"), (FIRST + timedelta(days=9), "b", None, "1"))
    assert write(home.engine, TABLE, rows, days=[FIRST], info={}).rows == 1
    assert home.engine.lake.days(TABLE.name) == [FIRST]


def test_an_unpartitioned_table_has_one_current_picture(home: Home) -> None:
    table = replace(TABLE, name="live", partition="current")
    rows = amounts((FIRST, "a", None, "1")).drop("as_of")
    first = write(home.engine, table, rows, days=[], info={})
    assert home.engine.lake.version_id("live", None) == first.versions[0].version
    assert home.engine.scan(table, list(first.versions)).columns == ("name", "note", "amount")
    with pytest.raises(ContractBreachError, match="live breaks its contract: current: name is empty"):
        write(home.engine, table, rows.mutate(name=ibis.literal("")), days=[], info={})
    assert home.engine.lake.version_id("live", None) == first.versions[0].version


def test_what_is_recorded_may_differ_by_day(home: Home) -> None:
    days = days_from(FIRST, 2)
    info = {"run_id": "r", "inputs": {days[0]: ["x"], days[1]: ["y"]}}
    written = write(home.engine, TABLE, amounts(), days=days, info=info)
    assert [version.info for version in written.versions] == [
        {"run_id": "r", "inputs": ["x"]},
        {"run_id": "r", "inputs": ["y"]},
    ]


def test_days_before_the_first_bad_one_are_published_and_no_others(home: Home) -> None:
    days = days_from(FIRST, 4)
    write(home.engine, TABLE, amounts((days[2], "old", None, "1")), days=[days[2]], info={})
    rows = amounts(
        (days[0], "a", None, "1"),
        (days[1], "a", None, "1"),
        (days[2], "a", "taro@example.jp", "1"),
        (days[2], "a", "taro@example.jp", "2"),
        (days[3], "a", None, "1"),
    )
    with pytest.raises(ContractBreachError) as caught:
        write(home.engine, TABLE, rows, days=days, info={})
    assert home.engine.lake.days(TABLE.name) == days[:3]
    assert [row["name"] for row in home.engine.read(TABLE, [days[2]]).to_pyarrow().to_pylist()] == ["old"]
    assert caught.value.audit.first_bad_day == days[2]
    assert "amounts breaks its contract: 2026-03-03: name, note occurs more than once (2 rows)" in str(caught.value)
    assert {row["note"] for row in caught.value.audit.samples} == {"t***@***.jp"}


def test_columns_that_do_not_belong_to_the_contract_are_named(home: Home) -> None:
    table = replace(TABLE, columns={**TABLE.columns, "more": money("More")})
    with pytest.raises((ContractError, duckdb.Error), match="more"):
        write(home.engine, table, amounts((FIRST, "a", None, "1")), days=[FIRST], info={})
