"""Logs of purchases: a published one, made-up shops with known habits, and a few rows by hand.

Belongs here: making logs. Does not belong here: expectations.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import duckdb
import numpy as np

from scoring_platform.fitting.log import Ints, PurchaseLog
from scoring_platform_tests.fitting.cdnow import DATA

_EPOCH = date(1970, 1, 1)
Row = tuple[int, int, float]


def number(day: str) -> int:
    """Return the day as published logs count it."""
    return (date.fromisoformat(day) - _EPOCH).days


def published_log(which: tuple[str, str]) -> PurchaseLog:
    """Read a file of CDNOW, customers in the order of their ids."""
    name, customer = which
    found = duckdb.sql(f"""
        SELECT dense_rank() OVER (ORDER BY {customer}) - 1 AS customer, date, sum(dollar_value) AS net
        FROM read_csv('{DATA / name}', types = {{'{customer}': 'VARCHAR'}}) GROUP BY {customer}, date ORDER BY ALL
    """).fetchnumpy()
    customers = np.asarray(found["customer"], dtype=np.int64)
    days = np.asarray(found["date"]).astype("datetime64[D]").astype(np.int64)
    net = np.asarray(found["net"], dtype=np.float64)
    return PurchaseLog(customers, days, np.ones(len(days), dtype=bool), net, int(customers[-1]) + 1)


def rows_log(purchases: Iterable[Row], size: int, *, refunds: Iterable[Row] = ()) -> PurchaseLog:
    """Lay out customer, day and net spend; a refund is a day without a purchase."""
    rows = sorted([(*row, True) for row in set(purchases)] + [(*row, False) for row in set(refunds)])
    return PurchaseLog(
        customer=np.array([row[0] for row in rows], dtype=np.int64),
        day=np.array([row[1] for row in rows], dtype=np.int64),
        bought=np.array([row[3] for row in rows], dtype=bool),
        net=np.array([row[2] for row in rows], dtype=np.float64),
        size=size,
    )


def shop_log(size: int, days: int, seed: int, *, leaving: float = 0.15, weekly: float = 0.15) -> PurchaseLog:
    """Customers who come on any day, buy at gamma-distributed rates and leave after purchases.

    Args:
        size: Customers.
        days: Days of the log.
        seed: Of chance.
        leaving: Chance of leaving after a purchase.
        weekly: Mean purchases of a week.
    """
    chance = np.random.default_rng(seed)
    first, rate = chance.integers(0, days, size), chance.gamma(0.8, weekly / 0.8 / 7, size)
    worth = 15.0 / chance.gamma(3.0, 1.0, size)
    purchases: list[Row] = []
    for one in range(size):
        at = float(first[one])
        while at < days:
            purchases.append((one, int(at), round(float(chance.gamma(6.0, worth[one])), 2)))
            if chance.uniform() < leaving:
                break
            at += max(chance.exponential(1 / max(rate[one], 1e-9)), 1.0)
    return rows_log(purchases, size)


def renumbered(log: PurchaseLog, places: Ints, size: int) -> PurchaseLog:
    """Return the same log with other numbers of customers, among ``size``."""
    customer = places[log.customer]
    order = np.lexsort((log.day, customer))
    return PurchaseLog(customer[order], log.day[order], log.bought[order], log.net[order], size)
