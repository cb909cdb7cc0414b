"""Rates: what the limits of one account have counted, shared by every process that calls it.

A change takes a fraction of a millisecond, as it need not survive a power cut: what it says is about the last seconds.

Belongs here: keeping it. Does not belong here: what a limit allows (``http.limits``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from scoring_platform.ledger.schema import RATES
from scoring_platform.ledger.store import Ledger

T = TypeVar("T")

_KEPT = timedelta(days=1)
"""After this nobody asks about an account any more."""


class Rates:
    """The memory of one account's limits; implements ``http.limits.Memory``.

    Args:
        ledger: Shared by the processes.
        account: Names the account: its system and where it answers, because another one allows something else.
        clock: Seconds since 1970.
    """

    def __init__(self, ledger: Ledger, account: str, *, clock: Callable[[], float] | None = None) -> None:
        self._ledger = ledger
        self._account = account
        self._clock = clock or steady_clock()
        self._tidied = False
        # Threads queue here: waiting for each other's transactions they would look again only now and then.
        self._lock = Lock()

    def change(self, name: str, step: Callable[[dict[str, Any], float], T]) -> T:
        """Let ``step`` see and change what is known of the limit ``name``; see ``http.limits.Memory``."""
        key, changed_at = f"{self._account} {name}", datetime.now(UTC)
        with self._lock, self._ledger.writing(durable=False) as connection:
            build = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
            first = build(RATES).values(name=key, state={}, changed_at=changed_at)
            # Where the row is there nothing is changed; PostgreSQL locks it all the same.
            held = first.on_conflict_do_update(index_elements=["name"], set_={"name": first.excluded.name})
            connection.execute(held)
            known = connection.execute(select(RATES.c.state).where(RATES.c.name == key))
            state: dict[str, Any] = dict(known.scalar_one())
            result = step(state, self._clock())
            connection.execute(update(RATES).where(RATES.c.name == key).values(state=state, changed_at=changed_at))
            if not self._tidied:
                connection.execute(delete(RATES).where(RATES.c.changed_at < changed_at - _KEPT))
                self._tidied = True
        return result


def shared_rates(ledger_url: str, system: str, endpoint: str) -> Rates:
    """Return the memory of the account of ``system`` that answers at ``endpoint``, in the ledger at ``ledger_url``."""
    return Rates(Ledger(ledger_url), f"{system} {endpoint}")


def steady_clock() -> Callable[[], float]:
    """Return seconds since 1970 as of now, which do not jump when somebody sets the clock."""
    offset = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset
