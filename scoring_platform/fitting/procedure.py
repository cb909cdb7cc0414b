"""The whole procedure: how earlier forecasts would have done, and what is forecast now.

Belongs here: which earlier forecasts are repeated, what follows from them. Does not belong here: a single fit
(``forecast``), figures of a forecast (``backtest``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from threadpoolctl import threadpool_limits

from scoring_platform.fitting import repeat_buying as btyd
from scoring_platform.fitting.backtest import CHURN, CLV, Earlier, Foreseen, backtest, backtest_value, repeated
from scoring_platform.fitting.forecast import FEWEST, Fits, fit_on, longest_closed
from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.log import YEAR, PurchaseLog, Signals
from scoring_platform.fitting.repeat_buying import Family
from scoring_platform.fitting.snapshots import WEEK, Snapshot
from scoring_platform.fitting.value import Interval, fit_interval

_EARLIER_ON = 4_000
"""Customers that models of an earlier day are fitted to, all of them are forecast: near is enough."""


def fit_forecast(log: PurchaseLog, on: int, *, horizon: int, fewest: int, signals: Signals | None = None) -> Fits:
    """Fit everything to what is known at the end of day ``on``.

    Args:
        log: Purchases of the customers, up to ``on`` at least; what is later is not looked at.
        on: The day.
        horizon: Days that will be forecast.
        fewest: Buyers below which nothing is fitted.
        signals: Further measures on a day.
    """
    # Matrices are small: threads of a linear algebra library gain nothing, and spin against whatever else runs.
    with threadpool_limits(limits=1, user_api="blas"):
        known = log.through(on)
        fits = fit_on(known, on, horizon=horizon, fewest=fewest, signals=signals)
        past = _Past(known, on, fewest=fewest, signals=signals, near=fits.family)
        earlier = past.earlier(horizon)
        own = [one.result for one in earlier if one.model == CHURN]
        if repeated(own):
            fits = fit_on(known, on, horizon=horizon, fewest=fewest, signals=signals, broken=own[0].breach)
        forecast = replace(fits.forecast, interval=past.interval())
        return replace(fits, forecast=forecast, earlier=earlier)


@dataclass(frozen=True)
class _Tried:
    """A forecast for ``days`` as it would have been made on an earlier day, and what happened."""

    on: int
    days: int
    fits: Fits
    known: Snapshot
    own: tuple[Floats, Floats]
    foreseen: Foreseen

    def results(self) -> list[Earlier]:
        """Return how it did, and how its single models did."""
        known, weeks = self.known, self.days / WEEK
        histories, worth = known.histories(), self.fits.forecast.value.of(*self.own)
        foreseen = {CHURN: self.foreseen}
        for name, model in btyd.usable(self.fits.family).items():
            orders = btyd.expected(model, histories, weeks)
            foreseen[name] = Foreseen(btyd.chances(model, histories, weeks), orders, orders * worth)
        found = {name: backtest(one, known.bought, known.spent) for name, one in foreseen.items()}
        found[CLV] = backtest_value(self.foreseen.spend, known.spent)
        return [Earlier(name, self.on, self.days, result) for name, result in found.items()]


class _Past:
    """Forecasts as they would have been made on earlier days."""

    def __init__(self, log: PurchaseLog, on: int, *, fewest: int, signals: Signals | None, near: Family) -> None:
        """Look back from day ``on``, at which ``log`` ends; searches begin at the models ``near`` of that day."""
        self._log, self._on, self._fewest, self._signals, self._near = log, on, fewest, signals, near
        self._step = max(1, -(-log.size // _EARLIER_ON))
        self._some = log.every(self._step)
        self._tried: dict[tuple[int, int], _Tried | None] = {}

    def earlier(self, horizon: int) -> list[Earlier]:
        """Return how the two newest forecasts of closed horizons did, as far as there are any; the newest first."""
        days = longest_closed(self._log, self._on, horizon)
        found = [self._at(self._on - days * back, days) for back in (1, 2)] if days else []
        return [result for one in found if one for result in one.results()]

    def interval(self) -> Interval | None:
        """Return the spread on the longest horizon, up to a year, that has closed with as much history before it."""
        days = longest_closed(self._log, self._on, YEAR)
        one = self._at(self._on - days, days) if days else None
        if one is None:
            return None
        to_year = YEAR / days
        return fit_interval(one.foreseen.spend * to_year, one.known.spent * to_year, days=days)

    def _at(self, day: int, days: int) -> _Tried | None:
        if (day, days) not in self._tried:
            self._tried[day, days] = self._try(day, days)
        return self._tried[day, days]

    def _try(self, day: int, days: int) -> _Tried | None:
        known = self._log.snapshot(day, season=days, signals=self._signals, ahead=days)
        if known.customers < max(self._fewest, FEWEST):
            return None
        fits = fit_on(
            self._some.through(day),
            day,
            horizon=days,
            fewest=self._fewest,
            signals=self._of_some,
            near=self._near or None,
        )
        own = self._log.spending(day)
        return _Tried(day, days, fits, known, own, fits.foresee(known, own))

    def _of_some(self, day: int) -> Mapping[str, Floats]:
        found = {} if self._signals is None else self._signals(day)
        return {name: values[:: self._step] for name, values in found.items()}
