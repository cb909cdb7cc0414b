"""Identities for tests: records of raw tables in, rows of customer_identities out.

Belongs here: making records, resolving them, reading groups. Does not belong here: expectations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import md5
from random import Random
from typing import Any

import ibis
import ibis.expr.types as ir

from scoring_platform.domain import identity, remembering
from scoring_platform.domain.linking import Bounds
from scoring_platform.domain.minting import Known
from scoring_platform_tests.domain.tables import DAY, SCOPES, Database, before, table

RULES = identity.Rules(SCOPES)
LIMIT = RULES.bounds.shared
FACTS = {
    "orders": "raw_orders",
    "email_events": "raw_email_events",
    "web_activity": "raw_web_activity",
    "tickets": "raw_support_tickets",
    "events": "raw_events",
    "responses": "raw_nps_responses",
}
STATES = {"customers": "raw_customers", "contacts": "raw_crm_contacts"}
Rows = Sequence[Mapping[str, Any]]


def records(db: Database, given: Mapping[str, Rows]) -> identity.Records:
    """Raw tables; those left out are empty. Accounts and contacts are looked at for the first time."""
    tables = {name: _given(db, raw, given.get(name)) for name, raw in FACTS.items()}
    customers, contacts = (_given(db, raw, given.get(name)) for name, raw in STATES.items())
    if not {*STATES} & {*given}:
        return identity.Records(**tables, links=db.empty("customer_links").mutate(first_seen_on=ibis.null("date")))
    customers, contacts = (picture.mutate(created_on=picture.as_of) for picture in (customers, contacts))
    links = remembering.news(remembering.stated(customers, contacts), db.empty("customer_links"))
    links = links.mutate(changed_on=links.changed_at.date())
    return identity.Records(**tables, links=db.materialise(remembering.standing(links, customers, contacts)))


def _given(db: Database, name: str, rows: Rows | None) -> ir.Table:
    return db.empty(name) if rows is None else table(name, *rows)


def resolution(
    db: Database, known: Known | None = None, *, rules: identity.Rules = RULES, **given: Rows
) -> identity.Resolution:
    """Resolve records; nothing is known from earlier unless given."""
    before_them = known or Known(whose(db.empty("customer_identities")))
    return identity.resolve(records(db, given), before_them, rules, materialise=db.materialise)


def resolve(
    db: Database, known: Known | None = None, *, rules: identity.Rules = RULES, **given: Rows
) -> list[dict[str, Any]]:
    """Rows of customer_identities."""
    return db.rows(resolution(db, known, rules=rules, **given).identities)


def customers(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Customer by identifier."""
    return {row["id_value"]: row["customer_id"] for row in rows}


def published(rows: list[dict[str, Any]]) -> ir.Table:
    """The rows as an earlier day published them."""
    return table("customer_identities", *[{**row, "as_of": DAY} for row in rows])


def whose(identities: ir.Table) -> ir.Table:
    """Whose each identifier is."""
    return identity.owners(identities, SCOPES)


def kept(rows: list[dict[str, Any]]) -> Known:
    """What a run after ``rows`` knows."""
    return Known(whose(published(rows)))


def order(ref: str | None, email: str | None, day: date = DAY, source: str = "shop") -> dict[str, Any]:
    """An order with an account, an address or neither."""
    return {"customer_ref": ref, "email": email, "as_of": day, "source": source}


def minted_from(node: str) -> str:
    """The id made from a node, computed here once more."""
    return f"c{md5(node.encode()).hexdigest()[:16]}"


def grouped(rows: list[dict[str, Any]]) -> set[frozenset[str]]:
    """Groups of identifiers that are one customer."""
    groups: dict[str, set[str]] = {}
    for row in rows:
        groups.setdefault(row["customer_id"], set()).add(f"{row['id_kind']}|{row['id_value']}")
    return {frozenset(group) for group in groups.values()}


SMALL = identity.Rules(SCOPES, Bounds(shared=2, group=5))
KINDS = ("customer_ref", "email", "client_id")


def worlds(seed: int) -> list[Rows]:
    """Small worlds, each with identifiers of its own, to be resolved at once: the cost is per query, not per row."""
    chance = Random(seed)
    return [[_fact(chance) for _ in range(chance.randint(0, 10))] for _ in range(30)]


def _fact(chance: Random) -> dict[str, Any]:
    return {
        "customer_ref": chance.choice(["r1", "r2", "r3", "r4", None, None]),
        "email": chance.choice(["a@example.jp", "b@example.jp", "c@example.jp", None, None]),
        "client_id": chance.choice(["d1", "d2", None]),
        "as_of": before(chance.randint(0, 5)),
    }


def without_devices(facts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same records without devices: those may bring together, and let go again, who else stays together."""
    return [{**row, "client_id": None} for row in facts]


def together(given: Sequence[Rows]) -> list[dict[str, Any]]:
    """All worlds in one table."""
    return [
        {**row, **{kind: row[kind] and f"w{number}-{row[kind]}" for kind in KINDS}}
        for number, rows in enumerate(given)
        for row in rows
    ]
