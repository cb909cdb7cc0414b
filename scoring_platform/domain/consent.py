"""Who may be written to and who may be tracked.

Latest decision per source, channel and purpose; allowed only if some source's latest is granted and no source's latest
is denied or revoked. Unknown is not granted.

Belongs here: decisions to states. Does not belong here: the gate that sending passes.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from scoring_platform.domain import normalise
from scoring_platform.domain.identity import node


def decisions(
    consents: ir.Table, email_events: ir.Table, contacts: ir.Table, *, owners: ir.Table, shop: str
) -> ir.Table:
    """Return every decision of a known customer.

    Args:
        consents: raw_consents with ``as_of``.
        email_events: raw_email_events with ``as_of``; unsubscribes and complaints revoke.
        contacts: raw_crm_contacts with ``changed_on``; an opt-out revokes.
        owners: Identifier to customer (``node``, ``customer_id``).
        shop: Source whose customer ids consents name.

    Returns:
        Columns customer_id, source, channel, purpose, status, occurred_at, decided_on.
    """
    is_email = consents.subject.contains("@") | consents.subject.contains("＠")
    subject = is_email.ifelse(
        node("email", normalise.email(consents.subject)),
        node("customer_ref", normalise.reference(consents.subject), shop),
    )
    given = consents.select(
        "source", "channel", "purpose", "status", "occurred_at", node=subject, decided_on=consents.as_of
    )
    left = email_events.filter(email_events.kind.isin(["unsubscribe", "complaint"]))
    revoked = left.select(
        "source",
        channel=ibis.literal("email"),
        purpose=ibis.literal("marketing"),
        status=ibis.literal("revoked"),
        occurred_at=left.occurred_at,
        node=node("email", normalise.email(left.email)),
        decided_on=left.as_of,
    )
    out = contacts.filter(contacts.opt_out)
    opted_out = out.select(
        "source",
        channel=ibis.literal("email"),
        purpose=ibis.literal("marketing"),
        status=ibis.literal("revoked"),
        occurred_at=out.updated_at,
        node=node("crm_id", normalise.reference(out.crm_id), out.source),
        decided_on=out.changed_on,
    )
    columns = ["source", "channel", "purpose", "status", "occurred_at", "node", "decided_on"]
    every = ibis.union(given.select(columns), revoked.select(columns), opted_out.select(columns))
    return every.inner_join(owners, "node").drop("node")


def states(decided: ir.Table, days: ir.Table) -> ir.Table:
    """Return the state at the end of each day of ``days`` per customer, channel and purpose.

    Returns:
        Columns as_of, customer_id, channel, purpose, state (granted | denied).
    """
    known = days.join(decided, decided.decided_on <= days.as_of)
    by_source = ["as_of", "customer_id", "channel", "purpose", "source"]
    # Of two decisions at one instant the stricter one counts.
    ranked = known.mutate(
        _rank=ibis.row_number().over(
            group_by=by_source, order_by=[ibis.desc(known.occurred_at), known.status == "granted", known.status]
        )
    )
    latest = ranked.filter(ranked._rank == 0)
    grouped = latest.group_by(["as_of", "customer_id", "channel", "purpose"]).aggregate(
        refused=(latest.status != "granted").any()
    )
    return grouped.mutate(state=grouped.refused.ifelse("denied", "granted")).drop("refused")
