"""The inbox: events that arrived by webhook, kept until a run has read them, each once.

Belongs here: storing and reading events and dead letters. Does not belong here: HTTP, signatures, what an event means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from scoring_platform.ledger.extracts import read_watermarks
from scoring_platform.ledger.schema import DEAD_LETTERS, INBOX
from scoring_platform.ledger.store import Ledger

PAGE = 1_000
"""Events read at a time."""

_BODY_CHARACTERS = 65_536
_REASON_CHARACTERS = 500
_PROBE = "probe"


def _now() -> datetime:
    return datetime.now(UTC)


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
class DeadLetter:
    """Something a provider sent that is no event: why, and what it was, both shortened."""

    reason: str
    body: str


@dataclass(frozen=True)
class Post:
    """What one request of a provider brought: events by key, and what was none."""

    kind: str
    provider: str
    events: Sequence[tuple[str, Mapping[str, Any]]] = ()
    dead: Sequence[DeadLetter] = ()


@dataclass(frozen=True)
class Stored:
    """What became of a post's events: new ones, and those that were there before."""

    accepted: int
    duplicates: int


@dataclass(frozen=True)
class Waiting:
    """Events that no run has read yet."""

    count: int
    oldest: datetime | None


@dataclass(frozen=True)
class KeptLetter:
    """A dead letter as it is kept."""

    kind: str
    provider: str
    received_at: datetime
    reason: str
    body: str


@dataclass(frozen=True)
class Inbox:
    """The inbox of one ledger."""

    ledger: Ledger

    def store(self, posts: Sequence[Post], *, clock: Callable[[], datetime] = _now) -> list[Stored]:
        """Store all of ``posts`` or, when that fails, nothing; an event whose key is known changes nothing."""
        with self.ledger.writing() as connection:
            now = clock()
            return [_store(connection, post, now) for post in posts]

    def prove_writable(self) -> None:
        """Write and take back, down to the disk; raises what the database raises."""
        row = {"kind": _PROBE, "provider": _PROBE, "key": _PROBE, "received_at": _now(), "event": {}}
        with self.ledger.writing() as connection:
            connection.execute(insert(INBOX).values(row))
            connection.execute(delete(INBOX).where(INBOX.c.kind == _PROBE))

    def read(self, kind: str, provider: str, *, since: datetime, until: datetime) -> Iterator[Sequence[InboxEvent]]:
        """Yield the events received in [since, until), oldest first, a page at a time."""
        at, last = since, 0
        wanted = select(INBOX).where(
            INBOX.c.kind == kind, INBOX.c.provider == provider, INBOX.c.received_at < until
        )  # fmt: skip
        while True:
            # Bounded by the time, so that the index finds the page; the id tells events of one instant apart.
            further = wanted.where(INBOX.c.received_at >= at, or_(INBOX.c.received_at > at, INBOX.c.id > last))
            page = further.order_by(INBOX.c.received_at, INBOX.c.id).limit(PAGE)
            with self.ledger.reading() as connection:
                rows = connection.execute(page).all()
            if not rows:
                return
            at, last = rows[-1].received_at, rows[-1].id
            yield [InboxEvent(row.key, row.received_at, row.event) for row in rows]

    def waiting(self, kind: str, provider: str, *, since: datetime | None = None) -> Waiting:
        """Return how many events received from ``since`` on are not marked as processed, and the oldest of them."""
        wanted = select(func.count(), func.min(INBOX.c.received_at, type_=INBOX.c.received_at.type)).where(
            INBOX.c.kind == kind, INBOX.c.provider == provider, INBOX.c.processed_at.is_(None)
        )
        if since is not None:
            wanted = wanted.where(INBOX.c.received_at >= since)
        with self.ledger.reading() as connection:
            count, oldest = connection.execute(wanted).one()
        return Waiting(count, oldest)

    def last_arrival(self, kind: str, provider: str) -> datetime | None:
        """Return when the latest event was received."""
        latest = select(INBOX.c.received_at).where(INBOX.c.kind == kind, INBOX.c.provider == provider)
        with self.ledger.reading() as connection:
            return connection.execute(latest.order_by(INBOX.c.received_at.desc()).limit(1)).scalar()

    def dead_letters(self, *, most: int) -> list[KeptLetter]:
        """Return the latest ``most`` dead letters, newest first."""
        latest = select(DEAD_LETTERS).order_by(DEAD_LETTERS.c.id.desc()).limit(most)
        with self.ledger.reading() as connection:
            rows = connection.execute(latest).all()
        return [KeptLetter(row.kind, row.provider, row.received_at, row.reason, row.body) for row in rows]


def read_through(ledger: Ledger, source: str, tables: Collection[str]) -> datetime | None:
    """Return the instant up to which ``source`` has been read for all of ``tables``; None when never for one."""
    known = read_watermarks(ledger)
    reached = [known.get((source, table)) for table in tables]
    instants = [instant for instant in reached if instant is not None]
    return min(instants) if instants and len(instants) == len(reached) else None


def _store(connection: Connection, post: Post, now: datetime) -> Stored:
    place = {"kind": post.kind, "provider": post.provider, "received_at": now}
    # In one order everywhere, so that two receivers with the same events wait for each other and do not deadlock.
    events = sorted(post.events, key=lambda event: event[0])
    accepted = _insert_new(connection, INBOX, [{**place, "key": key, "event": event} for key, event in events])
    _insert_new(connection, DEAD_LETTERS, [{**place, **_letter(dead)} for dead in post.dead])
    return Stored(accepted, len(events) - accepted)


def _letter(dead: DeadLetter) -> dict[str, str]:
    reason, body = dead.reason[:_REASON_CHARACTERS], dead.body[:_BODY_CHARACTERS]
    # A vendor sends again what was refused: the same letter is kept once.
    return {"reason": reason, "body": body, "key": hashlib.sha256(f"{reason}\n{body}".encode()).hexdigest()}


def _insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    if not rows:
        return 0
    build = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return max(0, connection.execute(build(table).on_conflict_do_nothing(), list(rows)).rowcount)
