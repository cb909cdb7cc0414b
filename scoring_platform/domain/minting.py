"""Customer ids: minted once, kept while groups grow, and given back when a merge is undone.

An id is made from the earliest identifier of its customer, so that two homes with equal facts agree; later it stays,
whatever becomes known.

Belongs here: ids and what became of earlier ones. Does not belong here: who belongs together (``linking``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import ibis
import ibis.expr.types as ir

from scoring_platform.domain.graph import Materialise, components
from scoring_platform.domain.linking import DEVICE, link_id


@dataclass(frozen=True)
class Known:
    """What earlier runs decided.

    Attributes:
        minted: Identities as last published: node, customer_id.
        undone_links: Links that somebody has undone (``link``); None when there are none.
        restored: Ids of customers whose merge was undone (``customer_id``); None when there are none.
    """

    minted: ir.Table
    undone_links: ir.Table | None = None
    restored: ir.Table | None = None


def mint(nodes: ir.Table, labels: ir.Table, known: Known, *, nobody: ir.Table, materialise: Materialise) -> ir.Table:
    """Give every group its customer id: the one minted before, else one from its earliest identifier.

    Args:
        nodes: Every identifier: node, id_kind, id_value, introduced_on, first_seen_on.
        labels: The group of each: node, label.
        known: What earlier runs decided.
        nobody: Identifiers that are nobody's: node.
        materialise: Computes a table once.

    Returns:
        Columns node, label, customer_id, known_on (first day a record introduced the customer).
    """
    marked = nodes.inner_join(labels, "node").left_join(nobody.select("node", nobody=ibis.literal(True)), "node")
    named = materialise(
        marked.select(
            "node",
            "label",
            "id_kind",
            "id_value",
            "introduced_on",
            first_seen_on=marked.introduced_on.fill_null(marked.first_seen_on),
            own_id=minted_from(marked.node),
            # A device alone is nobody yet, and a mailbox of many is nobody at all.
            person=marked.introduced_on.notnull() & (marked.id_kind != DEVICE) & marked.nobody.isnull(),
        )
    )
    earliest = named.group_by("label").aggregate(
        fresh=named.own_id.argmin(_age(named)), person=named.person.any(), known_on=named.introduced_on.min()
    )
    people = earliest.filter(earliest.person).left_join(_kept(named, known), "label")
    chosen = people.select("label", "known_on", customer_id=people.kept.fill_null(people.fresh))
    return labels.inner_join(chosen, "label").select("node", "label", "customer_id", "known_on")


def _age(named: ir.Table) -> ir.Value:
    """Return what orders identifiers by time, kind and value, and never ties."""
    return named.first_seen_on.cast(str) + "|" + named.id_kind + "|" + named.id_value + "|" + named.node


def _kept(named: ir.Table, known: Known) -> ir.Table:
    """Return the id that a group keeps, where it has one: label, kept.

    Identifiers that were one customer may have come apart (a mailbox turned out to be shared, a merge was undone).
    Their id stays with the group that holds the identifier it was made from, so that no two groups have the same.
    """
    ids = known.minted.select("customer_id")
    ids = (ids if known.restored is None else ids.union(known.restored.select("customer_id"))).distinct()
    held = named.inner_join(known.minted.select("node", "customer_id"), "node")
    own = named.inner_join(ids, named.own_id == ids.customer_id)
    claims = held.select("label", "customer_id", claim="1|" + _age(held)).union(
        own.select("label", "customer_id", claim="0|" + _age(own))
    )
    heirs = claims.group_by("customer_id").aggregate(label=claims.label.argmin(claims.claim), claim=claims.claim.min())
    # Of several ids, the one held by the earliest identifier stays.
    heirs = heirs.mutate(age=heirs.claim.substr(2))
    return heirs.group_by("label").aggregate(kept=heirs.customer_id.argmin(heirs.age))


def merges(customers: ir.Table, links: ir.Table, known: Known, *, materialise: Materialise) -> ir.Table:
    """Return which customers have become one since identities were last published, and through which links.

    Without these links the former customer is again what it was: those between its identifiers and another customer's,
    and those to identifiers that are new and came to both.

    Args:
        customers: Result of ``mint``.
        links: The links that were used: a, b.
        known: What earlier runs decided.
        materialise: Computes a table once.

    Returns:
        Columns former_id, customer_id, link.
    """
    before = known.minted.select("node", former_id="customer_id")
    joined = materialise(customers.left_join(before, "node").select("node", "label", "customer_id", "former_id"))
    formers = joined.group_by("label").aggregate(n=joined.former_id.nunique())
    merged = materialise(formers.filter(formers.n > 1))
    if not merged.count().execute():
        nothing = joined.limit(0)
        return nothing.select("former_id", "customer_id", link=nothing.node)
    ends = materialise(joined.semi_join(merged, "label"))
    touching = links.inner_join(ends.select(a="node", customer_id="customer_id", a_was="former_id"), "a")
    touching = materialise(touching.inner_join(ends.select(b="node", b_was="former_id"), "b"))
    return _joining(touching, materialise)


def _joining(links: ir.Table, materialise: Materialise) -> ir.Table:
    """Return the links by which a former customer hangs together with others: former_id, customer_id, link."""
    fresh = links.filter(links.a_was.isnull() & links.b_was.isnull())
    groups = components(fresh.select("a", "b"), materialise)
    turned = links.select("a", "b", "customer_id", was=links.a_was, end=links.b, end_was=links.b_was).union(
        links.select("a", "b", "customer_id", was=links.b_was, end=links.a, end_was=links.a_was)
    )
    from_known = turned.filter(turned.was.notnull())
    held = from_known.left_join(groups, from_known.end == groups.node)
    held = materialise(held.mutate(end_group=held.label.fill_null(held.end)))
    new = held.filter(held.end_was.isnull())
    met = new.group_by("end_group").aggregate(n=new.was.nunique())
    bridges = held.left_join(met, "end_group")
    joins = (bridges.end_was != bridges.was) | (bridges.end_was.isnull() & (bridges.n > 1))
    bridges = bridges.filter(joins & (bridges.was != bridges.customer_id))
    return bridges.select("customer_id", former_id=bridges.was, link=link_id(bridges)).distinct()


def merged_ids(owners: ir.Table) -> ir.Table:
    """Return ids that were minted for an identifier which now belongs to another customer.

    Every id is made from an identifier, so each former id can be made again from the identifiers of its customer.

    Args:
        owners: Whose each identifier is: node, customer_id.

    Returns:
        Columns former_id, customer_id.
    """
    former = owners.select(former_id=minted_from(owners.node), customer_id=owners.customer_id)
    return former.filter(former.former_id != former.customer_id)


def regrouped(now: ir.Table, then: ir.Table, day: date) -> ir.Table:
    """Return identifiers whose facts up to ``day`` belong to somebody else than they did, merges apart.

    These are identifiers that became somebody's after their first facts, that are nobody's any more, and those of
    customers that came apart. Merges are left out: ``merged_ids`` follows them.

    Args:
        now: Whose each identifier is now: node, customer_id, first_fact_on.
        then: The same as ``day`` published it.
        day: An earlier day.

    Returns:
        Column node.
    """
    renamed = merged_ids(now)
    before = then.left_join(renamed, then.customer_id == renamed.former_id)
    before = before.select("node", was=before.customer_id_right.fill_null(before.customer_id))
    current = now.filter(now.first_fact_on <= day).select("node", "customer_id")
    joined = current.outer_join(before, "node")
    changed = joined.was.fill_null("") != joined.customer_id.fill_null("")
    return joined.filter(changed).select(node=ibis.coalesce(joined.node, joined.node_right))


def united(now: ir.Table, then: ir.Table) -> ir.Table:
    """Return the identifiers of customers that were several ones: the consents of one now hold for the facts of all.

    Args:
        now: Whose each identifier is now: node, customer_id.
        then: The same as an earlier day published it.

    Returns:
        Column node.
    """
    joined = now.select("node", "customer_id").inner_join(then.select("node", was="customer_id"), "node")
    grown = joined.group_by("customer_id").aggregate(n=joined.was.nunique())
    return now.semi_join(grown.filter(grown.n > 1), "customer_id").select("node")


def minted_from(value: ir.StringValue) -> ir.StringValue:
    """Return the customer id made from a node."""
    return ibis.literal("c") + value.hexdigest("md5").substr(0, 16)
