"""Owners of customers on the run's day: what the rules of routing read.

Belongs here: reading. Does not belong here: the rules (``domain.routing``).
"""

from __future__ import annotations

from datetime import timedelta

import ibis
import ibis.expr.types as ir

from scoring_platform.domain import leads
from scoring_platform.domain import routing as domain
from scoring_platform.domain.activity import owned_events
from scoring_platform.pipeline.identities import owners as owned_by
from scoring_platform.pipeline.step import Step

_DAYS = 365
"""Days of events and orders that tell what somebody is interested in."""


def owners(step: Step) -> ir.Table:
    """Return whose each customer should be: customer_id, assigned_owner (empty: nobody's)."""
    rules = step.config.routing
    scores = step.read("customer_scores", step.days).select("customer_id", "lead_score", "churn_band")
    segments = step.read("customer_segments", step.days).select("customer_id", "segment")
    profiles = step.read("customer_profiles", step.days).select("customer_id", "region", "owner")
    people = profiles.inner_join(scores, "customer_id").inner_join(segments, "customer_id")
    if any(rule.product_categories for rule in rules.rules):
        known = people.left_join(_interests(step), "customer_id")
        people = known.select([name for name in known.columns if not name.endswith("_right")])
    else:
        people = people.mutate(product_category=ibis.null("string"))
    return step.engine.materialise(domain.owners(people, rules))


def _interests(step: Step) -> ir.Table:
    """Return the product category of each customer who has shown an interest: customer_id, product_category."""
    first, known = step.last - timedelta(days=_DAYS - 1), step.engine.materialise(owned_by(step))
    events = owned_events(step.everything("raw_events", first=first, last=step.last), known, step.scopes)
    named = leads.categories(events, step.days_table(), window_days=_DAYS).drop("as_of")
    orders = step.everything("raw_orders", first=first, last=step.last)
    orders = owned_events(orders.filter(orders.status == "paid"), known, step.scopes)
    orders = orders.select("customer_id", "source", "order_id", "ordered_at")
    items = step.everything("raw_order_items", first=first, last=step.last)
    items = items.filter(items.category.notnull()).select("source", "order_id", "line_id", "category", "amount")
    bought = orders.inner_join(items, ["source", "order_id"])
    return domain.interests(step.engine.materialise(bought), step.engine.materialise(named))
