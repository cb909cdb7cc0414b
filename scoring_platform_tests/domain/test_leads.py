"""The lead score: points that fade, caps that hold, factors of fit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.config.leads import Fit, IntentGroup, Leads
from scoring_platform.domain import leads as domain
from scoring_platform_tests.domain.tables import DAY, Database, activity, before, days, frame, noon, table

SIGNALS = ("web_sessions", "email_clicks", "event:form", "event:webinar")
LEADS = Leads(
    window_days=30,
    mql_threshold=40,
    intent={
        "site": IntentGroup(half_life_days=7, cap=40, points={"web_sessions": 4, "email_clicks": 7.5}),
        "content": IntentGroup(half_life_days=10, cap=80, points={"event:form": 15, "event:webinar": 25}),
    },
    fit={
        "region": Fit(values={"Tokyo": 1.5, "Okinawa": 0}, default=0.8, unknown=0.5),
        "product_category": Fit(values={"beans": 1.25}),
    },
)
PROSPECT = dict.fromkeys(("customer_id", "region", "locale", "product_category"), "string")
Given = tuple[str, int, int]
"""A signal, how many days ago, how often."""

given_signals = st.lists(st.tuples(st.sampled_from(SIGNALS), st.integers(0, 40), st.integers(1, 6)), max_size=12)
# A query takes long to put together and no time to answer: many people at once, and few examples.
lives = st.lists(given_signals, min_size=10, max_size=25)
few = settings(max_examples=6, deadline=None)


def prospect(customer_id: str = "c1", day: date = DAY, **known: str) -> dict[str, Any]:
    """Somebody of whom nothing else is known."""
    return {**dict.fromkeys(PROSPECT), "as_of": day, "customer_id": customer_id, **known}


def found(lived: Mapping[str, Iterable[Given]], by: Leads = LEADS) -> Any:
    """What people did up to ``DAY``, as the platform knows it."""
    daily: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    for who, signals in lived.items():
        for name, age, count in signals:
            if name.startswith("event:"):
                kind = name.removeprefix("event:")
                events += [{"customer_id": who, "kind": kind, "as_of": before(age)}] * count
            else:
                daily.append({"customer_id": who, "active_on": before(age), name: count})
    wanted = [name for group in by.intent.values() for name in group.points]
    return domain.facts(activity(*daily), table("raw_events", *events, extra={"customer_id": "string"}), wanted)


def scored(
    db: Database,
    lived: Mapping[str, Iterable[Given]],
    *people: Mapping[str, Any],
    by: Leads = LEADS,
    on: Sequence[date] = (DAY,),
) -> list[dict[str, Any]]:
    """Scores of ``people``, by default of everybody who did something and of whom nothing else is known."""
    worth = domain.evidence(found(lived, by), days(*on), by)
    known = frame({"as_of": "date", **PROSPECT}, people or [prospect(who, day) for who in lived for day in on])
    rows = db.rows(domain.scores(known, worth, by))
    return sorted(rows, key=lambda row: (row["as_of"], row["customer_id"]))


def everybody(lived: Iterable[Iterable[Given]]) -> dict[str, list[Given]]:
    return {f"c{number:02}": list(signals) for number, signals in enumerate(lived)}


@given(lived=lives)
@few
def test_no_group_gives_more_than_its_cap_and_the_score_is_within_its_bounds(
    db: Database, lived: list[list[Given]]
) -> None:
    people = everybody(lived)
    rows = scored(db, people, *[prospect(who, region="Tokyo", product_category="beans") for who in people])

    assert len(rows) == len(people)
    for row in rows:
        assert 0 <= row["intent_site"] <= 40
        assert 0 <= row["intent_content"] <= 80
        intent = min(Decimal(100), row["intent_site"] + row["intent_content"])
        assert row["lead_score"] == min(100, int(intent * Decimal("1.875") + Decimal("0.5")))
        assert row["mql"] == (row["lead_score"] >= 40)


@given(lived=lives, more=given_signals)
@few
def test_a_further_signal_never_lowers_the_score_and_the_order_of_rows_changes_nothing(
    db: Database, lived: list[list[Given]], more: list[Given]
) -> None:
    people = everybody(lived)
    fewer = scored(db, people)
    both = scored(db, {who: [*signals, *more] for who, signals in people.items()})
    turned = scored(db, {who: [*reversed(more), *reversed(people[who])] for who in reversed(list(people))})

    assert all(after["lead_score"] >= then["lead_score"] for then, after in zip(fewer, both, strict=True))
    assert turned == both


@given(lived=lives)
@few
def test_many_days_at_once_are_each_of_them_alone(db: Database, lived: list[list[Given]]) -> None:
    wanted = [before(age) for age in (12, 3, 0)]
    people = everybody(lived)

    assert scored(db, people, on=wanted) == [row for day in wanted for row in scored(db, people, on=[day])]


@pytest.mark.parametrize(
    ("age", "points"), [(0, "8"), (7, "4"), (14, "2"), (29, "0.452861832"), (30, "0"), (31, "0"), (-1, "0")]
)
def test_a_signal_is_worth_half_after_each_half_life_and_nothing_before_the_window_or_after_the_day(
    db: Database, age: int, points: str
) -> None:
    (row,) = scored(db, {"c1": [("web_sessions", age, 2)]})

    assert row["intent_site"] == Decimal(points)


def test_the_evidence_says_how_often_and_when_last(db: Database) -> None:
    signals = [("event:form", 20, 1), ("event:form", 10, 2), ("web_sessions", 1, 3), ("event:other", 1, 9)]
    rows = db.rows(domain.evidence(found({"c1": signals}), days(), LEADS), "signal", "n", "last_on", "points")

    assert [(name, n, last) for name, n, last, _ in rows] == [
        ("event:form", 3, before(10)),
        ("web_sessions", 3, before(1)),
    ]
    assert rows[0][3] == Decimal("18.75")


@pytest.mark.parametrize(
    ("known", "factor"),
    [
        ({"region": "Tokyo"}, "1.5"),
        ({"region": " tokyo "}, "1.5"),
        ({"region": "Okinawa"}, "0"),
        ({"region": "Kyoto"}, "0.8"),
        ({"region": "unknown"}, "0.8"),
        ({"region": " "}, "0.5"),
        ({}, "0.5"),
        ({"region": "Tokyo", "product_category": "Beans"}, "1.875"),
        ({"region": "Tokyo", "product_category": "cups", "locale": "en-US"}, "1.5"),
    ],
)
def test_a_factor_is_that_of_the_value_of_any_other_or_of_an_unknown_one(
    db: Database, known: dict[str, str], factor: str
) -> None:
    (row,) = scored(db, {"c1": [("event:webinar", 0, 1)]}, prospect("c1", DAY, **known))

    assert row["fit_region"] * row["fit_product_category"] == Decimal(factor)
    assert row["lead_score"] == int(25 * Decimal(factor) + Decimal("0.5"))


@pytest.mark.parametrize(("points", "score"), [(0.4999, 0), (0.5, 1), (1.4999, 1), (2.5, 3), (49.5, 50), (99.5, 100)])
def test_a_half_is_rounded_up(db: Database, points: float, score: int) -> None:
    by = Leads(mql_threshold=0, intent={"any": IntentGroup(cap=100, points={"tickets": points})})
    (row,) = scored(db, {"c1": [("tickets", 0, 1)]}, by=by)

    assert row["lead_score"] == score


def test_only_prospects_are_scored_and_who_did_nothing_has_no_points(db: Database) -> None:
    rows = scored(db, {"c1": [("event:form", 0, 9)]}, prospect("silent", region="Tokyo"))

    assert [(row["customer_id"], row["lead_score"], row["mql"]) for row in rows] == [("silent", 0, False)]


def test_the_category_is_the_one_named_last_within_the_window(db: Database) -> None:
    def event(who: str, age: int, *, hours: int = 0, **properties: Any) -> dict[str, Any]:
        at = {"as_of": before(age), "occurred_at": noon(before(age)) + timedelta(hours=hours)}
        return {"customer_id": who, "properties": json.dumps(properties), **at}

    rows = [
        event("latest", 5, category="cups"),
        event("latest", 4, category="beans"),
        event("latest", 4, hours=1, category=" filters "),
        event("latest", 2, total=5),
        event("latest", -1, category="later"),
        event("old", 30, category="cups"),
        event("odd", 1, category=["cups"]),
        event("odd", 1, category=""),
        event("odd", 1, category=None),
        event("tie", 1, category="b", event_id="2"),
        event("tie", 1, category="a", event_id="1"),
    ]
    events = table("raw_events", *rows, extra={"customer_id": "string"})
    named = db.rows(
        domain.categories(events, days(DAY, before(5)), window_days=30), "as_of", "customer_id", "product_category"
    )

    assert named == [
        (before(5), "latest", "cups"),
        (before(5), "old", "cups"),
        (DAY, "latest", "filters"),
        (DAY, "tie", "a"),
    ]
