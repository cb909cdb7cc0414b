"""Formulas at the edges of what floating point can hold, by which the tables of the engine are made."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from scoring_platform.fitting.bg_nbd import BgNbd
from scoring_platform.fitting.histories import Floats, Histories
from scoring_platform.fitting.pareto_nbd import ParetoNbd
from scoring_platform.fitting.tables import ahead, left

ZERO, YEAR = np.zeros(1), np.full(1, 52.0)


def of_a_year(model: BgNbd, x: float = 0.0) -> float:
    return float(model.expected_alive(np.full(1, x), YEAR, 52)[0])


@pytest.mark.parametrize("modified", [False, True])
@pytest.mark.parametrize("at", [1.0, 1 - 1e-6, 1 + 1e-6, 1 + 1e-5, 1 - 1e-4, 1 + 1e-4])
def test_nothing_happens_where_the_formula_divides_by_nothing(at: float, modified: bool) -> None:
    near = (of_a_year(BgNbd(0.5, 5.0, at + side, 2.0, modified), 3.0) for side in (-1e-2, 1e-2))

    assert of_a_year(BgNbd(0.5, 5.0, at, 2.0, modified), 3.0) == pytest.approx(np.mean(list(near)), rel=1e-4)


def test_nothing_happens_where_a_and_b_add_up_to_one() -> None:
    near = np.mean([of_a_year(BgNbd(0.5, 5.0, 0.5, 0.5 + side)) for side in (-1e-3, 1e-3)])

    assert of_a_year(BgNbd(0.5, 5.0, 0.5, 0.5)) == pytest.approx(near, rel=1e-4)


@pytest.mark.parametrize("modified", [False, True])
def test_a_shop_whose_customers_are_all_alike_has_expected_orders(modified: bool) -> None:
    # As fitted to customers who differ in nothing: r and alpha run to their bounds, hardly anybody leaves.
    alike = BgNbd(40_679.45, 1e6, 4.3e-4, 5_293.6, modified)

    assert of_a_year(alike, 4.0) == pytest.approx(52 * 40_683.45 / 1_000_052, rel=1e-4)


def exact(model: ParetoNbd, x: float, after: float, until: float) -> float:
    """Logarithm of the chance of having left in between, relative to the height of the integrand at its begin."""

    def height(u: float) -> float:
        return float(-(model.r + x) * np.log(model.alpha + u) - (model.s + 1) * np.log(model.beta + u))

    first = height(after)
    edges = after + (until - after) * np.concatenate([[0.0], np.logspace(-7, 0, 40)])
    parts = [
        quad(lambda u: np.exp(height(u) - first), low, high, epsabs=0, epsrel=1e-12)[0] for low, high in pairwise(edges)
    ]
    return float(np.log(model.s) + np.log(sum(parts)) + first)


@pytest.mark.parametrize("x", [0.0, 3.0, 60.0, 400.0, 3_650.0])
@pytest.mark.parametrize("model", [ParetoNbd(0.55, 10.6, 0.6, 11.7), ParetoNbd(2.0, 0.5, 0.1, 30.0)])
def test_the_integral_over_leaving_is_exact_for_those_who_buy_daily_too(model: ParetoNbd, x: float) -> None:
    after = max(x / 7, 0.0)
    found = model.log_left(np.full(1, x), np.full(1, after), np.full(1, 600.0))[0]

    assert found == pytest.approx(exact(model, x, after, 600.0), abs=1e-9)


@given(st.tuples(*[st.floats(0.05, 30)] * 4), st.integers(0, 2_000), st.floats(0, 1), st.floats(1, 500))
@settings(max_examples=60, deadline=None)
def test_tables_do_not_depend_on_how_far_they_reach(
    parameters: tuple[float, float, float, float], x: int, share: float, weeks: float
) -> None:
    model, end = ParetoNbd(*parameters), np.full(1, max(weeks, x / 7))
    known = Histories(np.full(1, float(x)), end * (max(share, 1e-3) if x else 0), end, np.ones(1))

    def alive(until: float) -> Floats:
        forward = ahead(model, known.x, known.T, horizon=13, until=until, discount=0.1)
        u = np.exp(np.minimum(left(model, known.x, known.t_x, until=until) - forward.alive, 700))
        return np.asarray(1 / (1 + u - forward.rest))

    assert alive(600) == pytest.approx(model.p_alive(known), rel=1e-9, abs=1e-12)
    assert alive(5_000) == pytest.approx(model.p_alive(known), rel=1e-9, abs=1e-12)
