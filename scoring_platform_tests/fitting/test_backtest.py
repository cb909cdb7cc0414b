"""Backtests: silent while a shop stays as it is, loud when it does not, and what follows when they fail repeatedly."""

from __future__ import annotations

import numpy as np
import pytest

from scoring_platform.fitting.backtest import CHURN, CLV, Backtest, Foreseen, backtest, backtest_value, repeated
from scoring_platform.fitting.forecast import Fits
from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.log import PurchaseLog
from scoring_platform.fitting.procedure import fit_forecast
from scoring_platform_tests.fitting.logs import shop_log

N = 2_000
BREAK = 500
"""Day after which nine of ten purchases of the shop that breaks stay away."""


def own(fits: Fits, model: str = CHURN) -> list[Backtest]:
    """Backtests of what scores would have given, the newest first."""
    return [one.result for one in fits.earlier if one.model == model]


def broken_shop() -> PurchaseLog:
    log = shop_log(700, 800, 3, leaving=0.05, weekly=0.2)
    kept = (log.day <= BREAK) | (np.random.default_rng(0).random(len(log.day)) < 0.1)
    return PurchaseLog(log.customer[kept], log.day[kept], log.bought[kept], log.net[kept], log.size)


def fair(seed: int, *, size: int = N) -> tuple[Foreseen, Floats, Floats]:
    """Forecasts that are true, and what came of them."""
    chance = np.random.default_rng(seed)
    rates = chance.gamma(0.5, 1.0, size)
    bought = chance.poisson(rates).astype(np.float64)
    return Foreseen(1 - np.exp(-rates), rates, rates * 50), bought, bought * 50


@pytest.mark.parametrize("size", [30, 200, 5_000])
def test_true_forecasts_are_no_breach(size: int) -> None:
    assert [backtest(*fair(seed, size=size)).breach for seed in range(200)] == [""] * 200


def test_each_kind_of_breach_is_named() -> None:
    true, bought, spent = fair(1)
    doubled = Foreseen(true.chances, true.orders * 2, true.spend)
    reversed_ = Foreseen(1 - true.chances, true.orders, true.spend)
    sure = Foreseen(np.full(N, 0.9), true.orders, true.spend)

    assert backtest(doubled, bought, spent).breach.startswith("expected orders are +")
    assert "ranked below" in backtest(reversed_, bought, spent).breach
    assert "the chance of buying was 90% on average" in backtest(sure, bought, spent).breach
    assert "nobody bought" in backtest(true, bought * 0, spent * 0).breach
    assert backtest_value(true.spend * 2, spent).breach.startswith("CLV is +")
    assert backtest_value(true.spend, spent).breach == ""


def test_the_figures_of_a_forecast_known_by_hand() -> None:
    chances = np.repeat([0.1, 0.9], 50)
    bought = np.repeat([0.0, 2.0], 50)
    found = backtest(Foreseen(chances, chances * 2, chances * 2), bought, bought * 10)

    assert found.n == 100
    assert [found.auc, found.spearman, found.gini, found.lift] == pytest.approx([1, 1, 1, 2])
    assert found.brier == pytest.approx(0.01)
    assert found.total_error == pytest.approx(0.0)
    assert [(one.n, one.actual) for one in found.calibration] == [(20, 0.0), (20, 0.0), (20, 0.5), (20, 1.0), (20, 1.0)]


def test_the_order_of_customers_changes_no_figure() -> None:
    true, bought, spent = fair(2)
    coarse = Foreseen(true.chances.round(1), true.orders.round(1), true.spend.round(-1))
    order = np.random.default_rng(3).permutation(N)
    shuffled = Foreseen(coarse.chances[order], coarse.orders[order], coarse.spend[order])
    first, second = backtest(coarse, bought, spent), backtest(shuffled, bought[order], spent[order])
    by_value = backtest_value(coarse.spend, spent), backtest_value(shuffled.spend, spent[order])

    for one, other in ((first, second), by_value):
        assert one.lift == pytest.approx(other.lift)
        assert one.gini == pytest.approx(other.gini)
        for mine, theirs in zip(one.calibration, other.calibration, strict=True):
            assert (mine.actual, mine.low, mine.high) == pytest.approx((theirs.actual, theirs.low, theirs.high))


@pytest.mark.parametrize("seed", range(4))
def test_a_shop_that_stays_as_it_is_raises_no_warning(seed: int) -> None:
    log = shop_log(700, 500, seed, leaving=0.1 + 0.03 * seed, weekly=0.1 + 0.05 * seed)
    fits = fit_forecast(log, 490, horizon=60, fewest=50)

    assert [one.breach for one in (*own(fits), *own(fits, CLV))] == [""] * 4
    assert not fits.churn.reason.startswith("the last forecasts failed")


def test_a_shop_that_breaks_is_noticed_once_and_after_two_failures_recency_decides() -> None:
    log = broken_shop()
    once, twice = (fit_forecast(log, BREAK + days, horizon=60, fewest=50) for days in (60, 120))

    assert [bool(one.breach) for one in own(once)] == [True, False]
    assert once.churn.rung != "calibrated_recency"
    assert repeated(own(twice))
    assert twice.churn.rung == "calibrated_recency"
    assert "failed" in twice.churn.reason
    assert all(np.isfinite(one.fit.standard_errors).all() for one in twice.family.values() if one.fit.converged)
    on = BREAK + 120
    known = log.snapshot(on, season=60, ahead=60)
    assert abs(twice.foresee(known, log.spending(on)).orders.sum() / known.bought.sum() - 1) < 0.5


def test_a_shop_too_young_for_two_horizons_has_the_backtests_there_can_be() -> None:
    log = shop_log(400, 60, 5, weekly=1.0)

    assert own(fit_forecast(log, 5, horizon=60, fewest=50)) == []
    young = [one for one in fit_forecast(log, 55, horizon=60, fewest=50).earlier if one.model == CHURN]
    assert {one.days for one in young} == {27}
    assert fit_forecast(log.through(20), 20, horizon=60, fewest=10_000).earlier == []
