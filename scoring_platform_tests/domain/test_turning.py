"""Judging on the days before something may turn gives the segments that judging on every day gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import ibis.expr.types as ir
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.config.scoring import Range
from scoring_platform.domain import rfm, segments
from scoring_platform.domain.measures import purchase_spells, purchases
from scoring_platform.domain.turning import Turns, last_days, reached
from scoring_platform_tests.domain.tables import DAY, SEGMENTS, Database, activity, as_days, before

WINDOW = 365
CONDITIONS = segments.measures(SEGMENTS)
LOOK_BACK = SEGMENTS.look_back_days


def limits(*values: float) -> Any:
    return tuple(Decimal(str(value)) for value in values)


OLD = rfm.CutOffs(limits(200.5, 90, 40, 14), limits(1, 2, 3, 5), limits(100, 300, 600, 900))
NEW = rfm.CutOffs(limits(180, 80, 35.5, 10), limits(1, 2, 4, 6), limits(150, 310, 500, 950))


def in_force(day: date) -> rfm.CutOffs:
    return NEW if day.month == DAY.month else OLD


def lives(seed: int) -> list[dict[str, Any]]:
    """Purchases of thirty customers, many of them around the window, the look-back and the limits."""
    chance = Random(seed)
    facts = []
    for customer in range(30):
        ago = chance.choice([5, 30, 60, 90, 200, 400, 430])
        for _ in range(chance.randint(1, 9)):
            if ago < 0:
                break
            spent, back = chance.randint(1, 400), chance.choice([0, 0, 0, 50])
            facts.append(
                {
                    "customer_id": f"c{customer}", "active_on": before(ago), "orders": 1, "purchase_day": 1,
                    "revenue": Decimal(spent), "refunds": Decimal(back),
                }
            )  # fmt: skip
            ago -= chance.choice([1, 7, 14, 30, 60, 200])
    return facts


def judged(bought: ir.Table, every: Sequence[date]) -> ir.Table:
    banded = rfm.bands(rfm.measures(bought), rfm.cut_off_table({day: in_force(day) for day in every}))
    return segments.with_tenure(banded).select("as_of", "customer_id", *CONDITIONS)


@given(seed=st.integers(0, 2**32 - 1), wanted=st.sampled_from([[0], [0, 1, 2], [0, 25, 31, 40]]))
@settings(max_examples=6, deadline=None)
def test_the_days_before_a_turn_are_enough(db: Database, seed: int, wanted: list[int]) -> None:
    facts = activity(*lives(seed))
    days = as_days(*(before(ago) for ago in wanted))
    every = [days.first - timedelta(days=back) for back in range(LOOK_BACK)]
    every = sorted({*every, *(days.first + timedelta(days=n) for n in range((days.last - days.first).days + 1))})
    measured = db.materialise(judged(purchases(facts, days, window_days=WINDOW), every))
    turns = Turns(
        recency=frozenset(
            {int(-(-limit // 1)) for cut in (OLD, NEW) for limit in cut.recency_days}
            | reached(segments.thresholds(SEGMENTS, "recency_days"))
        ),
        tenure=frozenset(reached(segments.thresholds(SEGMENTS, "tenure_days"))),
        on=frozenset({DAY.replace(day=1)}),
    )
    daily = judged(purchases(facts, as_days(*every), window_days=WINDOW), every)
    few = judged(last_days(purchase_spells(facts, as_days(*every), window_days=WINDOW), turns), every)

    found = [
        sorted(map(_row, db.rows(segments.segments(measured, db.materialise(past), SEGMENTS, days=days))))
        for past in (daily, few)
    ]
    assert found[0] == found[1]
    assert len({segment for *_, segment in found[0]}) > 2


def _row(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["as_of"], row["customer_id"], row["segment"]


def test_the_numbers_on_which_a_range_turns() -> None:
    assert reached([Range(max=365), Range(min=2.5), Range(min=1, max=3)]) == {366, 3, 1, 4}
