"""What the shop sells.

Belongs here: orders, their lines, and what happens to an order later. Does not belong here: orders that are wrong on
purpose (see ``planting``), and how the shop's API words an order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scoring_platform.sandbox.days import DAY, HOUR, MINUTE, opens_at
from scoring_platform.sandbox.people import SPEND_SHAPE, Person
from scoring_platform.sandbox.timeline import Version, versions_of

FIRST_ORDER = 5_000_000_000_000
_PER_DAY = 10_000
_SALES = 20


@dataclass(frozen=True, slots=True)
class Product:
    """Something the shop sells."""

    product_id: int
    title: str
    category: str


PRODUCTS = tuple(
    Product(8_000_000_000_000 + number, title, category)
    for number, (title, category) in enumerate(
        [
            ("House blend 200 g", "beans"),
            ("Ethiopia 200 g", "beans"),
            ("Guatemala 200 g", "beans"),
            ("Decaf 200 g", "beans"),
            ("Drip bags, 10", "drip bags"),
            ("Drip bags, 30", "drip bags"),
            ("Cold brew bags", "drip bags"),
            ("Paper filters", "equipment"),
            ("Dripper", "equipment"),
            ("Hand mill", "equipment"),
            ("Gift box", "gifts"),
            ("Butter cookies", "sweets"),
        ]
    )
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order; the amount is that of the whole line."""

    line_id: int
    product: Product
    quantity: int
    amount: int | None


@dataclass(frozen=True, slots=True)
class Order:
    """An order in one of its states.

    Attributes:
        order_id: The shop's number.
        person: Index of the account; None for a guest.
        email: Address given with the order.
        ordered_at: When it was placed.
        payment: Financial status in the shop's words.
        total: Total as ordered; None only where planted.
        refunded: Refunded so far.
        currency: Currency of all amounts.
        channel: Where it was placed.
        lines: The lines.
        test: Whether it is a trial of the checkout.
        cancelled_at: When it was cancelled.
    """

    order_id: int
    person: int | None
    email: str | None
    ordered_at: int
    payment: str
    total: int | None
    lines: tuple[Line, ...]
    channel: str
    currency: str = "JPY"
    refunded: int = 0
    test: bool = False
    cancelled_at: int | None = None


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who places an order: an account, or a guest with or without an address."""

    person: int | None
    email: str | None
    mean_spend: float
    not_before: int


def order_number(day: int, place: int) -> int:
    """Return the number of the order with this place among the orders of ``day``."""
    return FIRST_ORDER + day * _PER_DAY + place


def sell(seed: int, day: int, *, buyers: Sequence[Person], people: Sequence[Person]) -> list[Version[Order]]:
    """Return the orders of a day with all that will happen to them: one by each of ``buyers``, and some by guests."""
    rng = np.random.default_rng([seed, _SALES, day])
    parties = [Buyer(who.index, who.email, who.mean_spend, who.arrived_at + 2 * MINUTE) for who in buyers]
    parties += [_guest(rng, day, people=people) for _ in range(int(rng.poisson(1.3)))]
    orders = [_order(rng, day, place=place, party=party) for place, party in enumerate(parties)]
    worth = [order.order_id for order in orders if order.total]
    # One order of each day is sure to change on the next, so that every morning has something to re-read.
    changing = worth[day % len(worth)] if worth else None
    found: list[Version[Order]] = []
    for order in orders:
        states = _returned(order, day) if order.order_id == changing else _fate(rng, order)
        found += versions_of(order.order_id, states)
    return found


def _guest(rng: np.random.Generator, day: int, *, people: Sequence[Person]) -> Buyer:
    chance, spend = rng.random(), float(rng.gamma(4.0, 900.0))
    if chance < 0.2 or not people:
        return Buyer(None, None, spend, 0)
    if chance < 0.45:
        # Somebody with an account who did not sign in; some type their address in capitals.
        email = people[int(rng.integers(len(people)))].email
        return Buyer(None, email.upper() if email and chance < 0.25 else email, spend, 0)
    return Buyer(None, f"guest{int(rng.integers(40 + day)):05d}@example.com", spend, 0)


def _order(rng: np.random.Generator, day: int, *, place: int, party: Buyer) -> Order:
    order_id = order_number(day, place)
    at = opens_at(day) + int(np.clip(rng.normal(15.0, 4.5), 6.0, 23.9) * HOUR)
    value = float(rng.gamma(SPEND_SHAPE, party.mean_spend / SPEND_SHAPE))
    lines = _lines(rng, order_id, value=0.0 if rng.random() < 0.012 else value)
    return Order(
        order_id=order_id,
        person=party.person,
        email=party.email,
        ordered_at=max(at, party.not_before),
        payment="PAID",
        total=sum(line.amount or 0 for line in lines),
        lines=lines,
        channel=("web", "web", "web", "mobile_app", "pos")[int(rng.integers(5))],
    )


def _lines(rng: np.random.Generator, order_id: int, *, value: float) -> tuple[Line, ...]:
    count = 1 + int(rng.binomial(3, 0.35))
    chosen = rng.choice(len(PRODUCTS), size=count, replace=False)
    shares = rng.dirichlet(np.full(count, 3.0))
    quantities = 1 + rng.binomial(2, 0.2, size=count)
    return tuple(
        Line(
            line_id=order_id * 10 + place,
            product=PRODUCTS[int(chosen[place])],
            quantity=int(quantities[place]),
            amount=max(10, round(value * float(shares[place]) / 10) * 10) if value else 0,
        )
        for place in range(count)
    )


def _returned(order: Order, day: int) -> list[tuple[int, Order]]:
    """Return the states of an order of which a part comes back at noon of the next day."""
    return [(order.ordered_at, order), (opens_at(day + 1) + 12 * HOUR, _part_refunded(order, 0.3))]


def _part_refunded(order: Order, share: float) -> Order:
    refunded = max(10, round((order.total or 0) * share / 10) * 10)
    return replace(order, payment="PARTIALLY_REFUNDED", refunded=refunded)


def _fate(rng: np.random.Generator, order: Order) -> list[tuple[int, Order]]:
    """Return the states of an order with the instant of each."""
    placed, total = order.ordered_at, order.total or 0
    chance, share = rng.random(), 0.2 + 0.4 * rng.random()
    soon, late = int(rng.integers(HOUR, 30 * HOUR)), int(rng.integers(DAY, 21 * DAY))
    if chance < 0.015:
        return [(placed, replace(order, test=True))]
    if chance < 0.05:
        return [(placed, replace(order, payment="PENDING")), (placed + 2 * soon, order)]
    if chance < 0.06:
        expired = placed + 7 * DAY
        return [
            (placed, replace(order, payment="PENDING")),
            (expired, replace(order, payment="VOIDED", cancelled_at=expired)),
        ]
    if chance < 0.08:
        undone = replace(order, payment="REFUNDED", refunded=total, cancelled_at=placed + soon)
        return [(placed, order), (placed + soon, undone)]
    if chance < 0.11 and total:
        return [(placed, order), (placed + late, _part_refunded(order, share))]
    if chance < 0.13 and total:
        return [(placed, order), (placed + late, replace(order, payment="REFUNDED", refunded=total))]
    return [(placed, order)]
