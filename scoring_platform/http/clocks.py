"""How far the clocks of the systems we call are from ours.

Belongs here: noting what their answers say, for whoever wants to know. Does not belong here: what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_seen: ContextVar[list[timedelta] | None] = ContextVar("clocks", default=None)


@contextmanager
def watched_clocks() -> Iterator[list[timedelta]]:
    """Give a list that fills with how far ahead of ours the clock of every answer inside this block is."""
    seen: list[timedelta] = []
    token = _seen.set(seen)
    try:
        yield seen
    finally:
        _seen.reset(token)


def note_clock(headers: Mapping[str, str]) -> None:
    """Note what an answer says about its server's clock, if somebody watches."""
    seen = _seen.get()
    if seen is None:
        return
    try:
        theirs = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        return
    # RFC 9110 allows only GMT; "-0000" reads as naive.
    seen.append((theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)) - datetime.now(UTC))
