"""Figures of forecasts against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.fitting.metrics import (
    auc,
    brier,
    calibration,
    gini,
    spearman,
    top_decile_lift,
    total_error,
    wilson,
)

pairs = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40)
worth = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 50)), min_size=2, max_size=40)


@given(pairs)
@settings(deadline=None)
def test_auc_is_the_share_of_pairs_ranked_rightly_with_ties_half(rows: list[tuple[int, bool]]) -> None:
    did = [value for value, happened in rows if happened]
    did_not = [value for value, happened in rows if not happened]
    found = auc(np.array([float(value) for value, _ in rows]), np.array([float(happened) for _, happened in rows]))
    if not did or not did_not:
        assert found is None
        return
    right = sum((one > other) + (one == other) / 2 for one in did for other in did_not)
    assert found == pytest.approx(right / (len(did) * len(did_not)))


def test_a_constant_ranks_nobody() -> None:
    happened = np.array([1.0, 0, 0, 1, 0])

    assert auc(np.ones(5), happened) == 0.5
    assert gini(np.ones(5), happened) == 0
    assert spearman(np.ones(5), happened) is None


@given(worth, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_gini_is_one_for_a_perfect_ranking_and_the_same_in_any_order_of_rows(
    rows: list[tuple[int, int]], chance: object
) -> None:
    shuffled = list(rows)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    (by, actual), (other_by, other_actual) = (
        (np.array([float(a) for a, _ in some]), np.array([float(b) for _, b in some])) for some in (rows, shuffled)
    )
    if len(set(actual)) == 1:
        assert gini(by, actual) is None
        return
    found = gini(by, actual)

    assert gini(actual, actual) == pytest.approx(1)
    assert gini(-actual, actual) == pytest.approx(-1)
    assert found is not None
    assert -1 - 1e-9 <= found <= 1 + 1e-9
    assert gini(other_by, other_actual) == pytest.approx(found, abs=1e-12)


def test_lift_of_the_top_tenth() -> None:
    forecast = np.arange(100.0)
    actual = np.where(forecast >= 90, 5.0, 0.0) + np.where(forecast < 50, 1.0, 0.0)

    assert top_decile_lift(forecast, actual) == pytest.approx(50 / 100 / 0.1)
    assert top_decile_lift(-forecast, actual) == pytest.approx(10 / 100 / 0.1)
    assert top_decile_lift(forecast[:9], actual[:9]) is None
    assert top_decile_lift(forecast, np.zeros(100)) is None


@pytest.mark.parametrize(
    ("share", "n", "low", "high"),
    # Values of Newcombe (1998), table I, and the ends.
    [
        (81 / 263, 263, 0.2553, 0.3662),
        (15 / 148, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1 / 29, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_are_the_published_ones(share: float, n: int, low: float, high: float) -> None:
    assert wilson(share, n) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 400), st.floats(0, 1))
def test_a_wilson_interval_holds_its_share_and_stays_within_0_and_1(n: int, share: float) -> None:
    low, high = wilson(share, n)

    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


@pytest.mark.parametrize(("n", "groups"), [(1, 1), (39, 1), (40, 2), (199, 9), (200, 10), (5_000, 10)])
def test_calibration_has_groups_of_twenty_and_more_that_hold_everybody(n: int, groups: int) -> None:
    forecast = np.linspace(0, 1, n)
    found = calibration(forecast, (forecast > 0.5).astype(np.float64))

    assert len(found) == groups
    assert sum(one.n for one in found) == n
    assert n < 40 or min(one.n for one in found) >= 20
    assert [one.forecast for one in found] == sorted(one.forecast for one in found)
    assert all(one.low - 1e-12 <= one.actual <= one.high + 1e-12 for one in found)


def test_who_is_sure_and_right_has_no_error() -> None:
    happened = np.array([1.0, 0, 1])

    assert brier(happened, happened) == 0
    assert brier(np.full(3, 0.5), happened) == 0.25
    assert total_error(np.array([2.0, 2, 2]), np.array([1.0, 1, 1])) == 1
    assert total_error(np.ones(3), np.zeros(3)) is None
