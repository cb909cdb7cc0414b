"""The sandbox's Salesforce: its records, those of the sales people and what clients wrote on top.

Belongs here: storing, finding, and that a unique value has one owner. Does not belong here: which values are allowed
(``salesforce_rules``), HTTP (``salesforce``).

What clients write lies in one SQLite file; the rest follows from the population and the clock.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scoring_platform.sandbox.salesforce_people import OWNERS, changes, record_id
from scoring_platform.sandbox.salesforce_query import Query, comparable
from scoring_platform.sandbox.salesforce_rules import RefusedError, rule_of, rules_of

if TYPE_CHECKING:
    from scoring_platform.sandbox.company import Company

DATABASE = "salesforce.db"

_TABLES = """
CREATE TABLE IF NOT EXISTS written (
    id TEXT PRIMARY KEY, sobject TEXT NOT NULL, fields TEXT NOT NULL, created_at INTEGER, modified_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS deleted (id TEXT PRIMARY KEY);
"""
_PREFIXES = {"Contact": "003", "Account": "001", "Opportunity": "006"}
_LAST_OF_POPULATION = 500_000_000
_OWNER_NAMES = {record_id("005", number): name for number, name in OWNERS.items()}


@dataclass
class Record:
    """One record as it stands."""

    id: str
    sobject: str
    values: dict[str, Any]
    created_at: int
    modified_at: int

    def seen(self) -> dict[str, Any]:
        """Return its fields the way queries compare them."""
        instants = {"CreatedDate": self.created_at, "LastModifiedDate": self.modified_at}
        owner = _OWNER_NAMES.get(self.values.get("OwnerId", ""))
        own = {"Id": self.id, "SystemModstamp": self.modified_at, "IsDeleted": False, "Owner.Name": owner}
        return {**self.values, **instants, **own}


class RecordStore:
    """Records of all kinds."""

    def __init__(self, company: Company) -> None:
        """Open the file in the company's state folder, made if missing."""
        self._company = company
        self._db = sqlite3.connect(company.state_dir / DATABASE, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(_TABLES)
        self._deleted = {row[0] for row in self._db.execute("SELECT id FROM deleted")}
        # New records of clients are numbered far above the population's, and no number is given twice.
        (last,) = self._db.execute("SELECT MAX(CAST(SUBSTR(id, 6, 10) AS INTEGER)) FROM written").fetchone()
        self._last = max(_LAST_OF_POPULATION, last or 0)
        self._reached = -1
        self._records: dict[str, Record] = {}
        self._by_value: dict[tuple[str, str, str], dict[str, None]] = {}

    def reach(self) -> int:
        """Bring the records to the moment the company lives in, and return it."""
        now = self._company.instant()
        if now < self._reached or self._reached < 0:
            self._rebuild(now)
        elif now > self._reached:
            self._go_on(now)
        return now

    def get(self, sobject: str, record: str) -> Record | None:
        """Return the record with this id of 15 or 18 characters."""
        found = self._records.get(record[:15])
        return found if found is not None and found.sobject == sobject else None

    def find(self, sobject: str, name: str, value: str) -> list[Record]:
        """Return the records with a value in an indexed field (Id, e-mail, external ids)."""
        if name == "Id":
            one = self.get(sobject, value)
            return [one] if one is not None else []
        return [self._records[short] for short in self._by_value.get((sobject, name, value.lower()), ())]

    def select(self, query: Query) -> list[Record]:
        """Return the records a query finds, in its order."""
        found = [record for record in self._candidates(query) if query.passes(record.seen())]
        for name, downwards in reversed(query.order):
            found.sort(key=partial(_place, name), reverse=downwards)
        return found[: query.limit] if query.limit is not None else found

    def insert(self, sobject: str, values: Mapping[str, Any], *, now: int) -> Record:
        """Store a new record.

        Raises:
            RefusedError: One of its unique values belongs to another record.
        """
        self._require_free(sobject, values, owner=None)
        self._last += 1
        made = Record(record_id(_PREFIXES[sobject], self._last), sobject, {}, now, now)
        self._records[made.id[:15]] = made
        return self._write(made, values, now=now, created_at=now)

    def update(self, record: Record, values: Mapping[str, Any], *, now: int) -> Record:
        """Change a record; None clears a field.

        Raises:
            RefusedError: One of its unique values belongs to another record.
        """
        self._require_free(record.sobject, values, owner=record.id)
        row = self._db.execute("SELECT created_at FROM written WHERE id = ?", (record.id,)).fetchone()
        return self._write(record, values, now=now, created_at=row[0] if row else None)

    def delete(self, record: Record) -> None:
        """Delete a record, for good."""
        self._db.execute("INSERT INTO deleted VALUES (?)", (record.id[:15],))
        self._db.execute("DELETE FROM written WHERE id = ?", (record.id,))
        self._deleted.add(record.id[:15])
        self._forget(record)
        del self._records[record.id[:15]]

    def is_deleted(self, record: str) -> bool:
        """Whether there was a record with this id."""
        return record[:15] in self._deleted

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep the changes made inside together, which is also quicker."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    def _candidates(self, query: Query) -> Iterator[Record]:
        if query.named is not None and self._is_indexed(query.sobject, query.named[0]):
            for value in query.named[1]:
                yield from self.find(query.sobject, query.named[0], value)
            return
        yield from (record for record in self._records.values() if record.sobject.lower() == query.sobject.lower())

    def _is_indexed(self, sobject: str, name: str) -> bool:
        return name in ("Id", "Email") or rule_of(sobject, name).external_id

    def _write(self, record: Record, values: Mapping[str, Any], *, now: int, created_at: int | None) -> Record:
        row = self._db.execute("SELECT fields FROM written WHERE id = ?", (record.id,)).fetchone()
        fields = {**(json.loads(row[0]) if row else {}), **values}
        self._db.execute(
            "INSERT OR REPLACE INTO written VALUES (?, ?, ?, ?, ?)",
            (record.id, record.sobject, json.dumps(fields), created_at, now),
        )
        self._change(record, values, now)
        return record

    def _change(self, record: Record, values: Mapping[str, Any], now: int) -> None:
        self._forget(record)
        record.values = {name: value for name, value in {**record.values, **values}.items() if value is not None}
        record.modified_at = max(record.modified_at, now)
        for key in self._index_of(record):
            self._by_value.setdefault(key, {})[record.id[:15]] = None

    def _forget(self, record: Record) -> None:
        for key in self._index_of(record):
            self._by_value.get(key, {}).pop(record.id[:15], None)

    def _index_of(self, record: Record) -> Iterator[tuple[str, str, str]]:
        for name, value in record.values.items():
            if value is not None and (name == "Email" or name.endswith("_Key__c")):
                yield record.sobject, name, str(value).lower()

    def _require_free(self, sobject: str, values: Mapping[str, Any], *, owner: str | None) -> None:
        for rule in rules_of(sobject).values():
            value = values.get(rule.name)
            if not rule.unique or value is None:
                continue
            holder = next((one for one in self.find(sobject, rule.name, str(value)) if one.id != owner), None)
            if holder is not None:
                msg = f"duplicate value found: {rule.name} duplicates value on record with id: {holder.id[:15]}"
                raise RefusedError("DUPLICATE_VALUE", msg, rule.name)

    def _rebuild(self, now: int) -> None:
        self._records, self._by_value, self._reached = {}, {}, -1
        self._go_on(now)
        for key, sobject, fields, created_at, at in self._db.execute("SELECT * FROM written ORDER BY rowid"):
            if created_at is not None or key[:15] in self._records:
                self._put(key, sobject, json.loads(fields), created_at=created_at or at, at=at)

    def _go_on(self, now: int) -> None:
        happened = [one for one in changes(self._company.population.books, now) if one.at > self._reached]
        for change in sorted((one for one in happened if not self.is_deleted(one.id)), key=lambda one: one.at):
            self._put(change.id, change.sobject, change.values, created_at=change.at, at=change.at)
        self._reached = now

    def _put(self, key: str, sobject: str, values: Mapping[str, Any], *, created_at: int, at: int) -> None:
        record = self._records.setdefault(key[:15], Record(key, sobject, {}, created_at, at))
        self._change(record, values, at)


def _place(name: str, record: Record) -> tuple[bool, Any]:
    value = record.seen().get(name)
    return value is not None, comparable(name, value)


def received(state_dir: Path) -> list[dict[str, Any]]:
    """Return what clients wrote: the fields of each record under their own names, with ``Id`` and ``type``."""
    path = state_dir / DATABASE
    if not path.exists():
        return []
    database = sqlite3.connect(path)
    try:
        rows = database.execute("SELECT id, sobject, fields FROM written ORDER BY rowid").fetchall()
    finally:
        database.close()
    return [{**json.loads(fields), "Id": key, "type": sobject} for key, sobject, fields in rows]
