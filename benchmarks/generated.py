"""Made-up raw facts of a shop of a given size, put straight into a lake.

Belongs here: how many rows, and how they spread. Does not belong here: what is measured with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import ibis.expr.types as ir

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.write import publish

TABLES = ("raw_orders", "raw_customers", "raw_email_events")
"""The raw tables of the shop."""


@dataclass(frozen=True)
class Size:
    """How large the shop is.

    Attributes:
        customers: Customer accounts; some never buy.
        days: Days of history, the last one included.
        last: The day that is computed.
        orders_each: Orders per customer on average; they fall to a skewed share of the customers.
        emails_each: E-mail events per customer on average.
    """

    customers: int
    days: int
    last: date
    orders_each: int = 4
    emails_each: int = 15

    @property
    def first(self) -> date:
        """The first day of history."""
        return self.last - timedelta(days=self.days - 1)

    @property
    def every_day(self) -> list[date]:
        """Every day of history."""
        return [self.first + timedelta(days=offset) for offset in range(self.days)]


def fill(engine: DuckDBEngine, size: Size) -> dict[str, int]:
    """Publish the raw tables of ``size`` and return their numbers of rows."""
    return {
        "raw_orders": put(engine, "raw_orders", _orders(engine, size), size.every_day),
        "raw_email_events": put(engine, "raw_email_events", _email_events(engine, size), size.every_day),
        "raw_customers": put(engine, "raw_customers", _customers(engine, size), [size.last]),
    }


def put(engine: DuckDBEngine, name: str, rows: ir.Table, days: list[date]) -> int:
    """Publish ``rows`` (with ``as_of``) as the ``days`` of raw table ``name``; return how many they are."""
    with engine.lake.staging() as folder:
        staged = engine.stage(contract_of(name), rows, days, folder=folder)
        return publish(engine, contract_of(name), staged, info={}).rows


def _orders(engine: DuckDBEngine, size: Size) -> ir.Table:
    # The square of an even draw gives few customers many orders and many customers few or none.
    return engine.ibis.sql(f"""
        SELECT 'files' AS source, 'o' || i AS order_id, 'c' || customer AS customer_ref,
               'c' || customer || '@example.com' AS email,
               (as_of + INTERVAL 3 HOUR)::TIMESTAMPTZ AS ordered_at, ordered_at AS updated_at, 'paid' AS status,
               'JPY' AS currency, amount AS total_amount, 0 AS refunded_amount, amount AS total_amount_reporting,
               0 AS refunded_amount_reporting, NULL AS channel, as_of
        FROM (SELECT i, {_day(size)} AS as_of, 500 + hash(i + 2) % 20000 AS amount,
                     floor({size.customers} * pow((hash(i + 1) % 1000000) / 1000000, 2))::BIGINT AS customer
              FROM range({size.customers * size.orders_each}) AS numbers(i))
    """)


def _email_events(engine: DuckDBEngine, size: Size) -> ir.Table:
    return engine.ibis.sql(f"""
        SELECT 'files' AS source, 'e' || i AS event_id,
               'c' || hash(i + 1) % {size.customers} || '@example.com' AS email, 'spring' AS campaign_id,
               ['sent', 'sent', 'sent', 'open', 'click'][1 + (hash(i + 2) % 5)::INT] AS kind,
               false AS machine, (as_of + INTERVAL 3 HOUR)::TIMESTAMPTZ AS occurred_at, as_of
        FROM (SELECT i, {_day(size)} AS as_of FROM range({size.customers * size.emails_each}) AS numbers(i))
    """)


def _customers(engine: DuckDBEngine, size: Size) -> ir.Table:
    return engine.ibis.sql(f"""
        SELECT 'files' AS source, 'c' || i AS customer_ref, 'c' || i || '@example.com' AS email,
               DATE '{size.first}'::TIMESTAMPTZ AS created_at, created_at AS updated_at, NULL AS region,
               'ja-JP' AS locale, '{{}}' AS attributes, DATE '{size.last}' AS as_of
        FROM range({size.customers}) AS numbers(i)
    """)


def _day(size: Size) -> str:
    return f"(DATE '{size.first}' + (hash(i) % {size.days})::INT)"
