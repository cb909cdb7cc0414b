"""Scorecards: points add up to what the regression says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.logistic import probability
from scoring_platform.fitting.scorecard import BANDS, Design, Points, Sample, Scorecard

MEASURES = ("recency", "nps")


def sample(seed: int, size: int = 400) -> Sample:
    """Customers whose recency says more than their forecasts do; half have no answer."""
    chance = np.random.default_rng(seed)
    recency = chance.integers(0, 300, size).astype(np.float64)
    nps = np.where(chance.uniform(size=size) < 0.5, np.nan, chance.integers(0, 11, size))
    forecasts = {name: chance.normal(0, 1, size) for name in ("a", "b")}
    logits = 1 - recency / 80 + 0.3 * (forecasts["a"] + forecasts["b"]) + np.nan_to_num(nps - 5) / 4
    return Sample(
        forecasts,
        {"recency": recency, "nps": nps},
        (chance.uniform(size=size) < probability(logits)).astype(np.float64),
    )


SAMPLES = [sample(1), sample(2, 250)]


def test_points_add_up_by_band() -> None:
    card = Scorecard({"model": 0.5}, {"recency": Points((10.0, 30.0), (1.0, 0.0, -2.0), -0.25)})
    recency = np.array([0.0, 9.9, 10.0, 29.0, 30.0, 1e9, np.nan])

    assert card.of({"model": np.full(7, 2.0)}, {"recency": recency}).tolist() == [2, 2, 1, 1, -1, -1, 0.75]


def test_a_card_without_points_gives_everybody_none() -> None:
    assert Scorecard({}, {}).of({}, {"recency": np.array([1.0, 2.0])}).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("names", "measures"), [(("a", "b"), MEASURES), ((), MEASURES), (("a", "b"), ())], ids=["all", "bands", "models"]
)
def test_the_card_gives_the_logits_of_the_regression(names: tuple[str, ...], measures: tuple[str, ...]) -> None:
    design = Design.of(SAMPLES, names, measures)
    coefficients = design.fit()
    card = design.card(coefficients)
    with_level = [card.of(one.forecasts, one.measures) + coefficients[at] for at, one in enumerate(SAMPLES)]

    assert np.concatenate(with_level) == pytest.approx(design.X @ coefficients, abs=1e-12)
    assert set(card.slopes) == set(names)
    assert set(card.bands) == set(measures)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=30))
@settings(deadline=None, max_examples=50)
def test_values_never_seen_and_none_at_all_have_points(values: list[float]) -> None:
    design = Design.of(SAMPLES, ("a",), MEASURES)
    card = design.card(design.fit())
    for points in card.bands.values():
        found = points.of(np.array(values))
        allowed = {*points.points, points.missing}
        assert set(found.tolist()) <= allowed
        assert all(one == points.missing for one, value in zip(found, values, strict=True) if np.isnan(value))


def shuffled(one: Sample, order: Floats) -> Sample:
    places = order.astype(np.int64)
    return Sample(
        {name: values[places] for name, values in one.forecasts.items()},
        {name: values[places] for name, values in one.measures.items()},
        one.again[places],
    )


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_the_card_is_the_same_in_any_order_of_rows(seed: int) -> None:
    chance = np.random.default_rng(seed)
    other = [shuffled(one, chance.permutation(len(one.again)).astype(np.float64)) for one in SAMPLES]
    first, second = (Design.of(samples, ("a", "b"), MEASURES) for samples in (SAMPLES, other))

    assert {name: edges.tolist() for name, edges in second.edges.items()} == {
        name: edges.tolist() for name, edges in first.edges.items()
    }
    assert second.fit() == pytest.approx(first.fit(), abs=1e-9)


def test_bands_are_about_as_large_as_each_other_and_none_is_empty() -> None:
    design = Design.of(SAMPLES, (), MEASURES)
    for name, edges in design.edges.items():
        values = np.concatenate([one.measures[name] for one in SAMPLES])
        counts = np.bincount(np.searchsorted(edges, values[~np.isnan(values)], side="right"))
        assert len(counts) == len(edges) + 1 <= BANDS
        assert counts.min() > 0


@pytest.mark.parametrize("values", [np.full(50, 3.0), np.full(50, np.nan)], ids=["all alike", "nobody answered"])
def test_a_measure_that_tells_nobody_apart_has_no_bands(values: Floats) -> None:
    again = np.arange(50.0) % 2
    design = Design.of([Sample({}, {"flat": values, "recency": np.arange(50.0)}, again)], (), ("flat", "recency"))

    assert set(design.edges) == {"recency"}


def test_few_customers_leave_the_card_at_the_mean_of_the_models() -> None:
    few, many = (sample(5, size) for size in (12, 40_000))
    small, large = (Design.of([one], ("a", "b"), MEASURES) for one in (few, many))
    of_small, of_large = small.card(small.fit()), large.card(large.fit())

    assert of_small.slopes["a"] == pytest.approx(0.5, abs=0.2)
    assert max(map(abs, of_small.bands["recency"].points)) < 0.1
    assert of_large.slopes["a"] == pytest.approx(0.3, abs=0.1), "with many it is what the data say"
    assert of_large.bands["recency"].points[0] - of_large.bands["recency"].points[-1] > 1
