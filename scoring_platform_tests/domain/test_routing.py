"""Owners by rule: the first rule that holds, shared out evenly, and nobody moves without a reason."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

import pytest

from scoring_platform.config.crm import Routing
from scoring_platform.domain.routing import interests, owners
from scoring_platform_tests.domain.tables import Database, frame, noon

KINDS = {
    "customer_id": "string",
    "segment": "string",
    "region": "string",
    "product_category": "string",
    "lead_score": "int64",
    "churn_band": "string",
    "owner": "string",
}


def person(number: int, **about: Any) -> dict[str, Any]:
    return {"customer_id": f"c{number:04}", **dict.fromkeys(list(KINDS)[1:]), "segment": "vip", **about}


def assigned(db: Database, routing: dict[str, Any], *people: dict[str, Any]) -> dict[str, str]:
    rules = Routing.model_validate(routing)
    rows = db.rows(owners(db.materialise(frame(KINDS, people)), rules))
    return {row["customer_id"]: row["assigned_owner"] for row in rows}


def test_the_first_rule_that_holds_gives_the_owner(db: Database) -> None:
    routing = {
        "rules": [
            {"owners": ["Aoki"], "segments": ["vip"], "churn_bands": ["high"], "regions": ["Tokyo"]},
            {"owners": ["Baba"], "segments": ["vip"], "churn_bands": ["high"]},
            {"owners": ["Chiba"], "lead_score": 70},
            {"owners": ["Doi"], "product_categories": ["tea"]},
        ]
    }
    found = assigned(
        db,
        routing,
        person(1, churn_band="high", region="Tokyo"),
        person(2, churn_band="high", region="Kobe"),
        person(3, churn_band="low"),
        person(4, segment="prospect", lead_score=70),
        person(5, segment="prospect", lead_score=69, product_category="tea"),
        person(6, segment="prospect"),
    )

    assert list(found.values()) == ["Aoki", "Baba", "", "Chiba", "Doi", ""]


def test_who_has_an_owner_keeps_that_one_where_a_rule_holds(db: Database) -> None:
    rule = {"owners": ["Aoki"], "segments": ["vip"]}
    people = [person(1, owner="Doi"), person(2), person(3, segment="lost", owner="Doi")]

    assert list(assigned(db, {"rules": [rule]}, *people).values()) == ["Doi", "Aoki", ""]
    assert list(assigned(db, {"rules": [rule], "keep_owner": False}, *people).values()) == ["Aoki", "Aoki", ""]


def test_customers_are_shared_out_evenly_and_move_only_with_their_owner(db: Database) -> None:
    people = [person(number) for number in range(3_000)]
    three = assigned(db, {"rules": [{"owners": ["Aoki", "Baba", "Chiba"]}]}, *people)
    fewer = assigned(db, {"rules": [{"owners": ["Chiba", "Aoki"]}]}, *people)

    assert all(count == pytest.approx(1_000, abs=110) for count in Counter(three.values()).values())
    assert all(fewer[one] == owner for one, owner in three.items() if owner != "Baba")
    assert assigned(db, {"rules": [{"owners": ["Aoki", "Baba", "Chiba"]}]}, *people[:10]) == {
        one["customer_id"]: three[one["customer_id"]] for one in people[:10]
    }


def test_without_rules_nobody_has_an_owner(db: Database) -> None:
    assert assigned(db, {}, person(1, owner="Doi")) == {"c0001": ""}


def test_an_interest_is_the_dearest_item_bought_last_else_the_latest_event(db: Database) -> None:
    kinds = {
        "customer_id": "string", "ordered_at": "timestamp", "line_id": "string", "category": "string",
        "amount": "decimal(18, 4)",
    }  # fmt: skip
    items = [("c1", 1, "tea", 900), ("c1", 2, "cups", 100), ("c1", 2, "beans", 300)]
    rows = [
        {
            "customer_id": who,
            "ordered_at": noon(date(2026, 3, day)),
            "line_id": str(n),
            "category": what,
            "amount": amount,
        }
        for n, (who, day, what, amount) in enumerate(items)
    ]
    events = [{"customer_id": who, "product_category": "mills"} for who in ("c1", "c2")]
    known = {"customer_id": "string", "product_category": "string"}
    found = db.rows(interests(db.materialise(frame(kinds, rows)), db.materialise(frame(known, events))))

    assert {row["customer_id"]: row["product_category"] for row in found} == {"c1": "beans", "c2": "mills"}
