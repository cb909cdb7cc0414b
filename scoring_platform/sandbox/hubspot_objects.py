"""The sandbox CRM's contacts, companies and deals: what they are now, and the carrying out of one write.

Belongs here: finding, listing and writing records of one kind. Does not belong here: who may ask how often
(``hubspot_account``), addresses and the shape of answers (``hubspot``), validation (``hubspot_rules``), storage
(``hubspot_store``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from scoring_platform.sandbox.days import moment
from scoring_platform.sandbox.hubspot_past import (
    FIRST_COMPANY,
    FIRST_DEAL,
    Past,
    as_of,
    companies,
    deal_numbers,
    deal_of,
    opened_at,
)
from scoring_platform.sandbox.hubspot_rules import RefusedError, check_values, standard_definitions
from scoring_platform.sandbox.hubspot_store import FIRST_ID, Kind, Record, RecordStore, ValueTakenError, iso

if TYPE_CHECKING:
    from scoring_platform.sandbox.company import Company

DATABASE = "hubspot.db"
CALLED: Mapping[Kind, str] = {"contacts": "CONTACT", "companies": "COMPANY", "deals": "DEAL"}

_READ_AT_ONCE = 500


class Objects:
    """The records of one kind."""

    def __init__(self, company: Company, kind: Kind, pasts: Sequence[Past]) -> None:
        """Open the store of ``company``, and fill it with what was there before anybody wrote."""
        self.kind = kind
        self.store = RecordStore(company.state_dir / DATABASE, kind)
        self._company = company
        self._pasts = pasts
        if self.store.is_empty():
            self._seed()

    def seen(self, record: Record) -> Record:
        """Return a stored record as it is now, with what sales people have done since."""
        now = self._company.clock.instant()
        if self.kind == "contacts":
            number = int(record.id) - FIRST_ID
            return as_of(record, self._pasts[number], now) if number < len(self._pasts) else record
        if self.kind == "deals":
            number = int(record.id) - FIRST_DEAL
            return deal_of(number, self._pasts[number], now).shown(record) if number < len(self._pasts) else record
        return record

    def contacts_of(self, record: Record) -> tuple[str, ...]:
        """Return the contacts of a deal."""
        number = int(record.id) - FIRST_DEAL
        if self.kind != "deals" or number >= len(self._pasts):
            return ()
        return deal_of(number, self._pasts[number], self._company.clock.instant()).contacts

    def listed(self, *, after: int = 0, limit: int | None = None) -> list[Record]:
        """Return up to ``limit`` records with an id above ``after``; what is still to come is not there."""
        return list(islice(self._made(after), limit))

    def write(self, operation: str, item: Mapping[str, Any]) -> tuple[Record, bool]:
        """Carry out one input; return the record and whether it is new.

        Raises:
            RefusedError: The input is refused; nothing was changed.
        """
        known = self.store.definitions()
        unique = [name for name, one in known.items() if one["hasUniqueValue"] and name != "hs_object_id"]
        values = check_values(item.get("properties"), known)
        record, id_property = None, item.get("idProperty")
        if operation != "create":
            record = self.locate(item, id_property, known)
            if record is None and operation == "update":
                raise RefusedError(404, "OBJECT_NOT_FOUND", self.not_found)
        try:
            if record is not None:
                return self.store.update(record, values, unique=unique, now=self._company.now()), False
            if operation == "upsert" and id_property:
                values = {**values, **check_values({id_property: item["id"]}, known)}
            return self.store.insert(values, unique=unique, now=self._company.now()), True
        except ValueTakenError as taken:
            message = f"{CALLED[self.kind].capitalize()} already exists. Existing ID: {taken.record_id}"
            raise RefusedError(409, "CONFLICT", message, code="CONFLICT", prop=taken.name) from taken

    def locate(
        self, item: Mapping[str, Any], id_property: str | None, known: Mapping[str, Mapping[str, Any]]
    ) -> Record | None:
        """Return the record an input names.

        Raises:
            RefusedError: The input names nothing, or by a property that is not unique.
        """
        identifier = item.get("id")
        if not isinstance(identifier, str) or not identifier:
            raise RefusedError(400, "VALIDATION_ERROR", "Invalid input JSON: some required fields were not set: [id]")
        if not id_property or id_property == "hs_object_id":
            return self.store.get(identifier)
        if not known.get(id_property, {}).get("hasUniqueValue"):
            message = f"{id_property} is not a unique property of {CALLED[self.kind]}"
            raise RefusedError(400, "VALIDATION_ERROR", message)
        return self.store.find(id_property, identifier)

    @property
    def not_found(self) -> str:
        """The words about records that are not there."""
        called = CALLED[self.kind]
        return f"Could not get some {called} objects, they may be deleted or not exist. Check that ids are valid."

    def _seed(self) -> None:
        with self.store.transaction():
            for definition in standard_definitions(self.kind):
                self.store.define(definition)
            if self.kind == "contacts":
                for past in self._pasts:
                    self.store.insert(past.first, unique=["email"], now=moment(past.made_at))
            elif self.kind == "companies":
                for number, (name, made_at) in enumerate(companies(self._pasts)):
                    self.store.insert({"name": name}, unique=[], now=moment(made_at), key=FIRST_COMPANY + number)
            else:
                for number in deal_numbers(self._pasts):
                    made_at = opened_at(self._pasts[number])
                    self.store.insert({}, unique=[], now=moment(made_at), key=FIRST_DEAL + number)

    def _made(self, after: int) -> Iterator[Record]:
        now = iso(self._company.now())
        while page := self.store.page(after=after, limit=_READ_AT_ONCE):
            yield from (self.seen(record) for record in page if record.created_at <= now)
            after = int(page[-1].id)
