"""The DuckDB engine over the lake: published days in as Ibis tables, Ibis expressions out as Parquet.

Belongs here: reading pinned versions, writing a staged result, its fingerprints. Does not belong here: contracts and
publishing decisions (``audit``, ``write``), SQL about the business (``domain``).
"""

from __future__ import annotations

import functools
import hashlib
import logging
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.backends.sql.datatypes import DuckDBType

from scoring_platform.contracts.table import Table
from scoring_platform.lake.tree import Lake, Version

_MEGABYTES_PER_THREAD, _LEAST_MEGABYTES = 64, 128
_WRITTEN_ROWS, _DAYS_AT_ONCE = 20_000, 16
"""Rows a thread collects before it writes them out, and days that are written at once, when memory is to be spared."""


_UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}

_log = logging.getLogger(__name__)

# Merging nested selects is the dearest part of making SQL of an expression; the engine does it itself, and better.
ibis.options.sql.fuse_selects = False


@dataclass(frozen=True)
class StagedDay:
    """The rows of one day, written but not published."""

    day: date | None
    folder: Path
    rows: int
    fingerprint: str


def connection_config(spill: Path, *, threads: int | None, memory_limit: str | None) -> dict[str, Any]:
    """Return the settings of a DuckDB connection that may use so much of the machine; None leaves it to DuckDB.

    Args:
        spill: Folder for what does not fit into memory.
        threads: Threads.
        memory_limit: Memory, such as ``4GB``.
    """
    given = {"threads": threads, "memory_limit": memory_limit}
    return {"temp_directory": str(spill), **{name: value for name, value in given.items() if value is not None}}


class DuckDBEngine:
    """Reads and writes lake tables through one DuckDB connection, which the caller opens and closes."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
        self.connection = connection
        self.lake = lake
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")
        self.ibis = ibis.duckdb.from_connection(connection)
        self._names = 0
        self._is_sparing = False
        self._ample: str | None = None

    def memory(self) -> int:
        """Return how many bytes the engine may use."""
        number, unit = self._setting("memory_limit").split()
        return int(float(number) * _UNITS[unit])

    def read(self, table: Table, days: Iterable[date]) -> ir.Table:
        """Return the rows of the published ``days`` of ``table`` with their ``as_of``; none gives an empty table."""
        return self.scan(table, self.lake.pin(table.name, days))

    def scan(self, table: Table, versions: Sequence[Version]) -> ir.Table:
        """Return the rows of pinned versions, with ``as_of`` from the folder name when the table has days."""
        dated = table.partition != "current"
        files = [file for version in versions for file in version.files]
        if not files:
            return self._view(_empty_sql(table, dated=dated), table)
        paths = f"[{', '.join(literal(file) for file in files)}]"
        columns = [quoted(name) for name in table.schema]
        return self._view(select_rows(paths, columns, self.lake.root, dated=dated), table)

    def materialise(self, expression: ir.Table) -> ir.Table:
        """Compute ``expression`` once into a temporary table and return it."""
        name = self._name("materialised")
        if expression.op().find(ops.InMemoryTable):
            return self.ibis.create_table(name, expression, temp=True)
        self._run(f"CREATE TEMP TABLE {name} AS {self.ibis.compile(expression)}")
        return self._named(name)

    def forget(self, materialised: ir.Table) -> None:
        """Drop what ``materialise`` returned, to free its memory before the connection is closed."""
        self.connection.execute(f"DROP TABLE {quoted(materialised.op().name)}")

    @contextmanager
    def sparing(self, memory_limit: str | None) -> Iterator[None]:
        """Work with little memory meanwhile, spilling to disk, so that memory stays flat however many rows there are.

        A query for which that is too little (a few very long texts may be enough) gets all that the engine may use.

        Args:
            memory_limit: Memory of the engine; None gives it 64 MB for each thread, and at least 128 MB.
        """
        threads = int(self._setting("threads"))
        meanwhile = {
            "memory_limit": memory_limit or f"{max(_LEAST_MEGABYTES, threads * _MEGABYTES_PER_THREAD)}MB",
            "preserve_insertion_order": "false",
            "partitioned_write_flush_threshold": str(_WRITTEN_ROWS),
        }
        before = {name: self._setting(name) for name in meanwhile}
        self._ample = before["memory_limit"] = _not_less(before["memory_limit"])
        self._is_sparing = True
        self._set(meanwhile)
        try:
            yield
        finally:
            self._ample, self._is_sparing = None, False
            self._set(before)

    def _run(self, sql: str, *, into: Sequence[Path] = ()) -> duckdb.DuckDBPyConnection:
        """Run a query that may need much memory, a second time with all there is if it was spared too much.

        Args:
            sql: The query.
            into: Folders that it writes, removed before it runs again.
        """
        try:
            return self.connection.execute(sql)
        except duckdb.OutOfMemoryException:
            if self._ample is None:
                raise
            _log.info("a query needs more memory than is given to a load; it runs again with %s", self._ample)
        for folder in into:
            shutil.rmtree(folder, ignore_errors=True)
        self._set({"memory_limit": self._ample})
        self._ample = None
        return self.connection.execute(sql)

    def _setting(self, name: str) -> str:
        ((value,),) = self.connection.execute(f"SELECT current_setting({literal(name)})").fetchall()
        return str(value)

    def _set(self, settings: Mapping[str, str]) -> None:
        for name, value in settings.items():
            self.connection.execute(f"SET {name} = {literal(value)}")

    def stage(self, table: Table, expression: ir.Table, days: Sequence[date], *, folder: Path) -> list[StagedDay]:
        """Write ``expression`` below ``folder``, a day per sub-folder, and fingerprint every day of ``days``.

        ``expression`` has the contract's columns and, unless the table is unpartitioned, ``as_of``. Days of ``days``
        without rows get an empty file; rows of other days are left out.
        """
        if expression.op().find(ops.InMemoryTable):  # raw SQL below does not know rows that live in Python
            expression = self.materialise(expression)
        if table.partition == "current":
            return [self._stage_current(table, expression, folder)]
        if self._is_sparing and len(days) > _DAYS_AT_ONCE:
            self._write_piecemeal(table, expression, days, folder)
        else:
            self._write_days(table, self.ibis.compile(expression), days, folder)
        found = self._fingerprints(table, folder)
        return [self._staged_day(table, day, folder, found.get(day)) for day in days]

    def _write_piecemeal(self, table: Table, expression: ir.Table, days: Sequence[date], folder: Path) -> None:
        """Write a few days at a time: each day that is open takes half a megabyte or more for every thread."""
        ordered = self.materialise(expression.order_by("as_of"))
        for start in range(0, len(days), _DAYS_AT_ONCE):
            self._write_days(table, self.ibis.compile(ordered), days[start : start + _DAYS_AT_ONCE], folder)
        self.forget(ordered)

    def _write_days(self, table: Table, rows: str, days: Sequence[date], folder: Path) -> None:
        order = ", ".join(quoted(name) for name in table.key)
        wanted = ", ".join(f"DATE '{day}'" for day in days)
        self._run(
            f"COPY (SELECT {_cast_columns(table)}, CAST(as_of AS DATE) AS as_of FROM ({rows}) "
            f"WHERE as_of IN ({wanted}) "
            f"ORDER BY as_of, {order}) TO {literal(str(folder))} (FORMAT parquet, COMPRESSION zstd, "
            "PARTITION_BY (as_of), WRITE_PARTITION_COLUMNS false, OVERWRITE_OR_IGNORE true, "
            "FILENAME_PATTERN 'rows_{uuid}')",
            into=[folder / f"as_of={day.isoformat()}" for day in days],
        )

    def fingerprints(self, table: Table, rows: ir.Table) -> dict[date, str]:
        """Return the version that every day of ``rows`` (contract columns and ``as_of``) would be published under."""
        found = self._run(
            f"SELECT as_of, count(*), {FINGERPRINT} FROM (SELECT CAST(as_of AS DATE) AS as_of, "
            f"ROW({_cast_columns(table, named=False)}) AS rows FROM ({self.ibis.compile(rows)})) GROUP BY as_of"
        ).fetchall()
        return {day: _version_name(table, count, total) for day, count, total in found}

    def empty_fingerprint(self, table: Table) -> str:
        """Return the version of a day without rows."""
        return _version_name(table, 0, 0)

    def staged_rows(self, table: Table, folder: Path) -> ir.Table:
        """Return what ``stage`` wrote below ``folder``, with ``as_of`` (null when unpartitioned)."""
        columns = [quoted(name) for name in table.schema]
        if table.partition == "current":
            files = literal(str(folder / "*.parquet"))
            return self._view(select_rows(files, [*columns, "CAST(NULL AS DATE) AS as_of"], folder, dated=False))
        return self._view(select_rows(literal(str(folder / "*" / "*.parquet")), columns, folder, dated=True))

    def _view(self, sql: str, table: Table | None = None) -> ir.Table:
        """Name a query once: its hundreds of paths would otherwise be parsed again with every expression.

        What is published has the columns of its contract: nothing needs to be asked.
        """
        name = self._name("pinned")
        self.connection.execute(f"CREATE TEMP VIEW {name} AS {sql}")
        if table is None:
            return self._named(name)
        dated = {} if table.partition == "current" else {"as_of": dt.date}
        return self._named(
            name, {**{column: kind.copy(nullable=True) for column, kind in table.schema.items()}, **dated}
        )

    def _named(self, name: str, kinds: Mapping[str, dt.DataType] | None = None) -> ir.Table:
        """Return the table or view called ``name``; Ibis alone would parse the name of each column's type anew."""
        if kinds is None:
            found = self.connection.execute(f"DESCRIBE {name}").fetchall()
            kinds = {row[0]: _kind_called(row[1]) for row in found}
        return ops.DatabaseTable(
            name, schema=ibis.schema(kinds), source=self.ibis, namespace=ops.Namespace(catalog=None, database=None)
        ).to_expr()

    def _name(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}_{self._names}"

    def _stage_current(self, table: Table, expression: ir.Table, folder: Path) -> StagedDay:
        target = folder / _file_name()
        self.connection.execute(
            f"COPY (SELECT {_cast_columns(table)} FROM ({self.ibis.compile(expression)})) TO {literal(str(target))} "
            "(FORMAT parquet, COMPRESSION zstd)"
        )
        ((count, total),) = self.connection.execute(
            f"SELECT count(*), {FINGERPRINT} FROM "
            f"read_parquet({literal(str(target))}, hive_partitioning = false) AS rows"
        ).fetchall()
        return StagedDay(None, folder, count, _version_name(table, count, total))

    def _fingerprints(self, table: Table, folder: Path) -> dict[date, tuple[int, int]]:
        if not any(folder.iterdir()):
            return {}
        columns = ", ".join(quoted(name) for name in table.schema)
        staged = select_rows(literal(str(folder / "*" / "*.parquet")), [f"ROW({columns}) AS rows"], folder, dated=True)
        rows = self.connection.execute(
            f"SELECT as_of, count(*), {FINGERPRINT} FROM ({staged}) GROUP BY as_of"
        ).fetchall()
        return {day: (count, total) for day, count, total in rows}

    def _staged_day(self, table: Table, day: date, folder: Path, found: tuple[int, int] | None) -> StagedDay:
        count, total = found or (0, 0)
        target = folder / f"as_of={day.isoformat()}"
        if not found:
            target.mkdir(parents=True, exist_ok=True)
            empty = _empty_sql(table, dated=False)
            self.connection.execute(f"COPY ({empty}) TO {literal(str(target / _file_name()))} (FORMAT parquet)")
        return StagedDay(day, target, count, _version_name(table, count, total))


def _not_less(size: str) -> str:
    """Return a size as DuckDB writes it, cut to one decimal, such that setting it never makes it smaller."""
    number, unit = size.split()
    return f"{float(number) + 0.05:.2f} {unit}"


FINGERPRINT = "coalesce(sum(hash(rows)::HUGEINT), 0)"
"""Of the rows called ``rows``: equal for equal rows in any order."""


def _file_name() -> str:
    """Name a file uniquely: the engine opens a file twice, and must never meet another version under one name."""
    return f"rows_{uuid.uuid4().hex}.parquet"


def _version_name(table: Table, rows: int, total: int) -> str:
    """Name a version by its rows and its columns: an empty day of an older contract is another version."""
    columns = ",".join(f"{name} {kind}" for name, kind in table.schema.items())
    salt = int.from_bytes(hashlib.sha256(columns.encode()).digest()[:8])
    return f"{rows:x}-{(total + salt) % 2**64:016x}"


def select_rows(files: str, columns: Sequence[str], root: Path, *, dated: bool) -> str:
    """Return a query over Parquet files: the columns and, when ``dated``, ``as_of`` from the folder's name.

    Args:
        files: SQL of the file list or pattern.
        columns: SQL of the columns.
        root: Folder of the lake, or of what was staged.
        dated: Whether the files lie in folders named after their day.
    """
    wanted = ", ".join(columns)
    if not dated:
        return f"SELECT {wanted} FROM read_parquet({files}, hive_partitioning = false)"
    if "=" in str(root):  # the engine would take any name=value folder above the lake for a column of the table
        day = "CAST(regexp_extract(_file, '.*/as_of=([0-9-]+)/', 1) AS DATE) AS as_of"
        return f"SELECT {wanted}, {day} FROM read_parquet({files}, hive_partitioning = false, filename = '_file')"
    options = "hive_partitioning = true, hive_types_autocast = false"
    return f"SELECT {wanted}, CAST(as_of AS DATE) AS as_of FROM read_parquet({files}, {options})"


def _cast_columns(table: Table, *, named: bool = True) -> str:
    """Select the contract's columns in its types: a sum of integers or decimals comes wider than it went in."""
    casts = {quoted(name): f"CAST({quoted(name)} AS {sql_type(kind)})" for name, kind in table.schema.items()}
    return ", ".join(f"{cast} AS {name}" if named else cast for name, cast in casts.items())


def _empty_sql(table: Table, *, dated: bool) -> str:
    typed = [f"CAST(NULL AS {sql_type(kind)}) AS {quoted(name)}" for name, kind in table.schema.items()]
    if dated:
        typed.append("CAST(NULL AS DATE) AS as_of")
    return f"SELECT {', '.join(typed)} WHERE false"


@functools.cache
def sql_type(kind: ibis.DataType) -> str:
    """Return DuckDB's name of an Ibis type."""
    return str(DuckDBType.to_string(kind))


@functools.cache
def _kind_called(name: str) -> dt.DataType:
    """Return the Ibis type of what DuckDB calls a type."""
    return DuckDBType.from_string(name)


def quoted(name: str) -> str:
    """Quote an identifier for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a string for SQL."""
    return "'" + text.replace("'", "''") + "'"
