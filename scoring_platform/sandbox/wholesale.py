"""Orders by the million: each is computed from its number whenever somebody asks for it, and none is kept.

Belongs here: the orders that the server's option ``--orders`` adds, found in the order of changes and in the order of
numbers. Does not belong here: the company's own orders (``sales``), which everything else is made to fit: nobody opens
a newsletter or a ticket because of an order that is only there for its number.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from scoring_platform.sandbox.days import DAY, NEVER, day_of, opens_at
from scoring_platform.sandbox.people import Person
from scoring_platform.sandbox.sales import PRODUCTS, Line, Order
from scoring_platform.sandbox.timeline import START, Position, Timeline, Version

FIRST_NUMBER = 6_000_000_000_000
"""Greater than the number of every order of the company's own."""

SPREAD_DAYS = 365
REFUNDED_AFTER = 3 * DAY

_REFUNDED_ONE_IN, _REFUNDED_PLACE = 12, 5
_GUEST_ONE_IN, _GUESTS = 4, 20_000
_CHANNELS = ("web", "web", "web", "mobile_app", "pos")

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Changes:
    """All changes in order: the instant of each, the order's place, and when the next change replaces it."""

    since: Numbers
    places: Numbers
    until: Numbers


@dataclass(frozen=True)
class Wholesale:
    """The orders that are only there for their number.

    They begin on the day the company opened and spread evenly over a year. One in four is a guest's; one in twelve is
    partly refunded after three days.

    Attributes:
        count: How many there are.
        people: The company's customers in order of arrival.
        count_on: How many of them had arrived by the end of each day.
    """

    count: int = 0
    people: Sequence[Person] = ()
    count_on: Sequence[int] = ()

    def page(
        self, now: int, *, after: Position = START, since: int = -NEVER, until: int = NEVER, limit: int | None = None
    ) -> list[Version[Order]]:
        """Return the orders as they were at ``now``, oldest change first; see ``Timeline.page``."""
        changes = _changes(self.count)
        found: list[Version[Order]] = []
        for index in range(*_between(changes, max(since, after[0]), min(until, now + 1))):
            if len(found) == limit:
                break
            position = (int(changes.since[index]), FIRST_NUMBER + int(changes.places[index]))
            if position > after and changes.until[index] > now:
                found.append(self._version(int(changes.places[index]), now))
        return found

    def find(self, number: int, now: int) -> Version[Order] | None:
        """Return the order with this number as it was at ``now``; None when it did not exist yet."""
        place = number - FIRST_NUMBER
        if not 0 <= place < self.count or _placed_at(place, self.count) > now:
            return None
        return self._version(place, now)

    def places(self, now: int, *, since: int, until: int) -> Numbers:
        """Return the places of the orders whose last change up to ``now`` lies in [since, until), least first."""
        return _places(self.count, now, since, until)

    def at(self, places: Numbers, now: int) -> list[Version[Order]]:
        """Return the orders at ``places`` as they were at ``now``."""
        return [self._version(int(place), now) for place in places]

    def _version(self, place: int, now: int) -> Version[Order]:
        order = self._order(place)
        number, placed_at = order.order_id, order.ordered_at
        if place % _REFUNDED_ONE_IN != _REFUNDED_PLACE:
            return Version(placed_at, NEVER, number, order)
        back_at = placed_at + REFUNDED_AFTER
        if now < back_at:
            return Version(placed_at, back_at, number, order)
        back = replace(order, payment="PARTIALLY_REFUNDED", refunded=order.lines[0].amount or 0)
        return Version(back_at, NEVER, number, back)

    def _order(self, place: int) -> Order:
        number, placed_at, drawn = FIRST_NUMBER + place, _placed_at(place, self.count), _drawn(place)
        person, email = self._buyer(drawn, day_of(placed_at))
        # One line more than is refunded, so that something is left of every order.
        lines = tuple(_line(number, at, drawn) for at in range(2 + drawn % 2))
        total = sum(line.amount or 0 for line in lines)
        return Order(number, person, email, placed_at, "PAID", total, lines, _CHANNELS[drawn % len(_CHANNELS)])

    def _buyer(self, drawn: int, day: int) -> tuple[int | None, str | None]:
        # Who arrived on the same day may have come later than the order.
        known = self.count_on[day - 1] if 0 < day <= len(self.count_on) else 0
        if drawn % _GUEST_ONE_IN == 0 or not known:
            return None, f"wholesale{drawn % _GUESTS:05d}@example.com"
        return drawn % known, self.people[drawn % known].email


@dataclass(frozen=True)
class Sales:
    """Everything the shop has sold: the company's own orders, and those that are only there for their number."""

    orders: Timeline[Order]
    wholesale: Wholesale

    def page(
        self, now: int, *, after: Position = START, since: int = -NEVER, until: int = NEVER, limit: int | None = None
    ) -> list[Version[Order]]:
        """Return the orders as they were at ``now``, oldest change first; see ``Timeline.page``."""
        own = self.orders.page(now, after=after, since=since, until=until, limit=limit)
        more = self.wholesale.page(now, after=after, since=since, until=until, limit=limit)
        return sorted([*own, *more], key=lambda version: version.position)[:limit] if more else own

    def find(self, number: int, now: int) -> Version[Order] | None:
        """Return the order with this number as it was at ``now``; None when it did not exist yet."""
        return self.wholesale.find(number, now) if number >= FIRST_NUMBER else self.orders.find(number, now)


@lru_cache(maxsize=1)
def _changes(count: int) -> Changes:
    places = np.arange(count, dtype=np.int64)
    placed = opens_at(0) + places * (SPREAD_DAYS * DAY) // max(1, count)
    returned = places[_REFUNDED_PLACE::_REFUNDED_ONE_IN]
    until = np.full(count, NEVER, dtype=np.int64)
    until[returned] = placed[returned] + REFUNDED_AFTER
    since = np.concatenate([placed, until[returned]])
    order = np.lexsort((np.concatenate([places, returned]), since))
    return Changes(
        since[order],
        np.concatenate([places, returned])[order],
        np.concatenate([until, np.full(len(returned), NEVER, dtype=np.int64)])[order],
    )


@lru_cache(maxsize=4)
def _places(count: int, now: int, since: int, until: int) -> Numbers:
    changes = _changes(count)
    part = slice(*_between(changes, since, min(until, now + 1)))
    return np.sort(changes.places[part][changes.until[part] > now])


def _between(changes: Changes, since: int, until: int) -> tuple[int, int]:
    """Return the first and the last but one index of the changes in [since, until)."""
    return bisect_left(changes.since, since), bisect_left(changes.since, until)


def _placed_at(place: int, count: int) -> int:
    return opens_at(0) + place * (SPREAD_DAYS * DAY) // count


def _drawn(place: int) -> int:
    """Scatter the orders: neighbours get numbers that have nothing in common."""
    return place * 2_654_435_761 % 2**32 >> 7


def _line(order: int, at: int, drawn: int) -> Line:
    product, quantity = PRODUCTS[(drawn // 3 + at) % len(PRODUCTS)], 1 + drawn % 3 % 2
    return Line(order * 10 + at, product, quantity, 500 + (drawn >> at) % 400 * 10)
