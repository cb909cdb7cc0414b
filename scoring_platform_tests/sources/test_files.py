"""The query over files reads below its folder and nowhere else, and every fault names its place."""

from __future__ import annotations

import gzip
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from scoring_platform.contracts.catalog import table
from scoring_platform.errors import ConfigurationError
from scoring_platform.sources.files import Files, FilesSource

HEADER = "order_id,ordered_at,status,currency,total_amount,refunded_amount"
LINE = "o1,2026-03-02 10:00:00,paid,JPY,1000,0"
PLACE = r"sources\.files\.tables\.raw_orders\.sql"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with one good file, beside a file that is none of its business."""
    root = tmp_path / "exports of 'March'"
    root.mkdir()
    (root / "orders.csv").write_text(f"{HEADER}\n{LINE}\n", encoding="utf-8")
    (tmp_path / "secret.csv").write_text(f"{HEADER}\n{LINE.replace('o1', 'stolen')}\n", encoding="utf-8")
    return root


def extract(root: Path, sql: str, *, name: str = "raw_orders", **others: str) -> list[tuple[object, ...]]:
    tables = {key: {"sql": text} for key, text in {name: sql, **others}.items()}
    source = Files(FilesSource.model_validate({"root": "x", "tables": tables}), root.resolve(), ZoneInfo("Asia/Tokyo"))
    folder = root.parent / "staged"
    folder.mkdir(exist_ok=True)
    source.extract(table(name), folder)
    files = [str(path) for path in folder.glob("*.parquet")]
    return duckdb.sql(f"SELECT * FROM read_parquet({files})").fetchall() if files else []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM 'orders.csv'",
        "SELECT * FROM read_csv('*.csv');",
        "FROM read_csv('**/*.csv') -- everything",
        "WITH o AS (SELECT * FROM './orders.csv') SELECT * FROM o",
    ],
)
def test_a_query_reads_the_files_of_its_folder(shop: Path, sql: str) -> None:
    assert [row[0] for row in extract(shop, sql)] == ["o1"]
    assert sorted(path.name for path in shop.iterdir()) == ["orders.csv"], "nothing is left in the folder"


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("COPY (SELECT 1) TO 'x.csv'", "COPY"),
        ("ATTACH 'x.db'", "ATTACH"),
        ("SET enable_external_access = true", "SET"),
        ("PRAGMA memory_limit = '1GB'", "SET"),
        ("INSTALL httpfs", "LOAD"),
        ("CREATE TABLE t AS SELECT 1", "CREATE"),
        ("SELECT 1; SELECT 2", "SELECT, SELECT"),
        ("SELECT 1; COPY (SELECT 1) TO 'x.csv'", "SELECT, COPY"),
        ("-- nothing", "nothing"),
    ],
)
def test_only_one_select_is_run(shop: Path, sql: str, kind: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{PLACE}: must be one SELECT; it holds {kind}"):
        extract(shop, sql)
    assert sorted(path.name for path in shop.iterdir()) == ["orders.csv"]


@pytest.mark.parametrize(
    "place",
    ["{outside}/secret.csv", "../secret.csv", "../*.csv", "{outside}/*.csv", "./../secret.csv", "/etc/passwd"],
)
@pytest.mark.parametrize("reader", ["read_csv", "read_text", "read_blob", "glob"])
def test_nothing_outside_the_folder_is_read(shop: Path, place: str, reader: str) -> None:
    sql = f"SELECT * FROM {reader}('{place.format(outside=str(shop.parent))}')"
    with pytest.raises(ConfigurationError, match=f"{PLACE}: .*only below sources.files.root") as caught:
        extract(shop, sql)
    assert "stolen" not in str(caught.value)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('https://example.com/orders.csv')",
        "SELECT * FROM 's3://bucket/orders.parquet'",
        "SELECT * FROM sqlite_scan('orders.db', 't')",
        "SELECT * FROM sql",
    ],
)
def test_neither_the_network_nor_extensions_nor_the_process_are_read(shop: Path, sql: str) -> None:
    with pytest.raises(ConfigurationError, match=PLACE):
        extract(shop, sql)


def test_a_link_out_of_the_folder_is_refused(shop: Path) -> None:
    (shop / "more").mkdir()
    (shop / "more" / "link.csv").symlink_to(shop.parent / "secret.csv")
    with pytest.raises(ConfigurationError, match=r"sources.files.root: more/link.csv is a link that leads out"):
        extract(shop, "SELECT * FROM 'orders.csv'")


def test_a_link_within_the_folder_is_fine(shop: Path) -> None:
    (shop / "latest.csv").symlink_to("orders.csv")
    assert [row[0] for row in extract(shop, "SELECT * FROM 'latest.csv'")] == ["o1"]


def test_a_missing_folder_is_named(shop: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"sources.files.root: the folder .*nowhere does not exist"):
        extract(shop / "nowhere", "SELECT 1")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELEC 1", "not valid DuckDB SQL: .*syntax error"),
        ("SELECT * FROM 'none.csv'", "No files found"),
        ("SELECT * EXCLUDE (status) FROM 'orders.csv'", r"does not return status; the table's columns are order_id"),
        ("SELECT *, 1 AS colour FROM 'orders.csv'", "returns unknown columns colour"),
        ("SELECT *, 1 AS status FROM 'orders.csv'", "returns status twice"),
        ("SELECT *, error('no') AS channel FROM 'orders.csv'", "the query fails on the files below"),
    ],
)
def test_a_query_that_cannot_serve_says_what_is_wrong(shop: Path, sql: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{PLACE}: .*{words}"):
        extract(shop, sql)


@pytest.mark.parametrize("damage", ["cut short", "one byte changed", "no archive"])
def test_an_archive_that_is_not_whole_is_refused_instead_of_read_in_part(shop: Path, damage: str) -> None:
    lines = "\n".join(LINE.replace("o1", f"o{hash(str(number))}") for number in range(5_000))
    packed = bytearray(gzip.compress(f"{HEADER}\n{lines}\n".encode()))
    if damage == "one byte changed":
        packed[len(packed) // 2] ^= 255
    contents = {
        "cut short": packed[: len(packed) // 2],
        "one byte changed": packed,
        "no archive": bytearray(HEADER, "utf-8"),
    }
    (shop / "orders.csv.gz").write_bytes(contents[damage])
    with pytest.raises(ConfigurationError, match=r"sources.files.root: orders.csv.gz is damaged or cut short"):
        extract(shop, "SELECT * FROM 'orders.csv.gz'")


def test_the_values_of_a_row_that_cannot_be_read_stay_out_of_the_message(shop: Path) -> None:
    (shop / "orders.csv").write_text(
        f"{HEADER}\n{LINE}\no2,Hanako Yamada,paid,hanako@example.jp,1,0\n", encoding="utf-8"
    )
    with pytest.raises(ConfigurationError, match=PLACE) as caught:
        extract(shop, "SELECT * FROM read_csv('orders.csv', types = {'ordered_at': 'TIMESTAMP'})")
    assert "amada" not in str(caught.value)
    assert "hanako" not in str(caught.value)


def test_compressed_and_parquet_files_are_read_alike(shop: Path) -> None:
    (shop / "zipped.csv.gz").write_bytes(gzip.compress(f"{HEADER}\n{LINE}\n".encode()))
    duckdb.sql(f"COPY (SELECT * FROM read_csv('{str(shop).replace(chr(39), chr(39) * 2)}/orders.csv')) TO "
               f"'{str(shop).replace(chr(39), chr(39) * 2)}/one.parquet'")  # fmt: skip
    assert extract(shop, "SELECT * FROM 'zipped.csv.gz'") == extract(shop, "SELECT * FROM 'one.parquet'")


def test_items_get_the_time_of_their_order_whatever_the_type_of_the_id(shop: Path) -> None:
    orders = "SELECT 7 AS order_id, * EXCLUDE (order_id) FROM 'orders.csv'"
    items = "SELECT '7' AS order_id, 1 AS line_id, 'p' AS product_id, 1 AS quantity, 5 AS amount"
    (row,) = extract(shop, items, name="raw_order_items", raw_orders=orders)
    assert str(row[-1]) == "2026-03-02 10:00:00"
    with pytest.raises(ConfigurationError, match="its day comes from raw_orders; give a query for that too"):
        extract(shop, items, name="raw_order_items")


def test_probing_checks_every_query_without_leaving_anything(shop: Path) -> None:
    settings = FilesSource.model_validate(
        {"root": "x", "tables": {"raw_orders": {"sql": "SELECT * FROM 'orders.csv'"}}}
    )
    source = Files(settings, shop.resolve(), ZoneInfo("Asia/Tokyo"))
    assert source.probe() == "1 files below exports of 'March'/, 1 queries are valid"
    (shop / "orders.csv").write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=PLACE):
        source.probe()
