"""A multitude of customers: raw facts drawn as arrays, put into the lake of a shop beside what is there.

Belongs here: what thousands of customers do, publishing it at once. Does not belong here: expectations, single
customers (``scenario``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scoring_platform.contracts.catalog import CATALOG
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.contracts.table import Table
from scoring_platform.pipeline.step import span
from scoring_platform_tests.pipeline.scenario import RAW, START, Shop

Array = NDArray[Any]
Columns = Mapping[str, Array]
EVENTS = [name for name in RAW if CATALOG[name].partition == "event"]
ACCOUNTS = "raw_customers"
_GIVEN = {"source": "files", "currency": "JPY", "properties": "{}", "attributes": "{}", "dimensions": "{}"}


def multitude(chance: np.random.Generator, count: int, last: date, *, prefix: str) -> dict[str, Columns]:
    """Return the facts of ``count`` customers up to ``last`` by raw table; names begin with ``prefix``.

    Most have an account from the first day on; rates of buying are gamma-distributed, and a tenth never buys.
    """
    days = (last - START).days + 1
    arrived = np.where(chance.random(count) < 0.7, 0, chance.integers(0, days, count))
    rates = chance.gamma(0.8, 2.0, count) * (chance.random(count) < 0.9)

    def some(name: str, mean: Array | float) -> tuple[Array, Array, Array]:
        """Who does it and when, and a number of each time."""
        who = np.repeat(np.arange(count), chance.poisson(mean, count))
        when = arrived[who] + (chance.random(len(who)) * (days - arrived[who])).astype(np.int64)
        return who, day_of(when), np.char.add(f"{prefix}{name}", np.arange(len(who)).astype(str))

    refs = np.char.add(prefix, np.arange(count).astype(str))
    emails = np.char.add(refs, "@example.jp")
    orders, mails, visits, tickets, answers = (
        some(name, mean) for name, mean in (("o", rates), ("m", 4.0), ("v", 1.0), ("t", 0.3), ("a", 0.2))
    )
    total = chance.integers(0, 20_000, len(orders[0]))
    return {
        ACCOUNTS: {"customer_ref": refs, "email": emails, "as_of": day_of(arrived)},
        "raw_orders": {
            "order_id": orders[2],
            "customer_ref": refs[orders[0]],
            "email": emails[orders[0]],
            "as_of": orders[1],
            "status": chance.choice(["paid", "cancelled", "pending"], len(total), p=[0.9, 0.05, 0.05]),
            "total_amount_reporting": total,
            "refunded_amount_reporting": np.where(chance.random(len(total)) < 0.1, total // 2, 0),
        },
        "raw_email_events": {
            "event_id": mails[2],
            "email": emails[mails[0]],
            "as_of": mails[1],
            "kind": chance.choice(["sent", "open", "click", "unsubscribe"], len(mails[0]), p=[0.6, 0.25, 0.1, 0.05]),
        },
        "raw_web_activity": {
            "customer_ref": refs[visits[0]],
            "campaign": visits[2],
            "as_of": visits[1],
            "activity_on": visits[1],
            "sessions": chance.integers(1, 5, len(visits[0])),
        },
        "raw_consents": {
            "event_id": np.char.add(f"{prefix}c", np.arange(count).astype(str)),
            "subject": emails,
            "as_of": day_of(arrived),
            "channel": np.full(count, "web"),
            "purpose": np.full(count, "tracking"),
            "status": chance.choice(["granted", "revoked"], count, p=[0.8, 0.2]),
        },
        "raw_support_tickets": {
            "ticket_id": tickets[2],
            "email": emails[tickets[0]],
            "as_of": tickets[1],
            "status": np.full(len(tickets[0]), "closed"),
            "satisfaction": chance.choice(["good", "bad"], len(tickets[0])),
        },
        "raw_nps_responses": {
            "response_id": answers[2],
            "identity_kind": np.full(len(answers[0]), "email"),
            "identity_key": emails[answers[0]],
            "as_of": answers[1],
            "survey_date": answers[1],
            "nps_score": chance.integers(0, 11, len(answers[0])),
        },
    }


def day_of(places: Array) -> Array:
    """Return the days so many days after the first."""
    return np.datetime64(START) + places.astype("timedelta64[D]")


def found(shop: Shop, facts: Mapping[str, Columns], last: date, *, states: Sequence[date]) -> None:
    """Publish the first facts of a shop: every day up to ``last``, accounts on each of ``states``."""
    for name in EVENTS:
        put(shop, name, facts.get(name, {}), span(START, last))
    open_accounts(shop, facts[ACCOUNTS], states)


def open_accounts(shop: Shop, accounts: Columns, states: Sequence[date]) -> None:
    """Publish further accounts on each of ``states``: those there are by then."""
    opened = accounts["as_of"].astype("datetime64[us]") + np.timedelta64(12, "h")
    dated = {**accounts, "created_at": opened, "updated_at": opened}
    for day in states:
        there = accounts["as_of"] <= np.datetime64(day)
        known = {name: values[there] for name, values in dated.items()}
        put(shop, ACCOUNTS, known | {"as_of": np.full(int(there.sum()), np.datetime64(day))}, [day])
        put(shop, "raw_crm_contacts", {}, [day])


def put(shop: Shop, name: str, columns: Columns, days: Sequence[date]) -> None:
    """Publish rows of a raw table beside those that are there on ``days``."""
    contract = contract_of(name)
    there = set(shop.engine.lake.days(name))
    rows = shop.engine.read(contract, [day for day in days if day in there])
    if columns:
        rows = rows.union(_rows(shop, contract, columns).select(rows.columns))
    shop.write(name, shop.engine.materialise(rows), days)


def _rows(shop: Shop, contract: Table, columns: Columns) -> ir.Table:
    """Lay out columns by the contract; those left out get a harmless value."""
    given = shop.engine.materialise(ibis.memtable(pa.table({name: pa.array(v) for name, v in columns.items()})))
    noon = (given.as_of.cast("timestamp") + ibis.interval(hours=12)).cast("timestamp('UTC')")
    laid = {
        name: (given[name] if name in columns else _default(name, kind, noon, contract.columns[name].nullable)).cast(
            kind
        )
        for name, kind in contract.schema.items()
    }
    return shop.engine.materialise(given.select(as_of=given.as_of.cast("date"), **laid))


def _default(name: str, kind: dt.DataType, noon: ir.Value, nullable: bool) -> ir.Value:
    if kind.is_timestamp():
        return noon
    if name in _GIVEN:
        return ibis.literal(_GIVEN[name])
    if nullable:
        return ibis.null(kind)
    return ibis.literal("") if kind.is_string() else ibis.literal(0)
