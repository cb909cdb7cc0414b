"""From raw days to profiles: which days each table reads, and the domain function that computes it.

Belongs here: reading windows and staleness. Does not belong here: formulas (``domain``), publishing (``lake``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import ibis.expr.types as ir

from scoring_platform.domain import consent, identity, profiles
from scoring_platform.domain.activity import Events, activity, web_days
from scoring_platform.domain.measures import with_current_ids
from scoring_platform.errors import HistoryError
from scoring_platform.ingest.judging import local_day
from scoring_platform.pipeline.step import Step, span

ACTIVITY_INPUTS = (
    "raw_orders",
    "raw_email_events",
    "raw_web_activity",
    "raw_support_tickets",
    "raw_events",
    "raw_consents",
)
_CONSENTS = "raw_consents"
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
        shops=step.settings.shops,
        web_introduces=step.config.consent.tracking_default == "granted",
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
    shops = step.settings.shops
    events = Events(
        orders=step.read("raw_orders", days),
        email_events=step.read("raw_email_events", days),
        web_activity=step.read("raw_web_activity", days),
        tickets=step.read("raw_support_tickets", days),
        events=step.read("raw_events", days),
    )
    consents = step.everything("raw_consents", last=days[-1])
    decided = step.engine.materialise(
        consent.given(consents.filter(consents.channel == "web"), owners=owned, shops=shops)
    )
    tracked = step.engine.materialise(consent.states(decided, web_days(events.web_activity, owned, shops)))
    return activity(events, owned, tracked, shops=shops, tracking_default=step.config.consent.tracking_default)


def activity_days(step: Step) -> list[date]:
    """Return the days of activity to compute.

    These are the run's, those missing before, those whose raw days changed, and those from the first day on which a
    tracking decision or the owner of an identifier is another than it was.
    """
    history = span(step.config.history_start, step.last)
    published = set(step.lake.days("customer_activity", last=step.last))
    now = {day: activity_inputs(step, day) for day in history}
    then = {day: _recorded_inputs(step, day) if day in published else {} for day in history}
    wanted = {day for day in history if day not in published or now[day] != then[day]}
    decided = [day for day in history if now[day].get(_CONSENTS) != then[day].get(_CONSENTS)]
    first = min([*decided[:1], *_regrouped_on(step)], default=step.last)
    return sorted(wanted | set(step.days) | {day for day in history if day >= first})


def _regrouped_on(step: Step) -> list[date]:
    """Return the first day with facts of an identifier that belonged to nobody, or to somebody else, until now."""
    before = step.lake.latest("customer_activity", last=step.days[0] - timedelta(days=1))
    if before is None or step.lake.version_id("customer_identities", before) is None:
        return []
    now = step.read("customer_identities", [step.last])
    moved = identity.regrouped(
        now.filter(now.first_seen_on <= before), step.read("customer_identities", [before]), step.settings.shops
    )
    found: list[date] = moved.aggregate(first=moved.first_seen_on.min()).to_pyarrow()["first"].to_pylist()
    return [day for day in found if day is not None]


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
        recent=current_activity(step, first=step.days[0] - timedelta(days=profiles.RECENT_DAYS - 1)),
        customers=profiles.account_node(step.read("raw_customers", step.days), step.settings.shops),
        contacts=profiles.contact_node(step.read("raw_crm_contacts", step.days)),
        owners=owned,
        responses=step.read("nps_responses", [step.last]),
        consents=step.engine.materialise(consent.states(_decisions(step, owned, last=step.last), days)),
    )
    first = min([*step.lake.days("customer_profiles")[:1], *step.days])
    return profiles.profiles(known, days, lake_start=first)


def current_activity(step: Step, *, first: date | None = None) -> ir.Table:
    """Return all daily facts up to the run's last day under today's customer ids."""
    return with_current_ids(step.everything("customer_activity", first=first, last=step.last), merged(step))


def merged(step: Step) -> ir.Table:
    """Return ids that no longer stand and who they are now, by the graph of the run's last day."""
    identities = step.read("customer_identities", [step.last])
    return step.engine.materialise(identity.merged_ids(identities, step.settings.shops))


def _decisions(step: Step, owned: ir.Table, *, last: date) -> ir.Table:
    found = consent.decisions(
        step.everything("raw_consents", last=last),
        step.everything("raw_email_events", last=last),
        _with_day(step, step.newest("raw_crm_contacts"), changed_on="updated_at"),
        owners=owned,
        shops=step.settings.shops,
    )
    return step.engine.materialise(found)


def _with_day(step: Step, table: ir.Table, **columns: str) -> ir.Table:
    """Put the business day of an instant beside each row; without the instant, the day of the row."""
    zone = ZoneInfo(step.config.time_zone)
    days = {name: local_day(table[instant], zone).fill_null(table.as_of) for name, instant in columns.items()}
    return table.mutate(**days)


def _recorded_inputs(step: Step, day: date) -> Mapping[str, str | None]:
    version = step.lake.version("customer_activity", day)
    return version.info.get("inputs") or {} if version else {}
