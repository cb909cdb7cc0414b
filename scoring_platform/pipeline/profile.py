"""From raw days to profiles: which days each table reads, and the domain function that computes it.

Belongs here: reading windows and staleness. Does not belong here: formulas (``domain``), publishing (``lake``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

import ibis.expr.types as ir

from scoring_platform.domain import consent, identity, profiles
from scoring_platform.domain.activity import Events, activity
from scoring_platform.domain.measures import with_current_ids
from scoring_platform.errors import HistoryError
from scoring_platform.ingest.judging import local_day
from scoring_platform.pipeline.step import Step, span

ACTIVITY_INPUTS = ("raw_orders", "raw_email_events", "raw_web_activity", "raw_support_tickets", "raw_events", "raw_consents")
EVENT_TABLES = (*ACTIVITY_INPUTS, "raw_order_items", "raw_nps_responses")


def customer_identities(step: Step) -> ir.Table:
    """Today's graph over all published days, cut to what had been seen by each day."""
    records = identity.Records(
        orders=step.everything("raw_orders"),
        customers=_with_day(step, step.newest("raw_customers"), created_on="created_at"),
        email_events=step.everything("raw_email_events"),
        web_activity=step.everything("raw_web_activity"),
        tickets=step.everything("raw_support_tickets"),
        events=step.everything("raw_events"),
        contacts=_with_day(step, step.newest("raw_crm_contacts"), created_on="created_at"),
        responses=step.everything("raw_nps_responses"),
        shop=step.shop,
    )
    minted = identity.owners(step.newest("customer_identities"), step.settings.shops)
    graph = step.engine.materialise(identity.resolve(records, minted, materialise=step.engine.materialise))
    days = step.days_table()
    return days.join(graph, graph.first_seen_on <= days.as_of)


def owners(step: Step) -> ir.Table:
    """Return which customer each identifier belongs to, by the graph of the run's last day: node, customer_id."""
    identities = step.read("customer_identities", [step.last])
    return step.engine.materialise(identity.owners(identities, step.settings.shops))


def customer_activity(step: Step, days: Sequence[date]) -> ir.Table:
    """Daily facts of ``days`` under today's graph.

    Raises:
        HistoryError: A raw day since ``history_start`` is missing.
    """
    owned = owners(step)
    events = Events(
        orders=step.read("raw_orders", days),
        email_events=step.read("raw_email_events", days),
        web_activity=step.read("raw_web_activity", days),
        tickets=step.read("raw_support_tickets", days),
        events=step.read("raw_events", days),
    )
    tracking = consent.states(_decisions(step, owned, last=days[-1]), step.days_table(days))
    return activity(
        events,
        owned,
        step.engine.materialise(tracking.filter(tracking.channel == "web")),
        shop=step.shop,
        tracking_default=step.config.consent.tracking_default,
    )


def activity_days(step: Step) -> list[date]:
    """Return the days of activity to compute: the run's, those missing before, and those whose raw days changed."""
    wanted = set(step.days)
    published = set(step.lake.days("customer_activity", last=step.last))
    for day in span(step.config.history_start, step.last):
        if day not in published or activity_inputs(step, day) != _recorded_inputs(step, day):
            wanted.add(day)
    return sorted(wanted)


def activity_inputs(step: Step, day: date) -> dict[str, str | None]:
    """Return which version of each raw day the activity of ``day`` is made from."""
    found = {name: step.lake.version_id(name, day) for name in ACTIVITY_INPUTS}
    return {name: version for name, version in found.items() if version is not None}


def require_history(step: Step, tables: Sequence[str]) -> None:
    """Check that every configured event table has every day since ``history_start``.

    Raises:
        HistoryError: Days are missing; the message has the command that loads them.
    """
    wanted = span(step.config.history_start, step.last)
    gaps: list[str] = []
    for name in tables:
        published = set(step.lake.days(name, last=step.last))
        missing = [day for day in wanted if day not in published]
        if missing:
            gaps.append(f"{name} lacks {len(missing)} of {len(wanted)} days ({missing[0]} to {missing[-1]})")
    if gaps:
        msg = f"{'; '.join(gaps)}. Load them with: scoring-platform run --date {step.last}"
        raise HistoryError(msg)


def customer_profiles(step: Step) -> ir.Table:
    """Profiles of the run's days."""
    identities = step.read("customer_identities", step.days)
    owned = owners(step)
    days = step.days_table()
    known = profiles.Known(
        identities=step.engine.materialise(identities),
        activity=current_activity(step),
        customers=profiles.account_node(step.read("raw_customers", step.days)),
        contacts=profiles.contact_node(step.read("raw_crm_contacts", step.days)),
        owners=owned,
        responses=step.read("nps_responses", [step.last]),
        consents=step.engine.materialise(consent.states(_decisions(step, owned, last=step.last), days)),
    )
    first = min([*step.lake.days("customer_profiles")[:1], *step.days])
    return profiles.profiles(known, days, lake_start=first)


def current_activity(step: Step, *, first: date | None = None) -> ir.Table:
    """Return all daily facts up to the run's last day under today's customer ids."""
    identities = step.read("customer_identities", [step.last])
    merged = identity.merged_ids(identities, step.settings.shops)
    return with_current_ids(step.everything("customer_activity", first=first, last=step.last), merged)


def _decisions(step: Step, owned: ir.Table, *, last: date) -> ir.Table:
    found = consent.decisions(
        step.everything("raw_consents", last=last),
        step.everything("raw_email_events", last=last),
        _with_day(step, step.newest("raw_crm_contacts"), changed_on="updated_at"),
        owners=owned,
        shop=step.shop,
    )
    return step.engine.materialise(found)


def _with_day(step: Step, table: ir.Table, **columns: str) -> ir.Table:
    """Put the business day of an instant beside each row; without the instant, the day of the row."""
    zone = ZoneInfo(step.config.time_zone)
    days = {name: local_day(table[instant], zone).fill_null(table.as_of) for name, instant in columns.items()}
    return table.mutate(**days)


def _recorded_inputs(step: Step, day: date) -> dict[str, str] | None:
    version = step.lake.version("customer_activity", day)
    return None if version is None else version.info.get("inputs")
