"""The engine can work with little memory, and what comes out is the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import pytest

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.lake.engine import DuckDBEngine, connection_config
from scoring_platform.lake.tree import Lake
from scoring_platform_tests.scenario import Home

EVENTS = contract_of("raw_events")
ROWS, FIRST, DAYS = 120_000, date(2026, 1, 1), 60
SPARED = ("memory_limit", "preserve_insertion_order", "partitioned_write_flush_threshold")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DuckDBEngine]:
    """An engine with two threads that may spill."""
    config = connection_config(tmp_path / "tmp", threads=2, memory_limit=None)
    with duckdb.connect(config=config) as connection:
        yield DuckDBEngine(connection, Lake(tmp_path / "lake"))


def settings(engine: DuckDBEngine) -> list[str]:
    return [engine.connection.execute(f"SELECT current_setting('{name}')").fetchall()[0][0] for name in SPARED]


def events(engine: DuckDBEngine) -> ir.Table:
    """Far more text than fits into the least memory, in no order."""
    given = engine.ibis.sql(
        f"SELECT 'shop' AS source, md5(i::VARCHAR) AS event_id, md5('c' || i) AS customer_ref, "
        f"md5('e' || i) || '@example.com' AS email, 'form' AS kind, '{{}}' AS properties, "
        f"TIMESTAMPTZ '2026-01-01 00:00:00Z' AS occurred_at, DATE '{FIRST}' + (hash(i) % {DAYS})::INT AS as_of "
        f"FROM range({ROWS}) AS numbers(i)"
    )
    return given.mutate(**{name: ibis.null(kind) for name, kind in EVENTS.schema.items() if name not in given.columns})


def staged(engine: DuckDBEngine, folder: Path) -> dict[date | None, str]:
    folder.mkdir()
    days = [FIRST + timedelta(days=offset) for offset in range(DAYS)]
    rows = engine.materialise(events(engine))
    found = engine.stage(EVENTS, rows, days, folder=folder)
    engine.forget(rows)
    return {day.day: day.fingerprint for day in found}


def test_more_than_fits_into_memory_is_staged_as_it_would_be_with_room_for_all(
    engine: DuckDBEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with_room = staged(engine, tmp_path / "with_room")
    with engine.sparing("40MB"):
        sparing = staged(engine, tmp_path / "sparing")
    assert sparing == with_room
    assert not caplog.messages
    assert len(set(with_room.values())) == DAYS


def test_a_query_for_which_too_little_memory_was_left_gets_all_and_nothing_comes_twice(
    engine: DuckDBEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with_room = staged(engine, tmp_path / "with_room")
    with engine.sparing("8MB"):
        sparing = staged(engine, tmp_path / "sparing")
    assert sparing == with_room
    assert "runs again" in caplog.text


def test_memory_is_spared_only_meanwhile(engine: DuckDBEngine) -> None:
    before = settings(engine)
    with engine.sparing(None):
        meanwhile = settings(engine)
    assert meanwhile == ["122.0 MiB", False, 20_000]
    assert settings(engine) == before
    with pytest.raises(ZeroDivisionError), engine.sparing("1GB"):
        raise ZeroDivisionError
    assert settings(engine) == before


def test_what_is_forgotten_is_gone(home: Home) -> None:
    rows = home.engine.materialise(ibis.memtable({"n": [1, 2]}))
    home.engine.forget(rows)
    with pytest.raises(duckdb.CatalogException):
        home.engine.connection.execute(f"SELECT * FROM {rows.op().name}")


def test_a_connection_gets_only_what_is_said(tmp_path: Path) -> None:
    spill = str(tmp_path)
    assert connection_config(tmp_path, threads=None, memory_limit=None) == {"temp_directory": spill}
    assert connection_config(tmp_path, threads=1, memory_limit="2GB") == {
        "temp_directory": spill,
        "threads": 1,
        "memory_limit": "2GB",
    }
