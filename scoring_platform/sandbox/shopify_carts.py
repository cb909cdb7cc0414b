"""Checkouts that customers of the shop began and left.

Belongs here: which visits and which orders have one, and how a checkout looks in the API. Does not belong here: paging,
and the visits and orders themselves.

A checkout is either left for good by somebody who visited the site, or taken up again: then its order is one of the
shop's orders. Which ones is decided by the day and the customer alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from threading import Lock

from scoring_platform.sandbox.days import HOUR, MINUTE, NEVER, day_of, iso_z, opens_at
from scoring_platform.sandbox.population import Books
from scoring_platform.sandbox.shopify_nodes import Node
from scoring_platform.sandbox.timeline import Timeline, Version, versions_of

FIRST_CHECKOUT = 6_000_000_000_000
_PER_DAY = 1_000_000
_LEFT_ONE_IN, _RECOVERED_ONE_IN = 9, 12
_THOUGHT_OVER = 40 * MINUTE


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout in one of its states.

    Attributes:
        number: The shop's number.
        person: Index of the account.
        created_at: When it was begun.
        total: What was in it, in JPY.
        completed_at: When it became an order; None while it has not.
    """

    number: int
    person: int
    created_at: int
    total: int
    completed_at: int | None = None


@dataclass
class Carts:
    """The checkouts of the company, made anew when it goes on."""

    _through: int = -1
    _timeline: Timeline[Checkout] = field(default_factory=Timeline)
    _lock: Lock = field(default_factory=Lock)

    def of(self, books: Books) -> Timeline[Checkout]:
        """Return the checkouts of ``books``."""
        with self._lock:
            if self._through != books.through:
                self._timeline, self._through = Timeline(_versions(books)), books.through
            return self._timeline


def checkout_node(version: Version[Checkout]) -> Node:
    """Return a checkout; ``_person`` is for the resolver of its customer."""
    checkout = version.thing
    money = {"amount": f"{checkout.total}.0", "currencyCode": "JPY"}
    return {
        "__typename": "AbandonedCheckout",
        "id": f"gid://shopify/AbandonedCheckout/{checkout.number}",
        "name": f"#{checkout.number}",
        "createdAt": iso_z(checkout.created_at),
        "updatedAt": iso_z(version.since),
        "completedAt": None if checkout.completed_at is None else iso_z(checkout.completed_at),
        "totalPriceSet": {"shopMoney": money, "presentmentMoney": money},
        "_person": checkout.person,
    }


def _versions(books: Books) -> Iterator[Version[Checkout]]:
    found: dict[int, Checkout] = {}
    for make in (_recovered, _left):
        for checkout in make(books):
            found.setdefault(checkout.number, checkout)
    for number, checkout in found.items():
        states = [(checkout.created_at, replace(checkout, completed_at=None))]
        if checkout.completed_at is not None:
            states.append((checkout.completed_at, checkout))
        yield from versions_of(number, states)


def _recovered(books: Books) -> Iterator[Checkout]:
    for version in books.orders.at(NEVER - 1):
        order = version.thing
        if order.person is None or not order.total or order.channel == "pos" or order.currency != "JPY":
            continue
        day, begun_at = day_of(order.ordered_at), order.ordered_at - _THOUGHT_OVER
        chosen = _drawn(day, order.person) % _RECOVERED_ONE_IN == 0
        if chosen and day <= books.through and begun_at > books.people[order.person].arrived_at:
            yield Checkout(_number(day, order.person), order.person, begun_at, order.total, order.ordered_at)


def _left(books: Books) -> Iterator[Checkout]:
    for visit in books.visits.first(books.visits.known(NEVER)):
        if visit.person is None or visit.conversions or _drawn(visit.day, visit.person) % _LEFT_ONE_IN:
            continue
        drawn = _drawn(visit.person, visit.day)
        since = max(opens_at(visit.day) + 9 * HOUR + drawn % (12 * HOUR), books.people[visit.person].arrived_at)
        yield Checkout(_number(visit.day, visit.person), visit.person, since + MINUTE, 800 + drawn % 90 * 100)


def _number(day: int, person: int) -> int:
    return FIRST_CHECKOUT + day * _PER_DAY + person


def _drawn(one: int, other: int) -> int:
    return (one * 2_654_435_761 + other * 40_503) % 2**32 // 128
