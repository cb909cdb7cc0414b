"""One row per customer and active day: the compact facts that everything else reads.

Belongs here: raw events to daily counts and amounts. Does not belong here: windows and scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import ibis
import ibis.expr.types as ir

from scoring_platform.contracts.columns import MONEY
from scoring_platform.contracts.derived import CUSTOMER_ACTIVITY
from scoring_platform.domain import normalise
from scoring_platform.domain.identity import Scopes, node

_MEASURES = [name for name in CUSTOMER_ACTIVITY.columns if name not in CUSTOMER_ACTIVITY.key]


@dataclass(frozen=True)
class Events:
    """Raw event tables of the days to be computed, with ``as_of``."""

    orders: ir.Table
    email_events: ir.Table
    web_activity: ir.Table
    tickets: ir.Table
    events: ir.Table


def activity(
    raw: Events,
    owners: ir.Table,
    tracking: ir.Table,
    *,
    scopes: Scopes,
    tracking_default: Literal["granted", "denied"],
) -> ir.Table:
    """Return the daily facts of every known customer who was active.

    Args:
        raw: Raw events of the days.
        owners: Identifier to customer (``node``, ``customer_id``).
        tracking: Tracking consent at the end of each day (``consent.states``).
        scopes: Whose numbers are meant.
        tracking_default: State of a customer without a decision.
    """
    parts = [
        _orders(_owned(raw.orders, owners, _nodes(raw.orders, scopes))),
        _email(_owned(raw.email_events, owners, _nodes(raw.email_events, scopes))),
        _web(
            _owned(raw.web_activity, owners, _nodes(raw.web_activity, scopes)),
            tracking,
            tracking_default=tracking_default,
        ),
        _tickets(_owned(raw.tickets, owners, _nodes(raw.tickets, scopes))),
        _events(owned_events(raw.events, owners, scopes)),
    ]
    rows = ibis.union(*[_padded(part) for part in parts])
    sums = {name: rows[name].sum() for name in _MEASURES if name != "purchase_day"}
    daily = rows.group_by(["customer_id", "as_of"]).aggregate(purchase_day=rows.purchase_day.max(), **sums)
    return daily.mutate(active_on=daily.as_of)


def owned_events(events: ir.Table, owners: ir.Table, scopes: Scopes) -> ir.Table:
    """Put the customer beside each row of a table of raw events; rows of nobody known are left out."""
    return _owned(events, owners, _nodes(events, scopes))


def _owned(table: ir.Table, owners: ir.Table, nodes: Sequence[ir.Value]) -> ir.Table:
    """Put the customer beside each row: that of the first of its identifiers that is somebody's."""
    places = {f"_node_{place}": value for place, value in enumerate(nodes)}
    joined = table.mutate(**places)
    for place, name in enumerate(places):
        whose = owners.select(**{name: owners.node, f"_owner_{place}": owners.customer_id})
        joined = joined.left_join(whose, name).drop(f"{name}_right")
    found = joined.mutate(customer_id=ibis.coalesce(*[joined[f"_owner_{place}"] for place in range(len(places))]))
    return found.filter(found.customer_id.notnull())


def _nodes(table: ir.Table, scopes: Scopes) -> list[ir.Value]:
    """Return the identifiers of each row, the surest first: the account, the address, the device."""
    found: list[ir.Value] = []
    if "customer_ref" in table.columns:
        found.append(scopes.account(table.customer_ref, table.source))
    if "email" in table.columns:
        found.append(node("email", normalise.email(table.email)))
    if "client_id" in table.columns:
        found.append(node("client_id", normalise.reference(table.client_id)))
    return found


def fact_days(raw: Events, moved: ir.Table, scopes: Scopes) -> ir.Table:
    """Return the days with facts of the identifiers in ``moved`` (``node``): as_of."""
    tables = (raw.orders, raw.email_events, raw.web_activity, raw.tickets, raw.events)
    parts = [table.select("as_of", node=named) for table in tables for named in _nodes(table, scopes)]
    return ibis.union(*parts).semi_join(moved, "node").select("as_of").distinct()


def _orders(orders: ir.Table) -> ir.Table:
    """A purchase is a paid order; a refund lowers the day of its order, a return without one its own day."""
    paid = orders.status == "paid"
    return orders.filter(paid | (orders.status == "returned")).select(
        "customer_id",
        "as_of",
        orders=paid.cast("int64"),
        purchase_day=paid.cast("int64"),
        revenue=paid.ifelse(orders.total_amount_reporting, ibis.literal(0, type=MONEY)),
        refunds=orders.refunded_amount_reporting,
    )


def _email(events: ir.Table) -> ir.Table:
    """Opens by machines do not count; a mail both sent and delivered counts once."""
    person = ~events.machine.fill_null(False)
    daily = events.group_by(["customer_id", "as_of"]).aggregate(
        sent=(events.kind == "sent").sum(),
        delivered=(events.kind == "delivered").sum(),
        email_opens=((events.kind == "open") & person).sum(),
        email_clicks=(events.kind == "click").sum(),
        email_unsubscribes=events.kind.isin(["unsubscribe", "complaint"]).sum(),
    )
    return daily.mutate(email_sent=ibis.greatest(daily.sent, daily.delivered)).drop("sent", "delivered")


def web_days(web: ir.Table, owners: ir.Table, scopes: Scopes) -> ir.Table:
    """Return whose web activity there is on which day: as_of, customer_id."""
    return _owned(web, owners, _nodes(web, scopes)).select("as_of", "customer_id").distinct()


def _web(owned: ir.Table, tracking: ir.Table, *, tracking_default: Literal["granted", "denied"]) -> ir.Table:
    allowed = tracking.filter((tracking.channel == "web") & (tracking.purpose == "tracking"))
    joined = owned.left_join(allowed.select("customer_id", "as_of", "state"), ["customer_id", "as_of"])
    seen = joined.filter(joined.state.fill_null(tracking_default) == "granted")
    return seen.select(
        "customer_id",
        "as_of",
        web_sessions=seen.sessions,
        web_pageviews=seen.pageviews,
        web_engaged_seconds=seen.engaged_seconds,
        web_conversions=seen.conversions,
    )


def _tickets(tickets: ir.Table) -> ir.Table:
    return tickets.select(
        "customer_id",
        "as_of",
        tickets=ibis.literal(1, type="int64"),
        tickets_bad=(tickets.satisfaction == "bad").fill_null(False).cast("int64"),
        tickets_good=(tickets.satisfaction == "good").fill_null(False).cast("int64"),
    )


def _events(events: ir.Table) -> ir.Table:
    return events.select("customer_id", "as_of", events=ibis.literal(1, type="int64"))


def _padded(part: ir.Table) -> ir.Table:
    """Give every part all measures, so that parts can be stacked."""
    columns = {
        name: part[name].cast(kind) if name in part.columns else ibis.literal(0, type=kind)
        for name, kind in CUSTOMER_ACTIVITY.schema.items()
        if name in _MEASURES
    }
    return part.select("customer_id", "as_of", **columns)
