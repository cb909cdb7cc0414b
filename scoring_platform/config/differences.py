"""What differs between two configurations, setting by setting, defaults filled in on both sides.

Belongs here: two models to paths with values. Does not belong here: what a difference does to scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scoring_platform.config.model import ScoringConfig

FACTS = ("time_zone", "history_start", "currency", "sources", "ingest", "consent", "identity")
"""Sections that decide which facts and customers there are; scores under others of these need another extraction."""

OUTSIDE = (
    "company", "catch_up_days", "destinations", "webhooks", "themes", "crm", "routing", "activation", "report",
    "alerts", "engine",
)  # fmt: skip
"""Sections that neither facts nor scores depend on. Every other one takes part in scores and segments."""

ABSENT = None
"""Stands for a setting that one of the two does not have."""


@dataclass(frozen=True)
class Difference:
    """One setting with another value.

    Attributes:
        setting: Its path; a segment's rule is named by its segment.
        before: Plain value in the one.
        after: Plain value in the other.
    """

    setting: str
    before: Any
    after: Any


def scored_sections() -> tuple[str, ...]:
    """Return the sections that scores and segments are computed by."""
    return tuple(name for name in ScoringConfig.model_fields if name not in {*FACTS, *OUTSIDE})


def differences(before: ScoringConfig, after: ScoringConfig) -> list[Difference]:
    """Return what differs in the sections that scores and segments are computed by."""
    kept = set(scored_sections())
    one, other = (config.model_dump(mode="json", include=kept) for config in (before, after))
    return _between(one, other, "")


def other_facts(before: ScoringConfig, after: ScoringConfig) -> list[str]:
    """Return the sections that differ and on which facts depend."""
    return [name for name in FACTS if getattr(before, name) != getattr(after, name)]


def on_facts_of(config: ScoringConfig, other: ScoringConfig) -> ScoringConfig:
    """Return ``config`` with the facts, and all that is outside of scores, as in ``other``."""
    return config.model_copy(update={name: getattr(other, name) for name in (*FACTS, *OUTSIDE)})


def _between(before: Any, after: Any, path: str) -> list[Difference]:
    if before == after:
        return []
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = [*before, *(name for name in after if name not in before)]
        found = [_between(before.get(name, ABSENT), after.get(name, ABSENT), _below(path, name)) for name in names]
        return [difference for inner in found for difference in inner]
    if _are_rules(before) and _are_rules(after):
        return _between_rules(before, after, path)
    return [Difference(path, _short(before), _short(after))]


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _are_rules(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and "segment" in one for one in value)


def _between_rules(before: list[dict[str, Any]], after: list[dict[str, Any]], path: str) -> list[Difference]:
    """Compare rules by the name of their segment, and their order as one setting."""
    one, other = ({rule["segment"]: _without_name(rule) for rule in rules} for rules in (before, after))
    order = [Difference(path, list(one), list(other))] if list(one) != list(other) else []
    return order + _between(one, other, path)


def _without_name(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in rule.items() if name != "segment"}


def _short(value: Any) -> Any:
    """Leave out what a value does not set: the open end of a range."""
    if isinstance(value, Mapping):
        return {name: _short(inner) for name, inner in value.items() if inner is not None}
    return value
