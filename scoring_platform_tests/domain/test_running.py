"""Sums that run through the days: the same in one pass over many days as day by day, and as in plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import ibis
import ibis.expr.types as ir
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.domain.running import Sums, running
from scoring_platform_tests.domain.tables import DAY, Database, as_days, before, frame

_KINDS = {"customer_id": "string", "active_on": "date", "amount": "decimal(18, 4)"}
_FACT = st.tuples(st.sampled_from(["c1", "c2", "c3"]), st.integers(-2, 45), st.integers(-500, 500))
_WANTED = st.lists(st.integers(0, 14), min_size=1, max_size=6, unique=True)

Facts = Sequence[tuple[str, int, int]]


def facts_of(rows: Facts) -> ir.Table:
    """Facts given as customer, days ago and amount; the same customer and day may occur twice."""
    return frame(_KINDS, [{"customer_id": who, "active_on": before(ago), "amount": Decimal(n)} for who, ago, n in rows])


def sums_of(facts: ir.Table, window: int) -> Sums:
    return Sums(
        ever={"total": facts.amount},
        within={"lately": facts.amount},
        window_days=window,
        earliest={"first_on": facts.active_on},
        latest={"last_on": facts.active_on},
    )


def in_python(rows: Facts, day: date, window: int, lag: int) -> dict[str, tuple[Any, ...]]:
    """Total, total in the window, first and last day of every customer with facts that count."""
    found = {}
    for customer in {who for who, _, _ in rows}:
        known = [(before(ago), n) for who, ago, n in rows if who == customer]
        known = [(on, n) for on, n in known if on <= day - timedelta(days=lag)]
        lately = sum(n for on, n in known if on > day - timedelta(days=window))
        if known:
            on = [on for on, _ in known]
            found[customer] = (sum(n for _, n in known), lately, min(on), max(on))
    return found


def by_day(rows: Sequence[dict[str, Any]], day: date) -> dict[str, tuple[Any, ...]]:
    return {
        row["customer_id"]: (row["total"], row["lately"], row["first_on"], row["last_on"])
        for row in rows
        if row["as_of"] == day
    }


@given(rows=st.lists(_FACT, min_size=1, max_size=25), wanted=_WANTED, window=st.integers(1, 30), lag=st.integers(0, 1))
@settings(max_examples=15, deadline=None)
def test_many_days_in_one_pass_are_the_single_days_and_plain_sums(
    db: Database, rows: Facts, wanted: list[int], window: int, lag: int
) -> None:
    facts = facts_of(rows)
    days = [before(ago) for ago in wanted]
    sums = sums_of(facts, window)
    together = db.rows(running(facts, as_days(*days, lag=lag), sums))

    assert {row["as_of"] for row in together} <= set(days)
    for day in days:
        alone = db.rows(running(facts, as_days(day, lag=lag), sums))
        assert by_day(together, day) == by_day(alone, day) == in_python(rows, day, window, lag)


@given(rows=st.lists(_FACT, max_size=25), wanted=_WANTED, window=st.integers(1, 30), lag=st.integers(0, 1))
@settings(max_examples=10, deadline=None)
def test_a_window_alone_reads_no_facts_before_it(
    db: Database, rows: Facts, wanted: list[int], window: int, lag: int
) -> None:
    facts = facts_of(rows)
    days = [before(ago) for ago in wanted]
    sums = Sums(within={"lately": facts.amount}, window_days=window)
    found = db.rows(running(facts, as_days(*days, lag=lag), sums))

    for day in days:
        right = {who: lately for who, (_, lately, _, _) in in_python(rows, day, window, lag).items() if lately}
        assert {row["customer_id"]: row["lately"] for row in found if row["as_of"] == day and row["lately"]} == right


def test_whose_sums_they_are_may_be_more_than_the_customer(db: Database) -> None:
    facts = facts_of([("c1", 3, 5), ("c2", 3, 7), ("c1", 1, 11)]).mutate(channel=ibis.literal("email"))
    found = running(facts, as_days(before(2), DAY), Sums(ever={"total": facts.amount}), by=["customer_id", "channel"])

    assert {(row["as_of"], row["customer_id"], row["channel"], row["total"]) for row in db.rows(found)} == {
        (before(2), "c1", "email", 5), (before(2), "c2", "email", 7), (DAY, "c1", "email", 16), (DAY, "c2", "email", 7),
    }  # fmt: skip
