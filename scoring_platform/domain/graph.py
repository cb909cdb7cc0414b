"""Connected components of an undirected graph, computed by the engine.

Belongs here: labels from links. Does not belong here: what nodes and links stand for (``linking``).
"""

from __future__ import annotations

from collections.abc import Callable

import ibis
import ibis.expr.types as ir

MAX_ROUNDS = 50
"""Far more than needed: a chain of two thousand nodes takes eleven."""

Materialise = Callable[[ir.Table], ir.Table]
"""Computes a table once; the rounds build on each other."""


def components(links: ir.Table, materialise: Materialise) -> ir.Table:
    """Label every node of ``links`` (a, b) with the least node it is connected to: node, label.

    Groups grow together until none touches another: in every round each group hangs itself below the least group it
    touches. Hanging whole groups, not single nodes, makes the rounds grow with the logarithm of a chain's length.
    """
    both = materialise(links.select(node=links.a, other=links.b).union(links.select(node=links.b, other=links.a)))
    labels = materialise(both.select("node").distinct().mutate(label=ibis._.node))
    for _ in range(MAX_ROUNDS):
        grown = materialise(_round(labels, both, materialise))
        changed = grown.join(labels.select("node", before=labels.label), "node")
        done = changed.filter(changed.label != changed.before).count().execute() == 0
        labels = grown
        if done:
            break
    return labels


def _round(labels: ir.Table, both: ir.Table, materialise: Materialise) -> ir.Table:
    """Hang every group (its label) below the least group it touches, then let each node follow its label one step."""
    ends = both.inner_join(labels, "node").inner_join(labels.select(other=labels.node, offer=labels.label), "other")
    least = ends.group_by("label").aggregate(offer=ends.offer.min())
    joined = labels.left_join(least.select(node=least.label, offer=least.offer), "node")
    hung = materialise(joined.select("node", label=ibis.least(joined.label, joined.offer.fill_null(joined.label))))
    followed = hung.inner_join(hung.select(label=hung.node, next=hung.label), "label")
    return followed.select("node", label=followed.next)
