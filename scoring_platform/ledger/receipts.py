"""Receipts: what each CRM last acknowledged for each customer, and what it last refused.

Belongs here: recording outcomes of CRM writes and reading them back in bulk. Does not belong here: deciding what to
send (``domain``), sending it (``destinations``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal, cast

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, select, update

from scoring_platform.ledger.schema import RECEIPTS
from scoring_platform.ledger.store import Ledger, chunks, upsert

ReceiptStatus = Literal["acknowledged", "retry", "dead", "unknown", "absent"]
Value = str | int | float | None
"""A value as the CRM took it."""


@dataclass(frozen=True)
class Scope:
    """One stream of writes: which CRM, for what purpose, to which kind of record."""

    crm: str
    stream: str
    target: str = "contact"

    @property
    def key(self) -> tuple[str, str, str]:
        """The same as tables name it."""
        return (self.crm, self.stream, self.target)

    @property
    def of_records(self) -> bool:
        """Whether what is known is known of records that pass from one customer to another."""
        return self.target in ("account", "deal")


@dataclass(frozen=True)
class Receipt:
    """What is known about one customer at one destination.

    Attributes:
        customer_id: The customer.
        status: Outcome of the last write.
        destination_id: The CRM's record, once known.
        acknowledged: Value per field as last acknowledged; a later failure leaves it as it was.
        acknowledged_at: When that was.
        as_of: Business day of the last acknowledged write, or on which the CRM was found to have no such record.
        payload_hash: Names the content of the last write.
        attempt: Failed writes of that content in a row; 0 after an acknowledgement.
        error_code: Why the last write failed.
        error_text: The same in words, without personal data.
        run_id: Run of the last write.
        config_version: Configuration of the last write.
    """

    customer_id: str
    status: ReceiptStatus
    destination_id: str | None
    acknowledged: Mapping[str, Value]
    acknowledged_at: datetime | None
    as_of: date | None
    payload_hash: str | None
    attempt: int
    error_code: str | None
    error_text: str | None
    run_id: str | None = None
    config_version: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What one write came to; ``values`` are the fields that were sent.

    An account or a deal may have been written for another customer before: ``holder`` is that one's receipt, and what
    it tells of the record passes to ``customer_id`` with an acknowledgement.
    """

    customer_id: str
    status: ReceiptStatus
    as_of: date
    payload_hash: str
    values: Mapping[str, Value] = field(repr=False)
    destination_id: str | None = None
    error_code: str | None = None
    error_text: str | None = None
    run_id: str | None = None
    config_version: str | None = None
    holder: Receipt | None = None


def read_receipts(ledger: Ledger, scope: Scope, customer_ids: Sequence[str] | None = None) -> dict[str, Receipt]:
    """Return the receipts of ``scope`` by customer; all of them unless ``customer_ids`` narrows it."""
    with ledger.reading() as connection:
        if customer_ids is None:
            rows = connection.execute(select(RECEIPTS).where(_within(scope)))
            return {row.customer_id: _receipt(row) for row in rows}
        return _stored(connection, scope, customer_ids)


def iter_receipts(ledger: Ledger, scope: Scope, *, status: ReceiptStatus | None = None) -> Iterator[Receipt]:
    """Yield the receipts of ``scope`` in order of customer without holding them all, one ``status`` if given."""
    condition = _within(scope) if status is None else and_(_within(scope), RECEIPTS.c.status == status)
    statement = select(RECEIPTS).where(condition).order_by(RECEIPTS.c.customer_id)
    with ledger.reading() as connection:
        for row in connection.execution_options(yield_per=1000).execute(statement):
            yield _receipt(row)


def count_receipts(ledger: Ledger, scope: Scope, status: ReceiptStatus) -> int:
    """Return how many receipts of ``scope`` have a status."""
    wanted = select(func.count()).select_from(RECEIPTS).where(_within(scope), RECEIPTS.c.status == status)
    with ledger.reading() as connection:
        return int(connection.execute(wanted).scalar_one())


def reopen_refused(ledger: Ledger, crm: str, *, error_code: str | None = None) -> int:
    """Let refused rows of a CRM be tried again as they are; return how many there are.

    Args:
        ledger: The ledger.
        crm: Name of the CRM.
        error_code: Only rows refused for this.
    """
    refused = and_(RECEIPTS.c.crm == crm, RECEIPTS.c.status == "dead")
    if error_code is not None:
        refused = and_(refused, RECEIPTS.c.error_code == error_code)
    with ledger.writing() as connection:
        return connection.execute(update(RECEIPTS).where(refused).values(status="retry")).rowcount


def record_outcomes(ledger: Ledger, scope: Scope, outcomes: Sequence[Outcome], *, now: datetime) -> None:
    """Record a batch of outcomes, all or none; when this returns they survive a crash."""
    if not outcomes:
        return
    with ledger.writing() as connection:
        known = _stored(connection, scope, [outcome.customer_id for outcome in outcomes])
        # Folded one by one: a batch may hold two outcomes of one customer.
        for outcome in outcomes:
            before = known.get(outcome.customer_id)
            if scope.of_records:
                before = _of_record(outcome, before)
            known[outcome.customer_id] = _after(before, outcome, now=now)
        changed = dict.fromkeys(outcome.customer_id for outcome in outcomes)
        upsert(connection, RECEIPTS, [_row(scope, known[customer_id]) for customer_id in changed])
        for outcome in outcomes:
            if outcome.holder is not None and outcome.status == "acknowledged":
                mine = and_(_within(scope), RECEIPTS.c.customer_id == outcome.holder.customer_id)
                connection.execute(delete(RECEIPTS).where(mine, RECEIPTS.c.destination_id == outcome.destination_id))


def keep_receipts(ledger: Ledger, scope: Scope, receipts: Sequence[Receipt]) -> None:
    """Replace receipts as they are given."""
    if receipts:
        with ledger.writing() as connection:
            upsert(connection, RECEIPTS, [_row(scope, receipt) for receipt in receipts])


def forget_receipts(ledger: Ledger, customer_ids: Sequence[str]) -> int:
    """Remove everything known about these customers at every destination; return how many receipts that were."""
    removed = 0
    with ledger.writing() as connection:
        for some in chunks(customer_ids):
            removed += connection.execute(delete(RECEIPTS).where(RECEIPTS.c.customer_id.in_(some))).rowcount
    return removed


def _of_record(outcome: Outcome, before: Receipt | None) -> Receipt | None:
    """Return what was known before of the record that an outcome is about; what is known of another does not count."""
    same = before if before and before.destination_id == outcome.destination_id else None
    if outcome.holder is None or outcome.status != "acknowledged":
        return same
    return replace(same or outcome.holder, acknowledged=outcome.holder.acknowledged)


def _after(before: Receipt | None, outcome: Outcome, *, now: datetime) -> Receipt:
    acknowledged, absent = outcome.status == "acknowledged", outcome.status == "absent"
    if absent:
        # Of a record that comes later nothing is known.
        before = replace(before, destination_id=None, acknowledged={}, acknowledged_at=None) if before else None
    values = dict(before.acknowledged) if before else {}
    if acknowledged:
        values.update(outcome.values)
    if acknowledged or absent:
        attempt = 0
    else:
        repeated = before is not None and before.payload_hash == outcome.payload_hash
        attempt = (before.attempt if before and repeated else 0) + 1
    return Receipt(
        customer_id=outcome.customer_id,
        status=outcome.status,
        destination_id=outcome.destination_id or (before.destination_id if before else None),
        acknowledged=values,
        acknowledged_at=now if acknowledged else (before.acknowledged_at if before else None),
        as_of=outcome.as_of if acknowledged or absent else (before.as_of if before else None),
        payload_hash=outcome.payload_hash,
        attempt=attempt,
        error_code=None if acknowledged else outcome.error_code,
        error_text=None if acknowledged else outcome.error_text,
        run_id=outcome.run_id,
        config_version=outcome.config_version,
    )


def _within(scope: Scope) -> ColumnElement[bool]:
    columns = RECEIPTS.c
    return and_(columns.crm == scope.crm, columns.stream == scope.stream, columns.target == scope.target)


def _stored(connection: Connection, scope: Scope, customer_ids: Sequence[str]) -> dict[str, Receipt]:
    found: dict[str, Receipt] = {}
    for some in chunks(customer_ids):
        statement = select(RECEIPTS).where(_within(scope), RECEIPTS.c.customer_id.in_(some)).with_for_update()
        found |= {row.customer_id: _receipt(row) for row in connection.execute(statement)}
    return found


def _receipt(row: Row[Any]) -> Receipt:
    return Receipt(
        customer_id=row.customer_id,
        status=cast("ReceiptStatus", row.status),
        destination_id=row.destination_id,
        acknowledged=row.acknowledged,
        acknowledged_at=row.acknowledged_at,
        as_of=row.as_of,
        payload_hash=row.payload_hash,
        attempt=row.attempt,
        error_code=row.error_code,
        error_text=row.error_text,
        run_id=row.run_id,
        config_version=row.config_version,
    )


def _row(scope: Scope, receipt: Receipt) -> dict[str, Any]:
    return {
        "crm": scope.crm,
        "stream": scope.stream,
        "target": scope.target,
        "customer_id": receipt.customer_id,
        "status": receipt.status,
        "destination_id": receipt.destination_id,
        "acknowledged": dict(receipt.acknowledged),
        "acknowledged_at": receipt.acknowledged_at,
        "as_of": receipt.as_of,
        "payload_hash": receipt.payload_hash,
        "attempt": receipt.attempt,
        "error_code": receipt.error_code,
        "error_text": receipt.error_text,
        "run_id": receipt.run_id,
        "config_version": receipt.config_version,
    }
