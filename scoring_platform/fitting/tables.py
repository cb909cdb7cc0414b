"""Models of repeat buying, tabulated: what the engine joins instead of calling special functions per customer.

With x repeat purchase days, the last after t_x weeks of T, every model here has this form:

    u        = exp(left(x, t_x) - alive(x, T))
    p_alive  = 1 / (1 + u - rest(x, T))
    p_none   = p_alive * (stay(x, T) + u - rest_later(x, T))
    expected = p_alive * orders(x, T)

so that two tables, on the pairs (x, t_x) and (x, T) that occur, are all it takes. For (M)BG/NBD ``left`` is the chance
of having left right after the last purchase and ``rest`` is nothing; for Pareto/NBD they are the integral over the
moments of leaving since t_x and since T (Fader & Hardie, note on deriving the Pareto/NBD model).

Belongs here: both tables. Does not belong here: the join (``domain.forecasts``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scoring_platform.fitting.bg_nbd import BgNbd
from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.repeat_buying import MOST_ORDERS, Model

YEAR_WEEKS = 365 / 7
MONTHS = 12
_NEVER = -1e6
"""Logarithm of nothing, which an engine can add to."""


@dataclass(frozen=True)
class Ahead:
    """Columns on the pairs (x, T); see the module.

    Attributes:
        alive: Logarithm of the chance of the purchases and of being a customer still.
        rest: Chance of leaving after T, relative to ``alive``.
        rest_later: The same after T + horizon.
        stay: Chance of no purchase in the horizon and of being a customer after it, relative to ``alive``.
        orders: Expected purchase days within the horizon of one who is still a customer.
        year: The same within twelve months, discounted.
    """

    alive: Floats
    rest: Floats
    rest_later: Floats
    stay: Floats
    orders: Floats
    year: Floats


def left(model: Model, x: Floats, t_x: Floats, *, until: float) -> Floats:
    """Return the column on the pairs (x, t_x).

    Args:
        model: The model.
        x: Repeat purchase days.
        t_x: Weeks from the first purchase to the last.
        until: Weeks, the same as in ``ahead``: at least every T + horizon.
    """
    if isinstance(model, BgNbd):
        return np.maximum(model.log_left(x, t_x), _NEVER)
    return np.maximum(model.log_left(x, t_x, np.full_like(t_x, until)), _NEVER)


def ahead(model: Model, x: Floats, T: Floats, *, horizon: float, until: float, discount: float) -> Ahead:  # noqa: N803
    """Return the columns on the pairs (x, T).

    Args:
        model: The model.
        x: Repeat purchase days.
        T: Weeks from the first purchase to the day of the forecast.
        horizon: Weeks.
        until: Weeks, at least every T + horizon.
        discount: Annual discount rate of the value of later purchases.
    """
    alive = model.log_alive(x, T)
    orders = _orders(model, x, T, horizon)
    year = _discounted(model, x, T, discount)
    stay = np.exp(model.log_alive(x, T + horizon) - alive)
    if isinstance(model, BgNbd):
        nothing = np.zeros_like(alive)
        return Ahead(alive, nothing, nothing, stay, orders, year)
    end = np.full_like(T, until)
    rest, later = model.log_left(x, T, end), model.log_left(x, T + horizon, end)
    return Ahead(alive, np.exp(rest - alive), np.exp(later - alive), stay, orders, year)


def _orders(model: Model, x: Floats, T: Floats, horizon: float) -> Floats:  # noqa: N803
    found = np.nan_to_num(model.expected_alive(x, T, horizon), nan=0.0, posinf=MOST_ORDERS, neginf=0.0)
    return np.clip(found, 0.0, MOST_ORDERS)


def _discounted(model: Model, x: Floats, T: Floats, discount: float) -> Floats:  # noqa: N803
    """Expected purchase days of the next twelve months, each month's discounted to today from its middle."""
    total, before = np.zeros_like(T), np.zeros_like(T)
    for month in range(1, MONTHS + 1):
        so_far = _orders(model, x, T, YEAR_WEEKS * month / MONTHS)
        total += np.maximum(so_far - before, 0.0) / (1 + discount) ** ((month - 0.5) / MONTHS)
        before = so_far
    return total
