"""HubSpot CRM: the platform's values as properties of contacts, companies and deals.

Belongs here: which contact a customer is, and which call writes a record. Does not belong here: batch answers
(``hubspot_batches``), property definitions (``hubspot_properties``).

A private-app token with the scopes ``crm.objects.contacts.read``, ``crm.objects.contacts.write``,
``crm.schemas.contacts.read`` and ``crm.schemas.contacts.write`` is needed, and the same of ``companies`` and ``deals``
where values stand there; its limits are kept by ``http.hubspot``.

HubSpot's upsert by e-mail is no partial update, so a property of ours with unique values is the key. A contact is
looked for by that key, then by the record id we know, then by e-mail: a contact that was there before us is given our
key (adopted) and never doubled, and one that was deleted is not brought back without its address. Companies and deals
are the sales people's: they are written by record id, and none is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from scoring_platform.config.connections import HubspotDestination
from scoring_platform.destinations import hubspot_batches as batches
from scoring_platform.destinations.hubspot_batches import Found, Input
from scoring_platform.destinations.hubspot_properties import OBJECTS, create_missing, problems
from scoring_platform.destinations.protocol import CrmField, CrmReceipt, CrmWrite, Target, Value
from scoring_platform.errors import SourceError, TransientError
from scoring_platform.http.client import ApiClient
from scoring_platform.http.hubspot import Allowance, connect
from scoring_platform.http.limits import Memory

_OTHER_EMAILS = "hs_additional_emails"
_NO_RECORD = "No contact has this customer's key or address, and `mode: update_only` makes none"


@dataclass
class _Plan:
    """What to send for a batch, and what cannot be sent."""

    upserts: list[Input] = field(default_factory=list)
    updates: list[Input] = field(default_factory=list)
    refused: list[CrmReceipt] = field(default_factory=list)


class Hubspot:
    """Writes to HubSpot contacts, companies and deals; implements ``protocol.Crm``."""

    name = "hubspot"

    def __init__(
        self, client: ApiClient, *, key_property: str, batch_size: int = batches.MAX_INPUTS, creates: bool = True
    ) -> None:
        """Use ``client``; ``connect`` builds one with HubSpot's rules.

        Args:
            client: Calls HubSpot.
            key_property: Property with our key.
            batch_size: Contacts per writing call.
            creates: Whether who has no contact is given one.
        """
        self._client = client
        self._key = key_property
        self._creates = creates
        self.batch_size = batch_size

    @classmethod
    def connect(
        cls,
        settings: HubspotDestination,
        endpoint: str,
        *,
        token: Callable[[], str],
        timeout: float = 30.0,
        attempts: int = 5,
        allowance: Allowance | None = None,
        memory: Memory | None = None,
    ) -> Hubspot:
        """Return a HubSpot at ``endpoint``; ``token`` is asked for with the first call.

        Limits are counted in ``memory``, where processes share one.
        """
        client = connect(endpoint, token, timeout=timeout, attempts=attempts, allowance=allowance, memory=memory)
        key, creates = settings.fields.customer_key, settings.mode == "upsert"
        return cls(client, key_property=key, batch_size=settings.batch_size, creates=creates)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def sized(self, rows: int) -> int:
        """Return the batch size for a sync of so many ``rows``: of many, as many as go out in calls at once."""
        many = rows > self.batch_size == batches.MAX_INPUTS
        return self.batch_size * batches.AT_ONCE if many else self.batch_size

    def probe(self) -> str:
        """Read one contact and say what answered."""
        body = self._client.request("GET", "/crm/v3/objects/contacts", params={"limit": "1"}).json
        count = len(body.get("results", [])) if isinstance(body, dict) else 0
        return "hubspot answers" + ("" if count else "; it has no contacts yet")

    def preflight(self, fields: Sequence[CrmField]) -> list[str]:
        """Return what would keep ``fields`` from being written, one sentence each."""
        return problems(self._client, fields)

    def provision(self, fields: Sequence[CrmField]) -> list[str]:
        """Create the properties that are missing and return their names."""
        return create_missing(self._client, fields)

    def find(self, emails: Sequence[str]) -> dict[str, str]:
        """Return the contact id per address for those HubSpot knows."""
        known = self._by_email([_normal(email) for email in emails])
        return {email: known[_normal(email)].id for email in emails if _normal(email) in known}

    def held(
        self, records: Mapping[str, str], fields: Sequence[str], *, target: Target = "contact"
    ) -> dict[str, Mapping[str, Value]]:
        """Return what records hold in ``fields``, by customer; see ``protocol.Crm``."""
        ids, objects = list(records.values()), OBJECTS[target]
        found = batches.read(self._client, ids, id_property=None, properties=fields, objects=objects)
        by_id = {one.id: {name: one.properties.get(name) for name in fields} for one in found}
        return {customer: by_id[record] for customer, record in records.items() if record in by_id}

    def apply(self, batch: Sequence[CrmWrite]) -> list[CrmReceipt]:
        """Write ``batch`` and return one receipt per write, in its order; see ``protocol.Crm``."""
        writes = {write.customer_id: write for write in batch}
        receipts: dict[str, CrmReceipt] = {}
        try:
            self._apply(list(writes.values()), receipts)
        except SourceError as error:
            # What was acknowledged must reach the ledger; without any of it the error says more than receipts would.
            if not isinstance(error, TransientError) and not _any_acknowledged(receipts):
                raise
            for customer_id in writes.keys() - receipts.keys():
                receipts[customer_id] = CrmReceipt(customer_id, "retry", None, type(error).__name__, str(error))
        return [receipts[write.customer_id] for write in batch]

    def _apply(self, writes: Sequence[CrmWrite], receipts: dict[str, CrmReceipt], *, again: bool = True) -> None:
        target: Target = writes[0].target if writes else "contact"
        plan = self._plan(writes) if target == "contact" else _of_records(writes, target)
        written = batches.write(self._client, "upsert", plan.upserts)
        updated = batches.write(self._client, "update", plan.updates, objects=OBJECTS.get(target, batches.CONTACTS))
        for receipt in chain(plan.refused, written, updated):
            receipts[receipt.customer_id] = receipt
        late = [write for write in writes if receipts[write.customer_id].error_code in batches.CONFLICT_CODES]
        if late and again and target == "contact":
            for one in late:
                # What the second try cannot find out is for a later one.
                receipts[one.customer_id] = replace(receipts[one.customer_id], status="retry")
            # Somebody made the contact after we looked; looking again finds it.
            self._apply(late, receipts, again=False)

    def _plan(self, writes: Sequence[CrmWrite]) -> _Plan:
        plan, claimed, located = _Plan(), set[str](), self._locate(writes)
        for write in writes:
            found = located.get(write.customer_id)
            owner = found.properties.get(self._key) if found else None
            # By record id or by address, so that neither is given to two customers.
            claim = found.id if found else _normal(write.email or "")
            if found and owner == write.customer_id and self._creates:
                plan.upserts.append(self._input(write))
            elif found and owner == write.customer_id:
                # By record id: an upsert would make the contact anew if somebody deleted it after we looked.
                plan.updates.append(Input(write.customer_id, found.id, _texts(write)))
            elif owner:
                # Only what was found has an owner.
                text = f"Contact {found.id if found else ''} carries the key of another customer"
                plan.refused.append(_dead(write, "KEY_TAKEN", text))
            elif not found and not self._creates:
                plan.refused.append(CrmReceipt(write.customer_id, "absent", None, "NO_RECORD", _NO_RECORD))
            elif not claim:
                plan.refused.append(_dead(write, "NO_EMAIL", "No such contact, and none is made without an address"))
            elif claim in claimed:
                plan.refused.append(_dead(write, "DUPLICATE_EMAIL", "Another customer of this batch has the address"))
            elif found:
                claimed.add(claim)
                properties = {**_texts(write), self._key: write.customer_id}
                plan.updates.append(Input(write.customer_id, found.id, properties))
            else:
                claimed.add(claim)
                plan.upserts.append(self._input(write, email=claim))
        return plan

    def _input(self, write: CrmWrite, *, email: str | None = None) -> Input:
        properties = _texts(write) if email is None else {**_texts(write), "email": email}
        return Input(write.customer_id, write.customer_id, properties, id_property=self._key)

    def _locate(self, writes: Sequence[CrmWrite]) -> dict[str, Found]:
        keyed = self._read([write.customer_id for write in writes], self._key)
        by_key = {one.properties.get(self._key): one for one in keyed}
        located = {write.customer_id: by_key[write.customer_id] for write in writes if write.customer_id in by_key}
        rest = [write for write in writes if write.customer_id not in located]
        ids = [write.destination_id for write in rest if write.destination_id]
        by_id = {one.id: one for one in self._read(ids, None)}
        located |= {w.customer_id: by_id[w.destination_id] for w in rest if w.destination_id in by_id}
        rest = [write for write in rest if write.customer_id not in located and write.email]
        by_email = self._by_email([_normal(write.email or "") for write in rest])
        return located | {w.customer_id: by_email[e] for w in rest if (e := _normal(w.email or "")) in by_email}

    def _by_email(self, emails: Sequence[str]) -> dict[str, Found]:
        known: dict[str, Found] = {}
        for one in self._read([email for email in emails if email], "email"):
            others = (one.properties.get(_OTHER_EMAILS) or "").split(";")
            for email in (one.properties.get("email") or "", *others):
                known.setdefault(_normal(email), one)
        return known

    def _read(self, ids: Sequence[str], id_property: str | None) -> Iterator[Found]:
        wanted = ("email", _OTHER_EMAILS, self._key)
        return batches.read(self._client, ids, id_property=id_property, properties=wanted)


def _of_records(writes: Sequence[CrmWrite], target: Target) -> _Plan:
    if target not in OBJECTS:
        text = "HubSpot takes values on contacts, companies and deals only"
        return _Plan(refused=[_dead(write, "UNSUPPORTED_TARGET", text) for write in writes])
    return _Plan(updates=[Input(write.customer_id, str(write.destination_id), _texts(write)) for write in writes])


def _texts(write: CrmWrite) -> dict[str, str]:
    """Return the values as HubSpot takes them: texts, of which the empty one clears."""
    return {name: "" if value is None else str(value) for name, value in write.properties.items()}


def _normal(email: str) -> str:
    return email.strip().lower()


def _any_acknowledged(receipts: dict[str, CrmReceipt]) -> bool:
    return any(receipt.status == "acknowledged" for receipt in receipts.values())


def _dead(write: CrmWrite, code: str, text: str) -> CrmReceipt:
    return CrmReceipt(write.customer_id, "dead", None, code, text)
