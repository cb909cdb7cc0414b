"""Customer lifetime value: expected purchases of the next twelve months, times what one is worth, with an interval.

Expected purchases are those of the model that came closest on closed horizons, tilted by what the churn card knows
beyond it and brought to the level that closed horizons show. A purchase is worth what Gamma-Gamma expects; where that
cannot be fitted, the customer's mean is weighed against everybody's by Bühlmann's credibility; without any, everybody's
mean counts. The interval holds the middle 80 % of what customers with a like forecast spent on a closed horizon,
relative to their forecast: it assumes nothing about the models.

Belongs here: which model, the tilt, the value of a purchase, the interval. Does not belong here: the churn card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scoring_platform.fitting import repeat_buying as btyd
from scoring_platform.fitting.churn import TYPICAL, Closed
from scoring_platform.fitting.gamma_gamma import GammaGamma
from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.maximise import Fit
from scoring_platform.fitting.repeat_buying import Family
from scoring_platform.fitting.snapshots import WEEK

GAMMA_GAMMA, CREDIBILITY, MEAN = "gamma_gamma", "credibility", "mean"
COVERAGE = 0.8
_FEWEST = 50
"""Customers with a value below which Gamma-Gamma is not fitted, and per stratum of the interval."""

_STRATA = 10
_FAR = 2.0
"""Times everybody's observed mean from which that of Gamma-Gamma is not believed: near q = 1 it grows without bound."""

_WIDEST = 1e3
"""Most that spend over forecast counts in the interval; models of a shop nobody came back to yet forecast next to none.
"""


@dataclass(frozen=True)
class OrderValue:
    """What a purchase day of a customer is worth, from how many have been paid and their mean.

    Every rung has the form weight * mean + (1 - weight) * everybody's, weight = n / (n + k), with Gamma-Gamma's
    k = (q - 1) / p and everybody's p v / (q - 1).

    Attributes:
        rung: How it was found.
        reason: Why that way.
        everybody: Expected value of a customer without a paid purchase (money).
        k: Purchases that everybody's mean is worth.
    """

    rung: str
    reason: str
    everybody: float
    k: float

    def of(self, n: Floats, mean: Floats) -> Floats:
        """Return the expected value of a purchase."""
        weight = n / (n + self.k) if self.k > 0 else (n > 0).astype(np.float64)
        return np.asarray(weight * np.where(n > 0, mean, 0.0) + (1 - weight) * self.everybody)


def fit_order_value(n: Floats, mean: Floats, *, everybody: float) -> tuple[OrderValue, Fit | None]:
    """Return what a purchase is worth, and the fit of Gamma-Gamma where there was one.

    Args:
        n: Paid repeat purchase days of each customer that has any, at least 1.
        mean: Their mean net spend (money), greater than 0.
        everybody: Mean net spend of all paid purchase days (money).
    """
    if len(n) < _FEWEST:
        reason = f"{len(n)} customers paid more than once, fewer than {_FEWEST}: everybody's mean"
        return OrderValue(MEAN, reason, everybody, 1.0), None
    model, fit = GammaGamma.fit(n, mean)
    mean_value = model.p * model.v / (model.q - 1) if model.q > 1 else np.inf
    if fit.converged and mean_value <= _FAR * everybody:
        return OrderValue(GAMMA_GAMMA, "maximum likelihood", mean_value, (model.q - 1) / model.p), fit
    why = fit.reason or f"q is {model.q:.3f}, by which everybody has no mean or one far from what was paid"
    return OrderValue(CREDIBILITY, f"Gamma-Gamma cannot be used: {why}", everybody, _credibility(n, mean)), fit


def _credibility(n: Floats, mean: Floats) -> float:
    """Return Bühlmann's k, the variance within customers over that between them, by the spread of means alone.

    The variance of a mean is between + within / n: a line in 1 / n.
    """
    if np.ptp(n) == 0:  # all have as many: nothing tells the two apart
        return 1.0
    squares = (mean - mean.mean()) ** 2
    slope, between = np.polyfit(1 / n, squares, 1, w=np.sqrt(n))
    if between <= 0:
        return float(n.max()) * 10
    return float(np.clip(slope / between, 0.01, n.max() * 10))


def best_for_orders(trained: Sequence[Closed], names: Sequence[str], inner: int) -> tuple[str, str]:
    """Return the model whose expected purchases came closest on closed horizons, by Poisson deviance, and why."""
    if not names:
        return btyd.MBG_NBD, "no model could be fitted: the parameters of a typical shop"
    if not trained:
        return names[0], "no horizon has closed to judge by"
    means = {name: float(np.mean([_deviance(one, name, inner) for one in trained])) for name in names}
    said = ", ".join(f"{name} {value:.4f}" for name, value in sorted(means.items(), key=lambda pair: pair[1]))
    return min(means, key=lambda name: means[name]), f"Poisson deviance of purchases on closed horizons: {said}"


def _deviance(one: Closed, name: str, inner: int) -> float:
    model = one.family[name].model
    expected = np.maximum(btyd.expected(model, one.known.histories(), inner / WEEK), 1e-6)
    actual = one.known.bought
    logs = np.where(actual > 0, actual * np.log(np.maximum(actual, 1) / expected), 0.0)
    return float(2 * np.mean(logs - (actual - expected)))


def orders_model(family: Family, name: str) -> btyd.Model:
    """Return the model called ``name`` out of a family, or that of a typical shop."""
    found = btyd.usable(family)
    return found[name] if name in found else btyd.model_of(btyd.MBG_NBD, TYPICAL)


@dataclass(frozen=True)
class Interval:
    """How far what customers spent was from their forecasts, by height of the forecast.

    Attributes:
        edges: Forecasts (money over twelve months) where strata begin, rising.
        low: Lower quantile of actual over forecast, of each stratum.
        high: Upper quantile.
        days: Length of the closed horizon it was seen on.
        n: Customers it was seen on.
    """

    edges: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    days: int
    n: int

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Interval:
        """Return it from plain data."""
        edges, low, high = (tuple(plain[name]) for name in ("edges", "low", "high"))
        return cls(edges, low, high, plain["days"], plain["n"])


def fit_interval(forecast: Floats, actual: Floats, *, days: int) -> Interval | None:
    """Return the spread around forecasts; None with too few customers.

    Args:
        forecast: Forecast spend of each customer over twelve months (money).
        actual: What they spent on a closed horizon, brought to twelve months by its length.
        days: Length of that horizon.
    """
    known = forecast > 0
    forecast, actual = forecast[known], np.maximum(actual[known], 0.0)
    if len(forecast) < _FEWEST:
        return None
    edges = _edges(forecast)
    place = np.searchsorted(edges, forecast, side="right")
    ratio = np.minimum(actual / forecast, _WIDEST)
    tail = (1 - COVERAGE) / 2
    low, high = [], []
    for stratum in range(len(edges) + 1):
        own = np.sort(ratio[place == stratum])
        # Ranks of n + 1 keep what is promised with few customers too (split conformal prediction).
        lowest = own[max(int(np.floor(tail * (len(own) + 1))) - 1, 0)]
        # Where many spend nothing that is the lower end, and nobody is below it: all that is left out is above.
        below = float(np.mean(own < lowest))
        highest = own[min(int(np.ceil((below + COVERAGE) * (len(own) + 1))) - 1, len(own) - 1)]
        low.append(float(lowest))
        high.append(float(highest))
    return Interval(tuple(map(float, edges)), tuple(low), tuple(high), days, len(forecast))


def _edges(forecast: Floats) -> Floats:
    """Return where strata begin: at quantiles, without those that equal forecasts would leave with too few."""
    strata = min(_STRATA, len(forecast) // _FEWEST)
    kept: list[float] = []
    below = 0
    for edge in np.quantile(forecast, np.linspace(0, 1, strata + 1)[1:-1]):
        reached = int((forecast < edge).sum())
        if reached - below >= _FEWEST and len(forecast) - reached >= _FEWEST:
            kept.append(float(edge))
            below = reached
    return np.array(kept)
