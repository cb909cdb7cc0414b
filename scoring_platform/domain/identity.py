"""Who is who: identifiers of all systems resolved to customers.

Two identifiers in one record belong together; what belongs together transitively is one customer, whose id is minted
once from the earliest identifier. An identifier shared by too many (a mailbox, a device) links nobody and is nobody.
Web activity, which needs a consent of its own, and survey answers make nobody a customer: they are matched to those
whom another record introduced.

Belongs here: mentions, links, components, minting. Does not belong here: what a customer did (``activity``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import ibis
import ibis.expr.types as ir

from scoring_platform.domain import normalise

MAX_ROUNDS = 50
"""Far more than needed: a chain of two thousand identifiers takes eleven."""
SHARED_LIMIT = 10
"""Identifiers, devices apart, that one may be seen with before it counts as shared by different people."""

Materialise = Callable[[ir.Table], ir.Table]

_GIVEN = ("customer_ref", "email", "client_id", "crm_id")
_NODES = tuple(f"{kind}_node" for kind in _GIVEN)


@dataclass(frozen=True)
class Records:
    """Raw tables that mention identifiers, with ``as_of``: all published days, today's graph applies to all.

    Attributes:
        shops: Sources with customer ids of their own; other systems name those of the first.
        web_introduces: Whether a visit alone makes a customer: only where tracking needs no consent of its own.
    """

    orders: ir.Table
    customers: ir.Table
    email_events: ir.Table
    web_activity: ir.Table
    tickets: ir.Table
    events: ir.Table
    contacts: ir.Table
    responses: ir.Table
    shops: Sequence[str]
    web_introduces: bool = False


def resolve(records: Records, minted: ir.Table, *, materialise: Materialise) -> ir.Table:
    """Return every identifier with its customer.

    Args:
        records: Where identifiers are mentioned.
        minted: Identities as last published (``node``, ``customer_id``); their ids are kept.
        materialise: Computes a table once; the rounds of the resolution build on each other.

    Returns:
        Columns source, id_kind, id_value, customer_id, rule, first_seen_on.
    """
    seen = materialise(_seen_together(records))
    mentions = materialise(_mentions(seen))
    nodes = materialise(
        mentions.group_by(["node", "id_kind", "id_value"]).aggregate(
            introduced_on=mentions.first_seen_on.min(where=mentions.introduces),
            first_seen_on=mentions.first_seen_on.min(),
        )
    )
    every_link = materialise(_links(seen))
    shared = materialise(_shared(every_link))
    links = materialise(_bounded(every_link, shared))
    labels = _components(nodes, links, materialise)
    customers = materialise(_mint(nodes, labels, minted, shared=shared, materialise=materialise))
    linked = links.select(node=links.a).union(links.select(node=links.b)).distinct().mutate(linked=True)
    joined = mentions.inner_join(customers, "node").left_join(linked, "node")
    return joined.select(
        "source",
        "id_kind",
        "id_value",
        "customer_id",
        rule=joined.linked.fill_null(False).ifelse("same_record", "single"),
        # What a device did before its owner was known is the owner's too, so its first day stays.
        first_seen_on=(joined.introduces | (joined.id_kind == "client_id")).ifelse(
            joined.first_seen_on, ibis.greatest(joined.first_seen_on, joined.known_on)
        ),
    )


def node(kind: str, value: ir.Value, scope: ir.Value | str = "") -> ir.Value:
    """Return the name of an identifier within the graph: kind, scope (whose id it is) and value; null without value."""
    text = ibis.literal(scope) if isinstance(scope, str) else scope
    return ibis.literal(f"{kind}|") + text + "|" + value


def account(value: ir.Value, source: ir.Value, shops: Sequence[str]) -> ir.Value:
    """Return the node of a shop's customer id as ``source`` names it: its own, or that of the first shop."""
    return node("customer_ref", normalise.reference(value), _whose(source, shops))


def _whose(source: ir.Value, shops: Sequence[str]) -> ir.Value:
    return source.isin(list(shops)).ifelse(source, ibis.literal(shops[0]))


def _seen_together(records: Records) -> ir.Table:
    """Every combination of identifiers that a record holds, with the node of each and the day it was first seen."""
    orders, customers, web, events = records.orders, records.customers, records.web_activity, records.events
    by_email = records.responses.filter(records.responses.identity_kind == "email")
    by_ref = records.responses.filter(records.responses.identity_kind == "customer_id")
    held = ibis.union(
        _held(orders, customer_ref=orders.customer_ref, email=orders.email),
        _held(customers, customers.created_on, customer_ref=customers.customer_ref, email=customers.email),
        _held(records.email_events, email=records.email_events.email),
        _held(web, introduces=records.web_introduces, customer_ref=web.customer_ref, client_id=web.client_id),
        _held(records.tickets, email=records.tickets.email),
        _held(events, customer_ref=events.customer_ref, email=events.email, client_id=events.client_id),
        _held(records.contacts, records.contacts.created_on, crm_id=records.contacts.crm_id,
              email=records.contacts.email),
        _held(by_email, introduces=False, email=by_email.identity_key),
        _held(by_ref, introduces=False, customer_ref=by_ref.identity_key),
    )  # fmt: skip
    spelled = held.mutate(
        email=normalise.email(held.email),
        **{kind: normalise.reference(held[kind]) for kind in _GIVEN if kind != "email"},
    )
    return spelled.mutate(
        customer_ref_node=account(spelled.customer_ref, spelled.source, records.shops),
        email_node=node("email", spelled.email),
        client_id_node=node("client_id", spelled.client_id),
        crm_id_node=node("crm_id", spelled.crm_id, spelled.source),
    )


def _held(table: ir.Table, first: ir.Value | None = None, *, introduces: bool = True, **given: ir.Value) -> ir.Table:
    """Reduce a raw table to the distinct identifiers of its records, before anything is computed per row."""
    columns = {kind: given.get(kind, ibis.null(str)) for kind in _GIVEN} | {"introduces": ibis.literal(introduces)}
    held = table.select("source", first_seen_on=table.as_of if first is None else first, **columns)
    return held.group_by(["source", "introduces", *_GIVEN]).aggregate(first_seen_on=held.first_seen_on.min())


def _mentions(seen: ir.Table) -> ir.Table:
    """Every identifier of every system once: node, source, id_kind, id_value, first_seen_on."""
    parts = [
        seen.select(
            "source",
            "first_seen_on",
            "introduces",
            node=seen[named],
            id_kind=ibis.literal(kind),
            id_value=seen[kind],
        )
        for kind, named in zip(_GIVEN, _NODES, strict=True)
    ]
    every = ibis.union(*parts)
    every = every.filter(every.node.notnull())
    return every.group_by(["node", "source", "id_kind", "id_value"]).aggregate(
        introduces=every.introduces.any(),
        first_seen_on=every.first_seen_on.min(where=every.introduces | (every.id_kind == "client_id")).fill_null(
            every.first_seen_on.min()
        ),
    )


def _links(seen: ir.Table) -> ir.Table:
    """Pairs of identifiers that one record holds together: a, b."""
    pairs = ibis.union(*[seen.select(a=seen[one], b=seen[other]) for one, other in combinations(_NODES, 2)])
    return pairs.filter(pairs.a.notnull() & pairs.b.notnull()).distinct()


def _shared(links: ir.Table) -> ir.Table:
    """Return identifiers (``end``) that more than SHARED_LIMIT others share.

    A person's own devices are not others: many of them do not make an address a shared one.
    """
    ends = links.select(end=links.b, other=links.a).union(links.select(end=links.a, other=links.b))
    others = ends.filter(~ends.other.startswith("client_id|"))
    degrees = others.group_by("end").aggregate(others=others.other.nunique())
    return degrees.filter(degrees.others > SHARED_LIMIT).select("end")


def _bounded(links: ir.Table, shared: ir.Table) -> ir.Table:
    """Leave out links through a shared identifier."""
    without_b = links.anti_join(shared.select(b=shared.end), "b")
    return without_b.anti_join(shared.select(a=shared.end), "a")


def _components(nodes: ir.Table, links: ir.Table, materialise: Materialise) -> ir.Table:
    """Label every node with the least node it is connected to: groups grow together until none touches another."""
    both = materialise(links.select(node=links.a, other=links.b).union(links.select(node=links.b, other=links.a)))
    linked = both.select("node").distinct()
    labels = materialise(linked.mutate(label=linked.node))
    for _ in range(MAX_ROUNDS):
        grown = materialise(_round(labels, both, materialise))
        changed = grown.join(labels.select("node", before=labels.label), "node")
        done = changed.filter(changed.label != changed.before).count().execute() == 0
        labels = grown
        if done:
            break
    alone = nodes.anti_join(labels, "node")
    return materialise(labels.union(alone.select("node", label=alone.node)))


def _round(labels: ir.Table, both: ir.Table, materialise: Materialise) -> ir.Table:
    """Hang every group (its label) below the least group it touches, then let each node follow its label one step.

    Hanging whole groups, not single nodes, makes the number of rounds grow with the logarithm of a chain's length.
    """
    ends = both.inner_join(labels, "node").inner_join(labels.select(other=labels.node, offer=labels.label), "other")
    least = ends.group_by("label").aggregate(offer=ends.offer.min())
    joined = labels.left_join(least.select(node=least.label, offer=least.offer), "node")
    hung = materialise(joined.select("node", label=ibis.least(joined.label, joined.offer.fill_null(joined.label))))
    followed = hung.inner_join(hung.select(label=hung.node, next=hung.label), "label")
    return followed.select("node", label=followed.next)


def _mint(
    nodes: ir.Table, labels: ir.Table, minted: ir.Table, *, shared: ir.Table, materialise: Materialise
) -> ir.Table:
    """Give every component its customer id: the one minted before, else from its earliest identifier.

    Returns:
        Columns node, customer_id, known_on (first day a record introduced the customer).
    """
    joined = nodes.inner_join(labels, "node")
    marked = joined.left_join(shared.mutate(node=shared.end), "node")
    named = materialise(
        marked.select(
            "node",
            "label",
            "id_kind",
            "id_value",
            "introduced_on",
            first_seen_on=marked.introduced_on.fill_null(marked.first_seen_on),
            own_id=_minted_from(marked.node),
            # A device alone is nobody yet, and a mailbox of many is nobody at all.
            person=marked.introduced_on.notnull() & (marked.id_kind != "client_id") & marked.end.isnull(),
        )
    )
    order = [named.first_seen_on, named.id_kind, named.id_value, named.node]
    ranked = named.mutate(_rank=ibis.row_number().over(group_by="label", order_by=order))
    earliest = ranked.group_by("label").aggregate(
        fresh=ranked.own_id.max(where=ranked._rank == 0),
        person=ranked.person.any(),
        known_on=ranked.introduced_on.min(),
    )
    people = earliest.filter(earliest.person).left_join(_kept(named, minted), "label")
    chosen = people.select("label", "known_on", customer_id=people.kept.fill_null(people.fresh))
    return labels.inner_join(chosen, "label").select("node", "customer_id", "known_on")


def _kept(named: ir.Table, minted: ir.Table) -> ir.Table:
    """Return the id that a component keeps, where it has one: label, kept.

    Identifiers that were one customer may have come apart (a mailbox turned out to be shared). Their id stays with the
    component that holds the identifier it was made from, so that no two components have the same.
    """
    columns = ["label", "first_seen_on", "id_kind", "id_value", "node"]
    held = named.inner_join(minted, "node")
    ids = minted.select("customer_id").distinct()
    own = named.inner_join(ids, named.own_id == ids.customer_id)
    claims = held.select(*columns, "customer_id", made=ibis.literal(False)).union(
        own.select(*columns, "customer_id", made=ibis.literal(True))
    )
    order = [claims.first_seen_on, claims.id_kind, claims.id_value, claims.node]
    heirs = claims.mutate(
        _rank=ibis.row_number().over(group_by="customer_id", order_by=[ibis.desc(claims.made), *order])
    )
    heirs = heirs.filter(heirs._rank == 0).drop("_rank")
    order = [heirs.first_seen_on, heirs.id_kind, heirs.id_value, heirs.node]
    ranked = heirs.mutate(_rank=ibis.row_number().over(group_by="label", order_by=order))
    first = ranked.filter(ranked._rank == 0)
    return first.select("label", kept=first.customer_id)


def owners(identities: ir.Table, shops: Sequence[str]) -> ir.Table:
    """Return which customer each identifier of customer_identities belongs to: node, customer_id, first_seen_on.

    Args:
        identities: customer_identities.
        shops: Sources with customer ids of their own; other systems name those of the first.
    """
    named = identities.mutate(node=_node_of(identities, shops))
    return named.group_by("node").aggregate(
        customer_id=named.customer_id.min(), first_seen_on=named.first_seen_on.min()
    )


def _node_of(identities: ir.Table, shops: Sequence[str]) -> ir.Value:
    scope = ibis.cases(
        (identities.id_kind == "crm_id", identities.source),
        (identities.id_kind == "customer_ref", _whose(identities.source, shops)),
        else_=ibis.literal(""),
    )
    return identities.id_kind + "|" + scope + "|" + identities.id_value


def merged_ids(identities: ir.Table, shops: Sequence[str]) -> ir.Table:
    """Return ids that were minted for an identifier which now belongs to another customer.

    Every id is made from an identifier, so each former id can be made again from the identifiers of its customer.

    Returns:
        Columns former_id, customer_id.
    """
    named = owners(identities, shops)
    former = named.select(former_id=_minted_from(named.node), customer_id=named.customer_id)
    return former.filter(former.former_id != former.customer_id)


def regrouped(now: ir.Table, then: ir.Table, shops: Sequence[str]) -> ir.Table:
    """Return identifiers whose earlier facts belong to somebody else than they did, merges apart.

    That is a device that was nobody's and now has an owner, and everything of customers that came apart. Merges are
    left out: ``merged_ids`` follows them.

    Args:
        now: customer_identities, those first seen by the day of ``then``.
        then: customer_identities as an earlier day published them.
        shops: Sources with customer ids of their own.

    Returns:
        Columns node, first_seen_on.
    """
    current = now.mutate(node=_node_of(now, shops))
    renamed = merged_ids(now, shops)
    before = owners(then, shops).left_join(renamed, ibis._.customer_id == renamed.former_id)
    before = before.select("node", before_id=before.customer_id_right.fill_null(before.customer_id))
    joined = current.left_join(before, "node")
    found = (joined.before_id.isnull() & (joined.id_kind == "client_id")) | (joined.before_id != joined.customer_id)
    return joined.filter(found).select("node", "first_seen_on")


def _minted_from(value: ir.StringValue) -> ir.StringValue:
    return ibis.literal("c") + value.hexdigest("md5").substr(0, 16)
