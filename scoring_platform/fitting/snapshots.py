"""What was known of customers on one day, and what they did in the horizon after it.

Belongs here: the arrays that models are fitted to and judged by. Does not belong here: any model, how they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from scoring_platform.fitting.histories import Floats, Histories

WEEK = 7.0
"""Days of a week, the unit of time of all parameters."""


@dataclass(frozen=True)
class Snapshot:
    """Customers who had bought by a day; all arrays have one entry per customer.

    Attributes:
        first: Days from the first purchase day to the day of the snapshot.
        last: Days from the last purchase day to the day of the snapshot.
        order_days: Purchase days so far, at least 1.
        signals: Further measures by name; NaN where a customer has none.
        bought: Purchase days within the horizon that followed; empty while it is open.
        spent: Net spend within that horizon (money); empty while it is open.
        fold: A number of each customer that never changes, by which customers are split.
    """

    first: Floats
    last: Floats
    order_days: Floats
    signals: Mapping[str, Floats] = field(default_factory=dict)
    bought: Floats = field(default_factory=lambda: np.empty(0))
    spent: Floats = field(default_factory=lambda: np.empty(0))
    fold: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def customers(self) -> int:
        """How many customers there are."""
        return len(self.first)

    @property
    def again(self) -> Floats:
        """1 for who bought within the horizon, else 0."""
        return (self.bought > 0).astype(np.float64)

    def histories(self) -> Histories:
        """Return the sufficient statistics of every customer, in weeks; equal ones are not counted together."""
        return Histories(
            self.order_days - 1,
            (self.first - self.last) / WEEK,
            self.first / WEEK,
            np.ones(self.customers),
        )

    def grouped(self) -> Histories:
        """Return the sufficient statistics in weeks, equal ones counted together."""
        single = self.histories()
        return Histories.of(single.x, single.t_x, single.T)

    def measures(self) -> dict[str, Floats]:
        """Return what a scorecard reads: purchases, and the signals."""
        return {**purchase_measures(self.first, self.last, self.order_days), **self.signals}


def purchase_measures(first: Floats, last: Floats, order_days: Floats) -> dict[str, Floats]:
    """Return recency, frequency, tenure and silence; the last is recency in units of the customer's own rhythm.

    The rhythm is tenure over purchase days, not the mean gap, so that one purchase has one too; a week is added so
    that nobody's is nothing.
    """
    return {
        "recency": last,
        "frequency": order_days,
        "tenure": first,
        "silence": last * order_days / (first + WEEK),
    }
