"""The warehouse files: views that any DuckDB reads, with personal data masked."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb

from scoring_platform.lake.views import CLEAR, MASKED, refresh_views
from scoring_platform_tests.scenario import MONDAY, Home, days_from, order

READ = """
import duckdb, json, sys
rows = duckdb.connect(sys.argv[1], read_only=True).sql(sys.argv[2]).fetchall()
print(json.dumps(rows, default=str))
"""


def ask(path: Path, sql: str) -> Any:
    """Ask from a process of its own."""
    command = [sys.executable, "-c", READ, str(path), sql]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


ADDRESSES = ["taro@example.jp", "taro＠example.jp", "t@localhost", "mail taro@example.jp. Yamada", "Yamada", ""]


def shop(home: Home) -> None:
    home.orders(*(order(f"o{n}", "2026-03-02 10:00:00", email=email) for n, email in enumerate(ADDRESSES)))
    home.load(days_from(MONDAY, 2))


def test_personal_columns_are_masked_and_clear_only_in_the_other_file(home: Home) -> None:
    shop(home)
    assert refresh_views(home.engine.lake)
    sql = "SELECT email, customer_ref, as_of FROM raw_orders ORDER BY order_id"
    masked = ask(home.root / MASKED, sql)
    assert [row[0] for row in masked] == ["t***@***.jp", "t***@***.jp", "t***@***", "***", "***", None]
    assert {tuple(row[1:]) for row in masked} == {("c1", "2026-03-02")}
    assert [row[0] for row in ask(home.root / CLEAR, sql)] == [*ADDRESSES[:5], None]


def test_the_clear_file_is_readable_by_its_owner_only(home: Home) -> None:
    shop(home)
    refresh_views(home.engine.lake)
    assert stat.S_IMODE((home.root / CLEAR).stat().st_mode) == 0o600


def test_the_files_are_rebuilt_only_when_the_set_of_tables_changes(home: Home) -> None:
    shop(home)
    assert refresh_views(home.engine.lake)
    home.load(days_from(MONDAY, 3)[2:])
    assert not refresh_views(home.engine.lake)
    home.items({"order_id": "o0", "line_id": "1", "product_id": "p", "quantity": "1", "amount": "1"})
    home.load(MONDAY, table="raw_order_items")
    assert refresh_views(home.engine.lake)
    assert ask(home.root / MASKED, "SELECT count(*) FROM raw_order_items") == [[1]]
    (home.root / CLEAR).unlink()
    assert refresh_views(home.engine.lake)


def test_an_open_file_stays_valid_while_it_is_replaced(home: Home) -> None:
    shop(home)
    refresh_views(home.engine.lake)
    with duckdb.connect(str(home.root / MASKED), read_only=True) as reader:
        home.items({"order_id": "o0", "line_id": "1", "product_id": "p", "quantity": "1", "amount": "1"})
        home.load(MONDAY, table="raw_order_items")
        assert refresh_views(home.engine.lake)
        assert reader.execute("SELECT count(*) FROM raw_orders").fetchone() == (len(ADDRESSES),)


def test_no_table_means_empty_files(home: Home) -> None:
    assert refresh_views(home.engine.lake)
    assert ask(home.root / MASKED, "SELECT count(*) FROM duckdb_views() WHERE NOT internal") == [[0]]
