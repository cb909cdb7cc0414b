"""Shops that keep to a model's assumptions to the letter, so that what is promised of forecasts can be counted.

Belongs here: drawing whole shops at once. Does not belong here: expectations.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.log import Ints, PurchaseLog

Kind = Literal["bg_nbd", "mbg_nbd", "pareto_nbd"]
KINDS: tuple[Kind, ...] = ("bg_nbd", "mbg_nbd", "pareto_nbd")

_RATE_SHAPE, _RATE_WEEKS = 0.8, 8.0
_LEAVING, _STAYING = 0.8, 2.4
_LIFE_SHAPE, _LIFE_WEEKS = 0.9, 20.0
_SPEND_SHAPE, _SPEND_MIX, _SPEND_SCALE = 6.0, 4.0, 6_000.0


def true_shop(kind: Kind, size: int, days: int, seed: int) -> PurchaseLog:
    """Return the purchases of customers who come on any of ``days`` days, the last third of them without new ones.

    Customers buy at gamma-distributed rates. In BG/NBD and MBG/NBD they leave with a beta-distributed chance after a
    purchase, in Pareto/NBD after a time that is exponential with a gamma-distributed rate. What they pay is
    gamma-gamma.
    """
    chance = np.random.default_rng([seed, KINDS.index(kind)])
    first = chance.integers(0, days * 2 // 3, size)
    rates = chance.gamma(_RATE_SHAPE, 1 / _RATE_WEEKS, size) / 7
    stays, most = (days - first).astype(np.float64), np.full(size, np.inf)
    if kind == "pareto_nbd":
        leaving = chance.gamma(_LIFE_SHAPE, 1 / _LIFE_WEEKS, size) / 7
        stays = np.minimum(stays, chance.exponential(1 / leaving))
    else:
        # A geometric number counts purchases up to that after which one leaves; the first counts in MBG/NBD alone.
        most = chance.geometric(np.maximum(chance.beta(_LEAVING, _STAYING, size), 1e-12)).astype(np.float64)
        most -= 1.0 if kind == "mbg_nbd" else 0.0
    who = np.repeat(np.arange(size), chance.poisson(rates * stays))
    at = chance.random(len(who)) * stays[who]
    order = np.lexsort((at, who))
    who, at = who[order], at[order]
    starts = np.concatenate([[0], np.cumsum(np.bincount(who, minlength=size))[:-1]])
    kept = np.arange(len(who)) - starts[who] < most[who]
    customer = np.concatenate([np.arange(size), who[kept]])
    day = np.concatenate([first, first[who[kept]] + at[kept].astype(np.int64)])
    return _log(customer, day, chance, size)


def _log(customer: Ints, day: Ints, chance: np.random.Generator, size: int) -> PurchaseLog:
    """Lay out purchase days with what is paid on them."""
    pairs = np.unique(np.stack([customer, day], axis=1), axis=0)
    scale: Floats = _SPEND_SCALE / chance.gamma(_SPEND_MIX, 1.0, size)
    net = np.round(chance.gamma(_SPEND_SHAPE, scale[pairs[:, 0]] / _SPEND_SHAPE), 2)
    return PurchaseLog(pairs[:, 0], pairs[:, 1], np.ones(len(pairs), dtype=bool), net, size)
