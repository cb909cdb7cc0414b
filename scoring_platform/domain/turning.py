"""The days on which a customer may be judged otherwise from the next day on.

Between two changes of the facts only time passes: a band of recency turns on the day on which recency reaches its
limit, a condition on days since something on the day on which they reach it, and everybody's bands where new limits
come into force. What is judged on the last day before each of these holds on every day since the one before.

Belongs here: spells and limits to days. Does not belong here: bands and conditions themselves (``rfm``, ``segments``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from math import ceil, floor

import ibis
import ibis.expr.types as ir

from scoring_platform.config.scoring import Range
from scoring_platform.domain.running import shifted


@dataclass(frozen=True)
class Turns:
    """When a judgement may turn within a spell of unchanged facts.

    Attributes:
        recency: Days since the last purchase.
        tenure: Days since the first one.
        on: Days of the calendar, from which on other limits are in force.
    """

    recency: frozenset[int]
    tenure: frozenset[int]
    on: frozenset[date]


def reached(ranges: Iterable[Range]) -> set[int]:
    """Return the whole numbers from which on, counting up, a value is in one of ``ranges`` or no longer."""
    found: set[int] = set()
    for limits in ranges:
        if limits.min is not None:
            found.add(ceil(limits.min))
        if limits.max is not None:
            found.add(floor(limits.max) + 1)
    return found


def last_days(spells: ir.Table, turns: Turns) -> ir.Table:
    """Return the rows of ``spells`` with ``as_of``: their last day, and each last day before something may turn.

    Args:
        spells: customer_id, since, until, first_order_on, last_order_on, and more.
        turns: When something may turn.
    """
    ends = spells.mutate(as_of=shifted(spells.until, -1))
    parts = [ends]
    for numbers, begin in ((turns.recency, spells.last_order_on), (turns.tenure, spells.first_order_on)):
        if numbers:
            table = ibis.memtable({"_n": sorted(numbers)}, schema={"_n": "int64"})
            parts.append(_before(spells.mutate(_begin=begin).cross_join(table)))
    if turns.on:
        table = ibis.memtable({"_begin": sorted(turns.on)}, schema={"_begin": "date"})
        parts.append(_before(spells.cross_join(table).mutate(_n=ibis.literal(0))))
    return ibis.union(*[part.select(ends.columns) for part in parts])


def _before(rows: ir.Table) -> ir.Table:
    """Return the day before ``_begin`` + ``_n`` where that turn is within the spell."""
    turn = shifted(rows._begin, rows._n)
    within = rows.mutate(_turn=turn).filter((turn > rows.since) & (turn < rows.until))
    return within.mutate(as_of=shifted(within._turn, -1))
