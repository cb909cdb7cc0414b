"""The sandbox's Pipedrive records: persons, organizations and deals as salespeople and clients have left them.

Belongs here: what a record is at a moment. Does not belong here: what salespeople do (``pipedrive_past``), storage
(``pipedrive_store``), addresses (``pipedrive``, ``pipedrive_sales``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from scoring_platform.sandbox.days import iso_z
from scoring_platform.sandbox.pipedrive_past import (
    Deal,
    Organization,
    PastPerson,
    past_deal,
    past_deals,
    past_organization,
    past_organizations,
    past_person,
    past_persons,
)
from scoring_platform.sandbox.pipedrive_rules import RefusedError, own_fields
from scoring_platform.sandbox.pipedrive_store import Item, Kind, PipedriveStore

if TYPE_CHECKING:
    from scoring_platform.sandbox.company import Company

_BARE: Mapping[Kind, Item] = {
    "persons": {
        "owner_id": 71_001, "org_id": None, "label_ids": [], "marketing_status": "no_consent", "is_deleted": False,
    },
    "organizations": {"owner_id": 71_001, "is_deleted": False},
    "deals": {"owner_id": 71_001, "is_deleted": False},
}  # fmt: skip
"""What a record that a client made has without being told."""


class Records:
    """The records of one company, and the fields they have."""

    def __init__(self, company: Company, store: PipedriveStore) -> None:
        """Show what is in ``store`` on top of what happened by itself."""
        self._company = company
        self._store = store

    @cached_property
    def addresses(self) -> tuple[str, ...]:
        """The persons who were there before anybody wrote."""
        return self._company.crm_seed()

    def all_fields(self, kind: Kind) -> list[Item]:
        """Return Pipedrive's own fields and the custom ones."""
        return [*own_fields(kind), *self._store.fields(kind).values()]

    def listed(self, kind: Kind) -> Iterator[Item]:
        """Yield all records of a kind as they are now."""
        written = self._store.records(kind)
        for past in self._past(kind, self._company.clock.instant()):
            item = _merged(past, written.pop(past["id"], {}))
            if not item["is_deleted"]:
                yield item
        for key, item in written.items():
            if not item.get("is_deleted"):
                yield {**_BARE[kind], **item, "id": key}

    def one(self, kind: Kind, key: int) -> Item:
        """Return one record as it is now.

        Raises:
            RefusedError: There is none.
        """
        written, past = self._store.record(kind, key), self._past_one(kind, key, self._company.clock.instant())
        item: Item = {**_BARE[kind], **written, "id": key} if written else {"is_deleted": True}
        item = item if past is None else _merged(past, written)
        if item["is_deleted"]:
            raise RefusedError(404, f"{kind[:-1].capitalize()} not found", code="ERR_NOT_FOUND")
        return item

    def write(self, kind: Kind, changes: Item, key: int | None = None) -> Item:
        """Store changes of a record, a new one without an id; return the record as it then is."""
        now = iso_z(self._company.clock.instant())
        before = {} if key is None else self._store.record(kind, key)
        values = {**before.get("custom_fields", {}), **changes.get("custom_fields", {})}
        item = {**before, **changes, "custom_fields": values, "update_time": now}
        if key is None:
            item = {"add_time": now, **item}
        return self.one(kind, self._store.keep(kind, item, key))

    def delete(self, kind: Kind, key: int) -> None:
        """Delete a record.

        Raises:
            RefusedError: There is none.
        """
        self.one(kind, key)
        self._store.keep(kind, {**self._store.record(kind, key), "is_deleted": True}, key)

    def _past(self, kind: Kind, now: int) -> Iterator[Item]:
        if kind == "persons":
            return (_person(one) for one in past_persons(self.addresses, now))
        if kind == "organizations":
            return (_organization(one) for one in past_organizations(len(self.addresses), now))
        return (_deal(one) for one in past_deals(len(self.addresses), now))

    def _past_one(self, kind: Kind, key: int, now: int) -> Item | None:
        if kind == "persons":
            person = past_person(key, self.addresses, now)
            return None if person is None else _person(person)
        if kind == "organizations":
            organization = past_organization(key, len(self.addresses), now)
            return None if organization is None else _organization(organization)
        deal = past_deal(key, len(self.addresses), now)
        return None if deal is None else _deal(deal)


def _merged(past: Item, written: Item) -> Item:
    """Return a record of before with what clients wrote."""
    update = max(past["update_time"], str(written.get("update_time") or ""))
    return {**past, **written, "id": past["id"], "update_time": update}


def _person(past: PastPerson) -> Item:
    return {
        "id": past.id,
        "name": past.email,
        "owner_id": past.owner,
        "org_id": past.organization,
        "add_time": iso_z(past.added_at),
        "update_time": iso_z(past.updated_at),
        "emails": [{"value": past.email, "primary": True, "label": "work"}],
        "label_ids": [] if past.label is None else [past.label],
        "marketing_status": past.marketing,
        "custom_fields": {},
        "is_deleted": False,
    }


def _organization(past: Organization) -> Item:
    return {
        "id": past.id,
        "name": f"Organization {past.id}",
        "owner_id": past.owner,
        "add_time": iso_z(past.added_at),
        "update_time": iso_z(past.added_at),
        "custom_fields": {},
        "is_deleted": False,
    }


def _deal(past: Deal) -> Item:
    closed = None if past.closed_at is None else iso_z(past.closed_at)
    return {
        "id": past.id,
        "title": f"Deal {past.id}",
        "owner_id": past.owner,
        "person_id": past.person,
        "org_id": past.organization,
        "pipeline_id": 1,
        "stage_id": past.stage,
        "value": past.value,
        "currency": "JPY",
        "add_time": iso_z(past.added_at),
        "update_time": iso_z(past.updated_at),
        "is_deleted": False,
        "status": past.status,
        "close_time": closed,
        "won_time": closed if past.status == "won" else None,
        "lost_time": closed if past.status == "lost" else None,
        "custom_fields": {},
    }
