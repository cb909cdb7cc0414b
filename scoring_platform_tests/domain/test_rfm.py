"""Recency, frequency, monetary: cut-offs and bands, ties and unseen values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from math import ceil
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.domain import rfm
from scoring_platform_tests.domain.tables import DAY, RFM, Database, before, frame

Buyer = tuple[int, int, int]


def four(values: Sequence[float]) -> rfm.Limits:
    one, two, three, last = (Decimal(str(value)) for value in values)
    return one, two, three, last


FIXED = rfm.CutOffs(
    four(RFM.fixed_cutoffs.recency_days), four(RFM.fixed_cutoffs.frequency), four(RFM.fixed_cutoffs.monetary)
)


def banded(db: Database, buyers: Sequence[tuple[int | None, int, int]], cut_offs: rfm.CutOffs) -> list[Any]:
    """Bands and code of (recency, frequency, monetary), in the order given."""
    rows = [
        {
            "n": n,
            "as_of": DAY,
            "last_order_on": None if recency is None else before(recency),
            "window_order_days": frequency,
            "window_net_spend": Decimal(monetary),
        }
        for n, (recency, frequency, monetary) in enumerate(buyers)
    ]
    kinds = {
        "n": "int64",
        "as_of": "date",
        "last_order_on": "date",
        "window_order_days": "int64",
        "window_net_spend": "decimal(18, 4)",
    }
    found = rfm.bands(rfm.measures(frame(kinds, rows)), rfm.cut_off_table({DAY: cut_offs}))
    by_number = {row["n"]: row for row in db.rows(found)}
    return [tuple(by_number[n][name] for name in ("r", "f", "m", "rfm_code")) for n in range(len(buyers))]


def fitted(buyers: Sequence[Buyer]) -> rfm.CutOffs:
    columns = [Counter(Decimal(value) for value in column) for column in zip(*buyers, strict=True)]
    recency, frequency, monetary = (list(column.items()) for column in columns)
    return rfm.CutOffs(
        rfm.limits(recency, ascending=False),
        rfm.limits(frequency, ascending=True),
        rfm.limits(monetary, ascending=True),
    )


def reference(values: Sequence[int], value: int, *, ascending: bool) -> int:
    """Band of ``value``: t_k at rank ⌈k·n/5⌉ from worst to best, 1 + the limits strictly beaten."""
    ordered = sorted(values, reverse=not ascending)
    limits = [ordered[ceil(k * len(ordered) / 5) - 1] for k in (1, 2, 3, 4)]
    return 1 + sum(value > limit if ascending else value < limit for limit in limits)


buyers_drawn = st.lists(st.tuples(st.integers(0, 364), st.integers(1, 6), st.integers(0, 50)), min_size=1, max_size=60)


@given(
    buyers=buyers_drawn,
    unseen=st.tuples(st.integers(0, 364), st.integers(1, 9), st.integers(0, 99)),
    seed=st.integers(),
)
@settings(max_examples=20, deadline=None)
def test_bands_are_those_of_the_definition(db: Database, buyers: list[Buyer], unseen: Buyer, seed: int) -> None:
    shuffled = Random(seed).sample(buyers, len(buyers))
    recency, frequency, monetary = zip(*buyers, strict=True)
    rated = [*buyers, unseen]

    for (r, f, m, code), buyer in zip(banded(db, rated, fitted(shuffled)), rated, strict=True):
        assert r == reference(recency, buyer[0], ascending=False)
        assert f == reference(frequency, buyer[1], ascending=True)
        assert m == reference(monetary, buyer[2], ascending=True)
        assert code == f"{r}{f}{m}"


def test_five_equal_groups_reach_every_band(db: Database) -> None:
    buyers = [(10 * n + 1, n + 1, 100 * n) for n in range(50)]
    found = banded(db, buyers, fitted(buyers))

    assert Counter(r for r, *_ in found) == Counter(f for _, f, *_ in found) == dict.fromkeys(range(1, 6), 10)


def test_everyone_equal_shares_one_band(db: Database) -> None:
    buyers = [(5, 1, 10)] * 7

    assert banded(db, buyers, fitted(buyers)) == [(1, 1, 1, "111")] * 7


@pytest.mark.parametrize(
    ("measure", "values", "bands"),
    [
        (0, [365, 364, 180, 179, 90, 89, 30, 29, 0], [1, 2, 2, 3, 3, 4, 4, 5, 5]),
        (1, [1, 2, 3, 4, 5, 8, 9], [1, 2, 3, 3, 4, 4, 5]),
        (2, [0, 5_000, 5_001, 15_000, 40_000, 100_000, 100_001], [1, 1, 2, 2, 3, 4, 5]),
    ],
)
def test_a_value_equal_to_a_limit_has_not_beaten_it(
    db: Database, measure: int, values: list[int], bands: list[int]
) -> None:
    buyers = []
    for value in values:
        buyer = [10, 1, 10]
        buyer[measure] = value
        buyers.append((buyer[0], buyer[1], buyer[2]))

    assert [found[measure] for found in banded(db, buyers, FIXED)] == bands


def test_who_bought_but_not_in_the_window_is_in_the_lowest_bands(db: Database) -> None:
    assert banded(db, [(5, 0, 0)], FIXED) == [(1, 1, 1, "111")]


def test_who_never_bought_has_no_bands(db: Database) -> None:
    assert banded(db, [(None, 0, 0)], FIXED) == [(None, None, None, None)]


def test_limits_of_nobody_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one buyer"):
        rfm.limits([], ascending=True)


def test_each_day_is_judged_by_its_own_limits(db: Database) -> None:
    kinds = {
        "as_of": "date",
        "last_order_on": "date",
        "window_order_days": "int64",
        "window_net_spend": "decimal(18, 4)",
    }
    row = {"last_order_on": before(9), "window_order_days": 3, "window_net_spend": Decimal(0)}
    limits: dict[object, rfm.CutOffs] = {
        DAY: rfm.CutOffs(FIXED.recency_days, four([3] * 4), FIXED.monetary),
        before(1): rfm.CutOffs(FIXED.recency_days, four([2] * 4), FIXED.monetary),
    }
    rows = [{"as_of": DAY, **row}, {"as_of": before(1), **row}]
    found = db.rows(rfm.bands(rfm.measures(frame(kinds, rows)), rfm.cut_off_table(limits)), "as_of", "f")

    assert dict(found) == {DAY: 1, before(1): 5}
