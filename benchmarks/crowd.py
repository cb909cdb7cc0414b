"""Made-up identifiers of many people: accounts, addresses, customer numbers, CRM records and devices, all entangled.

Belongs here: who is made up, and which raw rows mention whom. Does not belong here: what is measured with them.

A person has ten identifiers (three accounts, three addresses, an account number, a CRM record, two devices) and thirty
links between them. Some mailboxes and some devices are used by many: they must link nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import ibis

from benchmarks.generated import put
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.lake.engine import DuckDBEngine

IDENTIFIERS_EACH = 10
LINKS_EACH = 30
SHARED_BY = 40
CONFIGURATION = """
company: {{name: Benchmark}}
history_start: {first}
currency: {{reporting: JPY}}
sources:
  files:
    root: .
    tables:
      raw_orders: {{sql: SELECT 1}}
      raw_customers: {{sql: SELECT 1}}
      raw_events: {{sql: SELECT 1}}
      raw_crm_contacts: {{sql: SELECT 1}}
"""


@dataclass(frozen=True)
class Crowd:
    """Who there is on the first day, and what turns out on the second.

    Attributes:
        people: How many people there are.
        first_day: The day on which everybody is resolved for the first time; their records spread over the days before.
        days: Over how many days.
    """

    people: int
    first_day: date
    days: int = 300

    @property
    def identifiers(self) -> int:
        """Identifiers of people, shared ones apart."""
        return self.people * IDENTIFIERS_EACH

    @property
    def links(self) -> int:
        """Links between identifiers of people, shared ones apart."""
        return self.people * LINKS_EACH

    @property
    def shared(self) -> int:
        """Mailboxes that forty people share; there are as many such devices."""
        return min(100, self.people // SHARED_BY)

    @property
    def pairs(self) -> int:
        """Pairs of people who turn out to be one, by an order on the second day."""
        return self.people // 100

    @property
    def second_day(self) -> date:
        """The day after the first."""
        return self.first_day + timedelta(days=1)

    @property
    def history(self) -> list[date]:
        """The days over which the records spread, oldest first."""
        return [self.first_day - timedelta(days=back) for back in reversed(range(self.days))]


def fill_first_day(engine: DuckDBEngine, crowd: Crowd) -> None:
    """Publish raw tables that mention every identifier of ``crowd``."""
    accounts = f"range({crowd.people}) AS people(p), range(3) AS accounts(a), range(3) AS addresses(e)"
    some = f"range({crowd.shared * SHARED_BY}) AS people(p)"
    held = "p || '-' || a AS customer_ref, p || '.' || e || '@example.com' AS email"
    day = f"DATE '{crowd.first_day}' - (hash(p) % {crowd.days})::INT AS as_of"
    _put(
        engine,
        "raw_orders",
        f"SELECT 'o' || p || a || e AS order_id, {held}, {day} FROM {accounts}",
        f"SELECT 's' || p AS order_id, p || '-0' AS customer_ref, "
        f"'office' || p % {crowd.shared} || '@example.com' AS email, {day} FROM {some}",
        days=crowd.history,
    )
    _put(
        engine,
        "raw_events",
        f"SELECT 'v' || p || a || e || d AS event_id, {held}, 'd' || p || '.' || d AS client_id, {day} "
        f"FROM {accounts}, range(2) AS devices(d)",
        f"SELECT 'k' || p AS event_id, p || '-0' AS customer_ref, "
        f"'kiosk' || p % {crowd.shared} AS client_id, {day} FROM {some}",
        days=crowd.history,
    )
    _put_state(engine, crowd, crowd.first_day)


def fill_second_day(engine: DuckDBEngine, crowd: Crowd) -> None:
    """Publish the raw tables of the day on which some people turn out to be one."""
    _put(
        engine,
        "raw_orders",
        f"SELECT 'm' || p AS order_id, 2 * p || '-0' AS customer_ref, 2 * p + 1 || '.0@example.com' AS email, "
        f"DATE '{crowd.second_day}' AS as_of FROM range({crowd.pairs}) AS pairs(p)",
        days=[crowd.second_day],
    )
    _put_state(engine, crowd, crowd.second_day)


def _put_state(engine: DuckDBEngine, crowd: Crowd, day: date) -> None:
    """Publish every account and every CRM record as ``day`` knows them."""
    since = f"(DATE '{crowd.first_day}' - (hash(p) % {crowd.days})::INT)::TIMESTAMPTZ"
    made = f"p || '.' || e || '@example.com' AS email, {since} AS created_at, DATE '{day}' AS as_of"
    people = f"range({crowd.people}) AS people(p), range(3) AS addresses(e)"
    _put(
        engine,
        "raw_customers",
        f"SELECT p || '-' || a AS customer_ref, '{{\"account_number\": \"N' || p || '\"}}' AS attributes, {made} "
        f"FROM {people}, range(3) AS accounts(a)",
        days=[day],
    )
    _put(engine, "raw_crm_contacts", f"SELECT 'K' || p AS crm_id, {made} FROM {people}", days=[day])


def _put(engine: DuckDBEngine, name: str, *queries: str, days: list[date]) -> None:
    """Publish rows of raw table ``name``; columns not given are null."""
    given = engine.ibis.sql(" UNION ALL BY NAME ".join(queries))
    schema = contract_of(name).schema
    rest = {column: ibis.null(kind) for column, kind in schema.items() if column not in given.columns}
    put(engine, name, given.mutate(**{**rest, "source": ibis.literal("files")}), days)
