"""Why a customer is in one segment under one configuration and in another under another.

The first rule a customer is a member of gives the segment. So who moves from A to B does so because B holds now, or
because what stood before B (A, and whatever else) holds no longer, or because B stands before A now. Each of these is
traced to the conditions that turned over: by another value of the measure, or by another range of the rule.

Belongs here: measures and memberships on two sides to causes. Does not belong here: reading them, words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scoring_platform.config.scoring import Condition, Range, SegmentRule, Segments

Kind = Literal["condition", "past", "rule", "order", "fallback"]
"""condition: a condition turned over. past: the last decisive day before is another. rule: it is new, or gone.
order: it stands before the other now. fallback: the segment of everyone else has another name."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason of a move.

    Attributes:
        kind: What it is.
        segment: The rule it is about.
        holds: Whether that rule holds now, or no longer.
        to: Whether the condition is one to enter or to stay.
        measure: What the condition is about.
        value_before: Of the measure.
        value_after: Of the measure.
        range_before: The range it has to be in; None when the rule had no such condition.
        range_after: The same under the other configuration.
    """

    kind: Kind
    segment: str
    holds: bool
    to: Literal["enter", "stay"] | None = None
    measure: str | None = None
    value_before: float | None = None
    value_after: float | None = None
    range_before: Range | None = None
    range_after: Range | None = None


@dataclass(frozen=True)
class Side:
    """A customer under one configuration.

    Attributes:
        rules: The segments' rules.
        segment: The customer's segment.
        values: The measures that conditions of either side name.
        members: Segments of which rules the customer is a member.
    """

    rules: Segments
    segment: str
    values: Mapping[str, float | None]
    members: frozenset[str]

    def rule(self, segment: str) -> SegmentRule | None:
        """Return the rule of a segment; the fallback has none."""
        return next((rule for rule in self.rules.rules if rule.segment == segment), None)

    def place(self, segment: str) -> int:
        """Return where a segment stands; one without a rule stands last."""
        codes = [rule.segment for rule in self.rules.rules]
        return codes.index(segment) if segment in codes else len(codes)


def causes(before: Side, after: Side) -> list[Cause]:
    """Return why a customer whose segments differ has moved; there is always a cause."""
    target = after.segment
    found: list[Cause] = []
    if after.rule(target) is not None and target not in before.members:
        found += _turned(before, after, target, holds=True)
    for left in (rule.segment for rule in before.rules.rules if rule.segment in before.members):
        if left not in after.members and _stands_before(before, after, left, target):
            found += _turned(before, after, left, holds=False)
    if _overtaken(before, after):
        found.append(Cause("order", target, holds=True))
    if before.rule(before.segment) is None and after.rule(target) is None:
        found.append(Cause("fallback", target, holds=True))
    return found


def _stands_before(before: Side, after: Side, left: str, target: str) -> bool:
    """Return whether ``target`` could not be the segment while ``left`` held."""
    if after.rule(target) is None:  # the fallback comes after every rule, whatever stood there before
        return True
    side = before if after.rule(left) is None else after
    return side.place(left) < side.place(target)


def _overtaken(before: Side, after: Side) -> bool:
    """Return whether the rule held all along, behind the one that decided."""
    old, new = before.segment, after.segment
    known = None not in (before.rule(old), before.rule(new), after.rule(old), after.rule(new))
    return known and new in before.members and after.place(new) < after.place(old)


def _turned(before: Side, after: Side, segment: str, *, holds: bool) -> list[Cause]:
    """Return why the customer is a member of a rule on one side only."""
    old, new = before.rule(segment), after.rule(segment)
    if old is None or new is None:
        return [Cause("rule", segment, holds)]
    # Between entering and leaving, it is the last decisive day within the look-back that counts.
    between = _all_hold(_stay(new), after.values) and not _all_hold(new.enter, after.values)
    to_stay = between is holds
    one, other = (_stay(old), _stay(new)) if to_stay else (old.enter, new.enter)
    # Who had not entered on the day itself did not lose the rule by a condition to enter.
    matters = holds or to_stay or _all_hold(old.enter, before.values)
    flipped = _flipped(one, other, before, after, holds=holds) if matters else []
    found = [Cause("condition", segment, holds, "stay" if to_stay else "enter", **details) for details in flipped]
    return [*found, Cause("past", segment, holds)] if between else found


def _flipped(one: Condition, other: Condition, before: Side, after: Side, *, holds: bool) -> list[dict[str, Any]]:
    """Return the conditions that hold on one side only, the one that matters."""
    found = []
    for measure in sorted({*one, *other}):
        old, new = one.get(measure), other.get(measure)
        was, now = before.values[measure], after.values[measure]
        if _holds(new, now) is holds and _holds(old, was) is not holds:
            found.append(
                {
                    "measure": measure,
                    "value_before": was,
                    "value_after": now,
                    "range_before": old,
                    "range_after": new,
                }
            )
    return found


def _stay(rule: SegmentRule) -> Condition:
    return rule.enter if rule.stay is None else rule.stay


def _all_hold(condition: Condition, values: Mapping[str, float | None]) -> bool:
    return all(_holds(limits, values[measure]) for measure, limits in condition.items())


def _holds(limits: Range | None, value: float | None) -> bool:
    """Return whether a value is in a range; no range takes all, and an unknown value is in none."""
    if limits is None:
        return True
    if value is None:
        return False
    return (limits.min is None or value >= limits.min) and (limits.max is None or value <= limits.max)
