"""Turns: of those who want a lease at once the more urgent gets it next, and nobody waits for ever.

Belongs here: waiting, who is next, keeping the lease while it is used. Does not belong here: the lease itself
(``leases``), what is done under it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import OperationalError

from scoring_platform.ledger.leases import acquire_lease, release_lease
from scoring_platform.ledger.schema import LEASES, WAITING
from scoring_platform.ledger.store import Ledger

LEASE = timedelta(seconds=20)
"""After this a lease is free again, should its holder have died; a living one renews it."""

PATIENCE = timedelta(seconds=10)
"""Who has waited for so long goes before the more urgent."""

_POLL_SECONDS = 0.05
_QUIET_SECONDS = 3.0
_SHOWN = timedelta(seconds=2)
"""For so long somebody who no longer asks still counts as waiting."""

_log = logging.getLogger(__name__)


@contextmanager
def turn(
    ledger: Ledger,
    name: str,
    *,
    holder: str,
    rank: int = 0,
    lease: timedelta = LEASE,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Wait for the lease ``name``, hold it as long as the block takes, and give it back.

    Args:
        ledger: Where the lease is.
        name: What one at a time may do.
        holder: Who we are.
        rank: The lowest of those who wait is next; equals take turns.
        lease: How long it holds when we die.
        sleep: How to wait.
    """
    # An ordinary turn ends within seconds; one that does not may be that of a process that was killed.
    said = time.monotonic() + _QUIET_SECONDS
    while not _taken(ledger, name, holder, rank, lease):
        if time.monotonic() >= said:
            _say_waiting(ledger, name)
            said = math.inf
        sleep(_POLL_SECONDS)
    done = Event()
    keeper = Thread(target=_keep, args=(ledger, name, holder, lease, done), daemon=True, name=f"lease {name}")
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
        release_lease(ledger, name, holder=holder)


def _say_waiting(ledger: Ledger, name: str) -> None:
    now = datetime.now(UTC)
    with ledger.reading() as connection:
        until = connection.execute(select(LEASES.c.expires_at).where(LEASES.c.name == name)).scalar()
    seconds = max(0, math.ceil((until - now).total_seconds())) if until else 0
    words = "waiting for another run that uses %s; should it have been killed, this one goes on in %d s at most"
    _log.warning(words, name, seconds)


def _taken(ledger: Ledger, name: str, holder: str, rank: int, lease: timedelta) -> bool:
    now = datetime.now(UTC)
    with ledger.writing(durable=False) as connection:
        _wait(connection, name, holder, rank, now)
        is_next = _next(connection, name, now) == holder
        busy = select(LEASES.c.holder).where(LEASES.c.name == name, LEASES.c.expires_at > now)
        busy = busy.where(LEASES.c.expires_at <= now + 2 * lease, LEASES.c.holder != holder)
        if not is_next or connection.execute(busy).first():
            return False
    if not acquire_lease(ledger, name, holder=holder, ttl=lease, now=now):
        return False
    with ledger.writing(durable=False) as connection:
        connection.execute(delete(WAITING).where(WAITING.c.name == name, WAITING.c.holder == holder))
    return True


def _wait(connection: Connection, name: str, holder: str, rank: int, now: datetime) -> None:
    """Show that we wait, since when we first did."""
    mine = (WAITING.c.name == name, WAITING.c.holder == holder, WAITING.c.expires_at > now)
    shown = update(WAITING).where(*mine).values(expires_at=now + _SHOWN)
    if connection.execute(shown).rowcount:
        return
    connection.execute(delete(WAITING).where(WAITING.c.name == name, WAITING.c.holder == holder))
    first = {"name": name, "holder": holder, "rank": rank, "since": now, "expires_at": now + _SHOWN}
    connection.execute(insert(WAITING).values(first))


def _next(connection: Connection, name: str, now: datetime) -> str:
    """Return who is next of those who wait; forget those who no longer ask, or did before the clock was set back."""
    gone = (WAITING.c.expires_at <= now) | (WAITING.c.expires_at > now + 2 * _SHOWN)
    connection.execute(delete(WAITING).where(WAITING.c.name == name, gone))
    rows = connection.execute(select(WAITING).where(WAITING.c.name == name)).all()
    urgency = {
        row.holder: (row.since > now - PATIENCE, row.rank if row.since > now - PATIENCE else 0, row.since, row.holder)
        for row in rows
    }
    return str(min(urgency, key=urgency.__getitem__))


def _keep(ledger: Ledger, name: str, holder: str, lease: timedelta, done: Event) -> None:
    """Renew the lease until the work is done: a batch may wait for longer than it holds."""
    while not done.wait(lease.total_seconds() / 3):
        try:
            kept = acquire_lease(ledger, name, holder=holder, ttl=lease, now=datetime.now(UTC))
        except OperationalError as error:
            _log.warning("the lease %s could not be renewed: %s; it is tried again", name, type(error).__name__)
        else:
            if not kept:
                _log.warning("the lease %s was lost: this process did not run for longer than it holds", name)
