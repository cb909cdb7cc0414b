"""Contracts of the tables the platform computes.

Belongs here: profile, scores and segments. Does not belong here: what leads outwards (``outward``), formulas.
"""

from __future__ import annotations

from scoring_platform.contracts.columns import (
    day,
    flag,
    hundredths,
    identifier,
    integer,
    json_text,
    money,
    number,
    score,
    text,
)
from scoring_platform.contracts.table import Table

_CUSTOMER = "Customer, minted once from the earliest identifier"
_SEGMENT = "Segment code"


CUSTOMER_IDENTITIES = Table(
    name="customer_identities",
    group="profile",
    partition="state",
    key=("source", "id_kind", "id_value"),
    description="One identifier seen up to this day and the customer it belongs to.",
    columns={
        "source": identifier("System the identifier was seen in"),
        "id_kind": text("Kind", isin=["email", "customer_ref", "account_number", "crm_id", "client_id"]),
        "id_value": identifier("The identifier, normalised", pii=True),
        "customer_id": identifier(_CUSTOMER),
        "rule": text("Why it belongs to this customer", isin=["single", "same_record", "email_provider", "device"]),
        "first_seen_on": day("First business day it was seen, its customer being known"),
        "first_fact_on": day("First business day of any record of it, a visit or a survey answer too"),
    },
)

CUSTOMER_LINKS = Table(
    name="customer_links",
    group="profile",
    partition="event",
    key=("source", "customer_ref", "crm_id", "email", "account_number"),
    description=(
        "What one account or contact said of itself this day that no other day holds, so that a changed address stays; "
        "written with customer_identities."
    ),
    columns={
        "source": identifier("System the account or contact is from"),
        "customer_ref": text("The shop's customer id; null for a contact of the CRM", nullable=True),
        "crm_id": text("The CRM's record id; null for an account of a shop", nullable=True),
        "email": text("E-mail address as given", nullable=True, pii=True),
        "account_number": text("Account number as given among the attributes", nullable=True, pii=True),
        "changed_on": day(
            "Day of the change, when more was known of the account or contact before; null: since it was created",
            nullable=True,
        ),
    },
)

CUSTOMER_ACTIVITY = Table(
    name="customer_activity",
    group="profile",
    partition="event",
    key=("customer_id", "active_on"),
    description="One customer's day: the compact facts that everything else reads.",
    columns={
        "customer_id": identifier(_CUSTOMER),
        "active_on": day("The day"),
        "orders": integer("Paid orders"),
        "purchase_day": integer("1 when there was a purchase", maximum=1),
        "revenue": money("Paid order value before refunds"),
        "refunds": money("Refunds of this day's orders and unlinked returns of this day"),
        "email_sent": integer("Marketing e-mails sent"),
        "email_opens": integer("Opens by a person"),
        "email_clicks": integer("Clicks"),
        "email_unsubscribes": integer("Unsubscribes and complaints"),
        "web_sessions": integer("Sessions, with tracking consent"),
        "web_pageviews": integer("Pages viewed, with tracking consent"),
        "web_engaged_seconds": integer("Engaged time, with tracking consent", unit="seconds"),
        "web_conversions": integer("Key events, with tracking consent"),
        "tickets": integer("Support tickets opened"),
        "tickets_bad": integer("Tickets rated bad"),
        "tickets_good": integer("Tickets rated good"),
        "events": integer("Behaviour events"),
    },
)

CUSTOMER_PROFILES = Table(
    name="customer_profiles",
    group="profile",
    partition="state",
    key=("customer_id",),
    description="One customer: everything known at the end of the day.",
    columns={
        "customer_id": identifier(_CUSTOMER),
        "email": text(
            "Address to write to: that of the account changed last, else the earliest known", nullable=True, pii=True
        ),
        "region": text("Region or country", nullable=True),
        "locale": text("Language and country", nullable=True),
        "attributes": json_text("Further attributes of the account changed last, such as renewal_on"),
        "first_seen_on": day("First business day any identifier was seen"),
        "first_order_on": day("First purchase day", nullable=True),
        "last_order_on": day("Latest purchase day", nullable=True),
        "orders": integer("Paid orders so far"),
        "order_days": integer("Distinct purchase days so far"),
        "revenue": money("Paid order value so far, before refunds"),
        "refunds": money("Refunds so far"),
        "paid_days": integer("Purchase days so far with a positive net spend"),
        "paid_spend": money("Net spend of these days"),
        "average_order_value": money("Revenue less refunds per order, not below zero", nullable=True),
        "order_days_365d": integer("Distinct purchase days in the last 365 days"),
        "net_spend_365d": money("Revenue less refunds in the last 365 days, not below zero"),
        "email_sent_90d": integer("Marketing e-mails sent in the last 90 days"),
        "email_opens_90d": integer("Opens in the last 90 days"),
        "email_clicks_90d": integer("Clicks in the last 90 days"),
        "web_sessions_90d": integer("Sessions in the last 90 days"),
        "web_pageviews_90d": integer("Pages viewed in the last 90 days"),
        "tickets_90d": integer("Support tickets opened in the last 90 days"),
        "tickets_bad_90d": integer("Tickets of the last 90 days rated bad"),
        "events_90d": integer("Behaviour events in the last 90 days"),
        "nps_score": integer("Latest NPS answer", nullable=True, maximum=10),
        "nps_answered_on": day("Day of the latest NPS answer", nullable=True),
        "consent_email_marketing": text("May be written to", isin=["granted", "denied", "unknown"]),
        "consent_web_tracking": text("May be tracked on the site", isin=["granted", "denied", "unknown"]),
        "owner": text("Owner in the CRM", nullable=True),
        "baseline": flag("First day of this customer, or of the lake: no transition, no action"),
    },
)

SCORE_MODELS = Table(
    name="score_models",
    group="scores",
    partition="state",
    key=("model", "version"),
    description="One set of frozen cut-offs or fitted parameters in force on this day.",
    columns={
        "model": text(
            "Which model",
            isin=["rfm_cutoffs", "bg_nbd", "mbg_nbd", "pareto_nbd", "gamma_gamma", "churn", "lead"],
        ),
        "version": identifier("One per month, configuration and refit"),
        "fitted_for": day("First day of the month it is for"),
        "config_version": identifier("Configuration it was made with"),
        "parameters": json_text("Parameters; time in weeks", pii=False),
        "sample_size": integer("Customers it was made from"),
        "log_likelihood": number("At the optimum", nullable=True),
        "standard_errors": json_text("Of the parameters", nullable=True, pii=False),
        "diagnostics": json_text("Of the fit", nullable=True, pii=False),
        "rung": text("Step of the ladder that was taken", nullable=True),
        "reason": text("Why this one"),
    },
)

CUSTOMER_SCORES = Table(
    name="customer_scores",
    group="scores",
    partition="state",
    key=("customer_id",),
    description="One customer's scores at the end of the day.",
    columns={
        "customer_id": identifier(_CUSTOMER),
        "recency_days": integer("Days since the last purchase day; null when never bought", nullable=True, unit="days"),
        "frequency": integer("Distinct purchase days in the window"),
        "monetary": money("Net spend in the window, not below zero"),
        "r": integer("Recency band", nullable=True, minimum=1, maximum=5),
        "f": integer("Frequency band", nullable=True, minimum=1, maximum=5),
        "m": integer("Monetary band", nullable=True, minimum=1, maximum=5),
        "rfm_code": text("The three bands", nullable=True, matches=r"^[1-5]{3}$"),
        "engagement_points": hundredths("E-mail, web and support points together"),
        "total_score": score("Sum of the parts"),
        "points_recency": hundredths("Part of the total"),
        "points_frequency": hundredths("Part of the total"),
        "points_monetary": hundredths("Part of the total"),
        "points_email": hundredths("Part of the total"),
        "points_web": hundredths("Part of the total"),
        "points_support": hundredths("Part of the total"),
        "points_nps": hundredths("Part of the total"),
        "p_alive": number("Probability of still being a customer", nullable=True, minimum=0, maximum=1),
        "expected_orders": number("Expected purchase days within the horizon", nullable=True, minimum=0),
        "horizon_days": integer("Length of the forecast", unit="days", minimum=1),
        "churn_risk": number("Probability of no purchase within the horizon", nullable=True, minimum=0, maximum=1),
        "churn_band": text("Band of the churn risk", nullable=True),
        "clv_12m": money("Expected discounted margin of the next 12 months", nullable=True),
        "clv_low": money("Lower end of its interval", nullable=True),
        "clv_high": money("Upper end of its interval", nullable=True),
        "clv_rung": text("Step of the ladder that was taken", nullable=True),
        "expected_next_order_on": day("Expected next purchase day", nullable=True),
        "lead_score": integer(
            "Intent times fit of a prospect; null for who has bought, and without a source of any signal",
            nullable=True,
            maximum=100,
        ),
        "mql": flag("Whether the lead score reaches the threshold; null without one", nullable=True),
        "model_version": identifier("Cut-offs and parameters used"),
        "config_version": identifier("Configuration used"),
    },
)

SCORE_CHANGES = Table(
    name="score_changes",
    group="scores",
    partition="state",
    key=("customer_id",),
    description="Why one customer's total score moved since the day before; the causes add up exactly.",
    columns={
        "customer_id": identifier(_CUSTOMER),
        "total_before": hundredths("Total of the day before as published; 0 when first seen"),
        **{
            cause: hundredths(f"Change caused by {words}", minimum=None)
            for cause, words in {
                "first_seen": "the first appearance",
                "late_data": "facts about earlier days that arrived late",
                "merges": "records found to be one person",
                "configuration": "a changed configuration",
                "model_version": "a new model version",
                "ageing": "time passing",
                "own_events": "what the customer did",
            }.items()
        },
        "total_after": hundredths("Total of this day"),
    },
)

CUSTOMER_SEGMENTS = Table(
    name="customer_segments",
    group="segments",
    partition="state",
    key=("customer_id",),
    description="The one segment a customer is in at the end of the day.",
    columns={
        "customer_id": identifier(_CUSTOMER),
        "segment": identifier(_SEGMENT),
        "entered_on": day("Day of the latest transition, else the baseline day"),
    },
)

SEGMENT_TRANSITIONS = Table(
    name="segment_transitions",
    group="segments",
    partition="event",
    key=("customer_id",),
    description="One customer who changed segment on this day.",
    columns={
        "customer_id": identifier(_CUSTOMER),
        "from_segment": identifier("Segment of the day before"),
        "to_segment": identifier("Segment of this day"),
        "entered_on": day("The day of the transition"),
        "value_at_stake": money("Net spend of the last 365 days"),
    },
)

DERIVED_TABLES = (
    CUSTOMER_IDENTITIES,
    CUSTOMER_LINKS,
    CUSTOMER_ACTIVITY,
    CUSTOMER_PROFILES,
    SCORE_MODELS,
    CUSTOMER_SCORES,
    SCORE_CHANGES,
    CUSTOMER_SEGMENTS,
    SEGMENT_TRANSITIONS,
)
