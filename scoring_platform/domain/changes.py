"""Why a total score moved: the causes since the day before, adding up exactly.

Each cause is applied on top of the one before, in a fixed order, and is what the total moved by; so the last total is
the first plus all causes, whatever they are.

Belongs here: totals after each cause to causes. Does not belong here: how a total under a cause is computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

CAUSES = ("first_seen", "late_data", "merges", "configuration", "model_version", "ageing", "own_events")
_KEYS = ["as_of", "customer_id"]


@dataclass(frozen=True)
class Totals:
    """Totals in hundredths, each with as_of (the day whose change is explained), customer_id and total.

    Attributes:
        before: Of the day before, as published; who is not in it is new.
        known: Of the day before, by the facts and the graph known now, and configuration and models of then.
        configured: The same by today's configuration.
        modelled: The same by today's models too.
        aged: Of the day, had nothing happened since the day before.
        after: Of the day.
        reshaped: Customers who took in another one or came apart: as_of, customer_id.
    """

    before: ir.Table
    known: ir.Table
    configured: ir.Table
    modelled: ir.Table
    aged: ir.Table
    after: ir.Table
    reshaped: ir.Table


def changes(totals: Totals) -> ir.Table:
    """Return one row per customer of the day: total_before, the causes, total_after."""
    joined = totals.after.rename(after="total")
    for name in ("before", "known", "configured", "modelled", "aged"):
        part: ir.Table = getattr(totals, name)
        joined = joined.left_join(part.select(*_KEYS, **{name: part.total}), _KEYS).drop(
            "as_of_right", "customer_id_right"
        )
    marked = totals.reshaped.mutate(moved=ibis.literal(True))
    joined = joined.left_join(marked, _KEYS).drop("as_of_right", "customer_id_right")
    new = joined.before.isnull()
    # Who was there the day before but has no facts of then any more starts from what is published.
    known = joined.known.fill_null(joined.before)
    configured = joined.configured.fill_null(known)
    modelled = joined.modelled.fill_null(configured)
    aged = joined.aged.fill_null(modelled)
    corrected = known - joined.before
    moved = joined.moved.fill_null(False)
    nothing = ibis.literal(0, type="int64")
    steps = {
        "late_data": moved.ifelse(nothing, corrected),
        "merges": moved.ifelse(corrected, nothing),
        "configuration": configured - known,
        "model_version": modelled - configured,
        "ageing": aged - modelled,
        "own_events": joined.after - aged,
    }
    return joined.select(
        *_KEYS,
        total_before=joined.before.fill_null(0),
        first_seen=new.ifelse(joined.after, nothing),
        **{name: new.ifelse(nothing, value) for name, value in steps.items()},
        total_after=joined.after,
    )
