"""Pages are read one at a time, to their end, once; and what changes meanwhile is not lost."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from weakref import ref

import pytest

from scoring_platform.errors import PermanentError
from scoring_platform.http.client import Answer, ApiClient
from scoring_platform.sources.protocol import Window
from scoring_platform_tests.conformance.world import NOW, OVERLAP, TABLES, Row, World, latest, window_of

ORDER_IS_PROMISED = frozenset({"ga4", "salesforce"})
"""Vendors that are asked for a total order, so that rows in another one are no answer to what was asked."""

GIVEN_AGAIN = "twice|another metric"
"""A page under a cursor that is not its own; Klaviyo's next listing recognises events of the one before."""

ADDED_UP = frozenset({"matomo.raw_web_activity"})
"""Tables whose first rows are sums over a whole listing."""

MOST_LIVE_ANSWERS = 3
"""The answer in hand, the one before it, and one asked for while reading it."""


@pytest.mark.parametrize("name", TABLES)
def test_a_cursor_that_goes_round_in_circles_ends_in_a_clear_error(world: World, name: str) -> None:
    expected = world.baseline(name)
    assert expected.second_page is not None
    world.fault(name, "page_loop", times=100_000, skip=expected.second_page - 1)
    world.company.faults.forget_requests()

    with pytest.raises(PermanentError, match=GIVEN_AGAIN):
        world.read(name)

    assert world.calls() <= len(expected.exchanges) + 1


@pytest.mark.parametrize("name", TABLES)
def test_a_page_that_is_given_again_is_an_error_and_never_a_missing_page(world: World, name: str) -> None:
    world.fault(name, "repeat_page", skip=world.baseline(name).second_page)

    with pytest.raises(PermanentError, match=GIVEN_AGAIN):
        world.read(name)


@pytest.mark.parametrize("name", TABLES)
def test_the_first_page_comes_before_the_second_is_asked_for(world: World, name: str) -> None:
    expected = world.baseline(name)
    world.company.faults.forget_requests()
    pages = world.fetch(name)
    assert world.calls() == 0, "nothing is asked before the first page is wanted"

    assert list(next(pages)) == expected.pages[0]

    assert expected.second_page is not None
    assert world.calls() <= expected.second_page + (name in ADDED_UP)


class _Object(dict[str, Any]):
    """An object of an answer, of which is known whether something still holds on to it."""


@dataclass
class Held:
    """The answers so far: references to the objects of each."""

    answers: list[list[ref[_Object]]] = field(default_factory=list)

    def watch(self, body: Any) -> Any:
        """Return ``body`` made of objects that are watched."""
        objects: list[ref[_Object]] = []

        def watched(given: dict[str, Any]) -> _Object:
            made = _Object(given)
            objects.append(ref(made))
            return made

        copied = json.loads(json.dumps(body), object_hook=watched)
        self.answers.append(objects)
        return copied

    def live(self) -> int:
        """How many answers are not wholly let go."""
        return sum(any(one() is not None for one in objects) for objects in self.answers)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    """What of the answers something still holds on to."""
    answers, request = Held(), ApiClient.request

    def watched(self: ApiClient, *arguments: Any, **more: Any) -> Answer:
        got = request(self, *arguments, **more)
        return replace(got, json=answers.watch(got.json))

    monkeypatch.setattr(ApiClient, "request", watched)
    return answers


@pytest.mark.parametrize("name", TABLES)
def test_pages_that_were_read_are_let_go(world: World, name: str, held: Held) -> None:
    lives = [held.live() for _ in world.fetch(name)]

    assert len(held.answers) >= MOST_LIVE_ANSWERS
    assert max(lives) <= MOST_LIVE_ANSWERS
    assert held.live() == 0


@pytest.mark.parametrize("name", [name for name in TABLES if name.partition(".")[0] not in ORDER_IS_PROMISED])
def test_rows_in_another_order_are_the_same_rows(world: World, name: str) -> None:
    expected = latest(name, world.baseline(name).rows)

    world.fault(name, "shuffle", times=100_000)

    assert latest(name, world.read(name).rows) == expected


@pytest.mark.parametrize("name", TABLES)
def test_an_empty_day_is_no_error(world: World, name: str) -> None:
    before_the_company = window_of(name).since - timedelta(days=3_000)

    reading = world.read(name, Window(before_the_company, before_the_company + timedelta(days=1)))

    assert [row for row in reading.rows if _within(row)] == []


@pytest.mark.parametrize(
    "later",
    [timedelta(hours=6), timedelta(minutes=10), -timedelta(minutes=10)],
    ids=["time passes", "their clock is ahead", "their clock is behind"],
)
@pytest.mark.parametrize("name", TABLES)
def test_what_changes_while_pages_are_read_is_found_now_or_by_the_next_reading(
    world: World, name: str, later: timedelta
) -> None:
    """The vendor's clock is ahead of ours or behind it, or time passes while we page."""
    end = NOW + timedelta(hours=12)
    pages = world.fetch(name)
    if later < timedelta():
        world.company.clock.set(NOW + later)
    found: list[Row] = [dict(row) for row in next(pages)]
    if later > timedelta():
        world.company.clock.set(NOW + later)
    found += [dict(row) for page in pages for row in page]

    world.company.clock.set(end)
    found += world.read(name, Window(NOW - OVERLAP, end)).rows
    whole = world.read(name, Window(window_of(name).since, end)).rows

    known, now = latest(name, found), latest(name, whole)
    assert {key: known.get(key) for key in now} == now


def _within(row: Row) -> bool:
    """Whether a row says that something happened in that day of long ago."""
    return any(str(value).startswith(("2017", "2016")) for value in row.values())
