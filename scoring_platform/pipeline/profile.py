"""From raw days to profiles: which days each table reads, and the domain function that computes it.

Belongs here: reading windows and staleness. Does not belong here: formulas (``domain``), publishing (``lake``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import ibis.expr.types as ir

from scoring_platform.domain import consent, profiles
from scoring_platform.domain.activity import Events, activity, fact_days, web_days
from scoring_platform.domain.identity import owners as owners_of
from scoring_platform.domain.minting import decided_anew, regrouped
from scoring_platform.errors import HistoryError
from scoring_platform.pipeline.identities import owners, with_day
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
_RULES = "2"
"""How a day is made from its inputs; days made in another way are made anew."""
_VISITS = ("raw_web_activity",)
EVENT_TABLES = (*ACTIVITY_INPUTS, "raw_order_items", "raw_nps_responses")


def customer_activity(step: Step, days: Sequence[date]) -> ir.Table:
    """Daily facts of ``days`` under today's graph.

    Raises:
        HistoryError: A raw day since ``history_start`` is missing.
    """
    owned = owners(step)
    events = _events(step, days)
    consents = step.everything("raw_consents", last=days[-1])
    decided = step.engine.materialise(
        consent.given(consents.filter(consents.channel == "web"), owners=owned, scopes=step.scopes)
    )
    tracked = step.engine.materialise(consent.states(decided, web_days(events.web_activity, owned, step.scopes)))
    default = step.config.consent.tracking_default
    return activity(events, owned, tracked, scopes=step.scopes, tracking_default=default)


def activity_days(step: Step) -> list[date]:
    """Return the days of activity to compute.

    These are the run's, those missing before, those whose raw days changed, those from the first day on which a
    tracking decision is another than it was, and those with facts of identifiers that are somebody else's now.
    """
    history = span(step.config.history_start, step.last)
    published = set(step.lake.days("customer_activity", last=step.last))
    now = {day: activity_inputs(step, day) for day in history}
    then = {day: _recorded_inputs(step, day) if day in published else {} for day in history}
    wanted = {day for day in history if day not in published or now[day] != then[day]}
    decided = [day for day in history if now[day].get(_CONSENTS) != then[day].get(_CONSENTS)]
    since = {day for day in history if decided and day >= decided[0]}
    return sorted(wanted | set(step.days) | since | _days_of_others(step))


def _days_of_others(step: Step) -> set[date]:
    """Return the published days with facts that are somebody else's now than when the day was computed."""
    every = step.lake.days("customer_activity", last=step.days[0] - timedelta(days=1))
    # The graph that all of them were last brought up to: a later one was published, but its run did not get this far.
    before = step.lake.latest("customer_identities", last=every[-1]) if every else None
    if not every or before is None:  # without an earlier graph nobody can say what has moved
        return set(every)
    now, then = (
        step.engine.materialise(owners_of(step.read("customer_identities", [day]), step.scopes))
        for day in (step.last, before)
    )
    days: set[date] = set()
    for nodes, tables in (
        (regrouped(now, then, before), ACTIVITY_INPUTS),
        (decided_anew(now, then, before), _VISITS),
    ):
        moved = step.engine.materialise(nodes)
        if moved.count().execute():
            found = fact_days(_events(step, every, tables), moved, step.scopes)
            days |= set(found.to_pyarrow()["as_of"].to_pylist())
    return days


def _events(step: Step, days: Sequence[date], tables: Sequence[str] = ACTIVITY_INPUTS) -> Events:
    """Read the raw events of ``days``; those not among ``tables`` are empty."""
    read = {name: step.read(name, days if name in tables else []) for name in ACTIVITY_INPUTS}
    return Events(
        orders=read["raw_orders"],
        email_events=read["raw_email_events"],
        web_activity=read["raw_web_activity"],
        tickets=read["raw_support_tickets"],
        events=read["raw_events"],
    )


def activity_inputs(step: Step, day: date) -> dict[str, str | None]:
    """Return which version of each raw day the activity of ``day`` is made from, and by which rules."""
    found = {name: step.lake.version_id(name, day) for name in ACTIVITY_INPUTS}
    return {"rules": _RULES, **{name: version for name, version in found.items() if version is not None}}


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
    days = step.as_days()
    first_recent = step.days[0] - timedelta(days=profiles.RECENT_DAYS - 1)
    known = profiles.Known(
        identities=step.engine.materialise(identities),
        activity=step.everything("customer_activity", last=step.last),
        recent=step.everything("customer_activity", first=first_recent, last=step.last),
        customers=profiles.account_node(step.read("raw_customers", step.days), step.scopes),
        contacts=profiles.contact_node(step.read("raw_crm_contacts", step.days), step.scopes),
        owners=owned,
        responses=step.read("nps_responses", [step.last]),
        consents=step.engine.materialise(consent.states(_decisions(step, owned, last=step.last), days.table)),
    )
    first = min([*step.lake.days("customer_profiles")[:1], *step.days])
    return profiles.profiles(known, days, lake_start=first)


def _decisions(step: Step, owned: ir.Table, *, last: date) -> ir.Table:
    found = consent.decisions(
        step.everything("raw_consents", last=last),
        step.everything("raw_email_events", last=last),
        with_day(step, step.newest("raw_crm_contacts"), changed_on="updated_at"),
        owners=owned,
        scopes=step.scopes,
    )
    return step.engine.materialise(found)


def _recorded_inputs(step: Step, day: date) -> Mapping[str, str | None]:
    version = step.lake.version("customer_activity", day)
    return version.info.get("inputs") or {} if version else {}
