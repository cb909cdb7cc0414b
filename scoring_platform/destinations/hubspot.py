"""HubSpot CRM: the platform's values as contact properties.

Belongs here: which contact a customer is, and which call writes it. Does not belong here: batch answers
(``hubspot_batches``), property definitions (``hubspot_properties``).

A private-app token with the scopes ``crm.objects.contacts.read``, ``crm.objects.contacts.write``,
``crm.schemas.contacts.read`` and ``crm.schemas.contacts.write`` is needed. HubSpot allows 100 to 250
calls in ten seconds by plan, and 250,000 or more a day.

HubSpot's upsert by e-mail is no partial update, so a property of ours with unique values is the key. A contact is
looked for by that key, then by the record id we know, then by e-mail: a contact that was there before us is given our
key (adopted) and never doubled, and one that was deleted is not brought back without its address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import httpx

from scoring_platform.config.connections import HubspotDestination
from scoring_platform.destinations import hubspot_batches as batches
from scoring_platform.destinations.hubspot_batches import Found, Input
from scoring_platform.destinations.hubspot_properties import create_missing, problems
from scoring_platform.destinations.protocol import CrmField, CrmReceipt, CrmWrite, Value
from scoring_platform.errors import SourceError, TransientError
from scoring_platform.http.auth import HeaderAuth
from scoring_platform.http.client import ApiClient
from scoring_platform.http.limits import RateLimit
from scoring_platform.http.verdict import Verdict, body_of, retry_after

CALLS_PER_WINDOW = 100
WINDOW_SECONDS = 10.0
LOCKED_SECONDS = 2.0

_LOCKED = 423
_MIGRATING = 477
_OTHER_EMAILS = "hs_additional_emails"


@dataclass
class _Plan:
    """What to send for a batch, and what cannot be sent."""

    upserts: list[Input] = field(default_factory=list)
    adoptions: list[Input] = field(default_factory=list)
    refused: list[CrmReceipt] = field(default_factory=list)


class Hubspot:
    """Writes to HubSpot contacts; implements ``protocol.Crm``."""

    name = "hubspot"

    def __init__(self, client: ApiClient, *, key_property: str, batch_size: int = batches.MAX_INPUTS) -> None:
        """Use ``client``; ``connect`` builds one with HubSpot's rules."""
        self._client = client
        self._key = key_property
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
    ) -> Hubspot:
        """Return a HubSpot at ``endpoint``; ``token`` is asked for with the first call."""
        client = ApiClient(
            "hubspot",
            endpoint,
            auth=HeaderAuth(token),
            timeout=timeout,
            attempts=attempts,
            rate=RateLimit(CALLS_PER_WINDOW, WINDOW_SECONDS),
            classify=classify,
            secrets=("token",),
        )
        return cls(client, key_property=settings.fields.customer_key, batch_size=settings.batch_size)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def sized(self, rows: int) -> int:
        """Return the batch size, which is the same for any number of ``rows``."""
        return self.batch_size

    def probe(self) -> str:
        """Read one contact and say what answered."""
        body = self._client.request("GET", "/crm/v3/objects/contacts", params={"limit": "1"}).json
        count = len(body.get("results", [])) if isinstance(body, dict) else 0
        return "hubspot answers" + ("" if count else "; it has no contacts yet")

    def preflight(self, fields: Sequence[CrmField]) -> list[str]:
        """Return what would keep ``fields`` from being written, one sentence each."""
        return problems(self._client, fields)

    def provision(self, fields: Sequence[CrmField]) -> list[str]:
        """Create the contact properties that are missing and return their names."""
        return create_missing(self._client, fields)

    def find(self, emails: Sequence[str]) -> dict[str, str]:
        """Return the contact id per address for those HubSpot knows."""
        known = self._by_email([_normal(email) for email in emails])
        return {email: known[_normal(email)].id for email in emails if _normal(email) in known}

    def held(self, records: Mapping[str, str], fields: Sequence[str]) -> dict[str, Mapping[str, Value]]:
        """Return what contacts hold in ``fields``, by customer; see ``protocol.Crm``."""
        found = batches.read(self._client, list(records.values()), id_property=None, properties=fields)
        by_id = {one.id: one.properties for one in found}
        return {customer: dict(by_id[record]) for customer, record in records.items() if record in by_id}

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
        plan = self._plan(writes)
        written = batches.write(self._client, "upsert", plan.upserts)
        adopted = batches.write(self._client, "update", plan.adoptions)
        for receipt in chain(plan.refused, written, adopted):
            receipts[receipt.customer_id] = receipt
        late = [write for write in writes if receipts[write.customer_id].error_code in batches.CONFLICT_CODES]
        if late and again:
            # Somebody made the contact after we looked; looking again finds it.
            self._apply(late, receipts, again=False)

    def _plan(self, writes: Sequence[CrmWrite]) -> _Plan:
        plan, claimed, located = _Plan(), set[str](), self._locate(writes)
        for write in writes:
            found = located.get(write.customer_id)
            owner = found.properties.get(self._key) if found else None
            # By record id or by address, so that neither is given to two customers.
            claim = found.id if found else _normal(write.email or "")
            if found and owner == write.customer_id:
                plan.upserts.append(self._input(write))
            elif owner:
                plan.refused.append(_dead(write, "KEY_TAKEN", "The contact carries the key of another customer"))
            elif not claim:
                plan.refused.append(_dead(write, "NO_EMAIL", "No such contact, and none is made without an address"))
            elif claim in claimed:
                plan.refused.append(_dead(write, "DUPLICATE_EMAIL", "Another customer of this batch has the address"))
            elif found:
                claimed.add(claim)
                properties = {**_texts(write), self._key: write.customer_id}
                plan.adoptions.append(Input(write.customer_id, found.id, properties))
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


def classify(response: httpx.Response) -> Verdict | None:
    """Judge HubSpot's own answers: two kinds of 429, and locks that only need a pause."""
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        body = body_of(response)
        told = f"{body.get('policyName')} {body.get('message')}".upper() if isinstance(body, dict) else ""
        if "DAILY" in told:
            return Verdict("exhausted")
        wait = retry_after(response)
        return Verdict("throttled", wait=WINDOW_SECONDS if wait is None else wait)
    if response.status_code in (_LOCKED, _MIGRATING):
        return Verdict("throttled", wait=max(LOCKED_SECONDS, retry_after(response) or 0.0))
    return None


def _texts(write: CrmWrite) -> dict[str, str]:
    """Return the values as HubSpot takes them: texts, of which the empty one clears."""
    return {name: "" if value is None else str(value) for name, value in write.properties.items()}


def _normal(email: str) -> str:
    return email.strip().lower()


def _any_acknowledged(receipts: dict[str, CrmReceipt]) -> bool:
    return any(receipt.status == "acknowledged" for receipt in receipts.values())


def _dead(write: CrmWrite, code: str, text: str) -> CrmReceipt:
    return CrmReceipt(write.customer_id, "dead", None, code, text)
