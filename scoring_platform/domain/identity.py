"""Who is who: identifiers of all systems resolved to customers.

Two identifiers in one record belong together; what belongs together transitively is one customer, whose id is minted
once from the earliest identifier. An identifier shared by too many (a mailbox, a device) links nobody.

Belongs here: mentions, links, components, minting. Does not belong here: what a customer did (``activity``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from scoring_platform.domain import normalise

MAX_ROUNDS = 50
SHARED_LIMIT = 10
"""Accounts that may share one e-mail address or device before it counts as shared by different people."""

Materialise = Callable[[ir.Table], ir.Table]


@dataclass(frozen=True)
class Records:
    """Raw tables that mention identifiers, with ``as_of``: all published days, today's graph applies to all.

    Attributes:
        shop: Source whose customer ids ``customer_ref`` means in tables of other sources.
    """

    orders: ir.Table
    customers: ir.Table
    email_events: ir.Table
    web_activity: ir.Table
    tickets: ir.Table
    events: ir.Table
    contacts: ir.Table
    responses: ir.Table
    shop: str


def resolve(records: Records, minted: ir.Table, *, materialise: Materialise) -> ir.Table:
    """Return every identifier with its customer.

    Args:
        records: Where identifiers are mentioned.
        minted: Identities as last published (``node``, ``customer_id``); their ids are kept.
        materialise: Computes a table once; the rounds of the resolution build on each other.

    Returns:
        Columns source, id_kind, id_value, customer_id, rule, first_seen_on.
    """
    mentions = materialise(_mentions(records))
    nodes = materialise(
        mentions.group_by(["node", "id_kind", "id_value"]).aggregate(first_seen_on=mentions.first_seen_on.min())
    )
    links = materialise(_bounded(_links(records)))
    labels = _components(nodes, links, materialise)
    customers = materialise(_mint(nodes, labels, minted))
    linked = links.select(node=links.a).union(links.select(node=links.b)).distinct().mutate(linked=True)
    seen = mentions.group_by(["source", "id_kind", "id_value", "node"]).aggregate(
        first_seen_on=mentions.first_seen_on.min()
    )
    joined = seen.inner_join(customers, "node").left_join(linked, "node")
    return joined.select(
        "source",
        "id_kind",
        "id_value",
        "customer_id",
        rule=joined.linked.fill_null(False).ifelse("same_record", "single"),
        first_seen_on=joined.first_seen_on,
    )


def node(kind: str, value: ir.Value, scope: ir.Value | str = "") -> ir.Value:
    """Return the name of an identifier within the graph: kind, scope (whose id it is) and value; null without value."""
    text = ibis.literal(scope) if isinstance(scope, str) else scope
    return ibis.literal(f"{kind}|") + text + "|" + value


def _mentions(records: Records) -> ir.Table:
    """Every identifier in every record: node, source, id_kind, id_value, first_seen_on."""
    parts = [
        *_mention(records.orders, records.orders.source, ref=records.orders.customer_ref, email=records.orders.email),
        *_mention(records.email_events, records.shop, email=records.email_events.email),
        *_mention(records.web_activity, records.shop, ref=records.web_activity.customer_ref,
                  client=records.web_activity.client_id),
        *_mention(records.tickets, records.shop, email=records.tickets.email),
        *_mention(records.events, records.shop, ref=records.events.customer_ref, email=records.events.email,
                  client=records.events.client_id),
        *_state_mentions(records),
        *_response_mentions(records),
    ]
    return ibis.union(*parts)


def _mention(
    table: ir.Table,
    shop: ir.Value | str,
    *,
    ref: ir.Value | None = None,
    email: ir.Value | None = None,
    client: ir.Value | None = None,
    crm: ir.Value | None = None,
    first: ir.Value | None = None,
) -> list[ir.Table]:
    seen = table.as_of if first is None else first
    given = [
        ("customer_ref", None if ref is None else normalise.reference(ref), shop),
        ("email", None if email is None else normalise.email(email), ""),
        ("client_id", None if client is None else normalise.reference(client), ""),
        ("crm_id", None if crm is None else normalise.reference(crm), table.source),
    ]
    parts = []
    for kind, value, scope in given:
        if value is None:
            continue
        part = table.select(
            node=node(kind, value, scope),
            source=table.source,
            id_kind=ibis.literal(kind),
            id_value=value,
            first_seen_on=seen,
        )
        part = part.filter(part.node.notnull())
        parts.append(
            part.group_by(["node", "source", "id_kind", "id_value"]).aggregate(first_seen_on=part.first_seen_on.min())
        )
    return parts


def _state_mentions(records: Records) -> list[ir.Table]:
    customers, contacts = records.customers, records.contacts
    return [
        *_mention(customers, customers.source, ref=customers.customer_ref, email=customers.email,
                  first=customers.created_on),
        *_mention(contacts, records.shop, crm=contacts.crm_id, email=contacts.email, first=contacts.created_on),
    ]


def _response_mentions(records: Records) -> list[ir.Table]:
    responses = records.responses
    by_email = responses.filter(responses.identity_kind == "email")
    by_ref = responses.filter(responses.identity_kind == "customer_id")
    return [
        *_mention(by_email, records.shop, email=by_email.identity_key),
        *_mention(by_ref, records.shop, ref=by_ref.identity_key),
    ]


def _links(records: Records) -> ir.Table:
    """Pairs of identifiers that one record holds together: a, b."""
    orders, customers, contacts, events, web = (
        records.orders,
        records.customers,
        records.contacts,
        records.events,
        records.web_activity,
    )
    parts = [
        _pair(orders, node("customer_ref", normalise.reference(orders.customer_ref), orders.source),
              node("email", normalise.email(orders.email))),
        _pair(customers, node("customer_ref", normalise.reference(customers.customer_ref), customers.source),
              node("email", normalise.email(customers.email))),
        _pair(contacts, node("crm_id", normalise.reference(contacts.crm_id), contacts.source),
              node("email", normalise.email(contacts.email))),
        _pair(events, node("customer_ref", normalise.reference(events.customer_ref), records.shop),
              node("email", normalise.email(events.email))),
        _pair(events, node("email", normalise.email(events.email)),
              node("client_id", normalise.reference(events.client_id))),
        _pair(web, node("customer_ref", normalise.reference(web.customer_ref), records.shop),
              node("client_id", normalise.reference(web.client_id))),
    ]
    return ibis.union(*parts).distinct()


def _pair(table: ir.Table, a: ir.Value, b: ir.Value) -> ir.Table:
    pairs = table.select(a=a, b=b)
    return pairs.filter(pairs.a.notnull() & pairs.b.notnull()).distinct()


def _bounded(links: ir.Table) -> ir.Table:
    """Leave out links through an e-mail address or device that more than SHARED_LIMIT others share."""
    ends = links.select(end=links.b, other=links.a).union(links.select(end=links.a, other=links.b))
    degrees = ends.group_by("end").aggregate(others=ends.other.nunique())
    shared = degrees.filter(
        (degrees.others > SHARED_LIMIT) & (degrees.end.startswith("email|") | degrees.end.startswith("client_id|"))
    )
    without_b = links.anti_join(shared.select(b=shared.end), "b")
    return without_b.anti_join(shared.select(a=shared.end), "a")


def _components(nodes: ir.Table, links: ir.Table, materialise: Materialise) -> ir.Table:
    """Label every node with the least node it is connected to, by passing labels on until none changes."""
    both = materialise(links.select(node=links.a, other=links.b).union(links.select(node=links.b, other=links.a)))
    labels = materialise(nodes.select("node", label=nodes.node))
    for _ in range(MAX_ROUNDS):
        other = labels.select(other=labels.node, other_label=labels.label)
        offered = both.inner_join(other, "other")
        least = offered.group_by("node").aggregate(offer=offered.other_label.min())
        joined = labels.left_join(least, "node")
        passed = materialise(joined.select("node", label=ibis.least(joined.label, joined.offer.fill_null(joined.label))))
        # A label's own label is at least as small: taking it halves the remaining distance.
        owner = passed.select(label=passed.node, owner=passed.label)
        hopped = passed.left_join(owner, "label")
        jumped = materialise(hopped.select("node", label=hopped.owner.fill_null(hopped.label)))
        changed = jumped.join(labels.select("node", before=labels.label), "node")
        if changed.filter(changed.label != changed.before).count().execute() == 0:
            return labels
        labels = jumped
    return labels


def _mint(nodes: ir.Table, labels: ir.Table, minted: ir.Table) -> ir.Table:
    """Give every component its customer id: the one minted before, else from its earliest identifier."""
    named = nodes.inner_join(labels, "node")
    known = named.left_join(minted, "node")
    order = [known.first_seen_on, known.id_kind, known.id_value]
    ranked = known.mutate(
        _first=ibis.row_number().over(group_by="label", order_by=order),
        _kept=ibis.row_number().over(group_by="label", order_by=[known.customer_id.isnull(), *order]),
    )
    fresh = _minted_from(ranked.node)
    earliest = ranked.group_by("label").aggregate(
        fresh=fresh.max(where=ranked._first == 0),
        kept=ranked.customer_id.max(where=ranked._kept == 0),
        # A device alone is nobody yet.
        person=(ranked.id_kind != "client_id").any(),
    )
    chosen = earliest.filter(earliest.person).select("label", customer_id=earliest.kept.fill_null(earliest.fresh))
    return labels.inner_join(chosen, "label").select("node", "customer_id")


def owners(identities: ir.Table, shops: Sequence[str]) -> ir.Table:
    """Return which customer each identifier of customer_identities belongs to: node, customer_id.

    Args:
        identities: customer_identities.
        shops: Sources with customer ids of their own; other systems name those of the first.
    """
    own = identities.source.isin(list(shops))
    scope = ibis.cases(
        (identities.id_kind == "crm_id", identities.source),
        (identities.id_kind == "customer_ref", own.ifelse(identities.source, ibis.literal(shops[0]))),
        else_=ibis.literal(""),
    )
    named = identities.select(
        node=identities.id_kind + "|" + scope + "|" + identities.id_value, customer_id=identities.customer_id
    )
    return named.group_by("node").aggregate(customer_id=named.customer_id.min())


def merged_ids(identities: ir.Table, shops: Sequence[str]) -> ir.Table:
    """Return ids that were minted for an identifier which now belongs to another customer.

    Every id is made from an identifier, so each former id can be made again from the identifiers of its customer.

    Returns:
        Columns former_id, customer_id.
    """
    named = owners(identities, shops)
    former = named.select(former_id=_minted_from(named.node), customer_id=named.customer_id)
    return former.filter(former.former_id != former.customer_id)


def _minted_from(value: ir.StringValue) -> ir.StringValue:
    return ibis.literal("c") + value.hexdigest("md5").substr(0, 16)
