"""Corrections of level: what closed horizons teach, and how little a few of them do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.fitting.levels import (
    Deviation,
    Level,
    deviation_of_chances,
    deviation_of_counts,
    next_level,
    shift_to_total,
)
from scoring_platform.fitting.logistic import probability

QUARTER = 91
PRECISE = 1e-4


def level(*values: float, variance: float = PRECISE, horizon: int = QUARTER) -> Level:
    """The next correction after ``values``, the newest first."""
    return next_level([Deviation(value, variance) for value in values], horizon=horizon)


def test_without_a_past_nothing_is_corrected() -> None:
    assert next_level([], horizon=90) == Level(0.0, 0.0)
    assert Level(0.2, -0.5).total == pytest.approx(-0.3)


def test_a_stationary_shop_is_hardly_corrected() -> None:
    chance = np.random.default_rng(3)
    for _ in range(20):
        found = level(*chance.normal(0, 0.05, 8))
        assert abs(found.total) < 0.08


def test_a_shop_that_declines_is_lowered_lastingly() -> None:
    found = level(-0.5, -0.45, -0.4, -0.4)

    assert -0.5 < found.lasting < -0.25
    assert abs(found.seasonal) < 0.1
    assert level(-0.5).lasting > found.lasting, "one horizon proves less than four"
    assert -0.05 < level(-0.5, -0.45, -0.4, -0.4, variance=25.0).lasting < 0, "few customers prove less than many"


def test_newer_horizons_count_more() -> None:
    assert level(-0.6, -0.6, 0, 0).lasting < level(0, 0, -0.6, -0.6).lasting


def test_a_season_that_came_twice_is_expected_a_third_time() -> None:
    # Newest first: the horizon to come is the fourth of the year, as the two peaks were.
    twice = level(0, 0, 0, 0.8, 0, 0, 0, 0.8)
    often = level(0, 0, 0, 0.8, 0, 0, 0, 0.8, 0, 0)

    assert twice.seasonal > 0.4
    assert often.seasonal > 0.4
    assert twice.total == pytest.approx(twice.lasting + twice.seasonal)


def test_a_season_that_did_not_come_again_is_not_expected() -> None:
    came, stayed_away = level(0, 0, 0, 0.8, 0, 0, 0, 0.8), level(0, 0, 0, 0, 0, 0, 0, 0.8)

    assert abs(stayed_away.seasonal) < 0.1
    assert came.seasonal > 5 * abs(stayed_away.seasonal)
    reversed_ = level(0.5, -0.5, 0.5, 0.8, -0.5, 0.5, -0.5, 0.8)
    assert reversed_.seasonal < came.seasonal


@pytest.mark.parametrize("horizon", [300, 365, 500, 150])
def test_horizons_that_do_not_fit_into_a_year_have_no_season(horizon: int) -> None:
    assert level(0, 0.8, 0, 0.8, horizon=horizon).seasonal == 0


deviations = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(1e-9, 1e9)), max_size=12)


@given(deviations, st.integers(1, 730))
@settings(max_examples=200, deadline=None)
def test_corrections_are_finite_and_bounded(past: list[tuple[float, float]], horizon: int) -> None:
    found = next_level([Deviation(*one) for one in past], horizon=horizon)

    assert abs(found.lasting) <= 2.0
    assert abs(found.seasonal) <= 4.0


@given(st.lists(st.floats(-500, 500), min_size=1, max_size=30), st.floats(0.01, 0.99))
@settings(max_examples=100, deadline=None)
def test_a_shift_brings_the_total_to_what_is_wanted(points: list[float], share: float) -> None:
    logits = np.array(points)
    shift = shift_to_total(logits, share * len(points))

    assert float(probability(logits + shift).sum()) == pytest.approx(share * len(points), abs=1e-6)


def test_deviations_say_what_was_missing() -> None:
    again = np.array([1.0] * 30 + [0.0] * 70)
    missing = deviation_of_chances(np.full(100, 0.5), again)
    counts = deviation_of_counts(np.full(100, 0.5), again)

    assert missing.value == pytest.approx(np.log(0.3 / 0.7))
    assert missing.variance == pytest.approx(1 / (100 * 0.3 * 0.7))
    assert counts.value == pytest.approx(np.log(0.3 / 0.5))
    assert counts.variance == pytest.approx(30 / 30**2)


@pytest.mark.parametrize("again", [np.zeros(50), np.ones(50)])
def test_nobody_or_everybody_coming_back_is_no_infinite_deviation(again: np.ndarray) -> None:
    for found in (deviation_of_chances(np.full(50, 0.5), again), deviation_of_counts(np.full(50, 1e-12), again)):
        assert np.isfinite(found.value)
        assert 0 < found.variance < np.inf
