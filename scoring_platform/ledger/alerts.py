"""Alerts: one message per failure and window, however often it fails.

Belongs here: which failures are open and what was held back. Does not belong here: what makes two failures the same,
the wording, the sending.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from sqlalchemy import Connection, Row, select, update

from scoring_platform.ledger.schema import ALERTS
from scoring_platform.ledger.store import Ledger, upsert


@dataclass(frozen=True)
class Alert:
    """One failure; ``suppressed`` counts what was held back since the last message."""

    fingerprint: str
    state: Literal["open", "resolved"]
    window_start: datetime
    suppressed: int
    last_sent_at: datetime


@dataclass(frozen=True)
class AlertDecision:
    """Whether to send, and how many failures were held back before this one."""

    send: bool
    suppressed: int


def read_alerts(ledger: Ledger, *, state: Literal["open", "resolved"] | None = None) -> dict[str, Alert]:
    """Return the alerts by fingerprint, those in one ``state`` if given."""
    statement = select(ALERTS) if state is None else select(ALERTS).where(ALERTS.c.state == state)
    with ledger.reading() as connection:
        return {row.fingerprint: _alert(row) for row in connection.execute(statement)}


def decide_alert(ledger: Ledger, fingerprint: str, *, window: timedelta, now: datetime) -> AlertDecision:
    """Say whether a failure seen ``now`` is to be sent; one within an open window is counted instead.

    The window opens with ``alert_sent``: a message nobody received suppresses nothing.
    """
    with ledger.writing() as connection:
        known = _stored(connection, fingerprint)
        if known is None or known.state == "resolved":
            return AlertDecision(send=True, suppressed=0)
        if now >= known.window_start + window:
            return AlertDecision(send=True, suppressed=known.suppressed)
        held = update(ALERTS).where(ALERTS.c.fingerprint == fingerprint)
        connection.execute(held.values(suppressed=known.suppressed + 1))
        return AlertDecision(send=False, suppressed=known.suppressed + 1)


def alert_sent(ledger: Ledger, fingerprint: str, *, now: datetime) -> None:
    """Open a window: the message about this failure was accepted ``now``."""
    row = {
        "fingerprint": fingerprint,
        "state": "open",
        "window_start": now,
        "suppressed": 0,
        "last_sent_at": now,
    }
    with ledger.writing() as connection:
        upsert(connection, ALERTS, [row])


def resolve_alert(ledger: Ledger, fingerprint: str) -> bool:
    """Close a failure that is over; return whether it was open, so that the end is told once."""
    with ledger.writing() as connection:
        open_one = (ALERTS.c.fingerprint == fingerprint) & (ALERTS.c.state == "open")
        closed = connection.execute(update(ALERTS).where(open_one).values(state="resolved", suppressed=0))
        return closed.rowcount > 0


def _stored(connection: Connection, fingerprint: str) -> Alert | None:
    statement = select(ALERTS).where(ALERTS.c.fingerprint == fingerprint).with_for_update()
    row = connection.execute(statement).one_or_none()
    return None if row is None else _alert(row)


def _alert(row: Row[Any]) -> Alert:
    return Alert(
        fingerprint=row.fingerprint,
        state=cast("Literal['open', 'resolved']", row.state),
        window_start=row.window_start,
        suppressed=row.suppressed,
        last_sent_at=row.last_sent_at,
    )
