"""One row per customer: everything known at the end of a day.

Belongs here: putting measures, attributes and consent side by side. Does not belong here: scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import ibis
import ibis.expr.types as ir

from scoring_platform.contracts.columns import MONEY
from scoring_platform.domain import normalise
from scoring_platform.domain.identity import Scopes
from scoring_platform.domain.measures import counts, latest_answers, purchases
from scoring_platform.domain.running import Days

WINDOW_DAYS = 365
RECENT_DAYS = 90

RECENT = {
    "email_sent_90d": "email_sent",
    "email_opens_90d": "email_opens",
    "email_clicks_90d": "email_clicks",
    "web_sessions_90d": "web_sessions",
    "web_pageviews_90d": "web_pageviews",
    "tickets_90d": "tickets",
    "tickets_bad_90d": "tickets_bad",
    "events_90d": "events",
}
_PURCHASES = ["orders", "order_days", "paid_days", "window_order_days"]
_AMOUNTS = ["revenue", "refunds", "paid_spend", "window_net_spend"]


@dataclass(frozen=True)
class Known:
    """What profiles are made of.

    Attributes:
        identities: customer_identities of the days.
        activity: customer_activity of all days up to the last, under today's ids.
        recent: The same, of at least RECENT_DAYS up to each day: fewer files to open.
        customers: raw_customers of the days, with ``node``.
        contacts: raw_crm_contacts of the days, with ``node``.
        owners: Identifier to customer (``node``, ``customer_id``).
        responses: nps_responses of the last day.
        consents: Consent states of the days (``consent.states``).
    """

    identities: ir.Table
    activity: ir.Table
    recent: ir.Table
    customers: ir.Table
    contacts: ir.Table
    owners: ir.Table
    responses: ir.Table
    consents: ir.Table


def profiles(known: Known, days: Days, *, lake_start: date) -> ir.Table:
    """Return the profile of every customer for each day of ``days``.

    Args:
        known: What is known.
        days: Days to compute.
        lake_start: First day with profiles; everyone is new to the platform on it.
    """
    # A device may have been seen before anybody knew whose it is: it makes nobody known.
    named = known.identities.filter(known.identities.id_kind != "client_id")
    people = named.group_by(["as_of", "customer_id"]).aggregate(first_seen_on=named.first_seen_on.min())
    keys = ["as_of", "customer_id"]
    joined = people
    for part in (
        purchases(known.activity, days, window_days=WINDOW_DAYS),
        counts(known.recent, days, window_days=RECENT_DAYS, columns=RECENT),
        latest_answers(known.responses, days),
        _attributes(known),
        _emails(known.identities),
        _owners_in_crm(known),
        _consent(known.consents, channel="email", purpose="marketing", name="consent_email_marketing"),
        _consent(known.consents, channel="web", purpose="tracking", name="consent_web_tracking"),
    ):
        joined = joined.left_join(part, keys)
        joined = joined.select([name for name in joined.columns if not name.endswith("_right")])
    return _finished(joined, lake_start)


def _finished(joined: ir.Table, lake_start: date) -> ir.Table:
    zeros = {name: joined[name].fill_null(0) for name in [*_PURCHASES, *RECENT]}
    amounts = {name: joined[name].fill_null(ibis.literal(0, type=MONEY)) for name in _AMOUNTS}
    filled = joined.mutate(**zeros, **amounts)
    net = ibis.greatest(filled.revenue - filled.refunds, ibis.literal(0, type=MONEY))
    value = (net / filled.orders.nullif(0).cast("decimal(18, 0)")).round(4).cast(MONEY)
    return filled.mutate(
        email=filled.account_email.fill_null(filled.known_email),
        average_order_value=(filled.orders > 0).ifelse(value, None),
        attributes=filled.attributes.fill_null("{}"),
        order_days_365d=filled.window_order_days,
        net_spend_365d=filled.window_net_spend,
        consent_email_marketing=filled.consent_email_marketing.fill_null("unknown"),
        consent_web_tracking=filled.consent_web_tracking.fill_null("unknown"),
        baseline=(filled.first_seen_on == filled.as_of) | (filled.as_of == ibis.literal(lake_start)),
    )


def _attributes(known: Known) -> ir.Table:
    """Region, locale, address and further attributes of the account changed last."""
    accounts = known.customers.inner_join(known.owners, "node")
    accounts = accounts.mutate(address=normalise.email(accounts.email))
    order = [ibis.desc(accounts.updated_at), accounts.node]
    ranked = accounts.mutate(
        _any=ibis.row_number().over(group_by=["as_of", "customer_id"], order_by=order),
        _addressed=ibis.row_number().over(
            group_by=["as_of", "customer_id"], order_by=[accounts.address.isnull(), *order]
        ),
    )
    return ranked.group_by(["as_of", "customer_id"]).aggregate(
        region=ranked.region.max(where=ranked._any == 0),
        locale=ranked.locale.max(where=ranked._any == 0),
        attributes=ranked.attributes.max(where=ranked._any == 0),
        account_email=ranked.address.max(where=ranked._addressed == 0),
    )


def _emails(identities: ir.Table) -> ir.Table:
    """The earliest address of everyone."""
    addresses = identities.filter(identities.id_kind == "email")
    ranked = addresses.mutate(
        _rank=ibis.row_number().over(
            group_by=["as_of", "customer_id"], order_by=[addresses.first_seen_on, addresses.id_value, addresses.source]
        )
    )
    earliest = ranked.filter(ranked._rank == 0)
    return earliest.select("as_of", "customer_id", known_email=earliest.id_value)


def _owners_in_crm(known: Known) -> ir.Table:
    contacts = known.contacts.inner_join(known.owners, "node")
    ranked = contacts.mutate(
        _rank=ibis.row_number().over(
            group_by=["as_of", "customer_id"],
            order_by=[contacts.owner.isnull(), ibis.desc(contacts.updated_at), contacts.node],
        )
    )
    first = ranked.filter(ranked._rank == 0)
    return first.select("as_of", "customer_id", "owner")


def _consent(states: ir.Table, *, channel: str, purpose: str, name: str) -> ir.Table:
    chosen = states.filter((states.channel == channel) & (states.purpose == purpose))
    return chosen.select("as_of", "customer_id", **{name: chosen.state})


def account_node(customers: ir.Table, scopes: Scopes) -> ir.Table:
    """Return raw_customers with the ``node`` of each account."""
    return customers.mutate(node=scopes.account(customers.customer_ref, customers.source))


def contact_node(contacts: ir.Table, scopes: Scopes) -> ir.Table:
    """Return raw_crm_contacts with the ``node`` of each contact."""
    return contacts.mutate(node=scopes.contact(contacts.crm_id, contacts.source))
