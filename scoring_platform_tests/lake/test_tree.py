"""A reader sees the old day or the new one, whatever happens to the writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from scoring_platform.errors import ConfigurationError
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.tree import KEEP_UNLINKED, Lake
from scoring_platform.lake.write import write
from scoring_platform_tests.lake.scenario import FIRST, TABLE, amounts
from scoring_platform_tests.scenario import Home, days_from


def publish(home: Home, amount: str, day: date = FIRST) -> str:
    written = write(home.engine, TABLE, amounts((day, "a", None, amount)), days=[day], info={"run_id": amount})
    return written.versions[0].version


def later() -> datetime:
    return datetime.now(UTC) + KEEP_UNLINKED + timedelta(minutes=1)


def test_a_published_day_is_read_back_with_its_day_and_exact_amounts(home: Home) -> None:
    publish(home, "99999999999999.9999")
    (row,) = home.engine.read(TABLE, [FIRST]).to_pyarrow().to_pylist()
    assert row == {"name": "a", "note": None, "amount": row["amount"], "as_of": FIRST}
    assert str(row["amount"]) == "99999999999999.9999"
    version = home.engine.lake.version(TABLE.name, FIRST)
    assert version is not None
    assert (version.rows, version.info) == (1, {"run_id": "99999999999999.9999"})


def test_equal_rows_keep_their_version_and_only_what_is_recorded_is_renewed(home: Home) -> None:
    rows = amounts((FIRST, "a", None, "1"), (FIRST, "b", "x", "2"))
    first = write(home.engine, TABLE, rows, days=[FIRST], info={"run_id": "1"})
    again = write(home.engine, TABLE, rows.order_by("amount"), days=[FIRST], info={"run_id": "2"})
    assert first.versions[0].version == again.versions[0].version
    assert (first.changed_days, again.changed_days) == ((FIRST,), ())
    version = home.engine.lake.version(TABLE.name, FIRST)
    assert version is not None
    assert version.info["run_id"] == "2"


def test_a_pinned_reader_keeps_reading_the_old_version_after_a_swap(home: Home) -> None:
    publish(home, "1")
    pinned = home.engine.scan(TABLE, home.engine.lake.pin(TABLE.name, [FIRST]))
    publish(home, "2")
    assert pinned.amount.sum().execute() == 1
    assert home.engine.read(TABLE, [FIRST]).amount.sum().execute() == 2


def test_unpublished_days_are_left_out_and_none_gives_no_rows(home: Home) -> None:
    assert home.engine.read(TABLE, [FIRST]).count().execute() == 0
    publish(home, "1")
    assert home.engine.read(TABLE, days_from(FIRST, 3)).count().execute() == 1


def test_the_days_and_tables_of_the_lake_are_those_published(home: Home) -> None:
    lake = home.engine.lake
    assert (lake.tables(), lake.latest(TABLE.name)) == ([], None)
    for day in days_from(FIRST, 3):
        publish(home, "1", day)
    (lake.root / "begun").mkdir()
    (lake.root / "begun" / ".as_of=2026-03-01.partial").symlink_to("nowhere")
    assert lake.tables() == [TABLE.name]
    assert lake.days(TABLE.name, first=FIRST + timedelta(days=1)) == days_from(FIRST, 3)[1:]
    assert lake.latest(TABLE.name, last=FIRST + timedelta(days=1)) == FIRST + timedelta(days=1)


def test_restore_puts_back_what_the_latest_version_replaced(home: Home) -> None:
    first, second = publish(home, "1"), publish(home, "2")
    assert home.engine.lake.restore(TABLE.name, FIRST).version == first
    assert home.engine.lake.restore(TABLE.name, FIRST).version == second


def test_replaced_versions_are_collected_after_an_hour_and_linked_ones_never(home: Home) -> None:
    publish(home, "1")
    linked = publish(home, "2")
    lake = home.engine.lake
    assert lake.collect(datetime.now(UTC)) == 0
    assert lake.collect(later()) == 1
    assert lake.version_id(TABLE.name, FIRST) == linked
    assert home.engine.read(TABLE, [FIRST]).amount.sum().execute() == 2
    with pytest.raises(ConfigurationError, match="amounts 2026-03-01: no replaced version is kept"):
        lake.restore(TABLE.name, FIRST)


def test_the_hour_begins_when_a_version_is_replaced_not_when_it_was_written(home: Home) -> None:
    first = publish(home, "1")
    folder = home.engine.lake.root / ".versions" / TABLE.name / f"as_of={FIRST}" / first
    os.utime(folder, (0, 0))
    publish(home, "2")
    assert home.engine.lake.collect(datetime.now(UTC)) == 0
    assert home.engine.lake.restore(TABLE.name, FIRST).version == first


def test_what_killed_runs_left_in_staging_is_collected_after_a_day(home: Home) -> None:
    left = home.engine.lake.root / ".staging" / "left"
    left.mkdir(parents=True)
    assert home.engine.lake.collect(later()) == 0
    assert home.engine.lake.collect(datetime.now(UTC) + timedelta(days=2)) == 1
    assert not left.exists()


WRITER = """
import sys, duckdb
from pathlib import Path
from scoring_platform.lake import write as writing
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.tree import Lake
from scoring_platform_tests.lake.scenario import FIRST, TABLE, amounts
engine = DuckDBEngine(duckdb.connect(config={"threads": 1}), Lake(Path(sys.argv[1])))
"""
STALLING = """
import signal
def stall(folder):
    print("staged", flush=True)
    signal.pause()
writing.flush = stall
writing.write(engine, TABLE, amounts((FIRST, "a", None, "2")), days=[FIRST], info={})
"""
HAMMERING = """
import time
from datetime import timedelta
days = [FIRST + timedelta(days=n) for n in range(3)]
both = [amounts(*((day, f"{k}", "x" * k, str(number)) for day in days for k in range(20))) for number in (1, 2)]
end, number = time.monotonic() + 1.5, 0
while time.monotonic() < end:
    number += 1
    writing.write(engine, TABLE, both[number % 2], days=days, info={"run_id": number})
print(number)
"""


def start(home: Home, script: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", "-c", WRITER + script, str(home.engine.lake.root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def test_a_writer_killed_before_the_swap_leaves_the_old_day_and_harms_no_later_run(home: Home) -> None:
    first = publish(home, "1")
    with start(home, STALLING) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "staged\n"
        writer.send_signal(signal.SIGKILL)
    assert home.engine.lake.version_id(TABLE.name, FIRST) == first
    assert home.engine.read(TABLE, [FIRST]).amount.sum().execute() == 1
    publish(home, "2")
    assert home.engine.read(TABLE, [FIRST]).amount.sum().execute() == 2


def test_readers_never_see_a_missing_or_mixed_day_while_two_processes_publish(home: Home) -> None:
    days = days_from(FIRST, 3)
    rows = [(day, f"{k}", "x" * k, "1") for day in days for k in range(20)]
    write(home.engine, TABLE, amounts(*rows), days=days, info={})
    lake, reads, seen = Lake(home.engine.lake.root), 0, set()
    with start(home, HAMMERING) as one, start(home, HAMMERING) as two, duckdb.connect() as connection:
        while one.poll() is None or two.poll() is None:
            versions = lake.pin(TABLE.name, days)
            files = [file for version in versions for file in version.files]
            sql = "SELECT count(*), min(amount), max(amount) FROM read_parquet($1) GROUP BY filename"
            found = connection.execute(sql, [files]).fetchall()
            assert [row[0] for row in found] == [20, 20, 20]
            assert all(low == high for _, low, high in found), "a day mixes two versions"
            seen |= {str(row[1]) for row in found}
            reads += 1
            time.sleep(0)
        assert (one.returncode, two.returncode) == (0, 0)
    assert reads > 20
    assert len(seen) == 2, "the writers did not swap while this test was reading"


@pytest.mark.parametrize("name", ["name=value", "source=x as_of=1", "it's here", 'a "b" c', "日本"])
def test_the_home_may_lie_anywhere(tmp_path: Path, name: str) -> None:
    with duckdb.connect() as connection:
        engine = DuckDBEngine(connection, Lake(tmp_path / name / "note=oops" / "lake"))
        rows = amounts((FIRST, "a", "n", "1"), (FIRST + timedelta(days=1), "b", "n", "2"))
        write(engine, TABLE, rows, days=days_from(FIRST, 2), info={})
        found = engine.read(TABLE, days_from(FIRST, 2)).order_by("as_of").to_pyarrow().to_pylist()
    assert [(row["as_of"], row["name"], row["note"]) for row in found] == [
        (FIRST, "a", "n"),
        (FIRST + timedelta(days=1), "b", "n"),
    ]
