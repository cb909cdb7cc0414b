"""A range gives the rows of its single days, merges and splits included."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from scoring_platform.ledger.merges import list_merges, undo_merge
from scoring_platform.pipeline.step import span
from scoring_platform_tests.domain.tables import noon
from scoring_platform_tests.pipeline.scenario import START, STATE_TABLES, bustle, open_shop

ENGAGED = """
rfm: {minimum_buyers: 5, window_days: 20}
segments:
  look_back_days: 9
  rules:
    - {segment: prospect, enter: {order_days: {max: 0}}}
    - {segment: vip, enter: {total_score: {min: 60}}, stay: {total_score: {min: 50}}}
    - {segment: loyal, enter: {f: {min: 4}}, stay: {f: {min: 2}}}
  fallback: lost
"""
FEW_BUYERS = "rfm: {minimum_buyers: 5}"
LONG = [pytest.mark.drill, pytest.mark.timeout(900)]


def computed(root: Path, lake: Path, more: str, runs: Sequence[Sequence[date]]) -> dict[str, Any]:
    """Every table of the days of ``runs``, from a copy of ``lake``."""
    with open_shop(root, more) as shop:
        shutil.copytree(lake, shop.settings.lake_root, symlinks=True)
        for days in runs:
            shop.compute(*days)
        return {name: shop.rows(name, *span(runs[0][0], runs[-1][-1])) for name in STATE_TABLES}


@pytest.mark.parametrize(
    ("count", "more", "published_before"),
    [
        pytest.param(3, FEW_BUYERS, False, marks=pytest.mark.drill),
        (3, ENGAGED, True),
        pytest.param(30, FEW_BUYERS, True, marks=LONG),
        pytest.param(30, ENGAGED, False, marks=LONG),
    ],
)
def test_a_range_gives_the_rows_of_its_single_days(
    tmp_path: Path, count: int, more: str, published_before: bool
) -> None:
    first = date(2026, 3, 30)
    before = first - timedelta(days=1)
    days = span(first, first + timedelta(days=count - 1))
    with open_shop(tmp_path / "given", more) as shop:
        bustle(shop, seed=2, people=40, last=days[-1])
        shop.publish(days[-1])
        shop.publish_states([before, *days])
        if published_before:
            shop.compute(before)
        lake = shop.settings.lake_root
    at_once = computed(tmp_path / "range", lake, more, [days])
    one_by_one = computed(tmp_path / "days", lake, more, [[day] for day in days])

    for name in STATE_TABLES:
        assert at_once[name] == one_by_one[name], name
    assert {row["as_of"] for row in at_once["customer_segments"]} == set(days)
    assert at_once["segment_transitions"], "without a transition the comparison would prove little"
    assert len({row["version"] for row in at_once["score_models"]}) == 2, "the range spans two model months"


def test_the_day_of_entry_is_that_of_the_transition_else_the_first_day(tmp_path: Path) -> None:
    first, *_, last = days = span(START + timedelta(days=2), START + timedelta(days=5))
    with open_shop(tmp_path) as shop:
        shop.add("raw_customers", {"customer_ref": "buys", "as_of": START})
        shop.order("buys", days[2])
        shop.add("raw_support_tickets", {"email": "comes@example.jp", "as_of": days[1]})
        shop.publish(last)
        shop.publish_states(days)
        shop.compute(*days[:3])
        shop.compute(last)
        rows = shop.rows("customer_segments")
        (moved,) = shop.rows("segment_transitions")
    mine = [row for row in rows if row["customer_id"] == moved["customer_id"]]
    others = [row for row in rows if row["customer_id"] != moved["customer_id"]]

    assert [(row["as_of"], row["segment"], row["entered_on"]) for row in mine] == [
        (first, "prospect", first),
        (days[1], "prospect", first),
        (days[2], "new", days[2]),
        (last, "new", days[2]),
    ]
    assert {row["entered_on"] for row in others} == {days[1]}
    assert (moved["from_segment"], moved["to_segment"], moved["as_of"]) == ("prospect", "new", days[2])


def test_a_merge_is_no_transition_and_keeps_the_day_of_entry(tmp_path: Path) -> None:
    first = START + timedelta(days=3)
    second = first + timedelta(days=1)
    with open_shop(tmp_path) as shop:
        shop.add("raw_customers", {"customer_ref": "r1", "email": "a@example.jp", "as_of": START})
        shop.order("r2", START + timedelta(days=1), email="b@example.jp")
        shop.publish(first)
        shop.publish_states([first])
        shop.compute(first)
        shop.add("raw_support_tickets", {"email": "b@example.jp", "as_of": second})
        shop.add("raw_events", {"customer_ref": "r1", "email": "b@example.jp", "as_of": second})
        shop.publish(second)
        shop.publish_states([second])
        shop.compute(second)

        assert {row["segment"] for row in shop.rows("customer_segments", first)} == {"prospect", "new"}
        (merged,) = shop.rows("customer_segments", second)
        assert (merged["segment"], merged["entered_on"]) == ("new", first)
        assert shop.rows("segment_transitions") == []
        (known,) = shop.rows("customer_profiles", second)
        assert (known["orders"], known["tickets_90d"]) == (1, 1)


def test_customers_that_come_apart_are_no_transition_and_keep_the_day_of_entry(tmp_path: Path) -> None:
    first, second, third, fourth = span(START + timedelta(days=3), START + timedelta(days=6))
    with open_shop(tmp_path) as shop:
        shop.add("raw_customers", {"customer_ref": "r1", "email": "a@example.jp", "as_of": START})
        shop.order("r2", START + timedelta(days=1), email="b@example.jp")
        for day in (first, second, third, fourth):
            if day == second:
                shop.add("raw_events", {"customer_ref": "r1", "email": "b@example.jp", "as_of": second})
            if day == third:
                (merge,) = list_merges(shop.ledger)
                undo_merge(shop.ledger, merge.merge_id, now=noon(second))
            shop.add("raw_support_tickets", {"email": "a@example.jp", "as_of": day})
            shop.publish(day)
            shop.publish_states([day])
            if day != third:
                shop.compute(*([third, fourth] if day == fourth else [day]))
        stays = {
            (row["as_of"], row["customer_id"]): (row["segment"], row["entered_on"])
            for row in shop.rows("customer_segments")
        }

        assert shop.rows("segment_transitions") == []
        assert stays[second, merge.customer_id] == ("new", first)
        assert stays[third, merge.customer_id] == ("prospect", first)
        assert stays[fourth, merge.customer_id] == ("prospect", first)
        assert stays[third, merge.former_id] == ("new", third)


def test_a_move_on_the_day_after_a_merge_is_a_transition(tmp_path: Path) -> None:
    first, second, third = span(START + timedelta(days=3), START + timedelta(days=5))
    with open_shop(tmp_path) as shop:
        for ref in ("r1", "r2"):
            shop.add("raw_customers", {"customer_ref": ref, "email": f"{ref}@example.jp", "as_of": START})
        shop.publish(first)
        shop.publish_states([first])
        shop.compute(first)
        shop.add("raw_events", {"customer_ref": "r1", "email": "r2@example.jp", "as_of": second})
        shop.order("r2", third)
        shop.publish(third)
        shop.publish_states([second, third])
        shop.compute(second, third)

        assert [(row["as_of"], row["to_segment"]) for row in shop.rows("segment_transitions")] == [(third, "new")]
