"""What is published of a log of purchases, and whether it kept what it promises.

Belongs here: from a log to published forecasts beside what happened then, and the tests of statistics on both. Does not
belong here: whose log it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
from scipy.special import betaincinv, ndtri

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.domain.measures import purchases
from scoring_platform.domain.profiles import WINDOW_DAYS
from scoring_platform.fitting.forecast import Fits
from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.log import PurchaseLog
from scoring_platform.pipeline.fits import fit
from scoring_platform.pipeline.forecasts import forecasts
from scoring_platform.pipeline.step import span
from scoring_platform_tests.pipeline.scenario import Shop

FALSE_ALARM = 0.01
"""Most that the chance of an alarm without a cause may be, of all that a test looks at together."""

COVERAGE = 0.8
_EPOCH = date(1970, 1, 1)
_COLUMNS = ("churn_risk", "expected_orders", "clv_12m", "clv_low", "clv_high")


@dataclass(frozen=True)
class Published:
    """Forecasts of everyone who had bought, and what they did; one entry per customer.

    Attributes:
        chance: Of buying within the horizon.
        orders: Expected purchase days within the horizon.
        clv: Expected value of the next twelve months.
        low: Lower end of its interval.
        high: Upper end.
        bought: Purchase days within the horizon.
        value: Value of the next twelve months, discounted.
        customer: Number of the customer in the log.
        fits: What was fitted.
    """

    chance: Floats
    orders: Floats
    clv: Floats
    low: Floats
    high: Floats
    bought: Floats
    value: Floats
    customer: np.ndarray[Any, Any]
    fits: Fits

    def of(self, kept: np.ndarray[Any, Any]) -> Published:
        """Return those of some customers."""
        every = {one.name: getattr(self, one.name) for one in fields(self)}
        return Published(**{name: each if name == "fits" else each[kept] for name, each in every.items()})


def day_number(day: date) -> int:
    """Return the day as logs count it."""
    return (day - _EPOCH).days


def published(shop: Shop, log: PurchaseLog, on: date) -> Published:
    """Put what is known of ``log`` at the end of ``on`` into the lake, fit, and forecast as a run does.

    Args:
        shop: An empty shop.
        log: Purchases, days counted from 1970; what follows ``on`` is what happened then.
        on: The day.
    """
    _record(shop, log.through(day_number(on)))
    step = shop.step(on)
    fits = fit(step, on, configured=[])
    known = purchases(step.everything("customer_activity"), step.as_days(), window_days=WINDOW_DAYS)
    found = forecasts(step, step.engine.materialise(known), [(fits.forecast, [on])], []).to_pyarrow()
    customer = np.array([int(one[1:]) for one in found["customer_id"].to_pylist()])
    columns = {name: found[name].cast("float64").to_numpy(zero_copy_only=False) for name in _COLUMNS}
    bought, value = _future(log, day_number(on), step.config.scoring.horizon_days, rate=0.1)
    return Published(
        chance=1 - columns["churn_risk"],
        orders=columns["expected_orders"],
        clv=columns["clv_12m"],
        low=columns["clv_low"],
        high=columns["clv_high"],
        bought=bought[customer],
        value=value[customer],
        customer=customer,
        fits=fits,
    )


def _record(shop: Shop, log: PurchaseLog) -> None:
    """Publish a log as customer_activity."""
    day, net = log.day.astype("datetime64[D]"), log.net
    columns = {
        "customer_id": np.char.add("c", log.customer.astype(str)),
        "active_on": day,
        "as_of": day,
        "orders": log.bought.astype(np.int64),
        "purchase_day": log.bought.astype(np.int64),
        "revenue": np.maximum(net, 0.0),
        "refunds": np.maximum(-net, 0.0),
    }
    rows = shop.engine.materialise(ibis.memtable(pa.table(columns)))
    others = [name for name in contract_of("customer_activity").schema if name not in columns]
    first, last = (_EPOCH + timedelta(days=int(end)) for end in (log.day.min(), log.day.max()))
    shop.write("customer_activity", rows.mutate(**dict.fromkeys(others, ibis.literal(0))), span(first, last))


def _future(log: PurchaseLog, on: int, horizon: int, *, rate: float) -> tuple[Floats, Floats]:
    """Return what every customer did within the horizon, and what a year was worth."""
    soon = (log.day > on) & (log.day <= on + horizon) & log.bought
    year = (log.day > on) & (log.day <= on + 365)
    worth = log.net[year] * (1 + rate) ** (-(log.day[year] - on) / 365)
    bought = np.bincount(log.customer[soon], minlength=log.size).astype(np.float64)
    value = np.bincount(log.customer[year], weights=worth, minlength=log.size).astype(np.float64)
    return bought, value


@dataclass(frozen=True)
class Tenth:
    """Customers with like forecasts.

    Attributes:
        n: How many.
        forecast: Mean chance.
        share: Share that bought.
        low: Lower end of the exact interval of that share (Clopper and Pearson's, which holds for rare events too).
        high: Upper end.
    """

    n: int
    forecast: float
    share: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether the forecast lies within the interval."""
        return self.low <= self.forecast <= self.high


def tenths(chance: Floats, again: Floats, *, looks: int = 1) -> list[Tenth]:
    """Return the deciles of a forecast; an alarm in any of ``looks`` times as many is rarer than ``FALSE_ALARM``."""
    tail = FALSE_ALARM / (2 * 10 * looks)
    found = []
    for part in np.array_split(np.argsort(chance, kind="stable"), 10):
        n, did = len(part), int(again[part].sum())
        low = float(betaincinv(did, n - did + 1, tail)) if did else 0.0
        high = float(betaincinv(did + 1, n - did, 1 - tail)) if did < n else 1.0
        found.append(Tenth(n, float(chance[part].mean()), did / n, low, high))
    return found


def covered(value: Floats, low: Floats, high: Floats) -> float:
    """Return the share of values within their interval, ends included."""
    # Amounts have four decimals.
    return float(np.mean((value >= low - 1e-4) & (value <= high + 1e-4)))


def tolerance(sizes: Sequence[int], *, looks: int = 1) -> float:
    """Return by how much a share of ``COVERAGE`` may be missed by chance, seen on samples of ``sizes``."""
    z = float(-ndtri(FALSE_ALARM / (2 * looks)))
    return z * float(np.sqrt(sum(COVERAGE * (1 - COVERAGE) / n for n in sizes)))
