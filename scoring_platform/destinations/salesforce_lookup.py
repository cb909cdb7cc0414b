"""Which contact of Salesforce a customer is, found with few calls.

Belongs here: looking contacts up by record id, by our key and by address. Does not belong here: what follows from it
(``salesforce``).

For many customers at once one pass over all contacts may take fewer calls than asking for each: the number of
contacts decides, and only those that are somebody's are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any
from urllib.parse import quote_plus

from scoring_platform.destinations.protocol import CrmWrite
from scoring_platform.errors import PermanentError
from scoring_platform.http.salesforce import Record, Session, listed, quoted
from scoring_platform.http.salesforce import field as field_of

MAX_QUERY = 3_700
"""Characters of an encoded query, so that the whole address stays below 4,000."""

PER_PAGE = 2_000
"""Records of one answer."""

_ID_CHARACTERS = 15
_ASKED_PER_CALL = 100
"""Customers one look-up asks for, roughly: what the length of an address allows."""


@dataclass(frozen=True)
class Found:
    """A contact that Salesforce has."""

    id: str
    key: str | None
    email: str = field(default="", repr=False)


@dataclass
class Known:
    """Contacts by what they are asked for."""

    by_id: dict[str, Found] = field(default_factory=dict)
    by_key: dict[str, Found] = field(default_factory=dict)
    by_email: dict[str, list[Found]] = field(default_factory=dict)

    def add(self, found: Found) -> None:
        """Take a contact in, once."""
        if short(found.id) in self.by_id:
            return
        self.by_id[short(found.id)] = found
        if found.key:
            self.by_key[found.key.lower()] = found
        if found.email:
            self.by_email.setdefault(found.email, []).append(found)

    def of(self, write: CrmWrite) -> Found | None:
        """Return the contact of a customer: by our key, by record id, by address."""
        by_key = self.by_key.get(write.customer_id.lower())
        by_id = self.by_id.get(short(write.destination_id)) if write.destination_id else None
        return by_key or by_id or self.at(normal(write.email))

    def at(self, email: str) -> Found | None:
        """Return the contact with an address: of several one that is nobody's yet, the lowest id of those."""
        return min(self.by_email.get(email, ()), key=lambda one: (one.key is not None, one.id), default=None)


class Lookup:
    """Looks contacts up.

    Args:
        session: The organisation.
        key: Our key field.
        scan_from: Customers from which on a pass over all contacts is considered.
    """

    def __init__(self, session: Session, key: str, *, scan_from: int) -> None:
        self._session = session
        self._key = key
        self._scan_from = scan_from

    def locate(self, writes: Sequence[CrmWrite]) -> Known:
        """Return the contacts that may be those of ``writes``."""
        known = Known()
        if len(writes) >= self._scan_from and self._scan_is_cheaper(len(writes)):
            self._scan(writes, known)
            return known
        self._ask("Id", [write.destination_id for write in writes if write.destination_id], known)
        self._ask("Key", [one.customer_id for one in writes if not self._is_sure(one, known)], known)
        rest = [one for one in writes if known.of(one) is None]
        self._ask("Email", [normal(one.email) for one in rest if normal(one.email)], known)
        return known

    def by_email(self, emails: Iterable[str]) -> Known:
        """Return the contacts with these addresses."""
        known = Known()
        self._ask("Email", list(emails), known)
        return known

    def held(self, ids: Sequence[str], fields: Sequence[str], *, sobject: str) -> dict[str, dict[str, Any]]:
        """Return what records hold in ``fields``, by the short form of their ids."""
        names = ", ".join(dict.fromkeys(("Id", *fields)))
        start = f"SELECT {names} FROM {sobject} WHERE Id IN "  # noqa: S608 - fields of the configuration
        found: dict[str, dict[str, Any]] = {}
        for some in pieces(list(dict.fromkeys(ids)), MAX_QUERY - len(quote_plus(f"{start}()"))):
            for page in self._session.query(start + listed(some)):
                for record in page:
                    found[short(field_of(record, "Id"))] = {name: field_of(record, name) for name in fields}
        return found

    def _is_sure(self, write: CrmWrite, known: Known) -> bool:
        """Whether the record we know still carries our key."""
        return write.customer_id.lower() in known.by_key

    def _ask(self, by: str, values: Sequence[str], known: Known) -> None:
        name = self._key if by == "Key" else by
        start = f"{self._select} WHERE {name} IN "
        for some in pieces(list(dict.fromkeys(values)), MAX_QUERY - len(quote_plus(f"{start}()"))):
            for page in self._session.query(start + listed(some)):
                for record in page:
                    known.add(self._found(record))

    def _scan_is_cheaper(self, customers: int) -> bool:
        return ceil(self._session.count("Contact") / PER_PAGE) + 1 < ceil(customers / _ASKED_PER_CALL)

    def _scan(self, writes: Sequence[CrmWrite], known: Known) -> None:
        keys = {write.customer_id.lower() for write in writes}
        ids = {short(write.destination_id) for write in writes if write.destination_id}
        emails = {normal(write.email) for write in writes}
        for found in self._everyone():
            if (found.key or "").lower() in keys or short(found.id) in ids or found.email in emails:
                known.add(found)

    def _everyone(self) -> Iterator[Found]:
        last = ""
        while True:
            after = f" WHERE Id > {quoted(last)}" if last else ""
            soql = f"{self._select}{after} ORDER BY Id LIMIT {PER_PAGE}"
            records = [record for page in self._session.query(soql) for record in page]
            yield from (self._found(record) for record in records)
            if len(records) < PER_PAGE:
                return
            if self._found(records[-1]).id == last:
                msg = "salesforce gave the same page of contacts twice: reading on would never end"
                raise PermanentError(msg)
            last = self._found(records[-1]).id

    @property
    def _select(self) -> str:
        return f"SELECT Id, Email, {self._key} FROM Contact"  # noqa: S608 - a field of the configuration

    def _found(self, record: Record) -> Found:
        given = {name: field_of(record, name) for name in ("Id", "Email", self._key)}
        if not given["Id"]:
            msg = "salesforce answered a query for contacts with one that has no Id"
            raise PermanentError(msg)
        key = str(given[self._key]) if given[self._key] else None
        return Found(str(given["Id"]), key, normal(given["Email"]))


def pieces(values: Sequence[str], length: int) -> Iterator[list[str]]:
    """Yield ``values`` in lists that take at most ``length`` characters of an address each."""
    some: list[str] = []
    size = 0
    for value in values:
        more = len(quote_plus(quoted(value))) + len(quote_plus(","))
        if some and size + more > length:
            yield some
            some, size = [], 0
        some.append(value)
        size += more
    if some:
        yield some


def short(record_id: str | None) -> str:
    """Return a record id in the length that all forms of it share."""
    return (record_id or "")[:_ID_CHARACTERS]


def normal(email: str | None) -> str:
    """Return an address the way addresses are compared."""
    return (email or "").strip().lower()
