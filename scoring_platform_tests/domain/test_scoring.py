"""The total score: integer parts that add up exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Any

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.config.scoring import PARTS, Scoring, Signal, Weights
from scoring_platform.domain import rfm
from scoring_platform.domain.scoring import Rules, maxima, scores
from scoring_platform_tests.domain.tables import DAY, RFM, SCORING, Database, activity, as_days, before, frame

LIMITS = rfm.CutOffs(
    recency_days=tuple(Decimal(n) for n in (300, 200, 100, 50)),  # type: ignore[arg-type]
    frequency=tuple(Decimal(n) for n in (1, 2, 3, 4)),  # type: ignore[arg-type]
    monetary=tuple(Decimal(n) for n in (100, 200, 300, 400)),  # type: ignore[arg-type]
)
PROFILE = {
    "as_of": "date",
    "customer_id": "string",
    "last_order_on": "date",
    "window_order_days": "int64",
    "window_net_spend": "decimal(18, 4)",
    "nps_score": "int64",
    "nps_answered_on": "date",
}
BEST = {"last_order_on": DAY, "window_order_days": 9, "window_net_spend": Decimal(999)}
OPTIONAL = ("email", "web", "support", "nps")


def rules(scoring: Scoring = SCORING, configured: Sequence[str] = PARTS) -> Rules:
    return Rules(scoring, RFM, configured, "v1")


def person(customer_id: str = "c1", **given: Any) -> dict[str, Any]:
    """Somebody who never did anything."""
    row = {
        "as_of": DAY,
        "customer_id": customer_id,
        "last_order_on": None,
        "window_order_days": 0,
        "window_net_spend": Decimal(0),
        "nps_score": None,
        "nps_answered_on": None,
    }
    return {**row, **given}


def scored(
    db: Database, *people: Mapping[str, Any], facts: Sequence[Mapping[str, Any]] = (), by: Rules | None = None
) -> dict[str, dict[str, Any]]:
    limits = rfm.cut_off_table({DAY: LIMITS}).mutate(model_version=ibis.literal("m1"))
    found = scores(frame(PROFILE, people), activity(*facts), as_days(), cut_offs=limits, rules=by or rules())
    return {row["customer_id"]: row for row in db.rows(found)}


def points(row: Mapping[str, Any]) -> dict[str, int]:
    return {part: row[f"points_{part}"] for part in PARTS}


weight = st.floats(0, 1e6, allow_nan=False)


@given(
    weights=st.fixed_dictionaries(dict.fromkeys(PARTS, weight)).filter(
        lambda given: given["recency"] + given["frequency"] + given["monetary"] > 0
    ),
    missing=st.sets(st.sampled_from(OPTIONAL)),
)
@settings(max_examples=300)
def test_maxima_add_up_exactly_whatever_the_weights(weights: dict[str, float], missing: set[str]) -> None:
    found = maxima(rules(Scoring(weights=Weights(**weights)), [part for part in PARTS if part not in missing]))
    total = sum(weights[part] for part in PARTS if part not in missing)

    assert sum(found.values()) == 10_000
    assert all(found[part] == 0 for part in missing)
    for part in set(PARTS) - missing:
        assert abs(found[part] - weights[part] * 10_000 / total) < 1.001


def test_the_weight_of_a_part_without_a_source_is_spread_over_the_others() -> None:
    found = maxima(rules(configured=("recency", "frequency", "monetary", "email")))

    assert found == {
        "recency": 2667,
        "frequency": 2667,
        "monetary": 2666,
        "email": 2000,
        "web": 0,
        "support": 0,
        "nps": 0,
    }


@pytest.mark.parametrize("seconds", [100_000, 10**12])
def test_no_amount_of_activity_on_one_day_is_too_much(db: Database, seconds: int) -> None:
    web = Signal(scale=1000, positive={"web_engaged_seconds": 1})
    facts = [{"customer_id": "c1", "active_on": DAY, "web_engaged_seconds": seconds}]
    found = scored(db, person(), facts=facts, by=rules(Scoring(web=web)))["c1"]

    assert found["points_web"] == maxima(rules())["web"]


@pytest.mark.parametrize("missing", [(), ("nps",), OPTIONAL])
def test_nothing_and_everything_are_reachable(db: Database, missing: tuple[str, ...]) -> None:
    by = rules(configured=[part for part in PARTS if part not in missing])
    bad = {"email_unsubscribes": 999, "tickets_bad": 999}
    good = {"email_clicks": 9999, "web_sessions": 9999, "tickets_good": 9999}
    eager = SCORING.web.model_copy(update={"negative": {"events": 1.0}})
    by = Rules(by.scoring.model_copy(update={"web": eager}), RFM, by.configured, "v1")
    found = scored(
        db,
        person("worst", nps_score=0, nps_answered_on=DAY),
        person("best", **BEST, nps_score=10, nps_answered_on=DAY),
        facts=[
            {"customer_id": "worst", "active_on": DAY, "events": 999, **bad},
            {"customer_id": "best", "active_on": DAY, **good},
        ],
        by=by,
    )

    assert (found["worst"]["total_score"], found["best"]["total_score"]) == (0, 100)


def test_the_total_is_the_sum_of_its_parts_exactly(db: Database) -> None:
    chance = Random(7)
    people, facts = [], []
    for n in range(300):
        answered = chance.random() < 0.5
        people.append(
            person(
                f"c{n}",
                last_order_on=before(chance.randint(0, 364)) if n % 5 else None,
                window_order_days=chance.randint(0, 6),
                window_net_spend=Decimal(chance.randint(0, 50_000)) / 100,
                nps_score=chance.randint(0, 10) if answered else None,
                nps_answered_on=before(chance.randint(0, 500)) if answered else None,
            )
        )
        facts += [_random_day(chance, f"c{n}", ago) for ago in chance.sample(range(200), chance.randint(0, 5))]
    most = maxima(rules())

    for row in scored(db, *people, facts=facts).values():
        parts = points(row)
        assert row["total_score"] * 100 == sum(parts.values())
        assert row["engagement_points"] == parts["email"] + parts["web"] + parts["support"]
        assert all(0 <= parts[part] <= most[part] for part in PARTS)


def _random_day(chance: Random, customer: str, ago: int) -> dict[str, Any]:
    names = ("email_sent", "email_opens", "email_clicks", "web_sessions", "web_conversions", "tickets", "tickets_bad")
    return {"customer_id": customer, "active_on": before(ago), **{name: chance.randint(0, 5) for name in names}}


def test_a_silent_customer_gets_neutral_points(db: Database) -> None:
    assert points(scored(db, person())["c1"]) == {
        "recency": 0, "frequency": 0, "monetary": 0, "email": 750, "web": 500, "support": 250, "nps": 500,
    }  # fmt: skip


def test_who_never_bought_has_no_purchase_points_and_who_bought_long_ago_neither(db: Database) -> None:
    found = scored(db, person("never"), person("long_ago", last_order_on=before(900)))

    for row in found.values():
        assert row["points_recency"] == row["points_frequency"] == row["points_monetary"] == 0
    assert (found["never"]["rfm_code"], found["long_ago"]["rfm_code"]) == (None, "111")


@pytest.mark.parametrize(("band", "share"), [(1, 0), (2, 500), (3, 1000), (4, 1500), (5, 2000)])
def test_each_band_is_a_quarter_of_its_part(db: Database, band: int, share: int) -> None:
    buyer = person(last_order_on=before(10), window_order_days=band, window_net_spend=Decimal(band * 100))
    row = scored(db, buyer)["c1"]

    assert (row["points_frequency"], row["points_monetary"], row["f"]) == (share, share, band)


@pytest.mark.parametrize("fact", [{"tickets_bad": 1}, {"tickets": 1}, {"email_unsubscribes": 1}, {"email_sent": 1}])
def test_bad_signs_lower_the_score(db: Database, fact: dict[str, int]) -> None:
    found = scored(db, person("c1"), person("silent"), facts=[{"active_on": before(3), **fact}])

    assert found["c1"]["total_score"] < found["silent"]["total_score"]


@pytest.mark.parametrize("fact", [{"tickets_good": 1}, {"email_opens": 1}, {"email_clicks": 1}, {"web_sessions": 1}])
def test_good_signs_raise_the_score(db: Database, fact: dict[str, int]) -> None:
    found = scored(db, person("c1"), person("silent"), facts=[{"active_on": before(3), **fact}])

    assert found["c1"]["total_score"] > found["silent"]["total_score"]


def test_an_answer_gives_its_tenth_until_it_is_too_old(db: Database) -> None:
    people = [person(f"{score}", nps_score=score, nps_answered_on=before(364)) for score in (0, 3, 10)]
    found = scored(db, *people, person("old", nps_score=0, nps_answered_on=before(365)))

    assert {name: row["points_nps"] for name, row in found.items()} == {"0": 0, "3": 300, "10": 1000, "old": 500}


@pytest.mark.parametrize("half_lives", [0, 1, 2, 3])
def test_a_signal_halves_every_half_life(db: Database, half_lives: int) -> None:
    signal = Signal(half_life_days=10, scale=4, neutral=0, positive={"email_opens": 1})
    scoring = SCORING.model_copy(update={"email": signal})
    # 8 opens are two scales; after each half-life half of them are left.
    found = scored(db, person(), facts=[{"active_on": before(10 * half_lives), "email_opens": 8}], by=rules(scoring))[
        "c1"
    ]

    assert found["points_email"] == round(1500 * (1 - 2 ** -(2 / 2**half_lives)))


def test_activity_outside_the_engagement_window_does_not_count(db: Database) -> None:
    window = SCORING.engagement_window_days
    found = scored(
        db,
        person("in"),
        person("out"),
        person("later"),
        facts=[
            {"customer_id": "in", "active_on": before(window - 1), "tickets_bad": 50},
            {"customer_id": "out", "active_on": before(window), "tickets_bad": 50},
            {"customer_id": "later", "active_on": before(-1), "tickets_bad": 50},
        ],
    )

    assert found["in"]["points_support"] < found["out"]["points_support"] == found["later"]["points_support"] == 250


def expected_share(signal: Signal, facts: Sequence[Mapping[str, Any]]) -> float:
    """The formula in plain Python."""

    def decayed(weights: Mapping[str, float]) -> float:
        found: float = sum(
            float(fact.get(name, 0)) * given * float(0.5 ** ((DAY - fact["active_on"]).days / signal.half_life_days))
            for fact in facts
            for name, given in weights.items()
        )
        return found

    down, up = decayed(signal.negative), decayed(signal.positive)
    kept, missing = pow(0.5, down / signal.scale), pow(0.5, up / signal.scale)
    return float(signal.neutral * kept + (1 - signal.neutral) * (1 - missing))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=3, deadline=None)
def test_points_are_those_of_the_formula_in_any_order_and_company(db: Database, seed: int) -> None:
    chance = Random(seed)
    people = [person(f"c{n}") for n in range(30)]
    facts = [_random_day(chance, f"c{chance.randint(0, 29)}", ago) for ago in range(100)]
    strangers = [_random_day(chance, "stranger", ago) for ago in range(9)]
    found = scored(db, *people, facts=facts)
    other = scored(db, *people[::-1], person("stranger", **BEST), facts=[*strangers, *facts[::-1]])
    most = maxima(rules())

    assert {name: row for name, row in other.items() if name != "stranger"} == found
    for name, row in found.items():
        mine = [fact for fact in facts if fact["customer_id"] == name]
        for channel in ("email", "web", "support"):
            share = expected_share(getattr(SCORING, channel), mine)
            assert abs(row[f"points_{channel}"] - share * most[channel]) < 0.51
