"""Made-up identifiers of many people: accounts, addresses, customer numbers, CRM records and devices, all entangled.

Belongs here: who is made up and which records mention whom. Does not belong here: what is measured with them.

A person has ten identifiers (three accounts, three addresses, an account number, a CRM record, two devices) and thirty
links between them. Some mailboxes and some devices are used by many: they must link nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.domain.identity import Records, Rules, Scopes
from scoring_platform.lake.engine import DuckDBEngine

IDENTIFIERS_EACH = 10
LINKS_EACH = 30
RULES = Rules(Scopes(("shop",), ("shop",)))
_DAY = "DATE '2026-06-30' - (hash(p) % 300)::INT"


@dataclass(frozen=True)
class Crowd:
    """How many people there are, and how many mailboxes and devices forty of them share."""

    people: int
    mailboxes: int = 100
    devices: int = 100

    @property
    def identifiers(self) -> int:
        """Identifiers of people, shared ones apart."""
        return self.people * IDENTIFIERS_EACH

    @property
    def links(self) -> int:
        """Links between identifiers of people, shared ones apart."""
        return self.people * LINKS_EACH


def records(engine: DuckDBEngine, crowd: Crowd) -> Records:
    """Return raw tables that mention every identifier of ``crowd``."""
    accounts = f"range({crowd.people}) AS people(p), range(3) AS accounts(a), range(3) AS addresses(e)"
    orders = _made(
        engine,
        "raw_orders",
        "'o' || p || a || e AS order_id, p || '-' || a AS customer_ref, p || '.' || e || '@example.com' AS email",
        accounts,
    )
    shared = _made(
        engine,
        "raw_orders",
        f"'s' || p AS order_id, p || '-0' AS customer_ref, "
        f"'office' || p % {crowd.mailboxes} || '@example.com' AS email",
        f"range({crowd.mailboxes * 40}) AS people(p)",
    )
    customers = _made(
        engine,
        "raw_customers",
        "p || '-' || a AS customer_ref, p || '.' || e || '@example.com' AS email, "
        "'{\"account_number\": \"N' || p || '\"}' AS attributes",
        accounts,
    )
    contacts = _made(
        engine,
        "raw_crm_contacts",
        "'K' || p AS crm_id, p || '.' || e || '@example.com' AS email",
        f"range({crowd.people}) AS people(p), range(3) AS addresses(e)",
    )
    events = _made(
        engine,
        "raw_events",
        "'v' || p || a || e || d AS event_id, p || '-' || a AS customer_ref, p || '.' || e || '@example.com' AS email, "
        "'d' || p || '.' || d AS client_id",
        f"{accounts}, range(2) AS devices(d)",
    )
    kiosks = _made(
        engine,
        "raw_events",
        f"'k' || p AS event_id, p || '-0' AS customer_ref, 'kiosk' || p % {crowd.devices} AS client_id",
        f"range({crowd.devices * 40}) AS people(p)",
    )
    return Records(
        orders=_together(engine, [orders, shared]),
        customers=_together(engine, [customers.mutate(created_on=customers.as_of)]),
        email_events=_none(engine, "raw_email_events"),
        web_activity=_none(engine, "raw_web_activity"),
        tickets=_none(engine, "raw_support_tickets"),
        events=_together(engine, [events, kiosks]),
        contacts=_together(engine, [contacts.mutate(created_on=contacts.as_of)]),
        responses=_none(engine, "raw_nps_responses"),
    )


def _made(engine: DuckDBEngine, name: str, columns: str, people: str) -> ir.Table:
    """Return rows of raw table ``name``; columns not given are null."""
    given = engine.ibis.sql(f"SELECT 'shop' AS source, {columns}, {_DAY} AS as_of FROM {people}")  # noqa: S608 - ours
    schema = contract_of(name).schema
    rest = {column: ibis.null(kind) for column, kind in schema.items() if column not in given.columns}
    return given.mutate(**rest).select(*schema.names, "as_of")


def _none(engine: DuckDBEngine, name: str) -> ir.Table:
    return engine.read(contract_of(name), [])


def _together(engine: DuckDBEngine, parts: Iterable[ir.Table]) -> ir.Table:
    return engine.materialise(ibis.union(*parts))
