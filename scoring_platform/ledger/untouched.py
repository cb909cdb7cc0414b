"""Reads a ledger without changing a byte of it: no table is made, no lock is taken, no file appears beside it.

Belongs here: how a ledger is opened by who may only look. Does not belong here: everything that records (``store``).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, inspect, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from scoring_platform.errors import ConfigurationError
from scoring_platform.ledger.models import ModelVersion, keep_version
from scoring_platform.ledger.schema import MODELS, SCHEMA, SCHEMA_VERSION
from scoring_platform.ledger.store import BUSY_SECONDS, Ledger, address_of, engine_for

_ATTEMPTS = 5


def copy_of_models(url: str) -> Ledger:
    """Return a ledger in memory with the model versions of the one at ``url``; a ledger that is not there has none.

    Raises:
        ConfigurationError: The ledger cannot be read, or was made by a later version of the platform.
    """
    copy = Ledger("sqlite://").open()
    for version in _versions(url):
        keep_version(copy, version)
    return copy


def _versions(url: str) -> list[ModelVersion]:
    address = address_of(url)
    if address.get_backend_name() != "sqlite":
        return _read(engine_for(url, None), address.render_as_string(hide_password=True))
    path = Path(address.database or "").absolute()
    return _read_file(path) if path.is_file() else []


def _read_file(path: Path) -> list[ModelVersion]:
    """Read a file of SQLite, again if a writer came between."""
    shown = f"sqlite:///{path}"
    for _ in range(_ATTEMPTS):
        seen = _state(path)
        if seen[0]:  # somebody writes, or was killed: SQLite itself sees to it that one state is read
            return _read(_file_engine(path, "mode=ro"), shown)
        # Nobody does. Told that the file is immutable, SQLite makes no files of its own beside it.
        try:
            found = _read(_file_engine(path, "mode=ro&immutable=1"), shown)
        except ConfigurationError:
            if _state(path) == seen:
                raise
            continue
        if _state(path) == seen:
            return found
    msg = f"the ledger {shown} changes too quickly to be read; try again"
    raise ConfigurationError(msg)


def _state(path: Path) -> tuple[bool, int, int]:
    """Return whether there is a log of changes, and by what a change of the file itself is noticed."""
    found = path.stat()
    return Path(f"{path}-wal").exists(), found.st_mtime_ns, found.st_size


def _file_engine(path: Path, options: str) -> Engine:
    address = f"file:{quote(str(path))}?{options}"
    return create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS), poolclass=NullPool
    )


def _read(engine: Engine, shown: str) -> list[ModelVersion]:
    try:
        with engine.connect() as connection:
            there = inspect(connection)
            if not there.has_table(MODELS.name):
                return []
            layout = connection.execute(select(SCHEMA.c.version)).scalar()
            if layout is not None and layout > SCHEMA_VERSION:
                msg = f"the ledger {shown} has layout {layout}, this version knows {SCHEMA_VERSION}; use a matching one"
                raise ConfigurationError(msg)
            rows = connection.execute(select(MODELS)).all()
    except DatabaseError as error:
        msg = f"the ledger {shown} cannot be read: {error.orig}"
        raise ConfigurationError(msg) from error
    finally:
        engine.dispose()
    return [ModelVersion(row.month, row.inputs, row.refit, row.payload, row.made_at) for row in rows]
