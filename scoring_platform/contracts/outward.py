"""Contracts of the tables that lead outwards: answers, activation and reporting.

Belongs here: nps, activation and reporting tables. Does not belong here: profile, scores and segments (``derived``),
formulas.
"""

from __future__ import annotations

from scoring_platform.contracts.columns import (
    day,
    flag,
    identifier,
    instant,
    integer,
    json_text,
    number,
    text,
    texts,
)
from scoring_platform.contracts.raw import RAW_NPS_RESPONSES
from scoring_platform.contracts.table import Table

BACKTESTED = ("churn", "clv", "bg_nbd", "mbg_nbd", "pareto_nbd")
_CUSTOMER = "Customer, minted once from the earliest identifier"


NPS_RESPONSES = Table(
    name="nps_responses",
    group="nps",
    partition="state",
    key=("source", "response_id"),
    description="Every NPS answer up to this day in its latest revision, matched to a customer.",
    columns={
        **RAW_NPS_RESPONSES.columns,
        "customer_id": identifier("Customer who answered; null when unmatched", nullable=True),
        "nps_segment": text(
            "Promoter 9-10, passive 7-8, detractor 0-6", nullable=True, isin=["promoter", "passive", "detractor"]
        ),
        "themes": texts("Codes of the themes of the comment, sorted"),
        "sentiment": text(
            "How the comment is meant; null without one", nullable=True, isin=["negative", "neutral", "positive"]
        ),
        "theme_evidence": json_text(
            "By theme: confidence, sentiment and spans [start, end) in characters of raw_text; null without a comment",
            nullable=True,
            pii=False,
        ),
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
        "operation": text(
            "create: new to us, made or adopted by its address; update: known to us; find: written if the CRM has it; "
            "skip: not written",
            isin=["create", "update", "find", "skip"],
        ),
        "changed_fields": texts("Fields whose value a person would act on differently"),
        "payload": json_text("Field names and values to be written"),
        "record_id": text("The account or deal to be written; empty for other targets", nullable=True),
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
        "status": text("Outcome", isin=["acknowledged", "retry", "dead", "unknown", "absent", "held"]),
        "error_code": text("The CRM's code, or our class of error", nullable=True),
        "error_text": text("The CRM's words, or ours", nullable=True, pii=True),
        "attempt": integer("Number of attempts so far"),
        "acknowledged_at": instant("When the CRM acknowledged the row", nullable=True),
        "run_id": text("Run that wrote the row last", nullable=True),
        "config_version": text("Configuration it was written under", nullable=True),
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
    description="A forecast made a horizon ago, by what was known then, against what has happened since.",
    columns={
        "model": text("Forecasts as scores give them, or one model of repeat buying", isin=list(BACKTESTED)),
        "horizon_days": integer("Length of the forecast", unit="days", minimum=1),
        "fitted_for": day("Day after the last one whose facts its models were fitted to"),
        "made_on": day("Day whose customers were forecast"),
        "published": flag("Whether it was published then; else made again from the facts up to that day"),
        "auc": number("Ranking of who bought", nullable=True, minimum=0, maximum=1),
        "brier": number("Mean squared error of the probability of buying", nullable=True, minimum=0, maximum=1),
        "calibration": json_text(
            "By decile of the forecast: customers, forecast, what happened and its 95 % interval", pii=False
        ),
        "total_error": number("Of expected orders or CLV: forecast total over actual total, less 1", nullable=True),
        "spearman": number("Correlation of ranks of the same", nullable=True, minimum=-1, maximum=1),
        "gini": number("Concentration of spend that the forecast caught; 1 is all of it", nullable=True),
        "lift": number("Spend of the tenth with the highest forecasts over that of a tenth at random", nullable=True),
        "coverage": number("Share whose spend was within the interval of the CLV", nullable=True),
        "n": integer("Customers"),
        "breach": text("What was wrong beyond chance; empty when nothing was"),
    },
)

OUTWARD_TABLES = (
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
