"""Which identifiers belong to one person: links that can be trusted, and the groups they make.

Two identifiers in one record belong together, and so does what belongs together transitively. Three bounds keep two
persons apart:

- An identifier seen with more than ``shared`` others of one kind is a mailbox or a number of many: it links nobody and
  is nobody. The spellings of one mailbox count as one, and are set aside together.
- A device (web client id) never brings together what has two accounts of one shop, two addresses, two account numbers
  or two records of one CRM: several people use it. It stays with its person only if it has met just one.
- A group of more than ``group`` identifiers is no person: its links are dropped.

Links that somebody has undone are left out.

Belongs here: links, bounds, groups. Does not belong here: which records mention what (``identity``), ids (``minting``).
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from scoring_platform.domain.graph import Materialise, components

DEVICE = "client_id"
_PLURALS = {
    "customer_ref": "accounts",
    "email": "addresses",
    "account_number": "account numbers",
    "crm_id": "CRM records",
}


@dataclass(frozen=True)
class Bounds:
    """How far identifiers may reach.

    Attributes:
        shared: Identifiers of one kind, devices apart, that one may be seen with before it counts as shared by
            different people.
        group: Identifiers, devices apart, that one person may have.
    """

    shared: int = 10
    group: int = 500


@dataclass(frozen=True)
class Groups:
    """Who belongs together.

    Attributes:
        labels: Every node with the label of its group: node, label.
        links: The links that were used: a, b, how.
        set_aside: Nodes that link nobody: node, reason, nobody (whether it is nobody's either).
    """

    labels: ir.Table
    links: ir.Table
    set_aside: ir.Table


def groups(
    nodes: ir.Table, links: ir.Table, undone: ir.Table | None, *, bounds: Bounds, materialise: Materialise
) -> Groups:
    """Return the groups that trusted links make.

    Args:
        nodes: Every identifier: node, id_kind.
        links: Pairs of identifiers and how they are linked: a, b, how; a device is always b.
        undone: Ids (``link``, see ``link_id``) of links that somebody has undone; None when there are none.
        bounds: Where linking ends.
        materialise: Computes a table once.
    """
    standing = links if undone is None else links.mutate(link=link_id(links)).anti_join(undone, "link").drop("link")
    of_device = standing.b.startswith(f"{DEVICE}|")
    strong = materialise(standing.filter(~of_device))
    shared = materialise(_shared(strong, bounds.shared))
    bounded = materialise(_without(strong, shared))
    labels = components(bounded, materialise)
    crowds = materialise(_crowds(labels, bounds.group))
    if crowds.count().execute():
        bounded = materialise(_without(bounded, crowds))
        labels = labels.anti_join(crowds, "node").union(crowds.select("node", label=crowds.node))
    weak = materialise(_held(standing.filter(of_device), labels, shared))
    met = _devices(nodes, weak, labels, materialise)
    labels = materialise(_relabelled(labels, met))
    attached = weak.semi_join(met.attached, "device")
    used = bounded.union(attached.select(a=attached.other, b=attached.device, how=ibis.literal("device")))
    aside = ibis.union(
        shared.mutate(nobody=ibis.literal(True)), crowds.mutate(nobody=ibis.literal(False)),
        met.contested.mutate(nobody=ibis.literal(True)),
    )  # fmt: skip
    alone = nodes.anti_join(labels, "node").select("node", label=ibis._.node)
    return Groups(materialise(labels.union(alone)), materialise(used), materialise(aside))


def link_id(links: ir.Table) -> ir.StringValue:
    """Return the id of each link: a hash, so that it can be kept without the identifiers."""
    return (links.a + "~" + links.b).hexdigest("md5")


def _shared(strong: ir.Table, limit: int) -> ir.Table:
    """Return nodes that more than ``limit`` others of one kind are linked to, in all spellings: node, reason.

    Kinds are not added up: somebody with a few accounts, addresses and CRM records is still one person.
    """
    spelled = strong.filter(strong.how == "email_provider").select(spelling="a", mailbox="b")
    seen = strong.filter(strong.how == "same_record")
    ends = seen.select(node=seen.b, other=seen.a).union(seen.select(node=seen.a, other=seen.b))
    ends = _as_delivered(_as_delivered(ends, "node", spelled), "other", spelled)
    counted = ends.group_by(["node", ends.other.split("|")[0].name("kind")]).aggregate(n=ends.other.nunique())
    over = counted.filter(counted.n > limit)
    words = over.n.cast(str) + " different " + over.kind.cases(*_PLURALS.items(), else_=over.kind)
    grouped = over.group_by("node").aggregate(found=words.group_concat(" and ", order_by=over.kind))
    reason = "seen with " + grouped.found + f", more than identity.shared_limit ({limit})"
    shared = grouped.select("node", reason=reason)
    spellings = spelled.inner_join(shared, spelled.mailbox == shared.node)
    return shared.union(spellings.select(node="spelling", reason="reason"))


def _as_delivered(ends: ir.Table, end: str, spelled: ir.Table) -> ir.Table:
    """Put the mailbox in place of its spellings at one end of the links."""
    joined = ends.left_join(spelled, ends[end] == spelled.spelling)
    return joined.mutate(**{end: joined.mailbox.fill_null(joined[end])}).select(ends.columns)


def _without(links: ir.Table, left_out: ir.Table) -> ir.Table:
    """Leave out links that end in one of ``left_out``."""
    kept = links.anti_join(left_out.select(a=left_out.node), "a")
    return kept.anti_join(left_out.select(b=left_out.node), "b")


def _crowds(labels: ir.Table, limit: int) -> ir.Table:
    """Return the nodes of groups that are too large for one person: node, reason."""
    sizes = labels.group_by("label").aggregate(size=labels.count())
    over = labels.inner_join(sizes.filter(sizes.size > limit), "label")
    words = "one of " + over["size"].cast(str) + f" linked identifiers, more than identity.group_limit ({limit})"
    return over.select("node", reason=words)


def _held(weak: ir.Table, labels: ir.Table, shared: ir.Table) -> ir.Table:
    """Return which group each device was seen with: device, other (the identifier seen with it), label."""
    pairs = weak.select(device=weak.b, other=weak.a).distinct()
    pairs = pairs.anti_join(shared.select(other=shared.node), "other")
    joined = pairs.left_join(labels.select(other=labels.node, label=labels.label), "other")
    return joined.select("device", "other", label=joined.label.fill_null(joined.other))


@dataclass(frozen=True)
class _Met:
    """What became of the devices: moved (label, target), attached (device, label), contested (node, reason)."""

    moved: ir.Table
    attached: ir.Table
    contested: ir.Table


def _devices(nodes: ir.Table, weak: ir.Table, labels: ir.Table, materialise: Materialise) -> _Met:
    """Decide for every device whether it joins groups, stays with its one, or is used by several people."""
    held = materialise(weak.select("device", "label").distinct())
    counted = held.group_by("device").aggregate(met=held.count())
    several = materialise(held.semi_join(counted.filter(counted.met > 1), "device"))
    only = held.anti_join(several, "device")
    if not several.count().execute():
        nothing = several.limit(0)
        empty = nothing.select(node=nothing.device, reason=nothing.label)
        return _Met(nothing.select("label", target=nothing.label), only, empty)
    # Groups that devices hold together are judged together, so that no order of devices matters.
    clusters = materialise(components(several.select(a=several.label, b=several.device), materialise))
    members = clusters.filter(~clusters.node.startswith(f"{DEVICE}|")).select(label="node", cluster="label")
    mixed = materialise(_mixed(nodes, labels, members))
    fit = materialise(members.anti_join(mixed, "cluster"))
    moved = fit.select("label", target=fit.cluster)
    joining = several.semi_join(fit, "label")
    attached = only.union(joining.group_by("device").aggregate(label=joining.label.min()))
    used_by_many = several.anti_join(fit, "label").select("device").distinct().inner_join(counted, "device")
    words = "a device used with identifiers of " + used_by_many.met.cast(str) + " people"
    return _Met(moved, materialise(attached), materialise(used_by_many.select(node="device", reason=words)))


def _mixed(nodes: ir.Table, labels: ir.Table, members: ir.Table) -> ir.Table:
    """Return clusters in which two groups hold an identifier of one kind and scope: they are different people."""
    alone = members.anti_join(labels, "label").select(node="label", label="label")
    named = labels.semi_join(members, "label").union(alone)
    kinds = named.inner_join(nodes, "node").select("label", kind=ibis._.node.re_extract(r"^([^|]*\|[^|]*)\|", 1))
    held = kinds.distinct().inner_join(members, "label")
    counted = held.group_by(["cluster", "kind"]).aggregate(n=held.label.nunique())
    return counted.filter(counted.n > 1).select("cluster").distinct()


def _relabelled(labels: ir.Table, met: _Met) -> ir.Table:
    """Give groups that a device joins one label, and every attached device that of its group."""
    lone = met.moved.anti_join(labels, "label").select(node="label", label="label")
    alone = met.attached.anti_join(labels.select("label"), "label").select(node="label", label="label")
    every = labels.union(lone.union(alone).distinct())
    devices = met.attached.select(node=met.attached.device, label=met.attached.label)
    joined = every.union(devices).left_join(met.moved, "label")
    return joined.select("node", label=joined.target.fill_null(joined.label))
