"""Logistic regression: the minimum is found, whatever the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.fitting.logistic import logit, losses, probability, ridge_logistic


@given(
    st.integers(0, 10_000),
    st.integers(0, 120),
    st.integers(1, 6),
    st.floats(1e-3, 100),
    st.floats(-3, 3),
    st.floats(0.01, 30),
)
@settings(max_examples=60, deadline=None)
def test_at_the_minimum_the_gradient_is_nothing(
    seed: int, rows: int, columns: int, penalty: float, pull: float, scale: float
) -> None:
    chance = np.random.default_rng(seed)
    x, y = chance.normal(0, scale, (rows, columns)), chance.integers(0, 2, rows).astype(np.float64)
    towards, ridge = np.full(columns, pull), np.full(columns, penalty)
    found = ridge_logistic(x, y, towards=towards, penalty=ridge)
    gradient = x.T @ (probability(x @ found) - y) + ridge * (found - towards)

    def loss(at: np.ndarray) -> float:
        return float(losses(x @ at, y).sum() + 0.5 * (ridge * (at - towards) ** 2).sum())

    least = loss(found)
    curvature = (x * (probability(x @ found) * (1 - probability(x @ found)))[:, None]).T @ x + np.diag(ridge)
    # What a last step of Newton's could still gain.
    assert float(gradient @ np.linalg.solve(curvature, gradient)) < 1e-6 * max(1.0, least)
    for _ in range(5):
        assert loss(found + chance.normal(0, 0.05, columns)) >= least - 1e-6 * max(1.0, least)


def test_data_that_separate_give_finite_coefficients() -> None:
    far = np.concatenate([np.full(500, -1e3), np.full(500, 1e3)])
    x, y = np.stack([np.ones(1000), far], axis=1), (far > 0).astype(np.float64)
    found = ridge_logistic(x, y, towards=np.zeros(2), penalty=np.array([1e-3, 5.0]))

    assert np.isfinite(found).all()
    assert found[1] > 0
    assert losses(x @ found, y).mean() < 0.01


def test_without_data_the_ridge_alone_decides() -> None:
    towards = np.array([0.25, -3.0, 0.0])
    found = ridge_logistic(np.empty((0, 3)), np.empty(0), towards=towards, penalty=np.array([1.0, 100.0, 1e-3]))

    assert found == pytest.approx(towards)


def test_the_stronger_the_ridge_the_nearer_to_where_it_pulls() -> None:
    chance = np.random.default_rng(1)
    x = chance.normal(size=(300, 1))
    y = (chance.uniform(size=300) < probability(2 * x[:, 0])).astype(np.float64)
    found = [
        float(ridge_logistic(x, y, towards=np.array([5.0]), penalty=np.array([strength]))[0])
        for strength in (1e-3, 1.0, 100.0, 1e6)
    ]

    assert found == sorted(found)
    assert found[0] == pytest.approx(2, abs=0.5)
    assert found[-1] == pytest.approx(5, abs=1e-3)


@given(st.floats(-13, 13))
def test_logits_and_probabilities_are_inverse(value: float) -> None:
    assert logit(probability(np.array([value])))[0] == pytest.approx(value, rel=1e-6, abs=1e-9)


def test_probabilities_of_any_logit_are_usable() -> None:
    extreme = probability(np.array([-1e9, 1e9, -np.inf, np.inf]))

    assert ((extreme >= 0) & (extreme <= 1)).all()
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()
