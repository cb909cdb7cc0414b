"""Salesforce: the platform's values as fields of contacts, accounts and opportunities.

Belongs here: which contact a customer is, and which call writes a record. Does not belong here: answers to calls
(``salesforce_records``, ``salesforce_bulk``), looking contacts up (``salesforce_lookup``), field definitions
(``salesforce_fields``).

Up to ``bulk_from`` rows go out in calls of 200, more as files of the Bulk API 2.0. A contact is looked for by our key,
then by the record id we know, then by e-mail: a contact that was there before us is given our key (adopted) and never
doubled. New contacts are made by our key, an external id, so that a repeat finds what the first try made. Accounts and
opportunities are the sales people's: they are written by record id, and none is made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from scoring_platform.config.connections import SalesforceDestination
from scoring_platform.destinations import salesforce_bulk as bulk
from scoring_platform.destinations import salesforce_records as records
from scoring_platform.destinations.protocol import CrmField, CrmReceipt, CrmWrite, Target, Value
from scoring_platform.destinations.salesforce_fields import SOBJECTS, problems
from scoring_platform.destinations.salesforce_lookup import Found, Lookup, normal, short
from scoring_platform.destinations.salesforce_records import Input
from scoring_platform.errors import PermanentError, SourceError, TransientError
from scoring_platform.http.salesforce import Session

MOST_AT_ONCE = 50_000
"""Rows of one batch where there are many: a file of some megabytes, and as many receipts at risk when we are killed."""

LOCKED_SECONDS = 2.0

_LAST_NAME_LENGTH = 80


@dataclass
class _Plan:
    """What to send for a batch, and what cannot be sent."""

    upserts: list[Input] = field(default_factory=list)
    updates: list[Input] = field(default_factory=list)
    refused: list[CrmReceipt] = field(default_factory=list)


class Salesforce:
    """Writes to Salesforce contacts, accounts and opportunities; implements ``protocol.Crm``."""

    name = "salesforce"
    batch_size = records.MAX_RECORDS

    def __init__(
        self, session: Session, settings: SalesforceDestination, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Use ``session``; ``connect`` builds one."""
        self._session = session
        self._settings = settings
        self._key = settings.fields.customer_key
        self._lookup = Lookup(session, self._key, scan_from=settings.bulk_from)
        self._sleep = sleep

    @classmethod
    def connect(
        cls,
        settings: SalesforceDestination,
        endpoint: str,
        *,
        credential: Callable[[str], str],
        timeout: float = 60.0,
        attempts: int = 5,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Salesforce:
        """Return the Salesforce at ``endpoint``; credentials are asked for with the first call."""
        session = Session(
            endpoint,
            credential,
            login=settings.login,
            api_version=settings.api_version,
            reserve=settings.reserve,
            timeout=timeout,
            attempts=attempts,
        )
        return cls(session, settings, sleep=sleep)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def sized(self, rows: int) -> int:
        """Return the batch size for a sync of so many ``rows``: what a file holds from ``bulk_from`` rows on."""
        return self.batch_size if rows < self._settings.bulk_from else min(rows, MOST_AT_ONCE)

    def probe(self) -> str:
        """Read the allowance and say how much of it is left."""
        body = self._session.request("GET", "/limits").json
        calls = body.get("DailyApiRequests") if isinstance(body, dict) else None
        if not isinstance(calls, dict):
            msg = "salesforce answered about its limits in a shape it does not document; check api_version"
            raise PermanentError(msg)
        return f"salesforce answers; {calls.get('Remaining')} of {calls.get('Max')} calls a day are left"

    def preflight(self, fields: Sequence[CrmField]) -> list[str]:
        """Return what would keep ``fields`` from being written, one sentence each."""
        return problems(self._session, fields)

    def provision(self, fields: Sequence[CrmField]) -> list[str]:
        """Return no names: fields are made in Salesforce's Setup, and ``preflight`` says which."""
        return []

    def find(self, emails: Sequence[str]) -> dict[str, str]:
        """Return the contact id per address for those Salesforce knows."""
        known = self._lookup.by_email(dict.fromkeys(normal(email) for email in emails if normal(email)))
        found = {email: known.at(normal(email)) for email in emails}
        return {email: one.id for email, one in found.items() if one is not None}

    def held(
        self, records: Mapping[str, str], fields: Sequence[str], *, target: Target = "contact"
    ) -> dict[str, Mapping[str, Value]]:
        """Return what records hold in ``fields``, by customer; see ``protocol.Crm``."""
        found = self._lookup.held(list(records.values()), fields, sobject=SOBJECTS[target])
        return {customer: found[short(record)] for customer, record in records.items() if short(record) in found}

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
        plan = self._contacts(writes) if target == "contact" else _of_records(writes, target)
        sobject = SOBJECTS.get(target, SOBJECTS["contact"])
        for receipt in chain(
            plan.refused, self._send(plan.upserts, sobject, self._key), self._send(plan.updates, sobject)
        ):
            receipts[receipt.customer_id] = receipt
        codes = {write.customer_id: receipts[write.customer_id].error_code for write in writes}
        # An account or a deal is named by the plan: looking again would show no other one.
        passing = records.LOCKED_CODES | (records.CONFLICT_CODES if target == "contact" else frozenset())
        late = [one for one in writes if codes[one.customer_id] in passing]
        if late and again:
            for one in late:
                # What the second try cannot find out is for a later one.
                receipts[one.customer_id] = replace(receipts[one.customer_id], status="retry")
            if records.LOCKED_CODES & set(codes.values()):
                self._sleep(LOCKED_SECONDS)
            # Somebody made, merged or deleted records after we looked: looking again shows how they stand.
            self._apply(late, receipts, again=False)

    def _send(self, inputs: Sequence[Input], sobject: str, key: str | None = None) -> Iterator[CrmReceipt]:
        if len(inputs) >= self._settings.bulk_from:
            return bulk.send(self._session, inputs, bulk.Operation(sobject, key), sleep=self._sleep)
        if key is None:
            return records.update(self._session, inputs, sobject=sobject)
        return records.upsert(self._session, inputs, sobject=sobject, key=key)

    def _contacts(self, writes: Sequence[CrmWrite]) -> _Plan:
        plan, claimed, known = _Plan(), set[str](), self._lookup.locate(writes)
        creates = self._settings.mode == "upsert"
        for write in writes:
            found = known.of(write)
            # By record id or by address, so that neither is given to two customers.
            claim = found.id if found else normal(write.email)
            refusal = self._refusal(write, found, claimed=claim in claimed)
            if refusal is not None:
                plan.refused.append(refusal)
                continue
            claimed.add(claim)
            if found is None:
                plan.upserts.append(self._new(write, email=claim))
            elif self._is_ours(found, write) and creates:
                plan.upserts.append(Input(write.customer_id, {self._key: write.customer_id, **write.properties}))
            elif self._is_ours(found, write):
                plan.updates.append(Input(write.customer_id, write.properties, found.id))
            else:
                values = {**write.properties, self._key: write.customer_id}
                plan.updates.append(Input(write.customer_id, values, found.id))
        return plan

    def _refusal(self, write: CrmWrite, found: Found | None, *, claimed: bool) -> CrmReceipt | None:
        if found is not None and found.key is not None and not self._is_ours(found, write):
            return _dead(write, "KEY_TAKEN", f"Contact {found.id} carries the key of another customer")
        if found is None and self._settings.mode == "update_only":
            text = "Salesforce has no such contact, and none is made (mode: update_only)"
            return CrmReceipt(write.customer_id, "absent", None, "NO_RECORD", text)
        if found is None and not normal(write.email):
            return _dead(write, "NO_EMAIL", "No such contact, and none is made without an address")
        if claimed:
            return _dead(write, "DUPLICATE_EMAIL", "Another customer of this batch has the address")
        return None

    def _new(self, write: CrmWrite, *, email: str) -> Input:
        # A contact must have a last name, and the address is all we know of a person.
        name = email.partition("@")[0][:_LAST_NAME_LENGTH] or email[:_LAST_NAME_LENGTH]
        values = {**write.properties, "Email": email, "LastName": name, self._key: write.customer_id}
        return Input(write.customer_id, values)

    def _is_ours(self, found: Found, write: CrmWrite) -> bool:
        # An External ID knows no case unless it was made so.
        return found.key is not None and found.key.lower() == write.customer_id.lower()


def _of_records(writes: Sequence[CrmWrite], target: Target) -> _Plan:
    if target not in SOBJECTS:
        text = "Salesforce takes values on contacts, accounts and opportunities only"
        return _Plan(refused=[_dead(write, "UNSUPPORTED_TARGET", text) for write in writes])
    return _Plan(updates=[Input(write.customer_id, write.properties, write.destination_id) for write in writes])


def _any_acknowledged(receipts: dict[str, CrmReceipt]) -> bool:
    return any(receipt.status == "acknowledged" for receipt in receipts.values())


def _dead(write: CrmWrite, code: str, text: str) -> CrmReceipt:
    return CrmReceipt(write.customer_id, "dead", None, code, text)
