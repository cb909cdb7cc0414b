"""How good a forecast was.

Belongs here: figures from forecasts and outcomes. Does not belong here: forecasts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scoring_platform.fitting.histories import Floats

_Z = 1.959963984540054
"""Standard deviations of a 95 % interval."""


def auc(forecast: Floats, happened: Floats) -> float | None:
    """Return the chance that who did is ranked above who did not (ties half); None where all did or none."""
    did = float(happened.sum())
    did_not = len(happened) - did
    if did == 0 or did_not == 0:
        return None
    ranks = ranks_of(forecast)
    return float((ranks[happened > 0].sum() - did * (did + 1) / 2) / (did * did_not))


def ranks_of(values: Floats) -> Floats:
    """Return the rank of each value, from 1; equal values share their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[places.reshape(-1)])


def brier(forecast: Floats, happened: Floats) -> float:
    """Return the mean squared error of probabilities."""
    return float(np.mean((forecast - happened) ** 2))


def total_error(forecast: Floats, actual: Floats) -> float | None:
    """Return forecast over actual total, less 1; None where nothing happened."""
    total = float(actual.sum())
    return None if total <= 0 else float(forecast.sum()) / total - 1


def spearman(forecast: Floats, actual: Floats) -> float | None:
    """Return the correlation of ranks; None where one of the two is constant."""
    ranks, others = ranks_of(forecast), ranks_of(actual)
    if ranks.std() == 0 or others.std() == 0:
        return None
    return float(np.corrcoef(ranks, others)[0, 1])


def gini(forecast: Floats, actual: Floats) -> float | None:
    """Return the normalised Gini: the concentration of actual value by forecast over that by actual value itself.

    1 is a perfect ranking, 0 none. Equal forecasts share what their customers did.
    """
    best = _concentration(actual, actual)
    return None if best <= 0 else _concentration(forecast, actual) / best


def top_decile_lift(forecast: Floats, actual: Floats) -> float | None:
    """Return the actual value of the tenth with the highest forecasts over that of a tenth at random.

    Equal forecasts share what their customers did.
    """
    total = float(actual.sum())
    if total <= 0 or len(actual) < 10:
        return None
    top = np.argsort(-forecast, kind="stable")[: len(actual) // 10]
    return float(_shared(forecast, actual)[top].sum() / total / (len(top) / len(actual)))


@dataclass(frozen=True)
class Decile:
    """One tenth of the customers by forecast.

    Attributes:
        n: Customers.
        forecast: Mean forecast.
        actual: Mean of what happened; of chances, the share that did.
        low: Lower end of the 95 % interval of that mean.
        high: Upper end.
    """

    n: int
    forecast: float
    actual: float
    low: float
    high: float


def calibration(forecast: Floats, happened: Floats) -> list[Decile]:
    """Return forecast and outcome of chances by decile, with Wilson's interval."""
    found = []
    for chances, shares in _deciles(forecast, happened):
        share = float(shares.mean())
        found.append(Decile(len(shares), float(chances.mean()), share, *wilson(share, len(shares))))
    return found


def calibration_of_values(forecast: Floats, actual: Floats) -> list[Decile]:
    """Return forecast and outcome of amounts by decile, with the normal interval of a mean."""
    squares = _shared(forecast, actual**2)
    found = []
    for (forecasts, values), (_, squared) in zip(_deciles(forecast, actual), _deciles(forecast, squares), strict=True):
        mean = float(values.mean())
        half = _Z * float(np.sqrt(max(float(squared.mean()) - mean**2, 0.0) / len(values)))
        found.append(Decile(len(values), float(forecasts.mean()), mean, mean - half, mean + half))
    return found


def _deciles(forecast: Floats, actual: Floats) -> list[tuple[Floats, Floats]]:
    """Split by height of the forecast; with few customers, into fewer groups of at least 20."""
    groups = min(10, max(1, len(forecast) // 20))
    order, shared = np.argsort(forecast, kind="stable"), _shared(forecast, actual)
    return [(forecast[part], shared[part]) for part in np.array_split(order, groups) if len(part)]


def _shared(forecast: Floats, actual: Floats) -> Floats:
    """Return what customers with equal forecasts did on average, so that the order of rows tells nothing."""
    _, group, counts = np.unique(forecast, return_inverse=True, return_counts=True)
    group = group.reshape(-1)
    return np.asarray((np.bincount(group, weights=actual) / counts)[group])


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share."""
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _concentration(by: Floats, actual: Floats) -> float:
    total = float(actual.sum())
    if total <= 0 or len(actual) < 2:
        return 0.0
    _, group, counts = np.unique(-by, return_inverse=True, return_counts=True)
    sums = np.bincount(group.reshape(-1), weights=actual)
    share = np.concatenate([[0.0], np.cumsum(sums) / total])
    place = np.concatenate([[0.0], np.cumsum(counts) / len(actual)])
    return float(np.sum((share[1:] + share[:-1]) / 2 * np.diff(place)) - 0.5)
