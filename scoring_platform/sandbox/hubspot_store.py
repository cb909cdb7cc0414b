"""The sandbox CRM's memory: contacts and property definitions in one SQLite file.

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
from typing import Any

_TABLES = """
CREATE TABLE IF NOT EXISTS contacts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, properties TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS definitions (name TEXT PRIMARY KEY, definition TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS unique_values (
    property TEXT NOT NULL, value TEXT NOT NULL, contact_id INTEGER NOT NULL, PRIMARY KEY (property, value));
"""

# Real record ids are large numbers; starting high keeps tests from mistaking one for a count.
FIRST_ID = 50_001


@dataclass(frozen=True)
class Contact:
    """One contact as stored."""

    id: str
    properties: Mapping[str, str]
    created_at: str
    updated_at: str


class ValueTakenError(Exception):
    """A unique value already belongs to ``contact_id``."""

    def __init__(self, name: str, contact_id: str) -> None:
        super().__init__(f"{name} is taken by contact {contact_id}")
        self.name = name
        self.contact_id = contact_id


class ContactStore:
    """Contacts and definitions; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open ``path``, made if missing."""
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
        return not self._rows("SELECT 1 FROM definitions LIMIT 1")

    def definitions(self) -> dict[str, dict[str, Any]]:
        """Return the property definitions by name."""
        return {name: json.loads(text) for name, text in self._rows("SELECT name, definition FROM definitions")}

    def define(self, definition: Mapping[str, Any]) -> None:
        """Store a property definition."""
        self._rows("INSERT INTO definitions VALUES (?, ?)", definition["name"], json.dumps(definition))

    def get(self, contact_id: str) -> Contact | None:
        """Return the contact with this id."""
        if not contact_id.isdigit():
            return None
        rows = self._rows("SELECT * FROM contacts WHERE id = ?", int(contact_id))
        return _contact(rows[0]) if rows else None

    def find(self, name: str, value: str) -> Contact | None:
        """Return the contact that owns ``value`` of the unique property ``name``."""
        rows = self._rows(
            "SELECT c.* FROM contacts c JOIN unique_values u ON u.contact_id = c.id"
            " WHERE u.property = ? AND u.value = ?",
            name,
            _canonical(value),
        )
        return _contact(rows[0]) if rows else None

    def page(self, *, after: int, limit: int) -> list[Contact]:
        """Return up to ``limit`` contacts with an id above ``after``."""
        rows = self._rows("SELECT * FROM contacts WHERE id > ? ORDER BY id LIMIT ?", after, limit)
        return [_contact(row) for row in rows]

    def insert(self, properties: Mapping[str, str], *, unique: Sequence[str], now: datetime) -> Contact:
        """Store a new contact.

        Raises:
            ValueTakenError: One of its unique values belongs to another contact.
        """
        self._check_free(properties, unique, owner=None)
        stamp = iso(now)
        values = {name: value for name, value in properties.items() if value != ""}
        with self._lock:
            cursor = self._db.execute(
                "INSERT INTO contacts (id, properties, created_at, updated_at)"
                " VALUES ((SELECT COALESCE(MAX(id), ?) + 1 FROM contacts), ?, ?, ?)",
                (FIRST_ID - 1, json.dumps(values), stamp, stamp),
            )
            contact = Contact(str(cursor.lastrowid), values, stamp, stamp)
        self._own(contact, unique)
        return contact

    def update(self, contact: Contact, changes: Mapping[str, str], *, unique: Sequence[str], now: datetime) -> Contact:
        """Change a contact; an empty value clears the property.

        Raises:
            ValueTakenError: One of its unique values belongs to another contact.
        """
        self._check_free(changes, unique, owner=contact.id)
        values = {name: value for name, value in {**contact.properties, **changes}.items() if value != ""}
        changed = Contact(contact.id, values, contact.created_at, iso(now))
        self._rows(
            "UPDATE contacts SET properties = ?, updated_at = ? WHERE id = ?",
            json.dumps(values),
            changed.updated_at,
            int(contact.id),
        )
        self._rows("DELETE FROM unique_values WHERE contact_id = ?", int(contact.id))
        self._own(changed, unique)
        return changed

    def _check_free(self, properties: Mapping[str, str], unique: Sequence[str], *, owner: str | None) -> None:
        for name in unique:
            value = properties.get(name, "")
            holder = self.find(name, value) if value else None
            if holder is not None and holder.id != owner:
                raise ValueTakenError(name, holder.id)

    def _own(self, contact: Contact, unique: Sequence[str]) -> None:
        for name in unique:
            value = contact.properties.get(name)
            if value:
                self._rows("INSERT INTO unique_values VALUES (?, ?, ?)", name, _canonical(value), int(contact.id))

    def _rows(self, statement: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()


def iso(moment: datetime) -> str:
    """Write an instant the way the vendor does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _canonical(value: str) -> str:
    return value.strip().lower()


def _contact(row: Sequence[Any]) -> Contact:
    return Contact(str(row[0]), json.loads(row[1]), row[2], row[3])
