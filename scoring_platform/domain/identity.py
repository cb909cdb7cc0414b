"""Who is who: identifiers of all systems resolved to customers.

Web activity, which needs a consent of its own, and survey answers make nobody a customer: they are matched to those
whom another record introduced.

Belongs here: which records mention which identifiers, and putting the answer together. Does not belong here: which
links are trusted (``linking``), what accounts once said (``remembering``), ids (``minting``), what a customer did
(``activity``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import ibis
import ibis.expr.types as ir

from scoring_platform.config.scoring import EmailProvider
from scoring_platform.domain import normalise
from scoring_platform.domain.graph import Materialise
from scoring_platform.domain.linking import DEVICE, Bounds, Groups, groups
from scoring_platform.domain.minting import Known, merges, mint

# A device comes last: ``linking`` expects it as the second end of a link.
_GIVEN = ("customer_ref", "email", "account_number", "crm_id", "client_id")
_NODES = tuple(f"{kind}_node" for kind in _GIVEN)


@dataclass(frozen=True)
class Scopes:
    """Whose numbers are meant.

    Attributes:
        shops: Sources with customer ids of their own; other systems name those of the first.
        crms: Sources with CRM records of their own; other systems name those of the first.
    """

    shops: Sequence[str]
    crms: Sequence[str]

    def account(self, value: ir.Value, source: ir.Value) -> ir.Value:
        """Return the node of a shop's customer id as ``source`` names it."""
        return node("customer_ref", normalise.reference(value), _whose(source, self.shops))

    def contact(self, value: ir.Value, source: ir.Value) -> ir.Value:
        """Return the node of a CRM record as ``source`` names it."""
        return node("crm_id", normalise.reference(value), _whose(source, self.crms))

    def nodes(self, identities: ir.Table) -> ir.Value:
        """Return the node of each row of customer_identities."""
        scope = ibis.cases(
            (identities.id_kind == "crm_id", _whose(identities.source, self.crms)),
            (identities.id_kind == "customer_ref", _whose(identities.source, self.shops)),
            else_=ibis.literal(""),
        )
        return identities.id_kind + "|" + scope + "|" + identities.id_value


@dataclass(frozen=True)
class Records:
    """Raw tables that mention identifiers, with ``as_of``: all published days, today's graph applies to all.

    ``links`` is what accounts and contacts have said of themselves, see ``remembering.standing``.
    """

    orders: ir.Table
    links: ir.Table
    email_events: ir.Table
    web_activity: ir.Table
    tickets: ir.Table
    events: ir.Table
    responses: ir.Table


@dataclass(frozen=True)
class Rules:
    """How identifiers are read and linked.

    Attributes:
        scopes: Whose numbers are meant.
        bounds: Where linking ends.
        providers: Domains whose addresses are the same in several spellings.
        web_introduces: Whether a visit alone makes a customer: only where tracking needs no consent of its own.
    """

    scopes: Scopes
    bounds: Bounds = field(default_factory=Bounds)
    providers: Mapping[str, EmailProvider] = field(default_factory=dict)
    web_introduces: bool = False


@dataclass(frozen=True)
class Resolution:
    """Who is who.

    Attributes:
        identities: source, id_kind, id_value, customer_id, rule, first_seen_on, first_fact_on.
        set_aside: Identifiers that link nobody: node, id_kind, id_value, reason.
        merges: Customers that have become one: former_id, customer_id, link (a link without which they would not).
    """

    identities: ir.Table
    set_aside: ir.Table
    merges: ir.Table


def resolve(records: Records, known: Known, rules: Rules, *, materialise: Materialise) -> Resolution:
    """Return every identifier with its customer.

    Args:
        records: Where identifiers are mentioned.
        known: Identities as last published, whose ids are kept, and what was undone.
        rules: How identifiers are read and linked.
        materialise: Computes a table once; the steps of the resolution build on each other.
    """
    seen = materialise(_seen_together(records, rules))
    mentions = materialise(_mentions(seen))
    nodes = materialise(
        mentions.group_by(["node", "id_kind", "id_value"]).aggregate(
            introduced_on=mentions.first_seen_on.min(where=mentions.introduces),
            first_seen_on=mentions.first_seen_on.min(),
        )
    )
    links = materialise(_links(seen).union(_aliases(nodes, rules.providers)))
    grouped = groups(nodes, links, known.undone_links, bounds=rules.bounds, materialise=materialise)
    nobody = grouped.set_aside.filter(grouped.set_aside.nobody)
    customers = materialise(mint(nodes, grouped.labels, known, nobody=nobody, materialise=materialise))
    found = materialise(_identities(mentions, customers, _rules_of(grouped)))
    set_aside = grouped.set_aside.inner_join(nodes, "node").select("node", "id_kind", "id_value", "reason")
    merged = merges(customers, grouped.links, known, materialise=materialise)
    return Resolution(found, materialise(set_aside), materialise(merged))


def node(kind: str, value: ir.Value, scope: ir.Value | str = "") -> ir.Value:
    """Return the name of an identifier within the graph: kind, scope (whose id it is) and value; null without value."""
    text = ibis.literal(scope) if isinstance(scope, str) else scope
    return ibis.literal(f"{kind}|") + text + "|" + value


def owners(identities: ir.Table, scopes: Scopes) -> ir.Table:
    """Return whose each identifier of customer_identities is: node, customer_id, first_seen_on, first_fact_on."""
    named = identities.mutate(node=scopes.nodes(identities))
    return named.group_by("node").aggregate(
        customer_id=named.customer_id.min(),
        first_seen_on=named.first_seen_on.min(),
        first_fact_on=named.first_fact_on.min(),
    )


def _whose(source: ir.Value, sources: Sequence[str]) -> ir.Value:
    return source.isin(list(sources)).ifelse(source, ibis.literal(sources[0]))


def _identities(mentions: ir.Table, customers: ir.Table, rules: ir.Table) -> ir.Table:
    joined = mentions.inner_join(customers, "node").left_join(rules, "node")
    # What a device did before its owner was known is the owner's too, so its first day stays.
    since = (joined.introduces | (joined.id_kind == DEVICE)).ifelse(
        joined.first_seen_on, ibis.greatest(joined.first_seen_on, joined.known_on)
    )
    return joined.select(
        "source",
        "id_kind",
        "id_value",
        "customer_id",
        rule=joined.how.fill_null("single"),
        first_seen_on=since,
        first_fact_on=ibis.least(since, joined.first_fact_on),
    )


def _rules_of(grouped: Groups) -> ir.Table:
    """Return by which rule each linked identifier belongs to its customer: node, how; a record says more than others.

    The words sort by that: device, email_provider, same_record.
    """
    links = grouped.links
    ends = links.select("how", node=links.a).union(links.select("how", node=links.b))
    return ends.group_by("node").aggregate(how=ends.how.max())


def _seen_together(records: Records, rules: Rules) -> ir.Table:
    """Every combination of identifiers that a record holds, with the node of each and the day it was first seen."""
    orders, links, web, events = records.orders, records.links, records.web_activity, records.events
    held = ibis.union(
        _held(orders, customer_ref=orders.customer_ref, email=orders.email),
        _held(links, links.first_seen_on, customer_ref=links.customer_ref, crm_id=links.crm_id, email=links.email,
              account_number=links.account_number),
        _held(records.email_events, email=records.email_events.email),
        _held(web, introduces=rules.web_introduces, customer_ref=web.customer_ref, client_id=web.client_id),
        _held(records.tickets, email=records.tickets.email),
        _held(events, customer_ref=events.customer_ref, email=events.email, client_id=events.client_id),
        *[_held(said, introduces=False, **{kind: said.identity_key}) for kind, said in _answers(records.responses)],
    )  # fmt: skip
    spelled = held.mutate(
        email=normalise.email(held.email),
        **{kind: normalise.reference(held[kind]) for kind in _GIVEN if kind != "email"},
    )
    return spelled.mutate(
        customer_ref_node=rules.scopes.account(spelled.customer_ref, spelled.source),
        email_node=node("email", spelled.email),
        account_number_node=node("account_number", spelled.account_number),
        crm_id_node=rules.scopes.contact(spelled.crm_id, spelled.source),
        client_id_node=node("client_id", spelled.client_id),
    )


def _answers(answers: ir.Table) -> list[tuple[str, ir.Table]]:
    kinds = {"email": "email", "customer_id": "customer_ref", "account_number": "account_number", "crm_id": "crm_id"}
    return [(ours, answers.filter(answers.identity_kind == theirs)) for theirs, ours in kinds.items()]


def _held(table: ir.Table, first: ir.Value | None = None, *, introduces: bool = True, **given: ir.Value) -> ir.Table:
    """Reduce a raw table to the distinct identifiers of its records, before anything is computed per row."""
    columns = {kind: given.get(kind, ibis.null(str)) for kind in _GIVEN} | {"introduces": ibis.literal(introduces)}
    held = table.select("source", first_seen_on=table.as_of if first is None else first, **columns)
    return held.group_by(["source", "introduces", *_GIVEN]).aggregate(first_seen_on=held.first_seen_on.min())


def _mentions(seen: ir.Table) -> ir.Table:
    """Every identifier of every system once: node, source, id_kind, id_value, introduces, first_seen_on, …fact_on."""
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
        first_seen_on=every.first_seen_on.min(where=every.introduces | (every.id_kind == DEVICE)).fill_null(
            every.first_seen_on.min()
        ),
        first_fact_on=every.first_seen_on.min(),
    )


def _links(seen: ir.Table) -> ir.Table:
    """Pairs of identifiers that one record holds together: a, b, how."""
    pairs = ibis.union(*[seen.select(a=seen[one], b=seen[other]) for one, other in combinations(_NODES, 2)])
    pairs = pairs.filter(pairs.a.notnull() & pairs.b.notnull()).distinct()
    return pairs.mutate(how=ibis.literal("same_record"))


def _aliases(nodes: ir.Table, providers: Mapping[str, EmailProvider]) -> ir.Table:
    """Pair addresses with the spelling their provider delivers them under, where the two differ: a, b, how."""
    addresses = nodes.filter(nodes.id_kind == "email")
    spelled = addresses.select(a=addresses.node, b=node("email", normalise.delivered(addresses.id_value, providers)))
    return spelled.filter(spelled.a != spelled.b).mutate(how=ibis.literal("email_provider"))
