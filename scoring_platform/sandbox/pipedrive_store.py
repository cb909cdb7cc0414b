"""The sandbox's Pipedrive memory: what clients wrote, in one SQLite file.

Belongs here: storing and giving back records, fields and notes, and the log of what came in. Does not belong here:
which values are allowed (``pipedrive_rules``), HTTP (``pipedrive``).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Literal

DATABASE = "pipedrive.db"

FIRST_MADE = 50_001
FIRST_NOTE = 80_001

_TABLES = """
CREATE TABLE IF NOT EXISTS records (kind TEXT, id INTEGER, item TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS record_fields (
    kind TEXT, code TEXT, place INTEGER NOT NULL, item TEXT NOT NULL, PRIMARY KEY (kind, code));
CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, item TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS received (place INTEGER PRIMARY KEY AUTOINCREMENT, item TEXT NOT NULL);
"""

# Ids of records that were there before stand below those made here.
_NEXT_RECORD = "SELECT MAX(COALESCE(MAX(id), 0), ?) + 1 FROM records WHERE kind = ?"
_NEXT_NOTE = "SELECT MAX(COALESCE(MAX(id), 0), ?) + 1 FROM notes"

Item = dict[str, Any]
Kind = Literal["persons", "organizations", "deals"]


class PipedriveStore:
    """Records, fields, notes and the log; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open ``path``, made if missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA busy_timeout=10000")
        self._db.executescript(_TABLES)

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

    def records(self, kind: Kind) -> dict[int, Item]:
        """Return what clients wrote about records of a kind, by id."""
        rows = self._rows("SELECT id, item FROM records WHERE kind = ? ORDER BY id", kind)
        return {row[0]: json.loads(row[1]) for row in rows}

    def record(self, kind: Kind, key: int) -> Item:
        """Return what clients wrote about one record; empty when nothing."""
        rows = self._rows("SELECT item FROM records WHERE kind = ? AND id = ?", kind, key)
        return json.loads(rows[0][0]) if rows else {}

    def keep(self, kind: Kind, item: Mapping[str, Any], key: int | None = None) -> int:
        """Store what is known of a record, a new one without an id; return the id."""
        with self._lock:
            if key is None:
                key = self._next(_NEXT_RECORD, FIRST_MADE, kind)
            self._rows("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", kind, key, json.dumps(dict(item)))
            return key

    def fields(self, kind: Kind) -> dict[str, Item]:
        """Return the custom fields of a kind by key, in the order they were made."""
        rows = self._rows("SELECT code, item FROM record_fields WHERE kind = ? ORDER BY place", kind)
        return {row[0]: json.loads(row[1]) for row in rows}

    def keep_field(self, kind: Kind, code: str, item: Mapping[str, Any]) -> None:
        """Store a field."""
        with self._lock:
            place = self._rows("SELECT place FROM record_fields WHERE kind = ? AND code = ?", kind, code)
            at = place[0][0] if place else len(self.fields(kind))
            said = json.dumps(dict(item))
            self._rows("INSERT OR REPLACE INTO record_fields VALUES (?, ?, ?, ?)", kind, code, at, said)

    def drop_field(self, kind: Kind, code: str) -> None:
        """Forget a field."""
        self._rows("DELETE FROM record_fields WHERE kind = ? AND code = ?", kind, code)

    def notes(self, person_id: int | None = None) -> dict[int, Item]:
        """Return the notes by id, of one person or of all."""
        rows = self._rows("SELECT id, item, person_id FROM notes ORDER BY id")
        return {row[0]: json.loads(row[1]) for row in rows if person_id in (None, row[2])}

    def keep_note(self, item: Mapping[str, Any], *, person_id: int, note_id: int | None = None) -> int:
        """Store a note, a new one without an id; return the id."""
        with self._lock:
            if note_id is None:
                note_id = self._next(_NEXT_NOTE, FIRST_NOTE)
            self._rows("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", note_id, person_id, json.dumps(dict(item)))
            return note_id

    def log(self, item: Mapping[str, Any]) -> None:
        """Note what a client wrote."""
        self._rows("INSERT INTO received (item) VALUES (?)", json.dumps(dict(item), ensure_ascii=False))

    def received(self) -> list[Item]:
        """Return what clients wrote, in the order it came."""
        return [json.loads(row[0]) for row in self._rows("SELECT item FROM received ORDER BY place")]

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _next(self, statement: str, first: int, *values: object) -> int:
        return int(self._rows(statement, first - 1, *values)[0][0])

    def _rows(self, statement: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()
