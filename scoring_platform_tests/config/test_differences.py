"""Differences between configurations: only real ones, each by its path."""

from __future__ import annotations

from typing import Any

from scoring_platform.config.differences import (
    FACTS,
    OUTSIDE,
    Difference,
    differences,
    on_facts_of,
    other_facts,
    scored_sections,
)
from scoring_platform.config.model import ScoringConfig

SHOP = {
    "history_start": "2026-01-01",
    "sources": {"files": {"root": ".", "tables": {"raw_orders": {"sql": "SELECT 1"}}}},
}


def config(**sections: Any) -> ScoringConfig:
    return ScoringConfig.model_validate({**SHOP, **sections})


def rule(segment: str, low: int) -> dict[str, Any]:
    return {"segment": segment, "enter": {"f": {"min": low}}}


def test_every_section_is_of_facts_outside_or_of_scores() -> None:
    known = set(ScoringConfig.model_fields)

    assert known >= {*FACTS, *OUTSIDE}
    assert set(scored_sections()) >= {"rfm", "scoring", "churn", "clv", "segments"}
    assert known == {*FACTS, *OUTSIDE, *scored_sections()}


def test_a_value_is_named_by_its_path_and_defaults_are_no_difference() -> None:
    spelled = config(
        rfm={"window_days": 365, "fixed_cutoffs": {"recency_days": [365, 180, 90, 30]}}, churn={"high": 0.8}
    )
    changed = config(scoring={"weights": {"email": 30}})

    assert differences(config(), changed) == [Difference("scoring.weights.email", 15.0, 30.0)]
    assert differences(config(), spelled) == []


def test_rules_are_compared_by_segment_and_their_order_as_one() -> None:
    one = config(segments={"rules": [rule("vip", 4), rule("loyal", 3)]})
    other = config(segments={"rules": [rule("loyal", 2), rule("vip", 4), rule("new", 1)]})

    assert differences(one, other) == [
        Difference("segments.rules", ["vip", "loyal"], ["loyal", "vip", "new"]),
        Difference("segments.rules.loyal.enter.f.min", 3.0, 2.0),
        Difference("segments.rules.new", None, {"enter": {"f": {"min": 1.0}}}),
    ]


def test_what_facts_depend_on_is_only_named_and_what_is_outside_is_not_even_that() -> None:
    other = config(
        time_zone="Europe/Berlin",
        consent={"tracking_default": "granted"},
        report={"language": "en"},
        churn={"high": 0.9},
    )

    assert other_facts(config(), other) == ["time_zone", "consent"]
    assert [one.setting for one in differences(config(), other)] == ["churn.high"]
    assert on_facts_of(other, config()) == config(churn={"high": 0.9})
