"""How far off a model's level was on closed horizons, and how far it will be on the next.

A model of repeat buying knows no seasons and no trend: in a shop that declines, or before Christmas, its ranking is
right and its level wrong. Horizons that have closed tell by how much. The next correction is their mean, newer ones
counting more, plus what the same season of last year deviated from it; both are pulled towards no correction, the
stronger the less there is to learn from.

Belongs here: corrections of the past to that of the next horizon. Does not belong here: the corrected models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.logistic import logit, probability

YEAR = 365
_HALF_LIFE = 2.0
"""Horizons after which an older correction counts half."""

_SPREAD = 0.35
"""Standard deviation of lasting corrections over shops, before anything is known of this one."""

_WANDER = 0.3
"""Standard deviation of corrections over the horizons of one shop, before anything is known; worth two of them."""

_SEASON = 0.5
"""Share of last year's deviation that comes again, before anything is known."""

_MOST = 2.0
"""No correction is greater, on the scale of logits or logarithms."""

_MOST_BROKEN = 6.0
"""The same where forecasts have failed again and again, as when a shop has closed for a while."""


@dataclass(frozen=True)
class Deviation:
    """A model's level on one closed horizon.

    Attributes:
        value: What had to be added to its logits, or logarithms, to be right in total.
        variance: Of that, from the number of customers.
    """

    value: float
    variance: float


@dataclass(frozen=True)
class Level:
    """The correction of the next horizon.

    Attributes:
        lasting: What horizons had in common.
        seasonal: What the same season of last year deviated from it.
    """

    lasting: float = 0.0
    seasonal: float = 0.0

    @property
    def total(self) -> float:
        """Both."""
        return self.lasting + self.seasonal


def deviation_of_chances(chances: Floats, again: Floats) -> Deviation:
    """Return how far logits have to move for as many to buy again as did."""
    logits, n = logit(chances), len(again)
    wanted = min(max(float(again.sum()), 0.5), n - 0.5)
    shift = shift_to_total(logits, wanted)
    p = probability(logits + shift)
    return Deviation(shift, 1 / max(float((p * (1 - p)).sum()), 1e-9))


def deviation_of_counts(expected: Floats, actual: Floats) -> Deviation:
    """Return the logarithm of actual over expected total."""
    total = max(float(actual.sum()), 0.5)
    variance = max(float(actual.var()) * len(actual), total) / total**2
    return Deviation(float(np.log(total / max(float(expected.sum()), 1e-9))), variance)


def shift_to_total(logits: Floats, wanted: float) -> float:
    """Return what has to be added to all logits for the probabilities to add up to ``wanted``."""
    least, most = -60 - float(logits.max()), 60 - float(logits.min())
    return float(brentq(lambda shift: float(probability(logits + shift).sum()) - wanted, least, most))


def next_level(past: Sequence[Deviation], *, horizon: int, broken: bool = False) -> Level:
    """Return the correction for the next horizon.

    Args:
        past: Deviations on horizons of equal length that follow each other, the newest first.
        horizon: Their length in days.
        broken: Whether forecasts corrected in this way have failed again and again: then the newest alone counts.
    """
    if not past:
        return Level()
    if broken:
        return Level(lasting=float(np.clip(past[0].value, -_MOST_BROKEN, _MOST_BROKEN)))
    values = np.clip([one.value for one in past], -_MOST, _MOST)
    variances = np.array([one.variance for one in past])
    wander = _wander(values, variances)
    weights = 2 ** (-np.arange(len(values)) / _HALF_LIFE) / (variances + wander)
    share = weights / weights.sum()
    mean, uncertain = float(share @ values), float(share**2 @ (variances + wander))
    lasting = mean * _SPREAD**2 / (_SPREAD**2 + uncertain)
    return Level(lasting, _seasonal(values - lasting, variances, wander, horizon))


def _wander(values: Floats, variances: Floats) -> float:
    """Variance of corrections between horizons, beyond what the number of customers explains."""
    prior = _WANDER**2
    middle = np.average(values, weights=1 / (variances + prior))
    beyond = max(float(((values - middle) ** 2 - variances).sum()), 0.0)
    return (2 * prior + beyond) / (1 + len(values))


def _seasonal(deviations: Floats, variances: Floats, wander: float, horizon: int) -> float:
    """What the horizon one year earlier deviated, as far as such deviations have come again."""
    back = round(YEAR / horizon)
    if back < 2 or abs(back * horizon - YEAR) > horizon / 4 or len(deviations) < back:
        return 0.0
    pairs = np.arange(len(deviations) - back)
    prior = 2 * _WANDER**2
    earlier = deviations[pairs + back]
    share = (_SEASON * prior + float(deviations[pairs] @ earlier)) / (
        prior + float((earlier**2 + variances[pairs + back]).sum())
    )
    known = wander / (wander + variances[back - 1])
    return min(max(share, 0.0), 1.0) * float(deviations[back - 1] * known)
