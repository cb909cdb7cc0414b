"""The purchases of a sample of customers, day by day, and what was known of them on any past day.

Belongs here: the log and its snapshots. Does not belong here: which customers are sampled, reading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.snapshots import Snapshot

Ints = NDArray[np.int64]
YEAR = 365

Signals = Callable[[int], Mapping[str, Floats]]
"""Further measures on a day, one entry per customer of the log."""


@dataclass(frozen=True)
class PurchaseLog:
    """Days with purchases or refunds, sorted by customer and day; days are counted from any fixed day.

    Attributes:
        customer: Number of the customer, 0 … size - 1.
        day: The day.
        bought: Whether it is a purchase day.
        net: Net spend of the day (money).
        size: Customers.
    """

    customer: Ints
    day: Ints
    bought: NDArray[np.bool_]
    net: Floats
    size: int

    @property
    def first_day(self) -> int | None:
        """The earliest purchase day; None without a purchase."""
        days = self.day[self.bought]
        return int(days.min()) if len(days) else None

    def through(self, on: int) -> PurchaseLog:
        """Return what of the log was known at the end of day ``on``."""
        known = self.day <= on
        return PurchaseLog(self.customer[known], self.day[known], self.bought[known], self.net[known], self.size)

    def every(self, step: int) -> PurchaseLog:
        """Return the log of each ``step``-th customer; numbers say nothing of customers."""
        chosen = self.customer % step == 0
        size = -(-self.size // step)
        return PurchaseLog(self.customer[chosen] // step, self.day[chosen], self.bought[chosen], self.net[chosen], size)

    def snapshot(self, on: int, *, season: int, signals: Signals | None = None, ahead: int | None = None) -> Snapshot:
        """Return what was known at the end of day ``on`` of everyone who had bought by then.

        Args:
            on: The day.
            season: Days of the horizon; who was a customer a year ago has the purchase days of that season counted.
            signals: Further measures.
            ahead: Days of the horizon that followed, when it has closed.
        """
        before = self.bought & (self.day <= on)
        days = self._count(before)
        there = days > 0
        first = np.full(self.size, np.iinfo(np.int64).max)
        np.minimum.at(first, self.customer[before], self.day[before])
        last = np.full(self.size, np.iinfo(np.int64).min)
        np.maximum.at(last, self.customer[before], self.day[before])
        lately = self._count(before & (self.day > on - YEAR) & (self.day <= on - YEAR + min(season, YEAR)))
        measures = {"season": np.where(first <= on - YEAR, lately, np.nan)}
        if signals is not None:
            measures |= dict(signals(on))
        after = (self.day > on) & (self.day <= on + (ahead or 0))
        return Snapshot(
            first=(on - first[there]).astype(np.float64),
            last=(on - last[there]).astype(np.float64),
            order_days=days[there],
            signals={name: values[there] for name, values in measures.items()},
            bought=self._count(after & self.bought)[there] if ahead else np.empty(0),
            spent=self._sum(after, self.net)[there] if ahead else np.empty(0),
            fold=self._places[there],
        )

    def values(self, on: int, *, repeats: bool) -> tuple[Floats, Floats]:
        """Return, of everyone with purchase days of positive net spend up to ``on``, how many and their mean value.

        Args:
            on: The day.
            repeats: Whether the first purchase day is left out, as the published fits of Gamma-Gamma do.
        """
        known = self.bought & (self.day <= on)
        if repeats:
            first = np.full(self.size, np.iinfo(np.int64).max)
            np.minimum.at(first, self.customer[known], self.day[known])
            known &= self.day > first[self.customer]
        paid = known & (self.net > 0)
        count, total = self._count(paid), self._sum(paid, self.net)
        there = count > 0
        return count[there], total[there] / count[there]

    def spending(self, on: int) -> tuple[Floats, Floats]:
        """Return the paid purchase days up to ``on`` and their mean value of everyone in the snapshot of that day."""
        known = self.bought & (self.day <= on)
        there = self._count(known) > 0
        paid = known & (self.net > 0)
        count, total = self._count(paid)[there], self._sum(paid, self.net)[there]
        return count, total / np.maximum(count, 1)

    @cached_property
    def _places(self) -> Floats:
        """Places of customers in an order that does not depend on their numbers: by first day, purchases, spend."""
        first = np.full(self.size, np.iinfo(np.int64).max)
        np.minimum.at(first, self.customer[self.bought], self.day[self.bought])
        everything = np.ones(len(self.day), dtype=bool)
        order = np.lexsort((self._sum(everything, self.net), self._count(self.bought), first))
        places = np.empty(self.size)
        places[order] = np.arange(self.size)
        return places

    def _count(self, rows: NDArray[np.bool_]) -> Floats:
        return np.bincount(self.customer[rows], minlength=self.size).astype(np.float64)

    def _sum(self, rows: NDArray[np.bool_], values: Floats) -> Floats:
        return np.bincount(self.customer[rows], weights=values[rows], minlength=self.size).astype(np.float64)
