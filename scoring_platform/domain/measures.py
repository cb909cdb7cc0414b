"""What a customer has done up to a day, and within windows before it.

Every function takes ``Days`` and returns a row per day and customer, so that one day and many days are the same
computation.

Belongs here: sums, counts and dates over daily facts. Does not belong here: judgement (bands, points, segments), how
sums run through the days (``running``).
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from scoring_platform.contracts.columns import MONEY
from scoring_platform.domain.running import Days, Sums, begins, ended, running, spells, standing


def purchase_facts(activity: ir.Table) -> ir.Table:
    """Return the daily facts that purchase measures read: days with an order or a refund."""
    bought = activity.filter((activity.orders > 0) | (activity.refunds > 0))
    return bought.select("customer_id", "active_on", "orders", "purchase_day", "revenue", "refunds")


def purchases(activity: ir.Table, days: Days, *, window_days: int) -> ir.Table:
    """Return purchase measures per day and customer who ever bought or got a refund.

    Returns:
        Columns as_of, customer_id, first_order_on, last_order_on, orders, order_days, revenue, refunds,
        paid_days (purchase days with a positive net spend), paid_spend (on these), window_order_days,
        window_net_spend (not below zero). The window is (as_of − window_days, as_of].
    """
    bought = purchase_facts(activity)
    return _not_below_zero(running(bought, days, _purchase_sums(bought, window_days)))


def purchase_spells(activity: ir.Table, days: Days, *, window_days: int) -> ir.Table:
    """Return the same per customer and spell of days on which it holds (``running.spells``)."""
    bought = purchase_facts(activity)
    return _not_below_zero(spells(bought, days, _purchase_sums(bought, window_days)))


def _purchase_sums(bought: ir.Table, window_days: int) -> Sums:
    purchase, zero = bought.purchase_day == 1, ibis.literal(0, type=MONEY)
    net = (bought.revenue - bought.refunds).cast(MONEY)
    paid = purchase & (net > 0)
    bought_on = purchase.ifelse(bought.active_on, ibis.null("date"))
    return Sums(
        ever={
            "orders": bought.orders,
            "order_days": purchase.cast("int64"),
            "revenue": bought.revenue,
            "refunds": bought.refunds,
            "paid_days": paid.cast("int64"),
            "paid_spend": paid.ifelse(net, zero),
        },
        within={"window_order_days": purchase.cast("int64"), "window_net_spend": net},
        window_days=window_days,
        earliest={"first_order_on": bought_on},
        latest={"last_order_on": bought_on},
    )


def _not_below_zero(found: ir.Table) -> ir.Table:
    zero = ibis.literal(0, type=MONEY)
    return found.mutate(window_net_spend=ibis.greatest(found.window_net_spend, zero))


def counts(activity: ir.Table, days: Days, *, window_days: int, columns: dict[str, str]) -> ir.Table:
    """Return windowed sums per day and customer.

    Args:
        activity: customer_activity.
        days: Days to compute.
        window_days: Length of the window (as_of − window_days, as_of].
        columns: New name to activity column.
    """
    within = {name: activity[column] for name, column in columns.items()}
    return running(activity, days, Sums(within=within, window_days=window_days))


def latest_answers(responses: ir.Table, days: Days) -> ir.Table:
    """Return the latest scored NPS answer per day and customer: as_of, customer_id, nps_score, nps_answered_on."""
    answered = responses.filter(
        responses.nps_score.notnull()
        & responses.customer_id.notnull()
        & (responses.survey_date <= ibis.literal(days.known_to))
    )
    answered = answered.select(
        "customer_id", "survey_date", "nps_score", "source", "response_id", begins(answered.survey_date, days)
    )
    ranked = answered.mutate(
        _rank=ibis.row_number().over(
            group_by=["customer_id", "since"],
            order_by=[ibis.desc(answered.survey_date), answered.nps_score, answered.source, answered.response_id],
        )
    )
    latest = ranked.filter(ranked._rank == 0)
    latest = latest.select("customer_id", "since", "nps_score", nps_answered_on=latest.survey_date)
    return standing(ended(latest, days, by=["customer_id"]), days)
