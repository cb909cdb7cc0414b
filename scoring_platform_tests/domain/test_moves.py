"""Why somebody moves: causes are those that made the difference, and there is always one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from scoring_platform.config.scoring import Label, Range, Segments
from scoring_platform.domain.moves import Cause, Side, causes

VIP = {"segment": "vip", "enter": {"f": {"min": 4}}, "stay": {"f": {"min": 3}}}
LOYAL = {"segment": "loyal", "enter": {"f": {"min": 2}}}
NAMES = ("vip", "loyal", "lost", "rest")


def rules(*given: Mapping[str, Any], fallback: str = "lost", **more: Any) -> Segments:
    """Rules in this order."""
    labels = {name: Label(ja=name, en=name) for name in NAMES}
    return Segments.model_validate({"rules": given, "fallback": fallback, "labels": labels, **more})


def side(own: Segments, values: Mapping[str, float | None], *, kept: bool = False) -> Side:
    """A customer by these values; ``kept`` says what the look-back decides for who is neither in nor out."""

    def member(rule: Any) -> bool:
        def all_hold(condition: Mapping[str, Range]) -> bool:
            return all(
                values[name] is not None
                and (limits.min is None or values[name] >= limits.min)  # type: ignore[operator]
                and (limits.max is None or values[name] <= limits.max)  # type: ignore[operator]
                for name, limits in condition.items()
            )

        return all_hold(rule.enter) or (kept and rule.stay is not None and all_hold(rule.stay))

    members = [rule.segment for rule in own.rules if member(rule)]
    return Side(own, members[0] if members else own.fallback, values, frozenset(members))


def test_a_band_that_moved_is_the_cause_when_the_rule_is_the_same() -> None:
    own = rules(VIP, LOYAL)

    (cause,) = causes(side(own, {"f": 3}), side(own, {"f": 4}))

    assert (cause.kind, cause.segment, cause.holds, cause.to) == ("condition", "vip", True, "enter")
    assert (cause.measure, cause.value_before, cause.value_after) == ("f", 3, 4)
    assert cause.range_before == cause.range_after == Range(min=4)


def test_a_range_that_moved_is_the_cause_when_the_measure_is_the_same() -> None:
    wider = {**VIP, "enter": {"f": {"min": 3}}}

    (cause,) = causes(side(rules(VIP, LOYAL), {"f": 3}), side(rules(wider, LOYAL), {"f": 3}))

    assert (cause.value_before, cause.value_after) == (3, 3)
    assert (cause.range_before, cause.range_after) == (Range(min=4), Range(min=3))


def test_who_leaves_for_what_held_all_along_leaves_by_the_condition_to_stay() -> None:
    own = rules(VIP, LOYAL)

    (cause,) = causes(side(own, {"f": 4}), side(own, {"f": 2}))

    assert (cause.segment, cause.holds, cause.to) == ("vip", False, "stay")


def test_between_entering_and_leaving_it_is_the_look_back_that_decides() -> None:
    own = rules(VIP, LOYAL)

    kept = causes(side(own, {"f": 3}), side(own, {"f": 3}, kept=True))
    lost = causes(side(own, {"f": 3}, kept=True), side(own, {"f": 3}))
    forgotten = causes(side(own, {"f": 4}), side(own, {"f": 3}))

    assert kept == [Cause("past", "vip", holds=True)]
    assert lost == [Cause("past", "vip", holds=False)]
    assert [(cause.kind, cause.to) for cause in forgotten] == [("condition", "enter"), ("past", None)]


def test_a_condition_to_enter_is_no_cause_for_who_had_only_stayed() -> None:
    one = rules({"segment": "vip", "enter": {"r": {"min": 4}, "f": {"min": 4}}, "stay": {"f": {"min": 3}}})

    found = causes(side(one, {"r": 5, "f": 3}, kept=True), side(one, {"r": 2, "f": 3}))

    assert found == [Cause("past", "vip", holds=False)], "r turned over too, but did not matter"


def test_a_new_rule_a_rule_that_is_gone_and_another_order_are_causes() -> None:
    values = {"f": 5.0}

    assert causes(side(rules(LOYAL), values), side(rules(VIP, LOYAL), values)) == [Cause("rule", "vip", holds=True)]
    assert causes(side(rules(VIP, LOYAL), values), side(rules(LOYAL), values)) == [Cause("rule", "vip", holds=False)]
    assert causes(side(rules(VIP, LOYAL), values), side(rules(LOYAL, VIP), values)) == [
        Cause("order", "loyal", holds=True)
    ]


def test_everything_that_stood_before_the_new_segment_is_named() -> None:
    found = causes(side(rules(VIP, LOYAL), {"f": 5}), side(rules(VIP, LOYAL), {"f": 1}))

    assert [(cause.segment, cause.holds) for cause in found] == [("vip", False), ("loyal", False)]


def test_another_name_of_the_fallback_is_a_cause() -> None:
    found = causes(side(rules(VIP), {"f": 1}), side(rules(VIP, fallback="rest"), {"f": 1}))

    assert found == [Cause("fallback", "rest", holds=True)]


def test_an_unknown_measure_is_in_no_range() -> None:
    own = rules(VIP, LOYAL)

    (cause,) = causes(side(own, {"f": None}), side(own, {"f": 2}))

    assert (cause.segment, cause.value_before, cause.value_after) == ("loyal", None, 2)


_BANDS = st.one_of(st.none(), st.integers(1, 5).map(float))


@st.composite
def _rules(draw: st.DrawFn) -> Segments:
    names = draw(st.permutations(["vip", "loyal", "lost"]))
    made = []
    for name in names[: draw(st.integers(1, 2))]:
        measures = draw(st.sampled_from([("f",), ("r",), ("r", "f")]))
        enter = {one: {"min": draw(st.integers(2, 5))} for one in measures}
        stay = {one: {"min": limits["min"] - draw(st.integers(0, 2))} for one, limits in enter.items()}
        made.append({"segment": name, "enter": enter, "stay": draw(st.sampled_from([None, stay]))})
    return rules(*made, fallback=draw(st.sampled_from([names[2], "rest"])))


@given(_rules(), _rules(), *([_BANDS] * 4), st.booleans(), st.booleans())
def test_whoever_moves_has_a_cause_and_every_condition_named_turned_over(
    one: Segments, other: Segments, r: float | None, f: float | None, r2: float | None, f2: float | None,
    kept: bool, kept_after: bool,
) -> None:  # fmt: skip
    before, after = side(one, {"r": r, "f": f}, kept=kept), side(other, {"r": r2, "f": f2}, kept=kept_after)
    assume(before.segment != after.segment)

    found = causes(before, after)

    assert found
    for cause in found:
        assert (cause.segment in after.members) is cause.holds or cause.kind == "fallback"
        if cause.kind == "condition":
            moved = cause.value_before != cause.value_after
            assert moved or cause.range_before != cause.range_after
