"""What a CRM really holds against what it acknowledged: somebody may have changed our fields, or deleted a record.

Belongs here: comparing, and what follows by policy. Does not belong here: the plan (``crm_plan``), vendors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from scoring_platform.destinations.protocol import Crm, Value
from scoring_platform.ledger.receipts import Receipt, Scope, iter_receipts, keep_receipts
from scoring_platform.pipeline.crm_plan import as_text, date_field, key_field, recipient, scopes
from scoring_platform.pipeline.step import Step

Policy = Literal["report", "ours", "theirs"]
"""ours: what differs is written again by the next sync. theirs: it stays until our value changes. report: only told."""

_AT_ONCE = 1_000


@dataclass(frozen=True)
class Deviation:
    """One field that is not what the CRM acknowledged.

    Attributes:
        scope: Stream and kind of record.
        customer_id: The customer.
        field: The CRM's name; empty when the record is gone.
        ours: Value as acknowledged.
        theirs: Value the CRM holds.
    """

    scope: Scope
    customer_id: str
    field: str
    ours: str
    theirs: str


def compare(step: Step, crm: Crm, *, policy: Policy = "report") -> Iterator[Deviation]:
    """Give every field that is not what the CRM acknowledged; by ``ours`` it counts as not acknowledged from now on.

    Args:
        step: Keeps receipts.
        crm: The CRM; it is only read.
        policy: What follows.
    """
    for scope in scopes(step, crm.name):
        known = [one for one in iter_receipts(step.ledger, scope) if one.destination_id and one.acknowledged]
        mapped = _mapped(step, scope)
        for some in (known[start : start + _AT_ONCE] for start in range(0, len(known), _AT_ONCE)):
            fields = sorted({name for one in some for name in one.acknowledged if name.lower() in mapped})
            records = {one.customer_id: str(one.destination_id) for one in some}
            held = crm.held(records, fields, target=scope.target)  # type: ignore[arg-type]
            changed = []
            for receipt in some:
                found = list(_deviations(scope, receipt, held.get(receipt.customer_id), mapped))
                yield from found
                if found:
                    changed.append(_forgotten(receipt, found))
            if policy == "ours":
                keep_receipts(step.ledger, scope, changed)


def _mapped(step: Step, scope: Scope) -> set[str]:
    """Return the fields that the configuration still writes, our key among them: others are no longer ours."""
    fields = [*recipient(step, scope).fields.values(), date_field(step, scope), key_field(step, scope)]
    return {name.lower() for name in fields if name}


def _deviations(
    scope: Scope, receipt: Receipt, held: Mapping[str, Value] | None, mapped: Collection[str]
) -> Iterator[Deviation]:
    if held is None:
        yield Deviation(scope, receipt.customer_id, "", "", "")
        return
    has = {name.lower(): as_text(value) for name, value in held.items()}
    for name, value in receipt.acknowledged.items():
        ours, theirs = as_text(value), has.get(name.lower(), "")
        if name.lower() in mapped and not _equal(ours, theirs):
            yield Deviation(scope, receipt.customer_id, name, ours, theirs)


def _equal(ours: str, theirs: str) -> bool:
    if ours == theirs:
        return True
    try:
        return float(ours) == float(theirs)
    except ValueError:
        return False


def _forgotten(receipt: Receipt, found: list[Deviation]) -> Receipt:
    """Return the receipt as if what deviates had never been acknowledged."""
    if any(not one.field for one in found):
        return replace(receipt, acknowledged={}, destination_id=None, status="retry", payload_hash=None)
    # What should be empty and is not counts as what it is; a figure within its dead band must not pass for unchanged.
    held = {one.field: one.theirs for one in found if one.ours in ("", receipt.customer_id)}
    gone = {one.field for one in found}
    kept = {name: value for name, value in receipt.acknowledged.items() if name not in gone} | held
    return replace(receipt, acknowledged=kept, status="retry", payload_hash=None)
