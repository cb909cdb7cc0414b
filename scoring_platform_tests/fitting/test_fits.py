"""Fits: those published for CDNOW, and on made-up customers the parameters they were made with."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.fitting.bg_nbd import BgNbd
from scoring_platform.fitting.gamma_gamma import GammaGamma
from scoring_platform.fitting.histories import Floats, Histories
from scoring_platform.fitting.pareto_nbd import ParetoNbd
from scoring_platform_tests.fitting.cdnow import DATA, MASTER, SAMPLE, Cdnow, cdnow

published = [
    pytest.mark.needs_shared,
    pytest.mark.skipif(not DATA.is_dir(), reason="the published data sets are not in ../shared/data"),
]
# r, alpha, a, b (or s, beta), log-likelihood, and the forecast of 39 weeks by these.
SAMPLE_BG = ([0.24259, 4.4136, 0.79292, 2.42591], -9582.429, 1653.4)
SAMPLE_MBG = ([0.52484, 6.18308, 0.89136, 1.61400], -9582.136, 1576.7)
SAMPLE_PARETO = ([0.55329, 10.57803, 0.60624, 11.66859], -9594.976, 1665.5)
MASTER_BG = ([0.25162, 4.78895, 0.72343, 2.16109], -95368.444, 16873.7)
MASTER_MBG = ([0.63714, 7.31029, 0.80747, 1.22839], -95336.958, 15933.6)
MASTER_PARETO = ([0.59742, 11.58549, 0.52216, 8.82695], -95415.119, 17153.4)
MODELS: dict[str, Any] = {
    "bg_nbd": BgNbd.fit,
    "mbg_nbd": lambda histories: BgNbd.fit(histories, modified=True),
    "pareto_nbd": ParetoNbd.fit,
}


@lru_cache
def data(which: tuple[str, str]) -> Cdnow:
    return cdnow(which)


@pytest.mark.parametrize(
    ("which", "name", "known"),
    [
        pytest.param(SAMPLE, "bg_nbd", SAMPLE_BG, marks=published),
        pytest.param(SAMPLE, "mbg_nbd", SAMPLE_MBG, marks=published),
        pytest.param(SAMPLE, "pareto_nbd", SAMPLE_PARETO, marks=published),
        pytest.param(MASTER, "bg_nbd", MASTER_BG, marks=published),
        pytest.param(MASTER, "mbg_nbd", MASTER_MBG, marks=published),
        pytest.param(MASTER, "pareto_nbd", MASTER_PARETO, marks=published),
    ],
)
def test_the_published_fits(which: tuple[str, str], name: str, known: tuple[list[float], float, float]) -> None:
    customers = data(which)
    histories = Histories.of(customers.x, customers.t_x, customers.T)
    model, fit = MODELS[name](histories)
    parameters, log_likelihood, forecast = known

    assert fit.converged, fit.reason
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=0.01)
    assert fit.parameters[:3] == pytest.approx(parameters[:3], rel=2e-3)
    assert fit.parameters[3] == pytest.approx(parameters[3], abs=0.05)
    assert float(histories.n @ model.expected(histories, 39)) == pytest.approx(forecast, rel=1e-3)


@pytest.mark.parametrize(
    ("which", "known", "log_likelihood"),
    [
        pytest.param(SAMPLE, [6.24957, 3.74422, 15.44352], -4055.9177, marks=published),
        pytest.param(MASTER, [6.27536, 3.62445, 14.98369], -40763.476, marks=published),
    ],
)
def test_the_published_spend(which: tuple[str, str], known: list[float], log_likelihood: float) -> None:
    customers = data(which)
    repeated = (customers.x > 0) & (customers.mean > 0)
    _, fit = GammaGamma.fit(customers.x[repeated], customers.mean[repeated])
    _, in_cents = GammaGamma.fit(customers.x[repeated], customers.mean[repeated] * 100)

    assert fit.parameters == pytest.approx(known, abs=0.01)
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=0.01)
    assert in_cents.parameters == pytest.approx(fit.parameters * [1, 1, 100], rel=1e-4)


@pytest.mark.parametrize("marked", [pytest.param(True, marks=published)])
def test_the_mean_forecast_by_frequency_is_that_of_the_walkthrough(marked: bool) -> None:
    customers = data(SAMPLE)
    model, _ = BgNbd.fit(Histories.of(customers.x, customers.t_x, customers.T))
    each = model.p_alive(_single(customers)) * model.expected_alive(customers.x, customers.T, 39)
    by_frequency = [each[np.minimum(customers.x, 7) == x].mean() for x in range(8)]
    actual = [customers.later[np.minimum(customers.x, 7) == x].mean() for x in range(8)]

    assert marked
    assert actual == pytest.approx([0.2367, 0.6970, 1.3925, 1.56, 2.5323, 2.9474, 3.8621, 6.3594], abs=1e-4)
    assert by_frequency == pytest.approx([0.2251, 0.5231, 1.0441, 1.5203, 2.1638, 2.6538, 3.504, 6.157], abs=1e-3)


def _single(customers: Cdnow) -> Histories:
    """Histories in the order of the customers, not grouped."""
    return Histories(customers.x, customers.t_x, customers.T, np.ones_like(customers.x))


def simulated(count: int, seed: int, *, r: float, alpha: float, a: float, b: float) -> Histories:
    """Customers of BG/NBD with known parameters, observed for 52 weeks and less."""
    chance = np.random.default_rng(seed)
    rate, leaving = chance.gamma(r, 1 / alpha, count), chance.beta(a, b, count)
    end = chance.uniform(10, 52, count)
    x, t_x = np.zeros(count), np.zeros(count)
    at, alive = np.zeros(count), np.ones(count, dtype=bool)
    while alive.any():
        at = at + chance.exponential(1 / np.maximum(rate, 1e-12))
        alive &= at <= end
        x, t_x = x + alive, np.where(alive, at, t_x)
        alive &= chance.uniform(size=count) >= leaving
    return Histories.of(x, t_x, end)


def test_the_parameters_a_population_was_made_with_are_found() -> None:
    made = {"r": 0.6, "alpha": 6.0, "a": 0.9, "b": 3.0}
    model, fit = BgNbd.fit(simulated(40_000, 7, **made))
    errors = np.abs(fit.parameters - list(made.values())) / fit.standard_errors

    assert fit.converged
    assert errors.max() < 4, "within the standard errors it claims"
    assert model == BgNbd.at(fit.parameters)


params = st.floats(0.05, 20)
FEW = Histories.of([0, 0, 1, 4, 30], [0, 0, 3, 20, 49], [10, 50, 5, 30, 50], [5, 2, 1, 3, 1])


@given(params, params, params, params, st.sampled_from(["bg", "mbg", "pareto"]))
@settings(max_examples=60, deadline=None)
def test_gradients_are_those_of_the_likelihood(p: float, q: float, u: float, v: float, name: str) -> None:
    def likelihood(values: Floats) -> tuple[float, Floats]:
        model = ParetoNbd.at(values) if name == "pareto" else BgNbd.at(values, modified=name == "mbg")
        return model.likelihood(FEW)

    at = np.array([p, q, u, v])
    _, gradient = likelihood(at)
    for place in range(4):
        step = np.zeros(4)
        step[place] = at[place] * 1e-6
        slope = (likelihood(at + step)[0] - likelihood(at - step)[0]) / (2 * step[place])
        assert gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-5)


@given(params, params, params, params, st.floats(0.1, 500))
@settings(max_examples=60, deadline=None)
def test_forecasts_are_never_negative_infinite_or_no_number(
    p: float, q: float, u: float, v: float, ahead: float
) -> None:
    for model in (BgNbd(p, q, u, v), BgNbd(p, q, u, v, modified=True), ParetoNbd(p, q, u, v)):
        alive, none, expected = model.p_alive(FEW), model.p_none(FEW, ahead), model.expected(FEW, ahead)
        assert ((alive >= 0) & (alive <= 1)).all()
        assert ((none >= 0) & (none <= 1)).all()
        assert np.isfinite(expected).all()
        assert (expected >= 0).all()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "histories",
    [
        Histories.of([0] * 50, [0] * 50, [20] * 50),
        Histories.of([1], [3], [9]),
        Histories.of([5] * 60, [9] * 60, [10] * 60),
    ],
    ids=["nobody came back", "one customer", "all alike"],
)
def test_what_cannot_be_fitted_is_said(name: str, histories: Histories) -> None:
    _, fit = MODELS[name](histories)

    assert not fit.converged
    assert fit.reason
