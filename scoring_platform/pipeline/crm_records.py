"""Accounts and deals of a CRM as targets: whose they are on the run's day, and what is known of each.

Belongs here: reading what sales people keep, receipts by record. Does not belong here: which record is chosen
(``domain.crm_records``), the plan (``crm_plan``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import ibis.expr.types as ir

from scoring_platform.config.crm import OF_RECORDS
from scoring_platform.domain import crm_records as domain
from scoring_platform.ledger.receipts import Receipt, Scope
from scoring_platform.pipeline.identities import owners, with_day
from scoring_platform.pipeline.step import Step

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def of_customers(step: Step, scope: Scope) -> ir.Table:
    """Return the account or the deal of each customer who has one: customer_id, record_id."""
    rows = step.read(OF_RECORDS[scope.target], step.days)
    mine, whose = rows.filter(rows.source == scope.crm), owners(step)
    if scope.target == "account":
        return domain.accounts(mine, whose, step.scopes)
    closing = with_day(step, mine, closed_on="closed_at")
    # An open deal has no day on which it was closed, not even that of the picture.
    closing = closing.mutate(closed_on=closing.closed_at.isnull().ifelse(None, closing.closed_on))
    return domain.deals(closing, whose, step.scopes)


def holders(receipts: Iterable[Receipt]) -> dict[str, Receipt]:
    """Return by record the receipt that tells what the record last acknowledged, whoever's values they were."""
    found: dict[str, Receipt] = {}
    for one in receipts:
        if one.destination_id is None or not one.acknowledged:
            continue
        before = found.get(one.destination_id)
        if before is None or (one.acknowledged_at or _EPOCH) > (before.acknowledged_at or _EPOCH):
            found[one.destination_id] = one
    return found


def about(receipt: Receipt | None, record: str | None) -> Receipt | None:
    """Return the receipt if it is about ``record``; without one, whatever contact or note it is about."""
    return receipt if receipt is not None and record in (None, receipt.destination_id) else None
