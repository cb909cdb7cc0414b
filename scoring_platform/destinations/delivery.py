"""Sending once what cannot be sent idempotently: Slack messages and mails.

Belongs here: the order of record and send, and what each failure means for a repeat. Does not belong here: the records
(``ledger.deliveries``), any channel.

The record ``sending`` is on disk before the send, ``sent`` after it. A crash or a lost answer in between leaves it open
whether the message went out: then at most one repeat follows, with the same id in it so that a reader can tell. A
refusal is no such doubt, so it does not use up the repeat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from scoring_platform.errors import OutcomeUnknownError, ScoringError
from scoring_platform.ledger.deliveries import claim_delivery, confirm_delivery, withdraw_delivery
from scoring_platform.ledger.store import Ledger

MAX_ATTEMPTS = 2


@dataclass(frozen=True)
class Sending:
    """What a send is told: the id its message must carry, and whether it may be a repeat."""

    key: str
    attempt: int


@dataclass(frozen=True)
class Delivered:
    """What happened.

    Attributes:
        status: ``sent`` now; ``already_sent`` earlier, nothing was sent now; ``given_up``: both attempts ended without
            an answer, nothing was sent now.
        destination_id: The destination's id of the message, when it gave one.
        attempt: Sends so far that may have arrived.
    """

    status: Literal["sent", "already_sent", "given_up"]
    destination_id: str | None
    attempt: int


def deliver_once(
    ledger: Ledger, key: str, send: Callable[[Sending], str | None], *, kind: str, now: Callable[[], datetime]
) -> Delivered:
    """Send the message named ``key`` unless it was sent.

    Args:
        ledger: Where the record is kept.
        key: Names the message for ever, such as ``report:2026-11-20:slack``; without personal data.
        send: Sends it and returns the destination's id; raises ``OutcomeUnknownError`` when it may have arrived and
            any other of the platform's errors when it certainly did not.
        kind: What it is, such as ``slack`` or ``email``.
        now: The clock.

    Raises:
        ScoringError: Whatever ``send`` raised; after a refusal the same key may be tried again without limit, after an
            unknown outcome once more.
    """
    may_send, record = claim_delivery(ledger, key, kind=kind, max_attempts=MAX_ATTEMPTS, now=now())
    if not may_send:
        status: Literal["already_sent", "given_up"] = "already_sent" if record.status == "sent" else "given_up"
        return Delivered(status, record.destination_id, record.attempt)
    try:
        destination_id = send(Sending(key, record.attempt))
    except OutcomeUnknownError:
        raise
    except ScoringError:
        withdraw_delivery(ledger, key)
        raise
    confirm_delivery(ledger, key, destination_id=destination_id, now=now())
    return Delivered("sent", destination_id, record.attempt)
