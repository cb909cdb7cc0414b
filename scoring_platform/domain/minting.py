"""Customer ids: minted once, kept while groups grow, and given back when a merge is undone.

An id is made from the earliest identifier of its customer, so that two homes with equal facts agree; later it stays,
whatever becomes known. Devices take no part: whose one is may turn out late, and may change.

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
        minted: Identities as last published (node, customer_id), with what was undone given back (``given_back``).
        undone_links: Links that somebody has undone (``link``); None when there are none.
    """

    minted: ir.Table
    undone_links: ir.Table | None = None


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
    # Only what a record introduced: whatever else hangs together with it may have been seen before, or is heard later.
    earliest = named.group_by("label").aggregate(
        fresh=named.own_id.argmin(_age(named), where=named.person),
        person=named.person.any(),
        known_on=named.introduced_on.min(),
    )
    people = earliest.filter(earliest.person).left_join(_kept(named.filter(named.id_kind != DEVICE), known), "label")
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
    ids = known.minted.select("customer_id").distinct()
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
    people = joined.filter(~_is_device(joined.node))  # a device that changes hands takes nobody along
    formers = people.group_by("label").aggregate(n=people.former_id.nunique())
    merged = materialise(formers.filter(formers.n > 1))
    if not merged.count().execute():
        nothing = joined.limit(0)
        return nothing.select("former_id", "customer_id", link=nothing.node)
    ends = materialise(joined.semi_join(merged, "label"))
    touching = links.inner_join(ends.select(a="node", customer_id="customer_id", a_was="former_id"), "a")
    touching = materialise(touching.inner_join(ends.select(b="node", b_was="former_id"), "b"))
    return _joining(touching, materialise).semi_join(people, ["former_id", "customer_id"])


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


def former_nodes(merged: ir.Table, now: ir.Table, then: ir.Table) -> ir.Table:
    """Return which identifiers each former customer brought along, by hashes that give its id back after an undo.

    Args:
        merged: Result of ``merges``.
        now: Whose each identifier is now: node, customer_id.
        then: The same as last published.

    Returns:
        Columns former_id, customer_id, held (hash of a node, made as ids are).
    """
    before = _without_devices(then).select("node", former_id="customer_id")
    held = before.inner_join(now.select("node", "customer_id"), "node").semi_join(merged, ["former_id", "customer_id"])
    return held.select("former_id", "customer_id", held=minted_from(held.node))


def given_back(minted: ir.Table, restored: ir.Table) -> ir.Table:
    """Return identities as last published, but identifiers of customers whose merge was undone under their former id.

    Once a former id stands again it goes its own way, and so do its identifiers.

    Args:
        minted: Identities as last published: node, customer_id.
        restored: Former ids and hashes of what they held: customer_id, held; every hash once.
    """
    due = restored.anti_join(minted.select("customer_id").distinct(), "customer_id")
    marked = minted.select("node", "customer_id", held=minted_from(minted.node))
    marked = marked.left_join(due.select("held", former_id="customer_id"), "held")
    owner = (~_is_device(marked.node)).ifelse(marked.former_id, None).fill_null(marked.customer_id)
    return marked.select("node", customer_id=owner)


def regrouped(now: ir.Table, then: ir.Table, day: date) -> ir.Table:
    """Return identifiers whose facts up to ``day`` belong to somebody else than they did.

    These are identifiers that became somebody's after their first facts, that are nobody's any more, and those of
    customers that came apart or became one with another.

    Args:
        now: Whose each identifier is now: node, customer_id, first_fact_on.
        then: The same as ``day`` published it.
        day: An earlier day.

    Returns:
        Column node.
    """
    current = now.filter(now.first_fact_on <= day).select("node", "customer_id")
    joined = current.outer_join(then.select("node", was="customer_id"), "node")
    changed = ~joined.customer_id.identical_to(joined.was)
    return joined.filter(changed).select(node=ibis.coalesce(joined.node, joined.node_right))


def decided_anew(now: ir.Table, then: ir.Table, day: date) -> ir.Table:
    """Return the identifiers of customers one of whose addresses or accounts came, left, or is known since another day.

    A decision under that one counts for the visits under all of them, from the day on which it is known whose it is.

    Args:
        now: Whose each identifier is now: node, customer_id, first_seen_on.
        then: The same as ``day`` published it.
        day: An earlier day.

    Returns:
        Column node.
    """
    before = then.select("node", was="customer_id", was_since="first_seen_on")
    current = now.filter(now.first_seen_on <= day).select("node", "customer_id", since="first_seen_on")
    both = current.outer_join(before, "node")
    decides = ibis.coalesce(both.node, both.node_right).re_search(r"^(email|customer_ref)\|")
    same = both.customer_id.identical_to(both.was) & both.since.identical_to(both.was_since)
    changed = both.filter(decides & ~same)
    who = changed.select("customer_id").union(changed.select(customer_id=changed.was)).distinct()
    theirs = now.select("node", "customer_id").union(then.select("node", "customer_id"))
    return theirs.semi_join(who, "customer_id").select("node").distinct()


def reshaped(now: ir.Table, then: ir.Table) -> ir.Table:
    """Return customers who took in another one, or came apart: what they did has not changed, only whose it is.

    Args:
        now: Whose each identifier is: node, customer_id.
        then: The same as the day before published it.

    Returns:
        Column customer_id: those who gave an identifier away, and those who got it.
    """
    joined = then.select("node", was="customer_id").left_join(now.select("node", "customer_id"), "node")
    passed = joined.filter(~joined.customer_id.identical_to(joined.was))
    both = passed.select("customer_id").union(passed.select(customer_id=passed.was))
    return both.filter(both.customer_id.notnull()).distinct()


def _without_devices(owners: ir.Table) -> ir.Table:
    return owners.filter(~_is_device(owners.node))


def _is_device(node: ir.StringValue) -> ir.BooleanValue:
    return node.startswith(f"{DEVICE}|")


def minted_from(value: ir.StringValue) -> ir.StringValue:
    """Return the customer id made from a node: a hash, which also stands for the node where none may be kept."""
    return ibis.literal("c") + value.hexdigest("md5").substr(0, 16)
