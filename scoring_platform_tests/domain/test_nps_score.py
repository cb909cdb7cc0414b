"""The Net Promoter Score: known values, the trap of the mean, and laws."""

from __future__ import annotations

import ibis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring_platform.domain.nps_score import Figures, figures, figures_of, net_promoter_score

scores = st.lists(st.none() | st.integers(0, 10), max_size=40)


def test_five_nines_and_five_sixes_are_0_though_their_mean_is_7_and_a_half() -> None:
    found = figures_of([9] * 5 + [6] * 5)
    assert (found.nps, found.mean_rating) == (0, 7.5)
    assert net_promoter_score(5, 0, 5) == 0


@pytest.mark.parametrize(
    ("counts", "score"), [((1, 0, 0), 100), ((0, 0, 1), -100), ((0, 3, 0), 0), ((2, 1, 1), 25), ((0, 0, 0), None)]
)
def test_known_values(counts: tuple[int, int, int], score: float | None) -> None:
    assert net_promoter_score(*counts) == score


def test_dismissed_surveys_are_no_answers() -> None:
    assert figures_of([None, 10, None]) == Figures(1, 1, 0, 0, 10.0)
    assert figures_of([None]).nps is None


@given(given=scores)
def test_the_parts_add_up_and_the_score_keeps_its_bounds(given: list[int | None]) -> None:
    found = figures_of(given)
    assert found.promoters + found.passives + found.detractors == found.n == sum(one is not None for one in given)
    assert found.nps is None or -100 <= found.nps <= 100
    assert figures_of(given + given).nps == found.nps


def test_a_table_says_what_its_rows_say_one_by_one() -> None:
    given: dict[str, list[int | None]] = {"a": [9, 6, None, 8], "b": [10, 9, 0], "c": [None]}
    rows = [{"region": region, "nps_score": score} for region, scores in given.items() for score in scores]
    kinds = {"region": "string", "nps_score": "int64"}
    table = figures(ibis.memtable(rows, schema=ibis.schema(kinds)), ["region"]).order_by("region")
    for row in table.to_pyarrow().to_pylist():
        expected = figures_of(given.pop(row["region"]))
        assert Figures(*(row[name] for name in ("n", "promoters", "passives", "detractors", "mean_rating"))) == expected
        assert row["nps"] == expected.nps
    assert not given
