"""The whole fit: as good as is promised on published purchases, and never nonsense on any others."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.fitting import repeat_buying as btyd
from scoring_platform.fitting.backtest import Foreseen
from scoring_platform.fitting.churn import TYPICAL_SHOP
from scoring_platform.fitting.forecast import TILT, Fits, Forecast, tilt
from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.log import PurchaseLog
from scoring_platform.fitting.metrics import auc, brier, total_error
from scoring_platform.fitting.procedure import fit_forecast
from scoring_platform.fitting.snapshots import WEEK, Snapshot
from scoring_platform_tests.fitting.cdnow import DATA, MASTER, SAMPLE
from scoring_platform_tests.fitting.logs import Row, number, published_log, renumbered, rows_log, shop_log

published = [
    pytest.mark.needs_shared,
    pytest.mark.skipif(not DATA.is_dir(), reason="the published data sets are not in ../shared/data"),
]


@lru_cache
def published_fit(which: tuple[str, str], day: str, horizon: int) -> tuple[Fits, Snapshot]:
    """What is fitted to a published log on a day, and what was known and happened then."""
    log, on = published_log(which), number(day)
    fits = fit_forecast(log, on, horizon=horizon, fewest=50)
    return fits, log.snapshot(on, season=horizon, ahead=horizon)


def foreseen(fits: Fits, log: PurchaseLog, on: int) -> Foreseen:
    """What is forecast on day ``on`` of everyone there is."""
    return fits.foresee(log.snapshot(on, season=fits.forecast.horizon), log.spending(on))


@pytest.mark.parametrize(
    ("which", "day", "horizon", "least_auc", "most_brier"),
    [
        pytest.param(SAMPLE, "1997-09-30", 273, 0.775, 0.162, marks=published),
        pytest.param(MASTER, "1998-03-31", 90, 0.838, 0.090, marks=published),
    ],
    ids=["sample", "master"],
)
def test_published_purchases_are_forecast_better_than_by_any_single_model(
    which: tuple[str, str], day: str, horizon: int, least_auc: float, most_brier: float
) -> None:
    fits, known = published_fit(which, day, horizon)
    chances = fits.churn.chances(known, horizon)
    reached, squared = auc(chances, known.again), brier(chances, known.again)

    assert reached is not None
    assert reached >= least_auc
    assert squared <= most_brier
    for name, one in fits.family.items():
        single = btyd.chances(one.model, known.histories(), horizon / WEEK)
        assert reached > (auc(single, known.again) or 0), name
        assert squared < brier(single, known.again) + 1e-9, name


@pytest.mark.parametrize("marked", [pytest.param(True, marks=published)])
def test_the_total_of_expected_orders_is_no_further_off_than_that_of_pareto_nbd(marked: bool) -> None:
    horizon = 273
    fits, known = published_fit(SAMPLE, "1997-09-30", horizon)
    own = total_error(foreseen(fits, published_log(SAMPLE), number("1997-09-30")).orders, known.bought)
    pareto = btyd.expected(fits.family[btyd.PARETO_NBD].model, known.histories(), horizon / WEEK)
    other = total_error(pareto, known.bought)

    assert marked
    assert own is not None
    assert other is not None
    assert abs(own) <= abs(other)


def every_day(customer: int, days: int, net: float = 5.0) -> list[Row]:
    return [(customer, day, net) for day in range(days)]


def some_days(customers: range, days: int, seed: int, nets: tuple[float, ...] = (20.0,)) -> list[Row]:
    """One to five purchases of each customer, their values in turn."""
    chance = np.random.default_rng(seed)
    return [
        (one, int(day), nets[(one + place) % len(nets)])
        for one in customers
        for place, day in enumerate(np.unique(chance.integers(0, days, chance.integers(1, 6))))
    ]


# The log, the day of the fit, and whether anything at all can be learned from it.
DEGENERATE: dict[str, tuple[PurchaseLog, int]] = {
    "nobody": (rows_log([], 0), 100),
    "nobody who bought": (rows_log([], 5), 100),
    "one customer": (rows_log([(0, 10, 5.0)], 1), 100),
    "one customer, daily": (rows_log(every_day(0, 400), 1), 399),
    "everybody bought once": (rows_log([(one, one * 3 % 300, 9.0) for one in range(120)], 120), 310),
    "all on one day": (rows_log([(one, 0, 9.0) for one in range(120)], 120), 200),
    "all today": (rows_log([(one, 200, 9.0) for one in range(120)], 120), 200),
    "nobody came back before the horizon": (
        rows_log([(n, 0, 9.0) for n in range(120)] + [(n, 150, 9.0) for n in range(0, 120, 2)], 120),
        200,
    ),
    "one buys daily": (rows_log(every_day(0, 700) + some_days(range(1, 120), 700, 1), 120), 699),
    "everybody buys daily": (rows_log([row for one in range(50) for row in every_day(one, 90)], 50), 89),
    "everything is free": (rows_log(some_days(range(120), 300, 2, (0.0,)), 120), 299),
    "only refunds": (rows_log([], 120, refunds=some_days(range(120), 300, 3, (-5.0,))), 299),
    "more is refunded than bought": (rows_log(some_days(range(120), 300, 4, (-1e6, -1.0)), 120), 299),
    "tiny and huge amounts": (rows_log(some_days(range(120), 300, 5, (1e-4, 1e12)), 120), 299),
    "identical histories": (rows_log([(one, day, 20.0) for one in range(60) for day in (0, 30, 60)], 60), 200),
    "identical until the horizon": (
        rows_log([(n, day, 20.0) for n in range(60) for day in ((0, 30, 60, 150) if n % 2 else (0, 30, 60))], 60),
        200,
    ),
    "three days": (rows_log(some_days(range(100), 3, 6), 100), 2),
    "numbers five apart": (rows_log([(n * 5, d, v) for n, d, v in some_days(range(80), 300, 7)], 400), 299),
}


def check(log: PurchaseLog, on: int, horizon: int, fewest: int) -> Fits:
    """Fit, and check what must hold whatever was fitted to."""
    fits = fit_forecast(log, on, horizon=horizon, fewest=fewest)
    known = log.snapshot(on, season=horizon)
    found = foreseen(fits, log, on)
    chances, orders = found.chances, found.orders
    worth = fits.forecast.value.of(*log.spending(on))
    for values in (chances, orders, worth):
        assert len(values) == known.customers
        assert np.isfinite(values).all()
        assert (values >= 0).all()
    assert (chances <= 1).all()
    plain = fits.forecast.plain()
    assert Forecast.of(json.loads(json.dumps(plain, allow_nan=False))) == fits.forecast
    assert min(plain["scale"], plain["scale_year"]) >= 0
    spread = fits.forecast.interval
    if spread is not None:
        assert all(0 <= low <= high for low, high in zip(spread.low, spread.high, strict=True))
    return fits


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("name", DEGENERATE)
def test_a_log_that_teaches_little_is_forecast_nonetheless(name: str) -> None:
    check(*DEGENERATE[name], 30, 1)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("name", ["nobody", "one customer", "everybody bought once", "one buys daily", "three days"])
def test_a_horizon_may_be_longer_than_the_history(name: str) -> None:
    check(*DEGENERATE[name], 730, 50)


def test_what_cannot_be_fitted_falls_back_to_a_typical_shop() -> None:
    log, on = DEGENERATE["everybody bought once"]

    assert fit_forecast(log, on, horizon=30, fewest=len(log.day) + 1).forecast.clv_model == TYPICAL_SHOP
    assert fit_forecast(log, on, horizon=30, fewest=1).forecast.clv_model != TYPICAL_SHOP


def test_who_buys_daily_is_expected_daily() -> None:
    log, on = DEGENERATE["one buys daily"]
    fits = check(log, on, 30, 1)
    orders = foreseen(fits, log, on).orders

    assert orders[0] == pytest.approx(30, rel=0.2)
    assert orders[1:].max() < 10


kinds = st.fixed_dictionaries(
    {
        "size": st.integers(0, 70),
        "days": st.integers(1, 500),
        "most": st.integers(1, 12),
        "arrival": st.floats(0, 1),
        "nets": st.lists(st.sampled_from([0.0, 1e-4, 3.5, 20.0, 1e4, 1e12, -7.0]), min_size=1, max_size=4),
        "refunds": st.booleans(),
        "seed": st.integers(0, 10_000),
    }
)


def made(kind: dict[str, Any]) -> PurchaseLog:
    """A log without any habit behind it."""
    chance = np.random.default_rng(kind["seed"])
    purchases: list[Row] = []
    for one in range(kind["size"]):
        first = int(kind["arrival"] * chance.integers(0, kind["days"]))
        days = np.unique(chance.integers(first, kind["days"], chance.integers(1, kind["most"] + 1)))
        purchases += [(one, int(day), float(chance.choice(kind["nets"]))) for day in days]
    refunds = [(one, day + 1, -abs(net)) for one, day, net in purchases[::4]] if kind["refunds"] else []
    bought = {(one, day) for one, day, _ in purchases}
    return rows_log(purchases, kind["size"], refunds=[row for row in refunds if row[:2] not in bought])


@given(kinds, st.integers(1, 730), st.sampled_from([1, 50]))
@settings(max_examples=20, deadline=None)
def test_no_log_gives_nonsense(kind: dict[str, Any], horizon: int, fewest: int) -> None:
    check(made(kind), kind["days"], horizon, fewest)


@lru_cache
def lively() -> tuple[PurchaseLog, Fits, Floats]:
    """A shop with two and a half years behind it, its fit, and its chances."""
    log = shop_log(500, 900, 11)
    fits = fit_forecast(log, 899, horizon=60, fewest=50)
    return log, fits, fits.churn.chances(log.snapshot(899, season=60), 60)


def test_a_forecast_is_the_same_once_it_was_kept_as_json() -> None:
    _, fits, _ = lively()
    kept = Forecast.of(json.loads(json.dumps(fits.forecast.plain())))

    assert fits.forecast.bands
    assert fits.forecast.interval is not None
    assert kept == fits.forecast


def chances_by_number(log: PurchaseLog, fits: Fits, on: int, horizon: int) -> Floats:
    """Chances of all numbers; NaN for who has not bought."""
    found = np.full(log.size, np.nan)
    found[np.unique(log.customer[log.bought & (log.day <= on)])] = fits.churn.chances(
        log.snapshot(on, season=horizon), horizon
    )
    return found


@pytest.mark.parametrize("more", [0, 1_000], ids=["another order", "with a thousand who never bought"])
def test_forecasts_do_not_depend_on_how_customers_are_numbered_nor_on_who_never_bought(more: int) -> None:
    log, fits, _ = lively()
    places = np.random.default_rng(more).permutation(log.size + more)[: log.size]
    other = renumbered(log, places, log.size + more)
    again = fit_forecast(other, 899, horizon=60, fewest=50)

    assert again.forecast.rung == fits.forecast.rung
    assert again.forecast.scale == pytest.approx(fits.forecast.scale, rel=1e-9)
    assert {name: one.loss for name, one in again.churn.contests.items()} == pytest.approx(
        {name: one.loss for name, one in fits.churn.contests.items()}, rel=1e-9
    )
    assert chances_by_number(other, again, 899, 60)[places] == pytest.approx(
        chances_by_number(log, fits, 899, 60), abs=1e-9, nan_ok=True
    )


def test_what_happens_after_the_day_changes_nothing() -> None:
    log, _, _ = lively()
    before = log.day <= 700
    cut = PurchaseLog(log.customer[before], log.day[before], log.bought[before], log.net[before], log.size)

    assert (
        fit_forecast(log, 700, horizon=60, fewest=50).forecast == fit_forecast(cut, 700, horizon=60, fewest=50).forecast
    )


def test_the_tilt_is_bounded() -> None:
    found = tilt(np.array([0.0, 1.0, 0.5, 1e-9]), np.array([0.5, 1e-12, 0.25, 0.0]))

    assert found.tolist() == [1 / TILT, TILT, 2.0, 1 / TILT]
