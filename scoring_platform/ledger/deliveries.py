"""Deliveries: the durable record around a send that cannot be repeated safely.

Belongs here: the states ``sending`` and ``sent`` of one key. Does not belong here: the order in which they are used
around a send (``destinations.delivery``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from scoring_platform.ledger.schema import DELIVERIES
from scoring_platform.ledger.store import Ledger

DeliveryStatus = Literal["sending", "sent"]


@dataclass(frozen=True)
class Delivery:
    """One message: ``attempt`` counts the sends whose outcome is not known to be a refusal."""

    key: str
    kind: str
    status: DeliveryStatus
    destination_id: str | None
    attempt: int
    created_at: datetime
    sent_at: datetime | None


def read_delivery(ledger: Ledger, key: str) -> Delivery | None:
    """Return what is recorded under ``key``."""
    with ledger.reading() as connection:
        return _stored(connection, key)


def claim_delivery(ledger: Ledger, key: str, *, kind: str, max_attempts: int, now: datetime) -> tuple[bool, Delivery]:
    """Record that ``key`` is about to be sent, unless it was sent or its attempts are used up.

    Returns:
        Whether the caller may send, and the record as it now stands.
    """
    first = Delivery(key=key, kind=kind, status="sending", destination_id=None, attempt=1, created_at=now, sent_at=None)
    try:
        return _claim(ledger, first, max_attempts=max_attempts)
    except IntegrityError:
        # Another process made the record since we looked; now it is there to be seen and locked.
        return _claim(ledger, first, max_attempts=max_attempts)


def confirm_delivery(ledger: Ledger, key: str, *, destination_id: str | None, now: datetime) -> None:
    """Record that the destination accepted ``key``."""
    with ledger.writing() as connection:
        sent = update(DELIVERIES).where(DELIVERIES.c.key == key)
        connection.execute(sent.values(status="sent", destination_id=destination_id, sent_at=now))


def withdraw_delivery(ledger: Ledger, key: str) -> None:
    """Take back one claim: the destination certainly did not accept the message, so the attempt does not count."""
    with ledger.writing() as connection:
        before = _stored(connection, key)
        if before is None or before.status == "sent":
            return
        if before.attempt <= 1:
            connection.execute(delete(DELIVERIES).where(DELIVERIES.c.key == key))
        else:
            earlier = update(DELIVERIES).where(DELIVERIES.c.key == key)
            connection.execute(earlier.values(attempt=before.attempt - 1))


def _claim(ledger: Ledger, first: Delivery, *, max_attempts: int) -> tuple[bool, Delivery]:
    with ledger.writing() as connection:
        before = _stored(connection, first.key)
        if before is None:
            connection.execute(insert(DELIVERIES).values(_row(first)))
            return True, first
        if before.status == "sent" or before.attempt >= max_attempts:
            return False, before
        again = replace(before, attempt=before.attempt + 1)
        connection.execute(update(DELIVERIES).where(DELIVERIES.c.key == first.key).values(attempt=again.attempt))
        return True, again


def _stored(connection: Connection, key: str) -> Delivery | None:
    row = connection.execute(select(DELIVERIES).where(DELIVERIES.c.key == key).with_for_update()).one_or_none()
    return None if row is None else _delivery(row)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        key=row.key,
        kind=row.kind,
        status=cast("DeliveryStatus", row.status),
        destination_id=row.destination_id,
        attempt=row.attempt,
        created_at=row.created_at,
        sent_at=row.sent_at,
    )


def _row(delivery: Delivery) -> dict[str, Any]:
    return {
        "key": delivery.key,
        "kind": delivery.kind,
        "status": delivery.status,
        "destination_id": delivery.destination_id,
        "attempt": delivery.attempt,
        "created_at": delivery.created_at,
        "sent_at": delivery.sent_at,
    }
