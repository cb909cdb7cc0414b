"""The ledger: what must survive a crash in the middle of a run.

Belongs here: the database, its durability settings, transactions, and the upsert every subject uses. Does not belong
here: what is recorded (``receipts``, ``deliveries``, ``extracts``, ``alerts``, ``leases``, ``rates``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, Table, create_engine, event, insert, inspect, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.schema import CreateColumn

from scoring_platform.errors import ConfigurationError
from scoring_platform.ledger.private import make_file, make_folder
from scoring_platform.ledger.schema import METADATA, SCHEMA, SCHEMA_VERSION

BUSY_SECONDS = 30
"""How long a writer waits for another process's transaction."""

CHUNK = 500
"""Values per IN list; SQLite and PostgreSQL both take far more."""

# Any fixed number: PostgreSQL locks by number, and only the making of the tables uses it.
_CREATION_LOCK = 7_243_001


class Ledger:
    """A ledger, usable as a context manager; threads and processes may share one address.

    Args:
        url: SQLAlchemy address, such as ``sqlite:////srv/scoring/ledger.db``. Tables are made on first use.

    Raises:
        ConfigurationError: The address is not one, or the ledger was made by a later version of the platform.
    """

    def __init__(self, url: str) -> None:
        self._url = address_of(url)
        self._engine: Engine | None = None
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> Self:
        """Connect and make what is missing; opening an open ledger does nothing."""
        with self._lock:
            if self._engine is None:
                engine = engine_for(self._url.render_as_string(hide_password=False), self._url.database)
                try:
                    _prepare(engine, self._url.render_as_string(hide_password=True))
                except BaseException:
                    engine.dispose()
                    raise
                self._engine = engine
        return self

    def close(self) -> None:
        """Let go of all connections; the next use opens the ledger again."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one consistent state and blocks nobody."""
        with self._opened().connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Connection]:
        """Give a connection whose changes are all kept, or none; one writer at a time on SQLite.

        Args:
            durable: Whether they are on disk at the end. Otherwise the last ones may be lost in a power cut, though not
                when this process dies, and nobody waits for the disk.
        """
        options = {"ledger_writes": True, "ledger_durable": durable}
        with self._opened().connect().execution_options(**options) as connection, connection.begin():
            if not durable and connection.dialect.name == "postgresql":
                connection.execute(text("SET LOCAL synchronous_commit TO OFF"))
            yield connection

    def _opened(self) -> Engine:
        self.open()
        engine = self._engine
        if engine is None:
            msg = "the ledger was closed while it was being opened"
            raise ConfigurationError(msg)
        return engine


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert ``rows``, replacing those with the same primary key; every row has the same columns."""
    if not rows:
        return
    build = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = build(table)
    key = [column.name for column in table.primary_key]
    replaced = {name: statement.excluded[name] for name in rows[0] if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=replaced), list(rows))


def chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut ``values`` into pieces that fit one IN list."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


def address_of(url: str) -> URL:
    """Return the parts of the address ``url``.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        return make_url(url)
    except ArgumentError as error:
        msg = "SCORING_LEDGER_URL is not a database address; use one such as sqlite:///var/ledger.db"
        raise ConfigurationError(msg) from error


def engine_for(url: str, database: str | None) -> Engine:
    """Return what connects to ``url``; the file ``database`` of SQLite is made when it is not there."""
    try:
        engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    except (ImportError, NoSuchModuleError) as error:
        kind = url.partition(":")[0]
        msg = f"SCORING_LEDGER_URL is a {kind} address, but its driver is not installed (for PostgreSQL: psycopg)"
        raise ConfigurationError(msg) from error
    if engine.dialect.name == "sqlite":
        if database and database != ":memory:":
            make_folder(Path(database).parent)
            with suppress(OSError):  # SQLite says it itself, and takes the rights of this file for those beside it
                make_file(Path(database))
        event.listen(engine, "connect", _durable)
        event.listen(engine, "begin", _begin)
    return engine


def _durable(connection: sqlite3.Connection, record: object) -> None:
    # The driver would otherwise begin transactions by itself, and too late for a read followed by a write.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA journal_mode=WAL")


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    # FULL: a committed receipt survives a power cut. Under WAL, NORMAL could lose the last ones.
    connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if options.get('ledger_durable', True) else 'NORMAL'}")
    # IMMEDIATE waits for the other writer at the start; a deferred transaction that reads, then writes, is refused.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("ledger_writes", False) else "BEGIN DEFERRED")


def _prepare(engine: Engine, shown: str) -> None:
    with engine.connect().execution_options(ledger_writes=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _CREATION_LOCK})
        METADATA.create_all(connection)
        found = connection.execute(select(SCHEMA.c.version)).scalar()
        if found is None:
            connection.execute(insert(SCHEMA).values(version=SCHEMA_VERSION))
        elif found > SCHEMA_VERSION:
            msg = f"the ledger {shown} has layout {found}, this version needs {SCHEMA_VERSION}; use a matching version"
            raise ConfigurationError(msg)
        elif found < SCHEMA_VERSION:
            _add_columns(connection)
            connection.execute(update(SCHEMA).values(version=SCHEMA_VERSION))


def _add_columns(connection: Connection) -> None:
    """Add the columns that tables of an earlier layout lack."""
    there, quoted = inspect(connection), connection.dialect.identifier_preparer
    for table in METADATA.sorted_tables:
        known = {column["name"] for column in there.get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                made = CreateColumn(column).compile(dialect=connection.dialect)
                connection.execute(text(f"ALTER TABLE {quoted.format_table(table)} ADD COLUMN {made}"))
