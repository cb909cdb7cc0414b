"""The sandbox CRM's memory: contacts, companies, deals and their property definitions in one SQLite file.

Belongs here: storing, finding and paging, and that a unique value has one owner. Does not belong here: which values are
allowed (``hubspot_rules``), HTTP (``hubspot``).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import Any, Literal

Kind = Literal["contacts", "companies", "deals"]

_TABLES = """
CREATE TABLE IF NOT EXISTS records (
    kind TEXT, id INTEGER, properties TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    archived INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS record_definitions (
    kind TEXT, name TEXT, definition TEXT NOT NULL, PRIMARY KEY (kind, name));
CREATE TABLE IF NOT EXISTS record_values (
    kind TEXT, property TEXT, value TEXT, record_id INTEGER NOT NULL, PRIMARY KEY (kind, property, value));
CREATE INDEX IF NOT EXISTS values_of_record ON record_values (kind, record_id);
"""
_ALL = "id, properties, created_at, updated_at"

# Real record ids are large numbers; starting high keeps tests from mistaking one for a count.
FIRST_ID = 50_001


@dataclass(frozen=True)
class Record:
    """One record as stored."""

    id: str
    properties: Mapping[str, str]
    created_at: str
    updated_at: str


class ValueTakenError(Exception):
    """A unique value already belongs to ``record_id``."""

    def __init__(self, name: str, record_id: str) -> None:
        super().__init__(f"{name} is taken by record {record_id}")
        self.name = name
        self.record_id = record_id


class RecordStore:
    """Records of one kind and their definitions; safe to use from several threads."""

    def __init__(self, path: Path, kind: Kind) -> None:
        """Open ``path``, made if missing, for the records of ``kind``."""
        self._kind = kind
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA busy_timeout=10000")
        self._db.executescript(_TABLES)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all changes made inside, or none of them when it is left by an exception."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def is_empty(self) -> bool:
        """Whether nothing was ever stored."""
        return not self._rows("SELECT 1 FROM record_definitions WHERE kind = ? LIMIT 1", self._kind)

    def definitions(self) -> dict[str, dict[str, Any]]:
        """Return the property definitions by name."""
        rows = self._rows("SELECT name, definition FROM record_definitions WHERE kind = ?", self._kind)
        return {name: json.loads(text) for name, text in rows}

    def define(self, definition: Mapping[str, Any]) -> None:
        """Store a property definition."""
        said = json.dumps(definition)
        self._rows("INSERT INTO record_definitions VALUES (?, ?, ?)", self._kind, definition["name"], said)

    def get(self, record_id: str) -> Record | None:
        """Return the record with this id."""
        if not record_id.isdigit():
            return None
        found = self._select("id = ? AND archived = 0", int(record_id))
        return found[0] if found else None

    def find(self, name: str, value: str) -> Record | None:
        """Return the record that owns ``value`` of the unique property ``name``."""
        where = "id IN (SELECT record_id FROM record_values WHERE kind = ? AND property = ? AND value = ?)"
        found = self._select(where, self._kind, name, _canonical(value))
        return found[0] if found else None

    def page(self, *, after: int, limit: int) -> list[Record]:
        """Return up to ``limit`` records with an id above ``after``."""
        return self._select("id > ? AND archived = 0 ORDER BY id LIMIT ?", after, limit)

    def insert(
        self, properties: Mapping[str, str], *, unique: Sequence[str], now: datetime, key: int | None = None
    ) -> Record:
        """Store a new record, under ``key`` or a number not given before.

        Raises:
            ValueTakenError: One of its unique values belongs to another record.
        """
        self._check_free(properties, unique, owner=None)
        stamp = iso(now)
        values = {name: value for name, value in properties.items() if value != ""}
        with self._lock:
            (last,) = self._rows("SELECT MAX(id) FROM records WHERE kind = ?", self._kind)[0]
            number = key or max(FIRST_ID, (last or 0) + 1)
            said = json.dumps(values)
            self._rows("INSERT INTO records VALUES (?, ?, ?, ?, ?, 0)", self._kind, number, said, stamp, stamp)
        record = Record(str(number), values, stamp, stamp)
        self._own(record, unique)
        return record

    def update(self, record: Record, changes: Mapping[str, str], *, unique: Sequence[str], now: datetime) -> Record:
        """Change a record; an empty value clears the property.

        Raises:
            ValueTakenError: One of its unique values belongs to another record.
        """
        self._check_free(changes, unique, owner=record.id)
        values = {name: value for name, value in {**record.properties, **changes}.items() if value != ""}
        changed = Record(record.id, values, record.created_at, iso(now))
        self._rows(
            "UPDATE records SET properties = ?, updated_at = ? WHERE kind = ? AND id = ?",
            json.dumps(values),
            changed.updated_at,
            self._kind,
            int(record.id),
        )
        self._disown(record)
        self._own(changed, unique)
        return changed

    def archive(self, record: Record) -> None:
        """Delete a record; its number is not given again."""
        self._rows("UPDATE records SET archived = 1 WHERE kind = ? AND id = ?", self._kind, int(record.id))
        self._disown(record)

    def _check_free(self, properties: Mapping[str, str], unique: Sequence[str], *, owner: str | None) -> None:
        for name in unique:
            value = properties.get(name, "")
            holder = self.find(name, value) if value else None
            if holder is not None and holder.id != owner:
                raise ValueTakenError(name, holder.id)

    def _own(self, record: Record, unique: Sequence[str]) -> None:
        for name in unique:
            value = record.properties.get(name)
            if value:
                owned = (self._kind, name, _canonical(value), int(record.id))
                self._rows("INSERT INTO record_values VALUES (?, ?, ?, ?)", *owned)

    def _disown(self, record: Record) -> None:
        self._rows("DELETE FROM record_values WHERE kind = ? AND record_id = ?", self._kind, int(record.id))

    def _select(self, where: str, *values: object) -> list[Record]:
        rows = self._rows(f"SELECT {_ALL} FROM records WHERE kind = ? AND {where}", self._kind, *values)  # noqa: S608
        return [Record(str(row[0]), json.loads(row[1]), row[2], row[3]) for row in rows]

    def _rows(self, statement: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()


def iso(moment: datetime) -> str:
    """Write an instant the way the vendor does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _canonical(value: str) -> str:
    return value.strip().lower()
