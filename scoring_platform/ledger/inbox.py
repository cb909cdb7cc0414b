"""The inbox: events that arrived by webhook, kept until a run has read them, each once.

Belongs here: storing and reading events and dead letters. Does not belong here: HTTP, signatures, what an event means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from scoring_platform.ledger.schema import INBOX
from scoring_platform.ledger.store import Ledger

PAGE = 1_000
"""Events read at a time."""


@dataclass(frozen=True)
class InboxEvent:
    """One event of a provider.

    Attributes:
        key: The provider's id of the event; the same event delivered twice has the same.
        received_at: When it became durable here.
        event: The event as sent.
    """

    key: str
    received_at: datetime
    event: Mapping[str, Any]


@dataclass(frozen=True)
class Inbox:
    """The inbox of one ledger."""

    ledger: Ledger

    def read(self, kind: str, provider: str, *, since: datetime, until: datetime) -> Iterator[Sequence[InboxEvent]]:
        """Yield the events received in [since, until), oldest first, a page at a time."""
        last = 0
        wanted = select(INBOX).where(
            INBOX.c.kind == kind,
            INBOX.c.provider == provider,
            INBOX.c.received_at >= since,
            INBOX.c.received_at < until,
        )
        while True:
            with self.ledger.reading() as connection:
                rows = connection.execute(wanted.where(INBOX.c.id > last).order_by(INBOX.c.id).limit(PAGE)).all()
            if not rows:
                return
            last = rows[-1].id
            yield [InboxEvent(row.key, row.received_at, row.event) for row in rows]
