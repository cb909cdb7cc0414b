"""Whose customer somebody is, by the rules of the configuration.

Among the owners of a rule the one whose hash with the customer is least gets the customer (rendezvous hashing): shares
are even, nobody's owner depends on who else there is, and when an owner comes or goes only that owner's customers move.

Belongs here: rules to owners. Does not belong here: writing them to a CRM.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from scoring_platform.config.crm import Routing, RoutingRule

_SALT = "owner|"


def owners(people: ir.Table, routing: Routing) -> ir.Table:
    """Return who each customer should belong to: customer_id, assigned_owner (empty: nobody).

    Args:
        people: customer_id, segment, region, product_category, lead_score, churn_band, owner (of the CRM).
        routing: The rules.
    """
    branches = [(_holds(people, rule), _chosen(people.customer_id, rule.owners)) for rule in routing.rules]
    assigned: ir.Value = ibis.cases(*branches, else_="") if branches else ibis.literal("")
    if routing.keep_owner and branches:
        concerned = ibis.or_(*(condition for condition, _ in branches))
        assigned = (people.owner.notnull() & concerned).ifelse(people.owner, assigned)
    return people.select("customer_id", assigned_owner=assigned)


def interests(items: ir.Table, events: ir.Table) -> ir.Table:
    """Return the product category that says best what somebody is interested in: customer_id, product_category.

    It is that of the dearest item bought last; of who bought nothing that of the latest event that names one.

    Args:
        items: customer_id, ordered_at, line_id, category, amount; only those with a category.
        events: customer_id, product_category.
    """
    order = [ibis.desc(items.ordered_at), ibis.desc(items.amount), items.line_id, items.category]
    ranked = items.mutate(_rank=ibis.row_number().over(group_by="customer_id", order_by=order))
    bought = ranked.filter(ranked._rank == 0).select("customer_id", product_category=ranked.category)
    return bought.union(events.anti_join(bought, "customer_id").select(bought.columns))


def _holds(people: ir.Table, rule: RoutingRule) -> ir.BooleanValue:
    lists = {
        "segment": rule.segments,
        "region": rule.regions,
        "product_category": rule.product_categories,
        "churn_band": rule.churn_bands,
    }
    conditions = [people[column].isin(list(values)).fill_null(False) for column, values in lists.items() if values]
    if rule.lead_score is not None:
        conditions.append((people.lead_score >= rule.lead_score).fill_null(False))
    return ibis.and_(*conditions) if conditions else ibis.literal(True)


def _chosen(customer: ir.StringValue, owners: tuple[str, ...]) -> ir.StringValue:
    """Return the owner with the least hash."""
    hashes = [(ibis.literal(f"{_SALT}{owner}|") + customer).hexdigest("md5") for owner in owners]
    if len(owners) == 1:
        return ibis.literal(owners[0])
    least = ibis.least(*hashes)
    return ibis.cases(*((place == least, owner) for place, owner in zip(hashes, owners, strict=True)), else_=owners[0])
