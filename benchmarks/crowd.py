"""Made-up identifiers of many people: accounts, addresses, customer numbers, CRM records and devices, all entangled.

Belongs here: who is made up, and which raw rows mention whom. Does not belong here: what is measured with them.

A person has ten identifiers (three accounts, three addresses, an account number, a CRM record, two devices) and thirty
links between them. Some mailboxes and some devices are used by many: they must link nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import ibis

from benchmarks.generated import put
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.lake.engine import DuckDBEngine

IDENTIFIERS_EACH = 10
LINKS_EACH = 30
SHARED_BY = 40
_ADDRESS = "p || '.' || e || '@example.com' AS email"
TABLES = ("raw_orders", "raw_customers", "raw_events", "raw_crm_contacts")
"""The raw tables of the shop."""


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
    account, first = f"p || '-' || a AS customer_ref, {_ADDRESS}", "p || '-0' AS customer_ref"
    day = f"DATE '{crowd.first_day}' - (hash(p) % {crowd.days})::INT AS as_of"
    mailbox, kiosk = f"'office' || p % {crowd.shared} || '@example.com'", f"'kiosk' || p % {crowd.shared}"
    orders = {
        f"'o' || p || a || e AS order_id, {account}, {day}": accounts,
        f"'s' || p AS order_id, {first}, {mailbox} AS email, {day}": some,
    }
    events = {
        f"'v' || p || a || e || d AS event_id, {account}, 'd' || p || '.' || d AS client_id, {day}": (
            f"{accounts}, range(2) AS devices(d)"
        ),
        f"'k' || p AS event_id, {first}, {kiosk} AS client_id, {day}": some,
    }
    _put(engine, "raw_orders", orders, crowd.history)
    _put(engine, "raw_events", events, crowd.history)
    _put_state(engine, crowd, crowd.first_day)


def fill_second_day(engine: DuckDBEngine, crowd: Crowd) -> None:
    """Publish the raw tables of the day on which some people turn out to be one."""
    account, address = "2 * p || '-0' AS customer_ref", "2 * p + 1 || '.0@example.com' AS email"
    columns = f"'m' || p AS order_id, {account}, {address}, DATE '{crowd.second_day}' AS as_of"
    _put(engine, "raw_orders", {columns: f"range({crowd.pairs}) AS pairs(p)"}, [crowd.second_day])
    _put_state(engine, crowd, crowd.second_day)


def _put_state(engine: DuckDBEngine, crowd: Crowd, day: date) -> None:
    """Publish every account and every CRM record as ``day`` knows them."""
    since = f"(DATE '{crowd.first_day}' - (hash(p) % {crowd.days})::INT)::TIMESTAMPTZ"
    made = f"{_ADDRESS}, {since} AS created_at, DATE '{day}' AS as_of"
    people = f"range({crowd.people}) AS people(p), range(3) AS addresses(e)"
    attributes = "'{\"account_number\": \"N' || p || '\"}' AS attributes"
    accounts = {f"p || '-' || a AS customer_ref, {attributes}, {made}": f"{people}, range(3) AS accounts(a)"}
    _put(engine, "raw_customers", accounts, [day])
    _put(engine, "raw_crm_contacts", {f"'K' || p AS crm_id, {made}": people}, [day])


def _put(engine: DuckDBEngine, name: str, parts: Mapping[str, str], days: list[date]) -> None:
    """Publish rows of raw table ``name``, from columns and what they are made of; columns not given are null."""
    queries = [f"SELECT {columns} FROM {numbers}" for columns, numbers in parts.items()]
    given = engine.ibis.sql(" UNION ALL BY NAME ".join(queries))
    schema = contract_of(name).schema
    rest = {column: ibis.null(kind) for column, kind in schema.items() if column not in given.columns}
    put(engine, name, given.mutate(**{**rest, "source": ibis.literal("files")}), days)
