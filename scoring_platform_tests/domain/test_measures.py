"""Sums, counts and dates over daily facts, for one day and for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.domain.measures import counts, latest_answers, purchases
from scoring_platform_tests.domain.tables import DAY, Database, activity, as_days, before, table


def bought(db: Database, *rows: Mapping[str, Any], window: int = 365) -> dict[str, Any]:
    return db.one(purchases(activity(*rows), as_days(DAY), window_days=window))


def purchase(days_ago: int, revenue: int = 100, **changes: Any) -> dict[str, Any]:
    return {"active_on": before(days_ago), "orders": 1, "revenue": revenue, **changes}


def test_the_window_has_its_last_day_and_not_the_one_before_its_first(db: Database) -> None:
    found = bought(db, purchase(0, 1), purchase(364, 2), purchase(365, 4), purchase(-1, 8))

    assert (found["window_order_days"], found["window_net_spend"]) == (2, 3)
    assert (found["order_days"], found["revenue"], found["first_order_on"]) == (3, 7, before(365))


def test_spend_is_net_of_refunds_and_not_below_zero(db: Database) -> None:
    assert bought(db, purchase(1, 100, refunds=30))["window_net_spend"] == 70
    assert bought(db, purchase(1, 100, refunds=100))["window_net_spend"] == 0
    assert bought(db, purchase(1, 10), {"active_on": before(2), "refunds": 30})["window_net_spend"] == 0


def test_a_customer_with_refunds_only_never_bought(db: Database) -> None:
    found = bought(db, {"active_on": before(2), "refunds": 30})

    assert (found["first_order_on"], found["last_order_on"], found["order_days"]) == (None, None, 0)
    assert (found["refunds"], found["window_net_spend"]) == (30, 0)


def test_a_refunded_and_a_free_purchase_day_are_purchase_days(db: Database) -> None:
    found = bought(db, purchase(5, 100, refunds=100), purchase(3, 0))

    assert (found["first_order_on"], found["last_order_on"], found["window_order_days"]) == (before(5), before(3), 2)


def test_days_without_a_purchase_make_no_buyer(db: Database) -> None:
    assert db.rows(purchases(activity({"active_on": DAY, "email_opens": 3}), as_days(), window_days=365)) == []


def test_counts_are_of_their_window(db: Database) -> None:
    facts = activity(*[{"active_on": before(ago), "email_opens": 10**n} for n, ago in enumerate((-1, 0, 89, 90))])
    found = db.one(counts(facts, as_days(), window_days=90, columns={"opens": "email_opens"}))

    assert found == {"as_of": DAY, "customer_id": "c1", "opens": 110}


def answer(score: int | None, on: date, **changes: Any) -> dict[str, Any]:
    return {"customer_id": "c1", "nps_score": score, "survey_date": on, **changes}


def test_the_latest_scored_answer_counts(db: Database) -> None:
    rows = [answer(3, before(9)), answer(8, before(5)), answer(None, before(2)), answer(1, before(-1))]
    found = db.one(latest_answers(table("nps_responses", *rows), as_days()))

    assert (found["nps_score"], found["nps_answered_on"]) == (8, before(5))


def test_of_two_answers_on_one_day_the_worse_counts(db: Database) -> None:
    rows = [answer(9, DAY, response_id="1"), answer(2, DAY, response_id="2")]

    assert db.one(latest_answers(table("nps_responses", *rows), as_days()))["nps_score"] == 2


def test_an_unmatched_answer_is_nobodys(db: Database) -> None:
    unmatched = table("nps_responses", answer(9, DAY, customer_id=None))

    assert db.rows(latest_answers(unmatched, as_days())) == []


def expected(facts: Sequence[Mapping[str, Any]], day: date, window: int) -> dict[str, tuple[Any, ...]]:
    """The same in plain Python: order days, last order, window order days, window net spend."""
    found = {}
    for customer in {row["customer_id"] for row in facts}:
        known = [row for row in facts if row["customer_id"] == customer and row["active_on"] <= day]
        if not known:
            continue
        buys = {row["active_on"] for row in known if row["orders"]}
        inside = [row for row in known if (day - row["active_on"]).days < window]
        net = sum((row["revenue"] - row["refunds"] for row in inside), Decimal(0))
        late = {on for on in buys if (day - on).days < window}
        found[customer] = (len(buys), max(buys, default=None), len(late), max(net, Decimal(0)))
    return found


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5, deadline=None)
def test_many_days_at_once_are_right_for_each(db: Database, seed: int) -> None:
    chance = Random(seed)
    facts = []
    for customer in range(20):
        for ago in chance.sample(range(40), chance.randint(0, 8)):
            orders = chance.randint(0, 2)
            facts.append(
                {
                    "customer_id": f"c{customer}",
                    "active_on": before(ago),
                    "orders": orders,
                    "revenue": Decimal(chance.randint(0, 99) if orders else 0),
                    "refunds": Decimal(chance.randint(0, 1) * chance.randint(1, 99) if orders else 5),
                }
            )
    wanted = [before(ago) for ago in range(12)]
    found = db.rows(purchases(activity(*facts), as_days(*wanted), window_days=15))

    for day in wanted:
        assert {
            row["customer_id"]: (
                row["order_days"], row["last_order_on"], row["window_order_days"], row["window_net_spend"],
            )
            for row in found
            if row["as_of"] == day
        } == expected(facts, day, 15)  # fmt: skip
