"""What a customer has done up to a day, and within windows before it.

Every function takes ``days`` (column ``as_of``) and returns a row per day and customer, so that one day and many days
are the same computation. With a column ``until`` beside it, facts count up to that day only, while windows and ages
still end on ``as_of``: what the day would be had nothing happened since.

Belongs here: sums, counts and dates over daily facts. Does not belong here: judgement (bands, points, segments).
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from scoring_platform.contracts.columns import MONEY


def shifted(day: ir.Value, days: int | ir.IntegerValue) -> ir.Value:
    """Return the day so many days later."""
    by = ibis.interval(days=days) if isinstance(days, int) else days.as_interval("D")
    # A day plus an interval is a day to Ibis and an instant to the engine: only by way of an instant is it cast.
    return (day + by).cast("timestamp").cast("date")


def until(days: ir.Table) -> ir.Value:
    """Return the last day whose facts count."""
    return days.until if "until" in days.columns else days.as_of


def purchase_facts(activity: ir.Table) -> ir.Table:
    """Return the daily facts that purchase measures read: days with an order or a refund."""
    bought = activity.filter((activity.orders > 0) | (activity.refunds > 0))
    return bought.select("customer_id", "active_on", "orders", "purchase_day", "revenue", "refunds")


def purchases(activity: ir.Table, days: ir.Table, *, window_days: int) -> ir.Table:
    """Return purchase measures per day and customer who ever bought or got a refund.

    Returns:
        Columns as_of, customer_id, first_order_on, last_order_on, orders, order_days, revenue, refunds,
        paid_days (purchase days with a positive net spend), paid_spend (on these), window_order_days,
        window_net_spend (not below zero). The window is (as_of − window_days, as_of].
    """
    bought = purchase_facts(activity)
    known = days.join(bought, bought.active_on <= until(days))
    within = known.active_on > known.as_of - ibis.interval(days=window_days)
    purchase = known.purchase_day == 1
    net = known.revenue - known.refunds
    paid = purchase & (net > 0)
    grouped = known.group_by(["as_of", "customer_id"]).aggregate(
        first_order_on=known.active_on.min(where=purchase),
        last_order_on=known.active_on.max(where=purchase),
        orders=known.orders.sum(),
        order_days=known.active_on.nunique(where=purchase),
        revenue=known.revenue.sum().cast(MONEY),
        refunds=known.refunds.sum().cast(MONEY),
        paid_days=known.active_on.nunique(where=paid),
        paid_spend=net.sum(where=paid).fill_null(0).cast(MONEY),
        window_order_days=known.active_on.nunique(where=purchase & within),
        window_net_spend=net.sum(where=within).fill_null(0).cast(MONEY),
    )
    zero = ibis.literal(0, type=MONEY)
    return grouped.mutate(window_net_spend=ibis.greatest(grouped.window_net_spend, zero))


def counts(activity: ir.Table, days: ir.Table, *, window_days: int, columns: dict[str, str]) -> ir.Table:
    """Return windowed sums per day and customer.

    Args:
        activity: customer_activity.
        days: Days to compute.
        window_days: Length of the window (as_of − window_days, as_of].
        columns: New name to activity column.
    """
    facts = activity.drop("as_of")
    known = days.join(
        facts,
        [facts.active_on <= until(days), facts.active_on > days.as_of - ibis.interval(days=window_days)],
    )
    sums = {name: known[column].sum() for name, column in columns.items()}
    return known.group_by(["as_of", "customer_id"]).aggregate(**sums)


def latest_answers(responses: ir.Table, days: ir.Table) -> ir.Table:
    """Return the latest scored NPS answer per day and customer: as_of, customer_id, nps_score, nps_answered_on."""
    answered = responses.filter(responses.nps_score.notnull() & responses.customer_id.notnull()).select(
        "customer_id", "survey_date", "nps_score", "source", "response_id"
    )
    known = days.join(answered, answered.survey_date <= until(days))
    ranked = known.mutate(
        _rank=ibis.row_number().over(
            group_by=["as_of", "customer_id"],
            order_by=[ibis.desc(known.survey_date), known.nps_score, known.source, known.response_id],
        )
    )
    latest = ranked.filter(ranked._rank == 0)
    return latest.select("as_of", "customer_id", "nps_score", nps_answered_on=latest.survey_date)
