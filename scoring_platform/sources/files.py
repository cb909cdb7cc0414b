"""The ``files`` source: any CSV, compressed CSV or Parquet, by a SQL query per raw table.

The query runs in a DuckDB of its own that can read only below the configured folder and write nowhere.

Belongs here: running the configured queries safely and saying what is wrong with them. Does not belong here: judging
the rows.
"""

from __future__ import annotations

import gzip
import os
import re
import threading
import zlib
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import duckdb
from pydantic import Field

from scoring_platform.config.base import Cadence, Section, ZoneName
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.contracts.masking import mask_text
from scoring_platform.contracts.table import ORDER_TIME, Table
from scoring_platform.errors import ConfigurationError

_ONE_FOLDER_AT_A_TIME = threading.Lock()


class FilesTable(Section):
    """One raw table filled from files."""

    sql: str = Field(description="DuckDB SELECT over the files that returns the contract's columns", min_length=1)


class FilesSource(Section):
    """Sales logs and exports as CSV, compressed CSV or Parquet."""

    root: str = Field(description="Folder of the files; relative to the folder of scoring.yaml")
    time_zone: ZoneName | None = Field(None, description="Zone of times without an offset; default the business zone")
    cadence: Cadence = Field("daily", description="How often new files come; `once` for a static export")
    tables: dict[str, FilesTable] = Field(description="Raw table to the query that fills it", min_length=1)

    @property
    def gives(self) -> frozenset[str]:
        """Raw tables with a query."""
        return frozenset(self.tables)

    @property
    def whole(self) -> frozenset[str]:
        """All of them: a query returns everything the files have."""
        return self.gives


@dataclass(frozen=True)
class Files:
    """Exports in a folder.

    Attributes:
        settings: The section ``sources.files``.
        root: The folder, resolved.
        zone: Zone of times without an offset.
    """

    settings: FilesSource
    root: Path
    zone: ZoneInfo
    name: str = "files"

    def extract(self, table: Table, folder: Path) -> None:
        """Write the whole result of the table's query below ``folder`` as Parquet.

        Raises:
            ConfigurationError: The query is not one SELECT, fails, leaves the folder, or does not return the
                contract's columns.
        """
        sql = self._checked(table.name)
        self._check_folder()
        with self._open(folder) as connection, _inside(self.root):
            self._check_columns(connection, table, sql)
            selected = self._with_order_time(connection, table, sql)
            target = str(folder / "part_00000.parquet").replace("'", "''")
            copy = f"COPY ({selected}\n) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
            self._execute(connection, table.name, copy)

    def probe(self) -> str:
        """Say how many files there are."""
        self._check_folder()
        count = sum(1 for path in self.root.rglob("*") if path.is_file())
        for name in sorted(self.settings.gives):
            with TemporaryDirectory() as scratch, self._open(Path(scratch)) as connection, _inside(self.root):
                self._check_columns(connection, contract_of(name), self._checked(name))
        return f"{count} files below {self.root.name}/, {len(self.settings.gives)} queries are valid"

    def _checked(self, name: str) -> str:
        place = f"sources.files.tables.{name}.sql"
        sql = self.settings.tables[name].sql.strip().rstrip(";").strip()
        try:
            statements = duckdb.extract_statements(sql)
        except duckdb.Error as error:
            msg = f"{place}: not valid DuckDB SQL: {_first_lines(error)}"
            raise ConfigurationError(msg) from error
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
            msg = f"{place}: must be one SELECT; it holds {kinds}. A query reads files and never writes"
            raise ConfigurationError(msg)
        return sql

    def _check_folder(self) -> None:
        """Refuse links, which the engine would follow anywhere, and archives cut short, which it reads silently."""
        if not self.root.is_dir():
            msg = f"sources.files.root: the folder {self.root} does not exist"
            raise ConfigurationError(msg)
        for parent, folders, files in os.walk(self.root):
            for path in (Path(parent, name) for name in (*folders, *files)):
                if path.is_symlink() and not path.resolve().is_relative_to(self.root):
                    place = path.relative_to(self.root)
                    msg = f"sources.files.root: {place} is a link that leads out of the folder; put the file there"
                    raise ConfigurationError(msg)
                if path.suffix == ".gz" and path.is_file():
                    known = path.stat()
                    if not _is_whole(path, known.st_size, known.st_mtime_ns):
                        place = path.relative_to(self.root)
                        msg = f"sources.files.root: {place} is damaged or cut short; put a whole file there"
                        raise ConfigurationError(msg)

    def _open(self, folder: Path) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(":memory:")
        connection.execute("SET allowed_directories = $1", [[f"{self.root}/", f"{folder}/"]])
        connection.execute("SET temp_directory = $1", [str(folder / "spilled")])
        connection.execute(f"SET TimeZone = '{self.zone.key}'")
        connection.execute("SET python_enable_replacements = false")
        connection.execute("SET autoinstall_known_extensions = false")
        connection.execute("SET autoload_known_extensions = false")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        return connection

    def _check_columns(self, connection: duckdb.DuckDBPyConnection, table: Table, sql: str) -> None:
        place = f"sources.files.tables.{table.name}.sql"
        described = self._execute(connection, table.name, f"DESCRIBE ({sql}\n)")
        returned = [str(row[0]) for row in described]
        repeated = sorted({name for name in returned if returned.count(name) > 1})
        optional = _optional_columns(table)
        missing = [name for name in table.given_columns if name not in returned and name not in optional]
        unknown = [name for name in returned if name not in (*table.given_columns, "source", "as_of")]
        problems = []
        if missing:
            problems.append(f"does not return {', '.join(missing)}")
        if unknown:
            problems.append(f"returns unknown columns {', '.join(unknown)}")
        if repeated:
            problems.append(f"returns {', '.join(repeated)} twice")
        if problems:
            allowed = ", ".join(f"{name}?" if name in optional else name for name in table.given_columns)
            msg = f"{place}: the query {' and '.join(problems)}; the table's columns are {allowed} (? may be left out)"
            raise ConfigurationError(msg)

    def _with_order_time(self, connection: duckdb.DuckDBPyConnection, table: Table, sql: str) -> str:
        """Give rows whose day is their order's the order's time, from the query of the orders."""
        returned = {row[0] for row in self._execute(connection, table.name, f"DESCRIBE ({sql}\n)")}
        if not table.day_from or ORDER_TIME in returned:
            return sql
        if table.day_from not in self.settings.gives:
            msg = f"sources.files.tables.{table.name}: its day comes from {table.day_from}; give a query for that too"
            raise ConfigurationError(msg)
        orders = self._checked(table.day_from)
        return (
            f"SELECT items.*, orders.{ORDER_TIME} FROM ({sql}\n) AS items LEFT JOIN ("
            f"SELECT CAST(order_id AS VARCHAR) AS order_id, min({ORDER_TIME}) AS {ORDER_TIME} "
            f"FROM ({orders}\n) GROUP BY ALL) AS orders "
            "ON CAST(items.order_id AS VARCHAR) = orders.order_id"
        )

    def _execute(self, connection: duckdb.DuckDBPyConnection, name: str, statement: str) -> list[tuple[object, ...]]:
        place = f"sources.files.tables.{name}.sql"
        try:
            return connection.execute(statement).fetchall()
        except duckdb.PermissionException as error:
            msg = f"{place}: the query may read only below sources.files.root ({self.root}): {_first_lines(error)}"
            raise ConfigurationError(msg) from error
        except duckdb.Error as error:
            msg = f"{place}: the query fails on the files below {self.root}: {_first_lines(error)}"
            raise ConfigurationError(msg) from error


@contextmanager
def _inside(root: Path) -> Iterator[None]:
    """Stand in ``root``: DuckDB allows a relative path only when the working directory leads to an allowed folder."""
    with _ONE_FOLDER_AT_A_TIME, chdir(root):
        yield


@lru_cache(maxsize=10_000)
def _is_whole(path: Path, size: int, changed: int) -> bool:
    """Whether a gzip file can be read to its end; size and time of change name what was read."""
    try:
        with gzip.open(path) as file:
            while file.read(1 << 20):
                pass
    except (OSError, EOFError, zlib.error):
        return False
    return True


def _optional_columns(table: Table) -> frozenset[str]:
    nullable = {name for name, column in table.columns.items() if column.nullable}
    json = {name for name, column in table.columns.items() if (column.metadata or {}).get("unit") == "JSON"}
    derived = {ORDER_TIME, "currency"} if table.day_from else set()  # the order has them
    return frozenset(nullable | json | derived | {"updated_at"})


def _first_lines(error: Exception) -> str:
    """Shorten the engine's words and leave out the values of the row it stumbled over: they may be personal."""
    words = " ".join(str(error).split())
    words = re.sub(r"Original Line: .*?(?=Possible |file = |$)", "", words)
    words = re.sub(r"(?i)(could not convert string|string value) (\"[^\"]*\"|'[^']*')", r"\1 '***'", words)
    return mask_text(words)[:400]
