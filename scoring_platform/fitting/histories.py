"""Purchase histories in the form that models of repeat buying need, equal ones counted together.

Belongs here: sufficient statistics and their grouping. Does not belong here: any model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Histories:
    """Groups of customers with equal histories; all arrays have one entry per group.

    Attributes:
        x: Repeat purchase days (purchase days less the first).
        t_x: Time from the first purchase to the last; 0 without a repeat.
        T: Time from the first purchase to the end of observation, in the unit of ``t_x``.
        n: Customers in the group.
    """

    x: Floats
    t_x: Floats
    T: Floats
    n: Floats

    @property
    def customers(self) -> float:
        """How many customers there are."""
        return float(self.n.sum())

    def every(self, most: int) -> Histories:
        """Return evenly spaced groups, at most ``most``; of sorted groups that is a fair picture of all."""
        step = -(-len(self.x) // most)
        return self if step <= 1 else Histories(self.x[::step], self.t_x[::step], self.T[::step], self.n[::step])

    @classmethod
    def of(cls, x: ArrayLike, t_x: ArrayLike, T: ArrayLike, n: ArrayLike | None = None) -> Histories:  # noqa: N803
        """Group single histories, or groups with ``n`` customers each.

        Raises:
            ValueError: A history is impossible: negative, not finite, ending before its last purchase.
        """
        columns = [np.asarray(values, dtype=np.float64) for values in (x, t_x, T)]
        counts = np.ones_like(columns[0]) if n is None else np.asarray(n, dtype=np.float64)
        _check(*columns)
        rows, places = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        grouped = np.bincount(places.reshape(-1), weights=counts, minlength=len(rows))
        return cls(rows[:, 0], rows[:, 1], rows[:, 2], grouped.astype(np.float64))


def _check(x: Floats, t_x: Floats, T: Floats) -> None:  # noqa: N803 - the names of the literature
    if not all(np.isfinite(values).all() for values in (x, t_x, T)):
        msg = "purchase histories must be finite"
        raise ValueError(msg)
    if (x < 0).any() or (t_x < 0).any() or (t_x > T).any():
        msg = "a purchase history needs x >= 0 and 0 <= t_x <= T"
        raise ValueError(msg)
    if ((x == 0) & (t_x > 0)).any() or ((x > 0) & (t_x == 0)).any():
        msg = "a history has repeat purchases exactly when its last purchase is later than its first"
        raise ValueError(msg)
