"""Paging through versions as of a moment."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scoring_platform.sandbox.timeline import START, Timeline, versions_of

_CHANGES = st.lists(st.integers(0, 50), min_size=1, max_size=4, unique=True).map(sorted)


@given(st.lists(_CHANGES, max_size=12), st.integers(-1, 55), st.integers(1, 4))
def test_paging_gives_each_thing_that_existed_once_in_the_order_of_its_last_change(
    lives: list[list[int]], now: int, size: int
) -> None:
    timeline = Timeline(
        version for number, life in enumerate(lives) for version in versions_of(number, [(at, at) for at in life])
    )
    paged, after = [], START
    while page := timeline.page(now, after=after, limit=size):
        paged += [(version.since, version.number) for version in page]
        after = page[-1].position
    last_changes = {number: [at for at in life if at <= now] for number, life in enumerate(lives)}
    assert paged == sorted((max(past), number) for number, past in last_changes.items() if past)


def test_a_thing_is_found_as_it_was_at_the_moment() -> None:
    timeline = Timeline(versions_of(7, [(10, "new"), (20, "paid")]))
    states = [timeline.find(7, now) for now in (9, 10, 19, 20)]
    assert [state.thing if state else None for state in states] == [None, "new", "new", "paid"]


def test_a_window_of_changes_leaves_out_what_changed_again_later() -> None:
    timeline = Timeline([*versions_of(1, [(10, "a"), (30, "b")]), *versions_of(2, [(12, "c")])])
    assert [version.number for version in timeline.page(40, since=10, until=20)] == [2]
    assert [version.number for version in timeline.page(15, since=10, until=20)] == [1, 2]
