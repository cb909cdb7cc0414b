"""Which account and which deal of a CRM a customer's values stand on, and who speaks for a record that several share.

Belongs here: choosing records from what sales people keep. Does not belong here: what is written to them
(``crm_plan``), reading.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from scoring_platform.domain.identity import Scopes


def accounts(contacts: ir.Table, owners: ir.Table, scopes: Scopes) -> ir.Table:
    """Return the account of each customer who has one: customer_id, record_id.

    Of several contacts of one customer the first that was made and has an account counts.

    Args:
        contacts: raw_crm_contacts of the day, of one CRM.
        owners: node, customer_id; see ``identity.owners``.
        scopes: Whose records are meant.
    """
    known = contacts.filter(contacts.account_id.notnull())
    # A contact that does not tell when it was made comes after those that do.
    order = [known.created_at.asc(nulls_first=False), known.crm_id.length(), known.crm_id]
    return _first(known.mutate(record_id=known.account_id), owners, scopes, order=order)


def deals(deals: ir.Table, owners: ir.Table, scopes: Scopes) -> ir.Table:
    """Return the open deal of each customer who has one: customer_id, record_id; of several the one created last.

    Args:
        deals: raw_crm_deals of the day, of one CRM, with ``closed_on``, the business day of ``closed_at``.
        owners: node, customer_id; see ``identity.owners``.
        scopes: Whose records are meant.
    """
    # One that was won or lost nobody knows when is closed all the same.
    closed = (deals.closed_on <= deals.as_of).fill_null(deals.won.notnull())
    known = deals.filter(~closed)
    # Ids that are numbers grow longer; those that are none have one length.
    order = [known.created_at.desc(), known.deal_id.length().desc(), known.deal_id.desc()]
    return _first(known.mutate(record_id=known.deal_id), owners, scopes, order=order)


def spoken_for(wanted: ir.Table, records: ir.Table) -> ir.Table:
    """Return those of the customers who have a record, with ``record_id``; of several of one record who speaks for it.

    Args:
        wanted: customer_id, ``precedence`` (the lowest speaks), and what a record should show.
        records: customer_id, record_id.
    """
    having = wanted.inner_join(records, "customer_id")
    place = ibis.row_number().over(group_by=having.record_id, order_by=[having.precedence, having.customer_id])
    ranked = having.mutate(_place=place)
    return ranked.filter(ranked._place == 0).drop("_place")


def _first(rows: ir.Table, owners: ir.Table, scopes: Scopes, *, order: list[ir.Value]) -> ir.Table:
    placed = rows.mutate(node=scopes.contact(rows.crm_id, rows.source), _age=ibis.row_number().over(order_by=order))
    named = placed.inner_join(owners.select("node", "customer_id"), "node")
    first = named.group_by("customer_id").aggregate(record_id=named.record_id.argmin(named._age))
    return first.select("customer_id", "record_id")
