"""What is wrong in the company's data on purpose.

Belongs here: the defects, on which days they come, and their list for tests. Does not belong here: regular data, and
the shop's habit of giving an order twice, which lies in its paging.

From ``FIRST_DAY`` on there are each day one order in a currency nobody has a rate for and one mail event of a malformed
address; about once a week an order without an amount; about once a month an order dated days ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from scoring_platform.sandbox.days import DAY, HOUR, date_of, opens_at
from scoring_platform.sandbox.mailings import RECEIVED, MailEvent
from scoring_platform.sandbox.people import Person
from scoring_platform.sandbox.sales import PRODUCTS, Line, Order, order_number
from scoring_platform.sandbox.timeline import Version, versions_of

FIRST_DAY = 30
UNKNOWN_CURRENCY = "XTS"
MALFORMED = "taro＠＠invalid"

_PLANTING = 70
_CURRENCY_PLACE, _AMOUNT_PLACE, _FUTURE_PLACE = 9_001, 9_002, 9_003
_EVENT_PLACE = 900_001
_DAYS_AHEAD = 5


@dataclass(frozen=True, slots=True)
class Planted:
    """One row that is wrong on purpose.

    Attributes:
        table: Raw table of the row.
        record_id: The row's id in that table: order, line or event.
        kind: currency, amount, email or future.
        day: Business day on which it appears.
        dated_on: Business day of the row's own time; later than ``day`` for ``future``, which is wrong only until
            that time has come.
    """

    table: str
    record_id: str
    kind: str
    day: date
    dated_on: date


def wrong_orders(seed: int, day: int, *, people: list[Person]) -> list[Version[Order]]:
    """Return the wrong orders that appear on ``day``; each has one line."""
    if day < FIRST_DAY or not people:
        return []
    rng = np.random.default_rng([seed, _PLANTING, day])
    found: list[Version[Order]] = []
    for place, _ in _order_kinds(day):
        who = people[int(rng.integers(len(people)))]
        seen_at = opens_at(day) + int(rng.integers(2 * HOUR, 5 * HOUR))
        found += versions_of(order_number(day, place), [(seen_at, _order(day, place, who=who, seen_at=seen_at))])
    return found


def wrong_mail(day: int) -> list[MailEvent]:
    """Return the mail events of malformed addresses of ``day``."""
    if day < FIRST_DAY:
        return []
    at = opens_at(day) + 11 * HOUR
    return [MailEvent(_event_number(day), at, RECEIVED, -1, "After your order", email=MALFORMED)]


def event_id(number: int) -> str:
    """Return the mail tool's id of an event."""
    return f"ev{number:012d}"


def line_gid_number(order_id: int) -> int:
    """Return the number of the first line of an order."""
    return order_id * 10


def planted(day: int) -> dict[str, list[Planted]]:
    """Return what is wrong on purpose among the rows that appear on ``day``, by raw table."""
    found: dict[str, list[Planted]] = {}
    if day < FIRST_DAY:
        return found
    for place, kind in _order_kinds(day):
        order_id = order_number(day, place)
        dated = date_of(day + _DAYS_AHEAD) if kind == "future" else date_of(day)
        for table, record in (("raw_orders", order_id), ("raw_order_items", line_gid_number(order_id))):
            found.setdefault(table, []).append(Planted(table, str(record), kind, date_of(day), dated))
    mail = Planted("raw_email_events", event_id(_event_number(day)), "email", date_of(day), date_of(day))
    found["raw_email_events"] = [mail]
    return found


def _order_kinds(day: int) -> list[tuple[int, str]]:
    kinds = [(_CURRENCY_PLACE, "currency")]
    if day % 7 == 3:
        kinds.append((_AMOUNT_PLACE, "amount"))
    if day % 30 == 11:
        kinds.append((_FUTURE_PLACE, "future"))
    return kinds


def _order(day: int, place: int, *, who: Person, seen_at: int) -> Order:
    order_id = order_number(day, place)
    amount = None if place == _AMOUNT_PLACE else 2_400
    return Order(
        order_id=order_id,
        person=who.index,
        email=who.email,
        ordered_at=seen_at + _DAYS_AHEAD * DAY if place == _FUTURE_PLACE else seen_at,
        payment="PAID",
        total=amount,
        lines=(Line(line_gid_number(order_id), PRODUCTS[0], 1, amount),),
        channel="web",
        currency=UNKNOWN_CURRENCY if place == _CURRENCY_PLACE else "JPY",
    )


def _event_number(day: int) -> int:
    return day * 1_000_000 + _EVENT_PLACE
