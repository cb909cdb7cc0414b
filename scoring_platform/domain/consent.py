"""Who may be written to and who may be tracked.

Latest decision per source, channel and purpose; allowed only if some source's latest is granted and no source's latest
is denied or revoked. Unknown is not granted.

Belongs here: decisions to states. Does not belong here: the gate that sending passes.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from scoring_platform.domain import normalise
from scoring_platform.domain.identity import Scopes, node

_COLUMNS = ("source", "channel", "purpose", "status", "occurred_at", "node", "decided_on")


def decisions(
    consents: ir.Table, email_events: ir.Table, contacts: ir.Table, *, owners: ir.Table, scopes: Scopes
) -> ir.Table:
    """Return every decision of a known customer.

    Args:
        consents: raw_consents with ``as_of``.
        email_events: raw_email_events with ``as_of``; unsubscribes and complaints revoke.
        contacts: raw_crm_contacts with ``changed_on``; an opt-out revokes.
        owners: Identifier to customer (``node``, ``customer_id``, ``first_seen_on``).
        scopes: Whose numbers are meant.

    Returns:
        Columns customer_id, source, channel, purpose, status, occurred_at, decided_on.
    """
    every = ibis.union(_given(consents, scopes), _left(email_events), _opted_out(contacts, scopes))
    return _of_known(every, owners)


def given(consents: ir.Table, *, owners: ir.Table, scopes: Scopes) -> ir.Table:
    """Return the decisions in raw_consents alone, as ``decisions`` does: enough for what no e-mail can revoke."""
    return _of_known(_given(consents, scopes), owners)


def _of_known(every: ir.Table, owners: ir.Table) -> ir.Table:
    """A decision under an identifier counts from the day on which it is known whose that is, by whatever run."""
    joined = every.inner_join(owners, "node")
    return joined.select(
        *(name for name in every.columns if name not in {"node", "decided_on"}),
        "customer_id",
        decided_on=ibis.greatest(joined.decided_on, joined.first_seen_on),
    )


def _given(consents: ir.Table, scopes: Scopes) -> ir.Table:
    is_email = consents.subject.contains("@") | consents.subject.contains("＠")
    subject = is_email.ifelse(
        node("email", normalise.email(consents.subject)), scopes.account(consents.subject, consents.source)
    )
    return consents.mutate(node=subject, decided_on=consents.as_of).select(_COLUMNS)


def _left(email_events: ir.Table) -> ir.Table:
    left = email_events.filter(email_events.kind.isin(["unsubscribe", "complaint"]))
    return _revoked(left, node("email", normalise.email(left.email)), left.occurred_at, on=left.as_of)


def _opted_out(contacts: ir.Table, scopes: Scopes) -> ir.Table:
    out = contacts.filter(contacts.opt_out)
    return _revoked(out, scopes.contact(out.crm_id, out.source), out.updated_at, on=out.changed_on)


def _revoked(table: ir.Table, who: ir.Value, at: ir.Value, *, on: ir.Value) -> ir.Table:
    revoked = table.select(
        "source",
        channel=ibis.literal("email"),
        purpose=ibis.literal("marketing"),
        status=ibis.literal("revoked"),
        occurred_at=at,
        node=who,
        decided_on=on,
    )
    return revoked.select(_COLUMNS)


def states(decided: ir.Table, days: ir.Table) -> ir.Table:
    """Return the state at the end of each day of ``days`` per customer, channel and purpose.

    Args:
        decided: Result of ``decisions`` or ``given``.
        days: Days to compute (``as_of``); with ``customer_id``, those days of that customer only.

    Returns:
        Columns as_of, customer_id, channel, purpose, state (granted | denied).
    """
    asked = [days.customer_id == decided.customer_id] if "customer_id" in days.columns else []
    known = days.join(decided, [decided.decided_on <= days.as_of, *asked])
    known = known.select("as_of", *decided.columns)
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
