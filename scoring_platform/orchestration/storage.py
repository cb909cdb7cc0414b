"""The event log of one machine: Dagster's consolidated SQLite storage with connections that stay open.

Dagster opens and closes a connection per event; closing the last one makes SQLite copy its log and wait for the disk
twice. A range of a year writes thousands of events, so that waiting was most of a first load. WAL with
``synchronous=NORMAL`` keeps the file intact whatever happens; a power cut may lose the last events, never a table row,
which the lake and the ledger hold.

Belongs here: how connections are made. Does not belong here: what is stored.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from sqlalchemy import Connection, Engine, create_engine, event, inspect

_BUSY_SECONDS = 60


class LocalEventLogStorage(ConsolidatedSqliteEventLogStorage):
    """Consolidated SQLite event log for one machine."""

    @cached_property
    def _engine(self) -> Engine:
        engine = create_engine(self._conn_string, connect_args={"timeout": _BUSY_SECONDS})
        event.listen(engine, "connect", _without_waiting)
        return engine

    @cached_property
    def _tables(self) -> set[str]:
        return set()

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self._engine.connect() as connection, connection.begin():
            yield connection

    def has_table(self, table_name: str) -> bool:
        """Return whether the table exists; asked with every check event, and a table never goes away."""
        if table_name not in self._tables:
            if not inspect(self._engine).has_table(table_name):
                return False
            self._tables.add(table_name)
        return True

    def dispose(self) -> None:
        """Close the connections with the storage."""
        super().dispose()  # type: ignore[no-untyped-call]
        self._engine.dispose()


def _without_waiting(connection: sqlite3.Connection, record: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")
