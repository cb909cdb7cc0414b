"""The one segment of every customer, and who moved.

A rule has conditions to enter and wider ones to stay. On a day a customer is decisively in (all enter conditions hold),
decisively out (a stay condition fails) or undecided; membership is the last decisive day within the look-back, so it is
a pure function of a bounded past. The first rule a customer is a member of gives the segment; the fallback the rest.

Belongs here: conditions to segment, segment to transition. Does not belong here: scores.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from scoring_platform.config.scoring import Condition, Range, SegmentRule, Segments
from scoring_platform.domain.running import Days, Sums, running


def measures(rules: Segments) -> list[str]:
    """Return the measures that the conditions of ``rules`` name."""
    named: set[str] = set()
    for rule in rules.rules:
        named |= {*rule.enter, *(rule.stay or {})}
    return sorted(named)


def with_tenure(scored: ir.Table) -> ir.Table:
    """Return ``tenure_days``, days since the first purchase day, beside each row; null when never bought."""
    return scored.mutate(tenure_days=scored.as_of.delta(scored.first_order_on, unit="day"))


def undecided(measured: ir.Table, rules: Segments) -> ir.Table:
    """Return customers for whom some rule is undecided on some day: they need the look-back."""
    open_rules = [
        ~_holds(measured, rule.enter) & _holds(measured, _stay(rule)) for rule in rules.rules if rule.stay is not None
    ]
    if not open_rules:
        return measured.filter(ibis.literal(False)).select("customer_id").distinct()
    return measured.filter(ibis.or_(*open_rules)).select("customer_id").distinct()


def segments(measured: ir.Table, past: ir.Table, rules: Segments, *, days: Days) -> ir.Table:
    """Return the segment of every row of ``measured``.

    Args:
        measured: Day, customer and the measures that conditions name, for the days to compute.
        past: The same for undecided customers, for those days and the look-back before each; of days on which all
            conditions hold alike the last one is enough (``turning``).
        rules: The ordered rules.
        days: The days to compute.

    Returns:
        Columns as_of, customer_id, segment.
    """
    joined = _decided(measured, past, rules, days)
    cases = [(_member(joined, rule), ibis.literal(rule.segment)) for rule in rules.rules]
    return joined.select("as_of", "customer_id", segment=ibis.cases(*cases, else_=ibis.literal(rules.fallback)))


def memberships(measured: ir.Table, past: ir.Table, rules: Segments, *, days: Days) -> ir.Table:
    """Return for every row of ``measured`` of which rules the customer is a member, whichever of them comes first.

    Takes what ``segments`` takes.

    Returns:
        Columns as_of, customer_id and ``member_<segment>`` for each rule.
    """
    joined = _decided(measured, past, rules, days)
    return joined.select(
        "as_of", "customer_id", **{f"member_{rule.segment}": _member(joined, rule) for rule in rules.rules}
    )


def transitions(today: ir.Table, yesterday: ir.Table, profiles: ir.Table, *, reshaped: ir.Table) -> ir.Table:
    """Return who moved: customers in another segment than the day before, baseline days, merges and undos apart.

    Args:
        today: Segments of the days (as_of, customer_id, segment).
        yesterday: Segments of the days before, with ``as_of`` already moved to the day that follows.
        profiles: customer_profiles of the days.
        reshaped: Who became one with another customer, or came apart, on which day (as_of, customer_id).
    """
    before = yesterday.select("as_of", "customer_id", from_segment=yesterday.segment)
    moved = today.inner_join(before, ["as_of", "customer_id"])
    moved = moved.filter(moved.segment != moved.from_segment).anti_join(reshaped, ["as_of", "customer_id"])
    value = profiles.select("as_of", "customer_id", "baseline", value_at_stake=profiles.net_spend_365d)
    joined = moved.inner_join(value, ["as_of", "customer_id"])
    return joined.filter(~joined.baseline).select(
        "as_of",
        "customer_id",
        "from_segment",
        to_segment=joined.segment,
        entered_on=joined.as_of,
        value_at_stake=joined.value_at_stake,
    )


def thresholds(rules: Segments, measure: str) -> list[Range]:
    """Return the ranges that conditions want a measure in."""
    conditions = [condition for rule in rules.rules for condition in (rule.enter, _stay(rule))]
    return [condition[measure] for condition in conditions if measure in condition]


def _stay(rule: SegmentRule) -> Condition:
    return rule.enter if rule.stay is None else rule.stay


def _holds(table: ir.Table, condition: Condition) -> ir.BooleanValue:
    """Whether all ranges hold; an unknown measure is in no range."""
    parts: list[ir.BooleanValue] = []
    for measure, limits in sorted(condition.items()):
        value = table[measure].cast("float64")
        if limits.min is not None:
            parts.append(value >= limits.min)
        if limits.max is not None:
            parts.append(value <= limits.max)
    return ibis.and_(*parts).fill_null(False)


def _decided(measured: ir.Table, past: ir.Table, rules: Segments, days: Days) -> ir.Table:
    """Put beside each row the last days on which rules were entered and left."""
    if all(rule.stay is None for rule in rules.rules):
        return measured
    return measured.left_join(_last_decisive(past, rules, days), ["as_of", "customer_id"])


def _last_decisive(past: ir.Table, rules: Segments, days: Days) -> ir.Table:
    """Return per day and undecided customer the last day each rule was entered and left within the look-back."""
    marks: dict[str, ir.Value] = {}
    for rule in rules.rules:
        if rule.stay is not None:
            marks[f"in_{rule.segment}"] = _holds(past, rule.enter).ifelse(past.as_of, None)
            marks[f"out_{rule.segment}"] = _holds(past, rule.stay).ifelse(None, past.as_of)
    marked = past.select("customer_id", active_on=past.as_of, **marks)
    found = running(marked, days, Sums(latest={name: marked[name] for name in marks}))
    # Of a range, what was decisive before the look-back of one of its days is not so any more.
    opened = found.as_of - ibis.interval(days=rules.look_back_days)
    return found.mutate(**{name: (found[name] > opened).ifelse(found[name], None) for name in marks})


def _member(joined: ir.Table, rule: SegmentRule) -> ir.BooleanValue:
    now = _holds(joined, rule.enter)
    if rule.stay is None:
        return now
    entered, left = joined[f"in_{rule.segment}"], joined[f"out_{rule.segment}"]
    kept = entered.notnull() & (left.isnull() | (entered > left))
    return now | (_holds(joined, rule.stay) & kept.fill_null(False))
