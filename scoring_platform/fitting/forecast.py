"""Everything that is fitted for forecasts on one day, from one log of purchases.

Belongs here: which horizons have closed, the order in which models are fitted, the result as plain data. Does not
belong here: the models, reading the log, scoring customers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scoring_platform.fitting import repeat_buying as btyd
from scoring_platform.fitting.backtest import Earlier, Foreseen
from scoring_platform.fitting.churn import TYPICAL_SHOP, ChurnModel, Closed, fit_churn, reference_of
from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.levels import Level, deviation_of_counts, next_level
from scoring_platform.fitting.log import PurchaseLog, Signals
from scoring_platform.fitting.logistic import probability
from scoring_platform.fitting.maximise import Fit
from scoring_platform.fitting.repeat_buying import Family
from scoring_platform.fitting.snapshots import WEEK, Snapshot
from scoring_platform.fitting.tables import YEAR_WEEKS
from scoring_platform.fitting.value import (
    Interval,
    OrderValue,
    best_for_orders,
    fit_order_value,
    orders_model,
)

FEWEST = 30
"""Customers that a closed horizon needs to teach anything."""

_SHORTEST = 7
"""Days that a horizon has to have."""

_TRAINED_ON = 3
_LEVELS = 10
_GROUPS = 8_000
"""Groups of equal histories that models of a past day are fitted to; they need to be near, not exact."""

TILT = 4.0
"""Most that the churn card may raise or lower a customer's expected purchases of a year."""


@dataclass(frozen=True)
class Fits:
    """What was fitted, with its statistics.

    Attributes:
        family: Models of repeat buying.
        gamma_gamma: The fit of Gamma-Gamma, where there was one.
        customers: Customers the models were fitted to.
        paid: Customers Gamma-Gamma was fitted to.
        churn: The churn card.
        forecast: All that scoring needs.
        earlier: What would have been forecast on earlier days, against what happened; the newest first.
    """

    family: Family
    gamma_gamma: Fit | None
    customers: int
    paid: int
    churn: ChurnModel
    forecast: Forecast
    earlier: Sequence[Earlier] = ()

    def foresee(self, known: Snapshot, own: tuple[Floats, Floats]) -> Foreseen:
        """Return what scoring forecasts for the horizon.

        Args:
            known: Customers on the fitting day, with the measures that were fitted to.
            own: Paid purchase days of each and their mean value (money).
        """
        forecast, weeks = self.forecast, self.forecast.horizon / WEEK
        model, histories = orders_model(self.family, forecast.orders), known.histories()
        chances = self.churn.chances(known, forecast.horizon)
        tilted = tilt(chances, btyd.chances(model, histories, weeks)) * forecast.scale
        orders = tilted * btyd.expected(model, histories, weeks)
        return Foreseen(chances, np.maximum(orders, chances), orders * forecast.value.of(*own))


@dataclass(frozen=True)
class Forecast:
    """All that scoring needs, as plain data.

    Attributes:
        horizon: Days of the churn risk and of expected orders.
        inner: Days of the closed horizons it was learned from; 0 when none has closed.
        rung: Name of the churn card.
        reason: Why it is that one.
        models: Parameters of the models that the card reads, in weeks.
        slopes: Factors of their forecasts.
        bands: Edges and points of each measure.
        intercept: What is added for the level of a model.
        lasting: Correction of that level that lasts.
        seasonal: Correction of that level for the season.
        orders: Model of expected orders.
        orders_reason: Why it is that one.
        orders_parameters: Its parameters, in weeks.
        scale: What brings tilted expected orders to their level.
        scale_year: The same over twelve months.
        value: What a purchase is worth.
        interval: Spread around the CLV; None where too little has been seen.
    """

    horizon: int
    inner: int
    rung: str
    reason: str
    models: dict[str, dict[str, float]]
    slopes: dict[str, float]
    bands: dict[str, dict[str, Any]]
    intercept: float
    lasting: float
    seasonal: float
    orders: str
    orders_reason: str
    orders_parameters: dict[str, float]
    scale: float
    scale_year: float
    value: OrderValue
    interval: Interval | None

    @property
    def clv_model(self) -> str:
        """Name of the model behind the CLV: ``typical`` before one could be fitted."""
        return TYPICAL_SHOP if self.rung == TYPICAL_SHOP else self.orders

    def plain(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Forecast:
        """Return it from what ``plain`` gave."""
        spread = plain["interval"]
        kept = dict(plain) | {
            "value": OrderValue(**plain["value"]),
            "interval": None if spread is None else Interval.of(spread),
        }
        return cls(**kept)


def fit_on(
    log: PurchaseLog,
    on: int,
    *,
    horizon: int,
    fewest: int,
    signals: Signals | None,
    broken: str = "",
    near: Family | None = None,
) -> Fits:
    """Fit everything but the interval to a log that ends on day ``on``.

    Args:
        log: Purchases of the customers.
        on: The day.
        horizon: Days that will be forecast.
        fewest: Buyers below which nothing is fitted.
        signals: Further measures on a day.
        broken: How earlier forecasts failed, when that was repeatedly.
        near: Models of another day, from which the search begins.
    """
    now = log.snapshot(on, season=horizon, signals=signals)
    grouped = now.grouped()
    family: Family = btyd.fit_family(grouped, near=near) if now.customers >= fewest else {}
    inner = longest_closed(log, on, horizon) if family else 0
    trained = _trained(log, on, inner, family, signals) if inner else []
    names = list(btyd.usable(family))
    orders, orders_reason = best_for_orders(trained, names, inner)
    closed = _closed(log, on, inner, trained, {orders, reference_of(btyd.usable(family)) or orders}) if trained else []
    churn = fit_churn(now, family, trained, closed, horizon=horizon, inner=inner, broken=broken)
    value, gamma_gamma, paid = _value(log, on)
    forecast = Forecast(
        horizon=horizon,
        inner=inner,
        rung=churn.rung,
        reason=churn.reason,
        models={name: _parameters(model) for name, model in churn.models.items()},
        slopes=dict(churn.card.slopes),
        bands={
            name: {"edges": list(points.edges), "points": list(points.points), "missing": points.missing}
            for name, points in churn.card.bands.items()
        },
        intercept=churn.intercept,
        lasting=churn.level.lasting,
        seasonal=churn.level.seasonal,
        orders=orders,
        orders_reason=orders_reason,
        orders_parameters=_parameters(orders_model(family, orders)),
        **_scales(now, family, orders, churn, closed, horizon=horizon, inner=inner, broken=bool(broken)),
        value=value,
        interval=None,
    )
    return Fits(family, gamma_gamma, now.customers, paid, churn, forecast)


def _parameters(model: btyd.Model) -> dict[str, float]:
    return {name: float(value) for name, value in asdict(model).items() if name != "modified"}


def longest_closed(log: PurchaseLog, on: int, horizon: int) -> int:
    """Return the days of the longest horizon that has closed with as much history before it; 0 when too short."""
    first = log.first_day
    known = 0 if first is None else on - first
    inner = min(horizon, known // 2)
    return inner if inner >= _SHORTEST else 0


def _trained(log: PurchaseLog, on: int, inner: int, family: Family, signals: Signals | None) -> list[Closed]:
    """Return closed horizons to learn the card from: the newest, and two that began a third of one earlier each."""
    found: list[Closed] = []
    first, near = log.first_day or 0, family
    for step in range(_TRAINED_ON):
        day = on - inner - step * max(inner // 3, _SHORTEST)
        if step and day - first < inner * 3 // 4:
            break
        known = log.snapshot(day, season=inner, signals=signals, ahead=inner)
        if known.customers < FEWEST:
            break
        near = btyd.fit_family(known.grouped().every(_GROUPS), near=near)
        found.append(Closed(known, near))
    return found


def _closed(log: PurchaseLog, on: int, inner: int, trained: Sequence[Closed], names: set[str]) -> list[Closed]:
    """Return closed horizons that follow each other, the newest first, with the models called ``names``."""
    found, first = [trained[0]], log.first_day or 0
    while len(found) < _LEVELS:
        day = on - inner * (len(found) + 1)
        if day - first < inner * 9 // 10:
            break
        known = log.snapshot(day, season=inner, ahead=inner)
        if known.customers < FEWEST:
            break
        groups, before = known.grouped().every(_GROUPS), found[-1].family
        found.append(Closed(known, {name: btyd.fit_one(name, groups, near=before[name]) for name in sorted(names)}))
    return found


def _value(log: PurchaseLog, on: int) -> tuple[OrderValue, Fit | None, int]:
    counts, means = log.values(on, repeats=False)
    everybody = float(counts @ means / counts.sum()) if len(counts) else 0.0
    n, mean = log.values(on, repeats=True)
    value, fit = fit_order_value(n, mean, everybody=everybody)
    return value, fit, len(n)


def _scales(
    now: Snapshot,
    family: Family,
    orders: str,
    churn: ChurnModel,
    closed: Sequence[Closed],
    *,
    horizon: int,
    inner: int,
    broken: bool,
) -> dict[str, float]:
    """Return what brings expected orders, tilted by the churn card, to the level closed horizons show."""
    model, histories = orders_model(family, orders), now.histories()
    expected = btyd.expected(model, histories, horizon / WEEK)
    deviations = [
        deviation_of_counts(
            btyd.expected(one.family[orders].model, one.known.histories(), inner / WEEK), one.known.bought
        )
        for one in closed
    ]
    level = next_level(deviations, horizon=inner, broken=broken)
    if inner < horizon:
        level = Level(level.lasting)
    chances = btyd.chances(model, histories, horizon / WEEK)
    points = churn.card.of(btyd.forecasts(churn.models, histories, horizon / WEEK), now.measures()) + churn.intercept
    tilted = tilt(probability(points + churn.level.total), chances)
    tilted_year = tilt(probability(points + churn.level.lasting), chances)
    year = btyd.expected(model, histories, YEAR_WEEKS)
    return {
        "scale": _ratio(expected, tilted * expected) * float(np.exp(level.total)),
        "scale_year": _ratio(year, tilted_year * year) * float(np.exp(level.lasting)),
    }


def tilt(chances: Floats, model: Floats) -> Floats:
    """Return by how much the card raises or lowers each customer's expected purchases."""
    return np.asarray(np.clip(chances / np.maximum(model, 1e-6), 1 / TILT, TILT))


def _ratio(wanted: Floats, given: Floats) -> float:
    total = float(given.sum())
    return float(wanted.sum()) / total if total > 0 else 1.0
