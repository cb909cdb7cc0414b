"""What a purchase is worth, and how wide the interval of the CLV is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring_platform.fitting.gamma_gamma import GammaGamma
from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.value import (
    COVERAGE,
    CREDIBILITY,
    GAMMA_GAMMA,
    MEAN,
    Interval,
    OrderValue,
    _credibility,
    fit_interval,
    fit_order_value,
)


def spending(size: int, seed: int, *, p: float = 6.0, q: float = 4.0, v: float = 15.0) -> tuple[Floats, Floats]:
    """Numbers and mean values of purchases that follow Gamma-Gamma."""
    chance = np.random.default_rng(seed)
    n = chance.geometric(0.35, size).astype(np.float64)
    return n, chance.gamma(p * n, 1 / chance.gamma(q, 1 / v, size)) / n


def total_mean(n: Floats, mean: Floats) -> float:
    return float(n @ mean / n.sum())


def test_what_a_purchase_is_worth_is_what_gamma_gamma_expects() -> None:
    n, mean = spending(2_000, 1)
    value, fit = fit_order_value(n, mean, everybody=total_mean(n, mean))
    assert fit is not None
    model = GammaGamma.at(fit.parameters)
    some = np.array([0.0, 1, 2, 10, 500])
    own = np.array([0.0, 12.5, 80, 3, 40])

    assert value.rung == GAMMA_GAMMA
    assert value.of(n, mean) == pytest.approx(model.expected_value(n, mean), rel=1e-9)
    assert value.of(some, own) == pytest.approx(model.expected_value(some, own), rel=1e-9)


@given(st.floats(0.1, 50), st.floats(1.01, 50), st.floats(1e-3, 1e6), st.integers(0, 400), st.floats(1e-4, 1e9))
@settings(max_examples=100, deadline=None)
def test_the_weighted_form_is_that_of_gamma_gamma(p: float, q: float, v: float, count: int, own: float) -> None:
    value = OrderValue(GAMMA_GAMMA, "", p * v / (q - 1), (q - 1) / p)
    n, mean = np.array([float(count)]), np.array([own])

    assert value.of(n, mean) == pytest.approx(GammaGamma(p, q, v).expected_value(n, mean), rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_a_mean_far_above_what_was_paid_is_not_believed(seed: int) -> None:
    n, mean = spending(1_000, seed, q=1.03)
    paid = total_mean(n, mean)
    value, _ = fit_order_value(n, mean, everybody=paid)

    assert value.everybody <= 2 * paid
    if value.rung == CREDIBILITY:
        assert "q is" in value.reason
        assert value.everybody == paid


def test_few_customers_have_everybodys_mean_as_one_purchase() -> None:
    value, fit = fit_order_value(np.ones(49), np.full(49, 10.0), everybody=20.0)

    assert fit is None
    assert value.rung == MEAN
    assert "49 customers" in value.reason
    assert value.of(np.array([0.0, 1, 3]), np.array([0.0, 10, 10])).tolist() == [20, 15, 12.5]


@pytest.mark.parametrize(("within", "between"), [(400.0, 100.0), (100.0, 100.0), (50.0, 200.0)])
def test_credibility_is_the_variance_within_over_that_between(within: float, between: float) -> None:
    chance = np.random.default_rng(2)
    n = chance.integers(1, 12, 20_000).astype(np.float64)
    own = 1_000 + np.sqrt(between) * chance.choice([-1.0, 1.0], len(n))
    mean = own + chance.normal(0, np.sqrt(within / n))

    assert _credibility(n, mean) == pytest.approx(within / between, rel=0.15)


def test_customers_who_do_not_differ_get_nearly_everybodys_mean() -> None:
    chance = np.random.default_rng(4)
    n = chance.integers(1, 9, 3_000).astype(np.float64)
    mean = 100 + chance.normal(0, 1 / np.sqrt(n)) * 20
    value, _ = fit_order_value(n, mean, everybody=100.0)

    assert value.of(np.array([1.0]), np.array([160.0]))[0] < 115


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(1e-4, 1e12)), min_size=50, max_size=70), st.floats(1e-4, 1e12))
@settings(max_examples=20, deadline=None)
def test_no_amounts_give_a_worth_outside_what_was_paid(rows: list[tuple[int, float]], everybody: float) -> None:
    n, mean = np.array([float(one) for one, _ in rows]), np.array([one for _, one in rows])
    value, _ = fit_order_value(n, mean, everybody=everybody)
    found = value.of(np.append(n, 0.0), np.append(mean, 0.0))

    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (found <= max(mean.max(), 2 * everybody) * (1 + 1e-9)).all()
    assert value.k > 0


def stationary(size: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Forecast and two exchangeable years of customers who go on as they are."""
    chance = np.random.default_rng(seed)
    rate, worth = chance.gamma(0.7, 3, size), chance.gamma(5, 10, size)
    first, second = (
        np.array([chance.gamma(4, one / 4, many).sum() for one, many in zip(worth, chance.poisson(rate), strict=True)])
        for _ in range(2)
    )
    return rate * worth * chance.lognormal(0, 0.3, size), first, second


def inside(spread: Interval, forecast: Floats, actual: Floats) -> NDArray[np.bool_]:
    place = np.searchsorted(np.array(spread.edges), forecast, side="right")
    low, high = np.array(spread.low)[place] * forecast, np.array(spread.high)[place] * forecast
    # Ratios are kept, so that their products may be off in the last digit.
    return (actual >= low * (1 - 1e-9)) & (actual <= high * (1 + 1e-9))


def test_the_interval_holds_what_it_promises_of_another_year() -> None:
    shares, of_all = [], []
    for seed in range(4):
        forecast, first, second = stationary(2_000, seed)
        spread = fit_interval(forecast, first, days=365)
        assert spread is not None
        assert len(spread.low) == 10
        held = inside(spread, forecast, second)
        shares.append(held.mean())
        of_all.append(held[forecast > np.quantile(forecast, 0.9)].mean())

    # Ties at nothing spent make it hold rather more among those who hardly buy, never less.
    assert COVERAGE - 0.02 <= np.mean(shares) <= COVERAGE + 0.1
    assert np.mean(of_all) == pytest.approx(COVERAGE, abs=0.05)


def test_an_interval_needs_fifty_customers_with_a_forecast() -> None:
    assert fit_interval(np.ones(49), np.ones(49), days=90) is None
    assert fit_interval(np.zeros(500), np.ones(500), days=90) is None
    few = fit_interval(np.arange(1.0, 100), np.ones(99), days=90)

    assert few is not None
    assert (few.edges, len(few.low), few.n) == ((), 1, 99)


@pytest.mark.parametrize(
    "forecast", [np.full(600, 5.0), np.repeat([1.0, 2.0, 7.0], [75, 500, 25]), np.arange(1.0, 601)]
)
def test_equal_forecasts_leave_no_stratum_with_fewer_than_fifty(forecast: Floats) -> None:
    spread = fit_interval(forecast, forecast, days=90)
    assert spread is not None
    place = np.searchsorted(np.array(spread.edges), forecast, side="right")

    assert np.bincount(place, minlength=len(spread.low)).min() >= 50
    assert set(spread.low + spread.high) == {1.0}


def test_an_interval_is_bounded_where_next_to_nothing_was_forecast() -> None:
    spread = fit_interval(np.full(200, 1e-9), np.linspace(0, 100, 200), days=90)

    assert spread is not None
    assert max(spread.high) <= 1e3


def test_refunds_beyond_purchases_count_as_nothing_spent() -> None:
    spread = fit_interval(np.full(100, 10.0), np.full(100, -50.0), days=90)

    assert spread is not None
    assert (spread.low, spread.high) == ((0.0,), (0.0,))
