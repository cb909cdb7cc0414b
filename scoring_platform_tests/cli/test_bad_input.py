"""What a person gets when something outside is wrong: where, what, what to do; no traceback, and nothing lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import stamina

from scoring_platform.sandbox.connection import Endpoint
from scoring_platform_tests.end_to_end.fixtures import (
    ORDERS_SQL,
    SHOP_START,
    OpenShop,
    orders_of,
    shop,
    write_orders,
)
from scoring_platform_tests.end_to_end.platform import Done, Platform, Versions, packaged, write_config

YESTERDAY = SHOP_START + timedelta(days=1)
DAY = YESTERDAY + timedelta(days=1)


def refused(done: Done) -> str:
    """The words of a command that failed as it should."""
    assert done.code == 1, done.said
    assert "Traceback" not in done.said
    return done.said


def with_sql(platform: Platform, sql: str) -> Platform:
    files = {"root": "data", "tables": {"raw_orders": {"sql": sql}}}
    return platform.with_config(platform.config, sources={"files": files})


# The configuration: nothing runs.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"windows": 3}, ["windows", "unknown key", "allowed here", "time_zone"]),
        ({"rfm": {"window_day": 3}}, ["rfm.window_day", "unknown key", "window_days"]),
        ({"time_zone": "Tokyo"}, ["time_zone", "'Tokyo'", "Asia/Tokyo"]),
        ({"history_start": "yesterday"}, ["history_start", "yesterday"]),
        (
            {"ingest": {"quarantine_share_limit": 25}},
            ["ingest.quarantine_share_limit", "25", "less than or equal to 1"],
        ),
        ({"sources": {}}, ["no source is configured"]),
        (
            {"sources": {"files": {"root": "data", "tables": {"raw_sales": {"sql": "SELECT 1"}}}}},
            ["raw_sales", "raw_orders"],
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_or_unknown_key_names_the_file_the_place_and_what_is_allowed(
    open_shop: OpenShop, changes: dict[str, Any], words: list[str]
) -> None:
    platform = open_shop()
    platform = platform.with_config(platform.config, **changes)

    said = refused(platform.command("run", "--date", str(DAY)))

    assert str(platform.config) in said
    assert [word for word in words if word not in said] == []
    assert not (platform.root / "lake").exists()


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = refused(Platform(tmp_path / "home", tmp_path / "nowhere.yaml").command("run"))

    assert "nowhere.yaml" in said
    assert "SCORING_CONFIG" in said


@pytest.mark.parametrize(
    ("day", "words"),
    [("2026-03-01", "is before history_start (2026-03-02)"), ("2999-01-01", "is not over yet in Asia/Tokyo")],
)
def test_a_day_that_cannot_be_run_is_refused(open_shop: OpenShop, day: str, words: str) -> None:
    assert words in refused(open_shop().command("run", "--date", day))


def test_a_date_that_is_none_is_refused_with_an_example(open_shop: OpenShop) -> None:
    done = open_shop().command("run", "--date", "yesterday")

    assert done.code == 2
    assert "'yesterday' is not a date; write it as 2026-11-20" in done.err


def test_a_backfill_backwards_is_refused(open_shop: OpenShop) -> None:
    said = refused(open_shop().command("backfill", "--from", "2026-03-05", "--to", "2026-03-03"))

    assert "--from 2026-03-05 is after --to 2026-03-03" in said


# Files: yesterday stays.


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """A shop with one good day."""
    platform = shop(tmp_path_factory.mktemp("files"))
    write_orders(platform, orders_of(SHOP_START, 2))
    done = platform.command("run", "--date", str(YESTERDAY))
    assert done.code == 0, done.said
    return platform


BAD_QUERIES = {
    "it writes": ("COPY (SELECT 1) TO 'out.csv'", ["must be one SELECT", "COPY"]),
    "two statements": ("SELECT 1; DROP TABLE x", ["must be one SELECT"]),
    "it leaves the folder": ("SELECT * FROM read_csv('/etc/passwd')", ["may read only below sources.files.root"]),
    "it climbs out": ("SELECT * FROM read_csv('../scoring.yaml')", ["may read only below sources.files.root"]),
    "missing columns": ("SELECT order_id FROM 'orders*.csv'", ["does not return", "ordered_at"]),
    "unknown columns": (f"SELECT *, 1 AS extra FROM ({ORDERS_SQL})", ["returns unknown columns extra"]),
    "no such file": ("SELECT * FROM 'sales*.csv'", ["No files found", "sales*.csv"]),
    "no such column": ("SELECT nothing FROM 'orders*.csv'", ["nothing"]),
    "not SQL": ("SELEC * FROM 'orders*.csv'", ["not valid DuckDB SQL"]),
}


@pytest.mark.parametrize("case", BAD_QUERIES)
def test_a_wrong_query_is_named_and_yesterdays_data_stays(files: Platform, tmp_path: Path, case: str) -> None:
    sql, words = BAD_QUERIES[case]
    before = files.versions()
    tables = {"raw_orders": {"sql": sql}}
    sources = {"files": {"root": str(files.config.parent / "data"), "tables": tables}}

    platform = files.with_config(tmp_path / "scoring.yaml", sources=sources)
    said = refused(platform.command("run", "--date", str(DAY)))

    assert "sources.files.tables.raw_orders.sql" in said
    assert [word for word in words if word not in said] == []
    assert f"Day {DAY} is not complete" in said
    assert files.versions() == before
    assert not (files.config.parent / "data" / "out.csv").exists()


def test_a_folder_that_is_not_there_is_named(files: Platform, tmp_path: Path) -> None:
    tables = {"raw_orders": {"sql": ORDERS_SQL}}
    platform = files.with_config(tmp_path / "scoring.yaml", sources={"files": {"root": "gone", "tables": tables}})

    said = refused(platform.command("run", "--date", str(DAY)))

    assert "sources.files.root" in said
    assert "gone does not exist" in said


def test_an_empty_extract_where_there_usually_is_one_stops_the_day(tmp_path: Path) -> None:
    platform = shop(tmp_path, ingest={"empty_extract": {"minimum_usual_rows": 5, "weeks": 1}})
    write_orders(platform, orders_of(SHOP_START, 7))
    week_later = SHOP_START + timedelta(days=7)

    said = refused(platform.command("run", "--date", str(week_later)))

    assert "FAILED CHECK: raw_orders.extract_not_empty" in said
    assert f"no rows on {week_later} although this weekday usually has some" in said
    assert platform.lake.version("raw_orders", week_later) is None


def test_an_absent_amount_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    platform = shop(tmp_path)
    rows = orders_of(SHOP_START, 1)
    rows[2]["total_amount"] = ""
    write_orders(platform, rows)

    done = platform.command("run", "--date", str(SHOP_START))

    assert done.code == 0, done.said
    assert "1 rows set aside; see lake/quarantine/raw_orders" in done.out
    assert len(platform.rows("raw_orders", SHOP_START)) == len(rows) - 1


# Systems behind HTTP: nothing is published, and it says which one.


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Platform, Endpoint, Versions]]:
    """A home that reads only the support desk, with one good day and the sandbox running."""
    root = tmp_path_factory.mktemp("desk")
    written = {**packaged(), "sources": {"zendesk": {"endpoint": "sandbox"}}, "destinations": {}}
    platform = Platform(root / "home", write_config(root / "scoring.yaml", written, history_start=DESK_START))
    platform.set_clock(DESK_DAY)
    with platform.company() as endpoint:
        done = platform.command("run", "--date", str(DESK_DAY - timedelta(days=1)))
        assert done.code == 0, done.said
        yield platform, endpoint, platform.versions()


DESK_START, DESK_DAY = date(2025, 10, 20), date(2025, 10, 23)
TICKETS = "/zendesk/api"
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "source down": ({"kind": "status", "status": 503}, "503"),
    "refused credential": ({"kind": "status", "status": 401}, "401|credential|refused"),
    "too many requests": ({"kind": "throttle"}, "429|limit"),
    "malformed JSON": ({"kind": "malformed"}, "JSON"),
    "a page of HTML": ({"kind": "html", "status": 200}, "JSON|html|HTML"),
    "a broken connection": ({"kind": "reset"}, "connection|closed|peer"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_source_in_trouble_fails_the_day_and_keeps_yesterdays(
    desk: tuple[Platform, Endpoint, Versions], case: str
) -> None:
    platform, endpoint, before = desk
    fault, words = FAULTS[case]
    endpoint.add_fault(TICKETS, times=50, **fault)
    try:
        with stamina.set_testing(True, attempts=2):
            said = refused(platform.command("run", "--date", str(DESK_DAY)))
    finally:
        endpoint.clear_faults()

    assert "zendesk" in said.lower()
    assert re.search(words, said), said
    assert "FAILED: raw_support_tickets" in said
    assert platform.versions() == before


def test_when_the_source_is_back_the_same_command_goes_through(desk: tuple[Platform, Endpoint, Versions]) -> None:
    platform, _, before = desk

    done = platform.command("run", "--date", str(DESK_DAY))

    assert done.code == 0, done.said
    assert {key: platform.versions()[key] for key in before if key[1] < DESK_DAY - timedelta(days=1)} == {
        key: version for key, version in before.items() if key[1] < DESK_DAY - timedelta(days=1)
    }


def test_a_missing_credential_is_named_and_nobody_is_called(tmp_path: Path) -> None:
    written = {**packaged(), "sources": {"zendesk": {"endpoint": "https://coffee.zendesk.example"}}, "destinations": {}}
    config = write_config(tmp_path / "scoring.yaml", written, history_start=DESK_START)
    platform = Platform(tmp_path / "home", config)

    said = refused(platform.command("run", "--date", str(DESK_START)))

    assert "set SCORING_ZENDESK_CLIENT_ID" in said
    assert str(config) in said
    assert not (platform.root / "sandbox").exists(), "no silent fallback to the sandbox"


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path, open_shop: OpenShop) -> None:
    in_the_way = tmp_path / "a_file"
    in_the_way.write_text("")
    platform = Platform(in_the_way / "home", open_shop().config)

    done = platform.process("run", "--date", str(SHOP_START))

    assert done.code == 1
    assert "a_file" in done.err
    assert "Traceback" not in done.err
