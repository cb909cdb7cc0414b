"""The known truth about the sandbox's customers as tables, to hold estimates against.

Belongs here: the tables. Does not belong here: how the truth is drawn (``people``). It is a module of its own because
the server, which has no use for it, starts a second faster without pandas.
"""

from __future__ import annotations

import unicodedata
from datetime import date, timedelta

import numpy as np
import pandas as pd

from scoring_platform.sandbox.days import DAY, NEVER, date_of, day_number, day_of, opens_at
from scoring_platform.sandbox.people import Person
from scoring_platform.sandbox.population import Population
from scoring_platform.sandbox.sales import Order

COUNTED = 0.955
"""Share of orders that stay purchases: the others were trials, were never paid, or were cancelled."""

GUESTS_A_DAY, GUESTS_WITH_ACCOUNT = 1.3, 0.25
"""Guests, and the share of them who give the address of somebody's account (``sales``)."""

GUEST_SPEND = 3_600.0
"""Expected value of an order of a guest in JPY."""

_SETTLED_DAYS = 30
"""Days after which nothing changes in an order any more."""

_PAID = frozenset({"PAID", "PARTIALLY_REFUNDED", "REFUNDED"})
_REPORTED = "JPY"


def truth(population: Population, through: date) -> pd.DataFrame:
    """Return the known truth about the customers who arrived up to ``through``, one row each.

    ``purchase_rate`` is in orders per day while active, ``mean_spend`` in JPY per order; ``dropped_out_at`` is missing
    for who never buys and may lie in the future. Instants are UTC.
    """
    return pd.DataFrame.from_records([_row(who) for who in population.accounts(through)])


def _row(who: Person) -> dict[str, object]:
    return {
        "customer_ref": str(who.ref),
        "email": who.email,
        "arrived_at": np.datetime64(who.arrived_at, "s"),
        "buyer": bool(who.purchases),
        "purchase_rate": who.purchase_rate,
        "dropped_out_at": np.datetime64(who.dropped_out_at if who.purchases else "NaT", "s"),
        "mean_spend": who.mean_spend,
        "mail_interest": who.mail_interest,
        "web_interest": who.web_interest,
        "mail_consent": who.mail_since < NEVER,
        "tracking_consent": who.tracking,
        "nps_attitude": who.attitude,
        "region": who.region,
        "locale": who.locale,
    }


def purchases(population: Population, through: date) -> pd.DataFrame:
    """Return who bought what on which day up to ``through``, as it stands when nothing changes any more.

    One row per customer and purchase day. A customer is whoever shares an e-mail address, however it is spelled, or an
    account without one; ``net`` is in JPY, refunds taken off. Purchases of nobody known are left out.
    """
    settled = opens_at(day_number(through + timedelta(days=_SETTLED_DAYS)))
    books = population.reach(settled)
    rows = [
        (_customer(order, books.people), day_of(order.ordered_at), (order.total or 0) - order.refunded)
        for order in (version.thing for version in books.orders.at(settled))
        if _is_purchase(order) and day_of(order.ordered_at) <= day_number(through)
    ]
    table = pd.DataFrame.from_records(rows, columns=["customer", "day", "net"]).dropna(subset=["customer"])
    daily: pd.DataFrame = table.groupby(["customer", "day"], as_index=False)[["net"]].sum()
    return daily.assign(day=[np.datetime64(date_of(int(day)), "D") for day in daily["day"]])


def ahead(population: Population, on: date, days: int) -> pd.DataFrame:
    """Return what is truly to be expected within the ``days`` after ``on`` of everybody who had bought by then.

    ``chance`` is that of a purchase and ``orders`` the expected number of orders, given the true rate and the moment of
    dropping out, which no observer knows, and that guests give anybody's address; ``spend`` is their expected value in
    JPY before refunds.
    """
    begin, end = (opens_at(day_number(on) + 1 + more) for more in (0, days))
    people = population.accounts(on)
    guests = GUESTS_A_DAY * GUESTS_WITH_ACCOUNT * days / max(1, len(people))
    rows = []
    for who in people:
        if who.purchases and who.purchases[0] < begin:
            own = who.purchase_rate * max(0, min(end, who.dropped_out_at) - begin) / DAY
            other = guests if who.email else 0.0
            spend = own * who.mean_spend + other * GUEST_SPEND
            rows.append((_address(who.email) or str(who.ref), COUNTED * (own + other), COUNTED * spend))
    table = pd.DataFrame.from_records(rows, columns=["customer", "orders", "spend"])
    found: pd.DataFrame = table.groupby("customer", as_index=False)[["orders", "spend"]].sum()
    return found.assign(chance=-np.expm1(-found["orders"]))


def _is_purchase(order: Order) -> bool:
    valid = order.total is not None and order.currency == _REPORTED and not order.test
    return valid and order.payment in _PAID and order.cancelled_at is None


def _customer(order: Order, people: tuple[Person, ...]) -> str | None:
    who = people[order.person] if order.person is not None else None
    return _address(order.email) or (None if who is None else _address(who.email) or str(who.ref))


def _address(email: str | None) -> str | None:
    return None if email is None else unicodedata.normalize("NFKC", email).strip().lower()
