"""Contracts of the tables the platform computes.

Belongs here: profile, scores, segments, nps, activation and reporting tables. Does not belong here: formulas.
"""

from __future__ import annotations

from scoring_platform.contracts.columns import (
    day,
    flag,
    hundredths,
    identifier,
    instant,
    integer,
    json_text,
    money,
    number,
    score,
    text,
    texts,
)
from scoring_platform.contracts.raw import RAW_NPS_RESPONSES
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
        "rule": identifier("The rule that put it with this customer"),
        "first_seen_on": day("First business day it was seen"),
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
        "email": text("Address to write to, the earliest known", nullable=True, pii=True),
        "region": text("Region or country", nullable=True),
        "locale": text("Language and country", nullable=True),
        "first_seen_on": day("First business day any identifier was seen"),
        "first_order_on": day("First purchase day", nullable=True),
        "last_order_on": day("Latest purchase day", nullable=True),
        "orders": integer("Paid orders so far"),
        "order_days": integer("Distinct purchase days so far"),
        "revenue": money("Paid order value so far, before refunds"),
        "refunds": money("Refunds so far"),
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
        "consent_email_marketing": text(
            "May be written to", isin=["granted", "denied", "unknown"]
        ),
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
        "lead_score": integer("Score of a prospect", nullable=True, maximum=100),
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

NPS_RESPONSES = Table(
    name="nps_responses",
    group="nps",
    partition="state",
    key=("source", "response_id"),
    description="Every NPS answer up to this day in its latest revision, matched to a customer.",
    columns={
        **RAW_NPS_RESPONSES.columns,
        "customer_id": identifier("Customer who answered; null when unmatched", nullable=True),
        "nps_segment": text("Promoter 9-10, passive 7-8, detractor 0-6", nullable=True,
                            isin=["promoter", "passive", "detractor"]),
        "themes": texts("Themes of the comment"),
    },
)

NPS_MONTHLY = Table(
    name="nps_monthly",
    group="nps",
    partition="state",
    key=("month", "dimension", "value"),
    description="NPS of one month, overall or for one value of one dimension.",
    columns={
        "month": day("First day of the month"),
        "dimension": identifier("all, segment, theme or a survey dimension"),
        "value": identifier("Value of the dimension"),
        "n": integer("Scored answers"),
        "promoters": integer("Answers of 9 or 10"),
        "passives": integer("Answers of 7 or 8"),
        "detractors": integer("Answers of 0 to 6"),
        "nps": number("Share of promoters less share of detractors", minimum=-100, maximum=100, nullable=True),
        "nps_low": number("Lower end of the 95 % interval", nullable=True),
        "nps_high": number("Upper end of the 95 % interval", nullable=True),
        "mean_rating": number("Mean answer", minimum=0, maximum=10, nullable=True),
        "change": number("Against the month before", nullable=True),
        "p_value": number("Significance of the change", nullable=True, minimum=0, maximum=1),
    },
)

CRM_SYNC_PLAN = Table(
    name="crm_sync_plan",
    group="activation",
    partition="state",
    key=("crm", "stream", "target", "customer_id"),
    description="One CRM record that should be written, and exactly what would be written.",
    columns={
        "crm": identifier("CRM as named in scoring.yaml"),
        "stream": text("Which fields", isin=["scores", "nps"]),
        "target": text("Kind of record", isin=["contact", "account", "deal", "note"]),
        "customer_id": identifier(_CUSTOMER),
        "operation": text("What to do", isin=["create", "update", "skip"]),
        "changed_fields": texts("Fields whose value a person would act on differently"),
        "payload": json_text("Field names and values to be written"),
    },
)

CRM_SYNC = Table(
    name="crm_sync",
    group="activation",
    partition="state",
    key=("crm", "stream", "target", "customer_id"),
    description="What became of one planned CRM write.",
    columns={
        "crm": identifier("CRM as named in scoring.yaml"),
        "stream": text("Which fields", isin=["scores", "nps"]),
        "target": text("Kind of record", isin=["contact", "account", "deal", "note"]),
        "customer_id": identifier(_CUSTOMER),
        "status": text("Outcome", isin=["acknowledged", "retry", "dead", "unknown", "held"]),
        "error_code": text("The CRM's code", nullable=True),
        "error_text": text("The CRM's words", nullable=True, pii=True),
        "attempt": integer("Number of attempts so far"),
        "acknowledged_at": instant("When the CRM acknowledged the row", nullable=True),
    },
)

MARKETING_ACTIONS = Table(
    name="marketing_actions",
    group="activation",
    partition="state",
    key=("customer_id", "action"),
    description="The decision about one action for one customer.",
    columns={
        "customer_id": identifier(_CUSTOMER),
        "action": identifier("Action as named in scoring.yaml"),
        "decision": text("Outcome", isin=["send", "hold", "refuse"]),
        "reason": identifier("Reason code"),
        "channel": identifier("Channel"),
        "variant": text("Arm of the experiment", nullable=True),
        "dedupe_key": identifier("Customer, action and entry into the state"),
        "due_at": instant("When it is due", nullable=True),
    },
)

ACTION_DISPATCH = Table(
    name="action_dispatch",
    group="activation",
    partition="state",
    key=("dedupe_key",),
    description="What became of one action that was to be sent.",
    columns={
        "dedupe_key": identifier("Customer, action and entry into the state"),
        "status": text("Outcome", isin=["acknowledged", "retry", "dead", "unknown", "held"]),
        "destination_id": text("Id given by the destination", nullable=True),
        "attempt": integer("Number of attempts so far"),
        "acknowledged_at": instant("When the destination acknowledged it", nullable=True),
    },
)

EXPERIMENT_RESULTS = Table(
    name="experiment_results",
    group="activation",
    partition="state",
    key=("action", "variant"),
    description="What one arm of one action brought.",
    columns={
        "action": identifier("Action as named in scoring.yaml"),
        "variant": identifier("Arm"),
        "n": integer("Customers in the arm"),
        "conversions": integer("Customers who converted"),
        "lift": number("Against the holdout", nullable=True),
        "lift_low": number("Lower end of the 95 % interval", nullable=True),
        "lift_high": number("Upper end of the 95 % interval", nullable=True),
        "mde": number("Smallest effect that would show", nullable=True),
        "srm_p": number("Sample-ratio check", nullable=True, minimum=0, maximum=1),
    },
)

KPI_DAILY = Table(
    name="kpi_daily",
    group="reporting",
    partition="state",
    key=("kpi", "grain"),
    description="One key figure at one grain.",
    columns={
        "kpi": identifier("Name of the figure"),
        "grain": text("Period", isin=["day", "week", "month", "quarter"]),
        "value": number("The figure; null without a source", nullable=True),
        "numerator": number("Upper part of the fraction", nullable=True),
        "denominator": number("Lower part of the fraction", nullable=True),
        "source_state": text("Whether a source is configured", isin=["ok", "no_source"]),
    },
)

MODEL_BACKTEST = Table(
    name="model_backtest",
    group="reporting",
    partition="state",
    key=("model", "horizon_days", "fitted_for"),
    description="A forecast made a horizon ago against what happened.",
    columns={
        "model": identifier("Which model"),
        "horizon_days": integer("Length of the forecast", unit="days"),
        "fitted_for": day("Month of the forecast"),
        "auc": number("Ranking of who bought", nullable=True, minimum=0, maximum=1),
        "brier": number("Mean squared error of the probability", nullable=True, minimum=0, maximum=1),
        "calibration": json_text("Forecast and outcome by decile", nullable=True, pii=False),
        "total_error": number("Forecast total over actual total, less 1", nullable=True),
        "gini": number("Concentration caught", nullable=True),
        "n": integer("Customers"),
    },
)

DERIVED_TABLES = (
    CUSTOMER_IDENTITIES,
    CUSTOMER_ACTIVITY,
    CUSTOMER_PROFILES,
    SCORE_MODELS,
    CUSTOMER_SCORES,
    SCORE_CHANGES,
    CUSTOMER_SEGMENTS,
    SEGMENT_TRANSITIONS,
    NPS_RESPONSES,
    NPS_MONTHLY,
    CRM_SYNC_PLAN,
    CRM_SYNC,
    MARKETING_ACTIONS,
    ACTION_DISPATCH,
    EXPERIMENT_RESULTS,
    KPI_DAILY,
    MODEL_BACKTEST,
)
