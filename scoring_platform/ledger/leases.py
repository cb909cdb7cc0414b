"""Leases: at most one holder of a name at a time, freed by time when the holder dies.

Belongs here: taking, keeping and giving back. Does not belong here: what must not overlap.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from scoring_platform.ledger.schema import LEASES
from scoring_platform.ledger.store import Ledger


def acquire_lease(ledger: Ledger, name: str, *, holder: str, ttl: timedelta, now: datetime) -> bool:
    """Take or renew the lease ``name`` for ``holder`` until ``now + ttl``; False while another holds it."""
    # None reaches that far into the future unless the clock was set back since.
    free = or_(LEASES.c.holder == holder, LEASES.c.expires_at <= now, LEASES.c.expires_at > now + 2 * ttl)
    taken = update(LEASES).where(LEASES.c.name == name, free).values(holder=holder, expires_at=now + ttl)
    with ledger.writing() as connection:
        if connection.execute(taken).rowcount:
            return True
    try:
        with ledger.writing() as connection:
            connection.execute(insert(LEASES).values(name=name, holder=holder, expires_at=now + ttl))
    except IntegrityError:
        # Held by another, or another first-comer was quicker.
        return False
    return True


def lease_holder(ledger: Ledger, name: str, *, now: datetime) -> str | None:
    """Return who holds ``name`` at ``now``."""
    with ledger.reading() as connection:
        live = select(LEASES.c.holder).where(LEASES.c.name == name, LEASES.c.expires_at > now)
        return connection.execute(live).scalar()


def release_lease(ledger: Ledger, name: str, *, holder: str) -> bool:
    """Give ``name`` back; False when ``holder`` no longer had it."""
    with ledger.writing() as connection:
        own = delete(LEASES).where(LEASES.c.name == name, LEASES.c.holder == holder)
        return connection.execute(own).rowcount > 0
