"""Forecasts made a horizon ago, by what was known then, against what has happened since.

Belongs here: the figures of one forecast, and when it is a breach. Does not belong here: fitting, what follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.metrics import (
    Decile,
    auc,
    brier,
    calibration,
    calibration_of_values,
    gini,
    spearman,
    top_decile_lift,
    total_error,
)

CHURN, CLV = "churn", "clv"
"""Names of forecasts as scores give them, beside those of single models."""

MOST_OFF = 0.5
"""Share by which the total of expected orders, or of CLV, may be off before that is a breach."""

_FEWEST_SPENT = 30
"""Customers who spent anything, from which on the total of a CLV is judged."""

_SIGMAS = 3.0
"""Standard errors beyond which chance does not explain it; of the customers there are, were they independent."""


@dataclass(frozen=True)
class Foreseen:
    """Forecasts for one horizon; one entry per customer.

    Attributes:
        chances: Of buying.
        orders: Expected purchase days.
        spend: Expected net spend (money), or what ranks customers by it.
    """

    chances: Floats
    orders: Floats
    spend: Floats


@dataclass(frozen=True)
class Backtest:
    """How one forecast did.

    Attributes:
        n: Customers.
        auc: Of the chance of buying; None where all or none did, and of a CLV.
        brier: Of that chance.
        calibration: Forecast and outcome by decile: of that chance, or of the CLV (money).
        total_error: Of expected orders, or of the CLV: forecast over actual, less 1; None where nobody bought.
        spearman: Of expected orders, or of the CLV.
        gini: Of spend by its forecast, normalised.
        lift: Spend of the tenth with the highest forecasts over that of a tenth at random.
        coverage: Share of customers whose spend was within the interval of the CLV.
        breach: What is wrong with it beyond chance, in words; empty when nothing is.
    """

    n: int
    auc: float | None
    brier: float | None
    calibration: tuple[Decile, ...]
    total_error: float | None
    spearman: float | None
    gini: float | None
    lift: float | None
    coverage: float | None
    breach: str

    def plain(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True)
class Earlier:
    """A forecast as it would have been made on an earlier day.

    Attributes:
        model: ``CHURN`` and ``CLV`` as scores would have been, else the name of a single model of repeat buying.
        on: The day.
        days: Length of the horizon.
        result: How it did.
    """

    model: str
    on: int
    days: int
    result: Backtest


def backtest(foreseen: Foreseen, bought: Floats, spent: Floats) -> Backtest:
    """Return how forecasts of buying did.

    Args:
        foreseen: What was forecast.
        bought: Purchase days that followed.
        spent: Net spend that followed (money).
    """
    again = (bought > 0).astype(np.float64)
    ranked = auc(foreseen.chances, again)
    wrong = [
        _too_many(foreseen.orders, bought),
        _misranked(ranked, again),
        _misjudged(foreseen.chances, again),
    ]
    return Backtest(
        n=len(bought),
        auc=ranked,
        brier=brier(foreseen.chances, again),
        calibration=tuple(calibration(foreseen.chances, again)),
        total_error=total_error(foreseen.orders, bought),
        spearman=spearman(foreseen.orders, bought),
        gini=gini(foreseen.spend, np.maximum(spent, 0.0)),
        lift=top_decile_lift(foreseen.spend, np.maximum(spent, 0.0)),
        coverage=None,
        breach="; ".join(filter(None, wrong)),
    )


def backtest_value(forecast: Floats, spent: Floats, *, inside: Floats | None = None) -> Backtest:
    """Return how forecasts of spend did.

    Args:
        forecast: Expected net spend of each customer (money).
        spent: What they spent (money).
        inside: 1 for whose spend was within its interval, else 0; None where there was no interval.
    """
    actual = np.maximum(spent, 0.0)
    return Backtest(
        n=len(spent),
        auc=None,
        brier=None,
        calibration=tuple(calibration_of_values(forecast, actual)),
        total_error=total_error(forecast, actual),
        spearman=spearman(forecast, actual),
        gini=gini(forecast, actual),
        lift=top_decile_lift(forecast, actual),
        coverage=None if inside is None else float(inside.mean()),
        breach=_too_much(forecast, actual),
    )


def repeated(found: Sequence[Backtest]) -> bool:
    """Whether the newest forecasts, two at least, are all breaches."""
    return len(found) > 1 and all(one.breach for one in found)


def _too_many(orders: Floats, bought: Floats) -> str:
    """Name a total of purchases that is off by more than is allowed and than chance explains."""
    # The variance seen, or by the forecast that of a Poisson process: with few customers one of them may be too small.
    variance = max(len(bought) * float((orders - bought).var()), float(orders.sum()))
    return _off(orders, bought, variance, "expected orders are")


def _too_much(forecast: Floats, spent: Floats) -> str:
    """Name a total of spend that is off likewise; by few who spent nothing is said."""
    if (spent > 0).sum() < _FEWEST_SPENT:
        return ""
    return _off(forecast, spent, len(spent) * float((forecast - spent).var()), "CLV is")


def _off(forecast: Floats, actual: Floats, variance: float, what: str) -> str:
    total, off = float(actual.sum()), float(forecast.sum() - actual.sum())
    if abs(off) <= max(_SIGMAS * float(np.sqrt(variance)), MOST_OFF * total):
        return ""
    return f"{what} {off / total:+.0%} off" if total > 0 else f"{what} {off:,.0f} in all, nobody bought"


def _misranked(ranked: float | None, again: Floats) -> str:
    if ranked is None:
        return ""
    fewer = max(min(float(again.sum()), float((1 - again).sum())), 1.0)
    # Standard error of the AUC of a ranking at random, where one class is much the smaller.
    error = float(np.sqrt(1 / (12 * fewer)))
    return f"buyers are ranked below the others (AUC {ranked:.2f})" if ranked < 0.5 - _SIGMAS * error else ""


def _misjudged(chances: Floats, again: Floats) -> str:
    """Name chances that are worse than the same one for everybody because their level is off."""
    share, said = float(again.mean()), float(chances.mean())
    variance = max(share * (1 - share) * len(again), float((chances * (1 - chances)).sum()), 1.0)
    error = float(np.sqrt(variance)) / len(again)
    if abs(said - share) <= _SIGMAS * error or brier(chances, again) <= share * (1 - share):
        return ""
    return f"the chance of buying was {said:.0%} on average, {share:.0%} bought"
