"""Segments: everybody is in exactly one, and nobody flaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.config.scoring import Condition, Segments
from scoring_platform.domain import segments
from scoring_platform_tests.domain.tables import DAY, SEGMENTS, Database, as_days, before, frame, table

MEASURES = {
    "recency_days": "int64",
    "tenure_days": "int64",
    "order_days": "int64",
    "r": "int64",
    "f": "int64",
    "m": "int64",
}
BACK = SEGMENTS.look_back_days
State = Mapping[str, int | None]
VIP: State = {"recency_days": 9, "tenure_days": 400, "order_days": 9, "r": 5, "f": 5, "m": 5}
PROSPECT: State = {"recency_days": None, "tenure_days": None, "order_days": 0, "r": None, "f": None, "m": None}


def measured(rows: Sequence[tuple[str, date, State]]) -> Any:
    kinds = {"as_of": "date", "customer_id": "string", **MEASURES}
    return frame(kinds, [{"as_of": day, "customer_id": who, **state} for who, day, state in rows])


def found(
    db: Database, days: Sequence[tuple[str, date, State]], past: Sequence[tuple[str, date, State]] | None = None
) -> dict[tuple[str, date], str]:
    """Segment by customer and day; each customer and day once."""
    past = days if past is None else past
    wanted = as_days(*{day for _, day, _ in days})
    rows = db.rows(segments.segments(measured(days), measured(past), SEGMENTS, days=wanted))
    by_key = {(row["customer_id"], row["as_of"]): row["segment"] for row in rows}
    assert len(by_key) == len(rows) == len(days)
    return by_key


def holds(condition: Condition, state: State) -> bool:
    for measure, limits in condition.items():
        value = state[measure]
        if value is None or (limits.min is not None and value < limits.min):
            return False
        if limits.max is not None and value > limits.max:
            return False
    return True


def expected(trajectory: Mapping[date, State], day: date, rules: Segments = SEGMENTS) -> str:
    """The first rule whose last decisive day within the look-back was an entry, in plain Python."""
    for rule in rules.rules:
        for ago in range(rules.look_back_days):
            state = trajectory.get(before(ago, day=day))
            if state is None:
                break
            if holds(rule.enter, state):
                return rule.segment
            if not holds(rule.stay or rule.enter, state):
                break
    return rules.fallback


def every_customer() -> list[State]:
    codes = product(range(1, 6), repeat=3)
    lives = [(0, 0), (30, 30), (30, 31), (365, 400), (366, 366), (900, 2000)]
    buyers: list[State] = [
        {"recency_days": recency, "tenure_days": tenure, "order_days": days, "r": r, "f": f, "m": m}
        for (r, f, m), (recency, tenure), days in product(codes, lives, (1, 2, 3))
    ]
    return [*buyers, PROSPECT]


def test_every_possible_customer_is_in_exactly_one_segment_the_first_that_fits(db: Database) -> None:
    people = every_customer()
    rows = [(f"c{n}", DAY, state) for n, state in enumerate(people)]
    by_key = found(db, rows)

    for n, state in enumerate(people):
        assert by_key[f"c{n}", DAY] == expected({DAY: state}, DAY)
    assert set(by_key.values()) == set(SEGMENTS.codes)


@pytest.mark.parametrize(
    ("state", "segment"),
    [
        (PROSPECT, "prospect"),
        (VIP, "vip"),
        ({**VIP, "tenure_days": 30, "order_days": 2}, "new"),
        ({**VIP, "tenure_days": 30, "order_days": 3}, "vip"),
        ({**VIP, "m": 3}, "loyal"),
        ({**VIP, "f": 1}, "promising"),
        ({**VIP, "r": 3, "f": 2}, "needs_attention"),
        ({**VIP, "r": 2}, "cant_lose"),
        ({**VIP, "r": 2, "m": 1}, "at_risk"),
        ({**VIP, "r": 2, "f": 2}, "dormant"),
        ({**VIP, "r": 1, "f": 1, "recency_days": 366}, "lost"),
    ],
)
def test_segments_are_what_their_names_say(db: Database, state: State, segment: str) -> None:
    assert found(db, [("c1", DAY, state)]) == {("c1", DAY): segment}


def test_only_customers_at_an_edge_need_their_past(db: Database) -> None:
    rows = [
        ("in", DAY, VIP),
        ("edge", DAY, {**VIP, "r": 3}),
        ("never", DAY, PROSPECT),
        ("old", DAY, {**VIP, "r": 1, "f": 1}),
    ]

    assert db.rows(segments.undecided(measured(rows), SEGMENTS), "customer_id") == [("edge",)]


def trajectory(states: Sequence[State]) -> dict[date, State]:
    """A state per day, the last one on DAY."""
    return {before(len(states) - 1 - n): state for n, state in enumerate(states)}


def walk(db: Database, states: Sequence[State], days: int) -> list[str]:
    """Segments of the last ``days`` days of one customer."""
    path = trajectory(states)
    rows = [("c1", day, state) for day, state in path.items()]
    by_key = found(db, rows[-days:], rows)
    return [by_key["c1", day] for _, day, _ in rows[-days:]]


@pytest.mark.parametrize("seed", range(3))
def test_noise_inside_the_band_moves_nobody_twice(db: Database, seed: int) -> None:
    chance = Random(seed)
    noise: list[State] = [{**VIP, "r": chance.choice([3, 4]), "m": chance.choice([3, 4, 5])} for _ in range(30)]
    path = walk(db, [{**VIP, "r": 2}] * 40 + noise, 31)
    vip_from = path.index("vip")

    assert path[0] == "cant_lose"
    assert set(path[vip_from:]) == {"vip"}


def test_who_entered_stays_within_the_wider_limits_and_leaves_beyond_them(db: Database) -> None:
    edge: State = {**VIP, "r": 3}

    assert walk(db, [VIP, edge], 1) == ["vip"]
    assert walk(db, [edge, edge], 1) == ["loyal"]
    assert walk(db, [VIP, {**VIP, "r": 2}, edge], 1) == ["loyal"]


def test_an_entry_longer_ago_than_the_look_back_is_forgotten(db: Database) -> None:
    edge: State = {**VIP, "r": 3}

    assert walk(db, [VIP, *[edge] * (BACK - 1)], 1) == ["vip"]
    assert walk(db, [VIP, *[edge] * BACK], 1) == ["loyal"]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=3, deadline=None)
def test_random_lives_follow_the_rule(db: Database, seed: int) -> None:
    chance = Random(seed)
    lives = {}
    for n in range(25):
        state = dict(VIP)
        states: list[State] = []
        for _ in range(BACK + 20):
            if chance.random() < 0.15:
                state[chance.choice(["r", "f", "m"])] = chance.randint(1, 5)
            states.append(dict(state))
        lives[f"c{n}"] = trajectory(states)
    past = [(who, day, state) for who, life in lives.items() for day, state in life.items()]
    wanted = [row for row in past if row[1] > before(20)]

    assert found(db, wanted, past) == {(who, day): expected(lives[who], day) for who, day, _ in wanted}


def moved(
    db: Database,
    today: Sequence[tuple[str, str]],
    yesterday: Sequence[tuple[str, str]],
    *,
    baseline: str = "",
    reshaped: str = "",
) -> list[Any]:
    kinds = {"as_of": "date", "customer_id": "string", "segment": "string"}

    def placed(rows: Sequence[tuple[str, str]]) -> Any:
        return frame(kinds, [{"as_of": DAY, "customer_id": who, "segment": segment} for who, segment in rows])

    profiles = table(
        "customer_profiles",
        *[{"customer_id": who, "baseline": who == baseline, "net_spend_365d": Decimal(50)} for who, _ in today],
    )
    marked = frame(
        {"as_of": "date", "customer_id": "string"}, [{"as_of": DAY, "customer_id": reshaped}] if reshaped else []
    )
    rows = segments.transitions(placed(today), placed(yesterday), profiles, reshaped=marked)
    return db.rows(rows, "customer_id", "from_segment", "to_segment", "entered_on", "value_at_stake")


def test_a_transition_is_a_change_since_the_day_before(db: Database) -> None:
    found_moves = moved(
        db, [("a", "vip"), ("b", "loyal"), ("first", "vip")], [("a", "loyal"), ("b", "loyal"), ("gone", "vip")]
    )

    assert found_moves == [("a", "loyal", "vip", DAY, Decimal(50))]


def test_a_baseline_day_has_no_transitions(db: Database) -> None:
    assert moved(db, [("a", "vip")], [("a", "loyal")], baseline="a") == []


def test_becoming_one_with_another_or_coming_apart_is_no_transition(db: Database) -> None:
    yesterday = [("a", "loyal"), ("b", "loyal"), ("gone", "vip")]

    assert [row[0] for row in moved(db, [("a", "vip"), ("b", "vip")], yesterday, reshaped="a")] == ["b"]
