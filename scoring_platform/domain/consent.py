"""Who may be written to and who may be tracked.

Latest decision per source, channel and purpose; allowed only if some source's latest is granted and no source's latest
is denied or revoked. Unknown is not granted.

Belongs here: decisions to states. Does not belong here: the gate that sending passes.
"""

from __future__ import annotations

from datetime import date

import ibis
import ibis.expr.types as ir

from scoring_platform.domain import normalise
from scoring_platform.domain.identity import Scopes, node

_WHAT = ("customer_id", "channel", "purpose")
_NEVER = date(9999, 12, 31)
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
    spells = _spells(decided)
    asked = [days.customer_id == spells.customer_id] if "customer_id" in days.columns else []
    held = days.join(spells, [days.as_of >= spells.since, days.as_of < spells.until, *asked])
    return held.select("as_of", *_WHAT, state=(held.refusing > 0).ifelse("denied", "granted"))


def _spells(decided: ir.Table) -> ir.Table:
    """Return for how many sources nobody may, from which day to the one before which: since, until, refusing."""
    turns = _turns(decided)
    daily = turns.group_by([*_WHAT, "decided_on"]).aggregate(turn=turns.turn.sum())
    so_far = ibis.window(group_by=_WHAT, order_by="decided_on", rows=(None, 0))
    following = daily.decided_on.lead().over(ibis.window(group_by=_WHAT, order_by="decided_on"))
    return daily.select(
        *_WHAT,
        since=daily.decided_on,
        until=following.fill_null(ibis.literal(_NEVER)),
        refusing=daily.turn.sum().over(so_far),
    )


def _turns(decided: ir.Table) -> ir.Table:
    """Return 1 where a source begins to refuse and -1 where it begins to allow, on the day it is known.

    A decision may become known after a later one has: what counts is the latest of those known by then.
    """
    source = [*_WHAT, "source"]
    marked = decided.mutate(refused=(decided.status != "granted").cast("int64"))
    # Of two decisions at one instant the stricter one counts.
    ranked = marked.mutate(place=ibis.row_number().over(group_by=source, order_by=[marked.occurred_at, marked.refused]))
    # Twice the place, and one more where it is refused: the greatest so far is the latest, and says which it is.
    daily = ranked.group_by([*source, "decided_on"]).aggregate(latest=(ranked.place * 2 + ranked.refused).max())
    so_far = ibis.window(group_by=source, order_by="decided_on", rows=(None, 0))
    known = daily.mutate(latest=daily.latest.max().over(so_far))
    known = known.select(*source, "decided_on", refused=known.latest % 2)
    before = known.refused.lag().over(ibis.window(group_by=source, order_by="decided_on"))
    return known.select(*_WHAT, "decided_on", turn=known.refused - before.fill_null(0))
