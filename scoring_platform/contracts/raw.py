"""Contracts of the raw tables: what every source, whatever its vendor, hands over.

Belongs here: tables of the ingest group. Does not belong here: how a vendor's answer becomes such a row.
"""

from __future__ import annotations

from scoring_platform.contracts.columns import (
    day,
    flag,
    identifier,
    instant,
    integer,
    json_text,
    money,
    number,
    text,
)
from scoring_platform.contracts.table import Table

_EMAIL = r"^[^@＠\s]+[@＠][^@＠\s]+$"
"""The sign may be full-width: normalising makes it the same address."""
_CURRENCY = r"^[A-Z]{3}$"


RAW_ORDERS = Table(
    name="raw_orders",
    group="ingest",
    partition="event",
    key=("source", "order_id"),
    description="One order as the shop now knows it, on the business day it was placed.",
    day_column="ordered_at",
    version_column="updated_at",
    amounts=("total_amount", "refunded_amount"),
    columns={
        "source": identifier("System the row came from, as named in scoring.yaml"),
        "order_id": identifier("The shop's order id"),
        "customer_ref": identifier("The shop's customer id; null for a guest", nullable=True),
        "email": text("E-mail address given with the order", nullable=True, pii=True),
        "ordered_at": instant("When the order was placed"),
        "updated_at": instant("When the shop last changed the order"),
        "status": text("State of the order", isin=["paid", "pending", "cancelled", "returned", "test"]),
        "currency": text("ISO 4217 code of the amounts", matches=_CURRENCY, form="a currency code of three letters"),
        "total_amount": money("Total as ordered, before refunds", unit="currency"),
        "refunded_amount": money("Refunded so far", unit="currency"),
        "total_amount_reporting": money("Total as ordered, before refunds"),
        "refunded_amount_reporting": money("Refunded so far"),
        "channel": text("Sales channel", nullable=True),
    },
)

RAW_ORDER_ITEMS = Table(
    name="raw_order_items",
    group="ingest",
    partition="event",
    key=("source", "order_id", "line_id"),
    description="One line of an order, on the business day of its order.",
    day_from="raw_orders",
    version_column="updated_at",
    amounts=("amount",),
    columns={
        "source": identifier("System the row came from, as named in scoring.yaml"),
        "order_id": identifier("The order it belongs to"),
        "line_id": identifier("The line within the order"),
        "product_id": identifier("The shop's product id"),
        "category": text("Product category", nullable=True),
        "quantity": number("Units; negative for a return", unit="units"),
        "amount": money("Line total", minimum=None, unit="currency"),
        "currency": text("ISO 4217 code of the order", matches=_CURRENCY, form="a currency code of three letters"),
        "amount_reporting": money("Line total", minimum=None),
        "updated_at": instant("When the shop last changed the order"),
    },
)

RAW_CUSTOMERS = Table(
    name="raw_customers",
    group="ingest",
    partition="state",
    key=("source", "customer_ref"),
    description="One customer account of a shop, created up to this day, with its attributes as now known.",
    day_column="created_at",
    version_column="updated_at",
    columns={
        "source": identifier("System the row came from, as named in scoring.yaml"),
        "customer_ref": identifier("The shop's customer id"),
        "email": text("E-mail address of the account", nullable=True, pii=True),
        "created_at": instant("When the account was created"),
        "updated_at": instant("When the account was last changed"),
        "region": text("Region or country", nullable=True),
        "locale": text("Language and country, such as ja-JP", nullable=True),
        "attributes": json_text("Further attributes, such as account_number or renewal_on"),
    },
)

RAW_EMAIL_EVENTS = Table(
    name="raw_email_events",
    group="ingest",
    partition="event",
    key=("source", "event_id"),
    description="One thing that happened to one marketing e-mail.",
    day_column="occurred_at",
    columns={
        "source": identifier("System the row came from, as named in scoring.yaml"),
        "event_id": identifier("The mail tool's event id"),
        "email": text("Address of the recipient", matches=_EMAIL, form="an e-mail address", pii=True),
        "campaign_id": text("Campaign or flow", nullable=True),
        "kind": text(
            "What happened", isin=["sent", "delivered", "open", "click", "bounce", "unsubscribe", "complaint"]
        ),
        "machine": flag("Opened by a privacy proxy, not by a person", nullable=True),
        "occurred_at": instant("When it happened"),
    },
)

RAW_WEB_ACTIVITY = Table(
    name="raw_web_activity",
    group="ingest",
    partition="event",
    key=("source", "activity_on", "customer_ref", "client_id", "campaign"),
    description="What one visitor did on the site on one day.",
    day_column="activity_on",
    columns={
        "source": identifier("System the row came from, as named in scoring.yaml"),
        "activity_on": day("Day of the activity"),
        "customer_ref": text("The shop's customer id, when logged in", nullable=True),
        "client_id": text("Cookie or device id", nullable=True, pii=True),
        "campaign": text("Campaign that brought the visit", nullable=True),
        "sessions": integer("Sessions"),
        "pageviews": integer("Pages viewed"),
        "engaged_seconds": integer("Time with the page in front", unit="seconds"),
        "conversions": integer("Key events"),
        "medium": text("Traffic medium", nullable=True),
    },
)

RAW_SUPPORT_TICKETS = Table(
    name="raw_support_tickets",
    group="ingest",
    partition="event",
    key=("source", "ticket_id"),
    description="One support ticket as now known, on the business day it was opened.",
    day_column="created_at",
    version_column="updated_at",
    columns={
        "source": identifier("System the row came from, as named in scoring.yaml"),
        "ticket_id": identifier("The help desk's ticket id"),
        "email": text("Address of the requester", matches=_EMAIL, form="an e-mail address", pii=True),
        "created_at": instant("When the ticket was opened"),
        "updated_at": instant("When the ticket was last changed"),
        "status": identifier("State in the help desk's words"),
        "priority": text("Priority in the help desk's words", nullable=True),
        "satisfaction": text("Rating by the customer", nullable=True, isin=["good", "bad"]),
        "first_reply_at": instant("First answer by an agent", nullable=True),
        "solved_at": instant("When it was solved", nullable=True),
    },
)

RAW_EVENTS = Table(
    name="raw_events",
    group="ingest",
    partition="event",
    key=("source", "event_id"),
    description="One behaviour event: a form, a download, a webinar, a trial, a cart.",
    day_column="occurred_at",
    columns={
        "source": identifier("System the row came from, as named in scoring.yaml"),
        "event_id": identifier("The system's event id"),
        "customer_ref": text("The shop's customer id", nullable=True),
        "email": text("E-mail address", nullable=True, pii=True),
        "client_id": text("Cookie or device id", nullable=True, pii=True),
        "kind": identifier("What happened, such as form or cart_abandoned"),
        "occurred_at": instant("When it happened"),
        "properties": json_text("Further properties"),
    },
)

RAW_CONSENTS = Table(
    name="raw_consents",
    group="ingest",
    partition="event",
    key=("source", "event_id"),
    description="One decision of one person about one channel and purpose.",
    day_column="occurred_at",
    columns={
        "source": identifier("System the row came from, as named in scoring.yaml"),
        "event_id": identifier("Id of the decision"),
        "subject": identifier("E-mail address or the shop's customer id", pii=True),
        "channel": identifier("email, sms, push, phone, post or web"),
        "purpose": identifier("marketing or tracking"),
        "status": text("The decision", isin=["granted", "denied", "revoked"]),
        "occurred_at": instant("When it was taken"),
    },
)

RAW_CRM_CONTACTS = Table(
    name="raw_crm_contacts",
    group="ingest",
    partition="state",
    key=("source", "crm_id"),
    description="One contact of the CRM created up to this day, with its attributes as now known.",
    day_column="created_at",
    version_column="updated_at",
    columns={
        "source": identifier("System the row came from, as named in scoring.yaml"),
        "crm_id": identifier("The CRM's record id"),
        "email": text("E-mail address", nullable=True, pii=True),
        "owner": text("Owner of the contact", nullable=True),
        "lifecycle_stage": text("Lifecycle stage in the CRM's words", nullable=True),
        "opt_out": flag("Has opted out of e-mail", nullable=True),
        "account_id": identifier("Account (company, organization) of the contact", nullable=True),
        "created_at": instant("When the contact was created", nullable=True),
        "updated_at": instant("When the contact was last changed"),
    },
)

RAW_CRM_DEALS = Table(
    name="raw_crm_deals",
    group="ingest",
    partition="state",
    key=("source", "deal_id"),
    description="One deal of the CRM created up to this day, with its attributes as now known.",
    day_column="created_at",
    version_column="updated_at",
    columns={
        "source": identifier("System the row came from, as named in scoring.yaml"),
        "deal_id": identifier("The CRM's deal id"),
        "crm_id": identifier("Contact of the deal"),
        "stage": identifier("Pipeline stage"),
        "amount": money("Amount of the deal", nullable=True),
        "owner": text("Owner of the deal", nullable=True),
        "created_at": instant("When the deal was created"),
        "closed_at": instant("When the deal was closed", nullable=True),
        "won": flag("Whether it was won", nullable=True),
        "updated_at": instant("When the deal was last changed"),
    },
)

RAW_NPS_RESPONSES = Table(
    name="raw_nps_responses",
    group="ingest",
    partition="event",
    key=("source", "response_id"),
    description="One answer to an NPS survey in its latest revision, on the day of the survey.",
    day_column="survey_date",
    version_column="revision",
    columns={
        "source": identifier("System the row came from, as named in scoring.yaml"),
        "response_id": identifier("The survey tool's response id"),
        "identity_kind": text(
            "What the key names; customer_id means the shop's customer id",
            isin=["email", "customer_id", "account_number", "crm_id"],
        ),
        "identity_key": identifier("Key of the person who answered", pii=True),
        "survey_date": day("Day of the answer"),
        "nps_score": integer("0 to 10; null when the survey was dismissed", nullable=True, maximum=10),
        "raw_text": text("Comment as written", nullable=True, pii=True),
        "dimensions": json_text("Further dimensions, such as product or region", pii=False),
        "revision": integer("Number of the revision; greater is later"),
    },
)

RAW_TABLES = (
    RAW_ORDERS,
    RAW_ORDER_ITEMS,
    RAW_CUSTOMERS,
    RAW_EMAIL_EVENTS,
    RAW_WEB_ACTIVITY,
    RAW_SUPPORT_TICKETS,
    RAW_EVENTS,
    RAW_CONSENTS,
    RAW_CRM_CONTACTS,
    RAW_CRM_DEALS,
    RAW_NPS_RESPONSES,
)
