"""Lead scores of the run's days: which customers, days and tables they are made from.

Belongs here: reading prospects and what they did, the row of score_models. Does not belong here: formulas
(``domain.leads``), words (``lead_words``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir

from scoring_platform.config.leads import EVENT, Leads
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.domain import leads as domain
from scoring_platform.domain.activity import owned_events
from scoring_platform.domain.identity import Scopes, owners
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.pipeline.step import Step
from scoring_platform.settings import Settings

MODEL = "lead"
_KEYS = ["as_of", "customer_id"]
_CATEGORY = "product_category"
_EVENT_COLUMNS = ("as_of", "customer_id", "source", "event_id", "kind", "occurred_at", "properties")
_SOURCES_OF_SIGNALS = {
    "email_": "raw_email_events",
    "web_": "raw_web_activity",
    "tickets": "raw_support_tickets",
    "event": "raw_events",
}
"""How signals begin, and the raw table they come from."""


@dataclass(frozen=True)
class _Reading:
    """What is read from, for which days.

    Attributes:
        engine: Computes.
        read: Gives days of a table.
        settings: Settings of this home.
        days: Days, oldest first.
    """

    engine: DuckDBEngine
    read: Callable[[str, Sequence[date]], ir.Table]
    settings: Settings
    days: Sequence[date]

    @property
    def leads(self) -> Leads:
        return self.settings.config.leads

    @property
    def table(self) -> ir.Table:
        rows = [{"as_of": day} for day in self.days]
        return self.engine.materialise(ibis.memtable(rows, schema=ibis.schema({"as_of": "date"})))

    def lately(self, name: str) -> ir.Table:
        """Return the days of a table that are within the window of some day."""
        first = self.days[0] - timedelta(days=self.leads.window_days - 1)
        return self.read(name, self.engine.lake.days(name, first=first, last=self.days[-1]))


def lead_scores(step: Step, profiles: ir.Table) -> ir.Table:
    """Return the lead score of those who never bought: as_of, customer_id, lead_score, mql.

    Args:
        step: Reads the lake.
        profiles: customer_profiles of the step's days.
    """
    prospects = profiles.filter(profiles.order_days == 0).select(*_KEYS, "region", "locale")
    if not sourced_signals(step.settings):
        return prospects.select(*_KEYS, lead_score=ibis.null("int64"), mql=ibis.null("boolean"))
    reading = _Reading(step.engine, step.read, step.settings, step.days)
    scored, _ = _scored(reading, step.engine.materialise(prospects))
    return step.engine.materialise(scored.select(*_KEYS, "lead_score", "mql"))


def sourced_signals(settings: Settings) -> list[str]:
    """Return the configured signals that have a source."""
    named = {name for group in settings.config.leads.intent.values() for name in group.points}
    return sorted(name for name in named if source_of(name) in settings.raw_tables)


def source_of(signal: str) -> str:
    """Return the raw table a signal comes from."""
    return next(table for start, table in _SOURCES_OF_SIGNALS.items() if signal.startswith(start))


def lead_evidence(
    engine: DuckDBEngine, settings: Settings, profile: dict[str, Any], *, scores: dict[str, Any], day: date
) -> dict[str, Any] | None:
    """Return the lead score of one customer with what makes it up; None for who has bought.

    ``score`` and ``mql`` are those published; ``…_now`` what the parts make by the facts and configuration of now.

    Args:
        engine: Reads the lake.
        settings: Settings of this home.
        profile: The customer's row of customer_profiles.
        scores: The customer's row of customer_scores.
        day: A published day.
    """
    if profile["order_days"]:
        return None
    leads = settings.config.leads
    about: dict[str, Any] = {
        "score": scores["lead_score"],
        "mql": scores["mql"],
        "score_now": None,
        "mql_now": None,
        "mql_threshold": leads.mql_threshold,
        "window_days": leads.window_days,
        "intent": {},
        "fit": {},
    }
    if not sourced_signals(settings):
        return about
    kinds = dict.fromkeys(("customer_id", "region", "locale"), "string")
    row = {"as_of": day, **{name: profile[name] for name in kinds}}
    prospect = engine.materialise(ibis.memtable([row], schema=ibis.schema({"as_of": "date", **kinds})))
    reading = _Reading(engine, lambda name, days: engine.read(contract_of(name), days), settings, [day])
    scored, worth = _scored(reading, prospect)
    (found,) = scored.to_pyarrow().to_pylist()
    signals = worth.select("signal", "n", "last_on", "points").order_by("signal").to_pyarrow().to_pylist()
    sourced = set(sourced_signals(settings))
    for name, group in leads.intent.items():
        about["intent"][name] = {
            "points": float(found[f"intent_{name}"]),
            "cap": group.cap,
            "has_source": bool(sourced & set(group.points)),
            "signals": [{**one, "points": float(one["points"])} for one in signals if one["signal"] in group.points],
        }
    for attribute, fit in leads.fit.items():
        value = (found[attribute] or "").strip()
        named = {given.lower(): given for given in fit.values}.get(value.lower())
        about["fit"][attribute] = {"factor": float(found[f"fit_{attribute}"]), "value": named, "known": bool(value)}
    return {**about, "score_now": found["lead_score"], "mql_now": found["mql"]}


def model_row(settings: Settings) -> dict[str, Any]:
    """Return the row of score_models that says how leads are scored, without version."""
    leads = settings.config.leads
    silent = sorted({name for group in leads.intent.values() for name in group.points} - set(sourced_signals(settings)))
    scored = bool(sourced_signals(settings))
    reason = "points, caps and factors as configured; nothing is fitted"
    if silent:
        reason += f"; without a source: {', '.join(f'{name} ({source_of(name)})' for name in silent)}"
    return {
        "model": MODEL,
        "config_version": settings.config_version,
        "parameters": json.dumps(leads.model_dump(mode="json"), sort_keys=True, ensure_ascii=False),
        "sample_size": 0,
        "log_likelihood": None,
        "standard_errors": None,
        "diagnostics": None,
        "rung": "configured" if scored else None,
        "reason": reason if scored else f"no signal has a source, so nobody has a lead score: {', '.join(silent)}",
    }


def _scored(reading: _Reading, prospects: ir.Table) -> tuple[ir.Table, ir.Table]:
    """Return the scores of ``prospects`` with what they are made from, and the evidence of each signal."""
    engine, leads, days = reading.engine, reading.leads, reading.table
    people = engine.materialise(prospects.select("customer_id").distinct())
    activity = engine.materialise(reading.lately("customer_activity").semi_join(people, "customer_id"))
    events = _events(reading, people)
    worth = domain.evidence(domain.facts(activity, events, sourced_signals(reading.settings)), days, leads)
    worth = engine.materialise(worth)
    known = prospects.mutate(product_category=ibis.null("string"))
    if _CATEGORY in leads.fit:
        latest = domain.categories(events, days, window_days=leads.window_days)
        joined = prospects.left_join(latest, _KEYS)
        known = engine.materialise(joined.select(*prospects.columns, _CATEGORY))
    return engine.materialise(domain.scores(known, worth, leads)), worth


def _events(reading: _Reading, people: ir.Table) -> ir.Table:
    """Return the behaviour events of ``people`` that count, within the window, with ``customer_id``."""
    engine, settings = reading.engine, reading.settings
    kinds = [name.removeprefix(EVENT) for name in sourced_signals(settings) if name.startswith(EVENT)]
    every = _CATEGORY in reading.leads.fit
    if "raw_events" not in settings.raw_tables or not (kinds or every):
        return reading.read("raw_events", []).mutate(customer_id=ibis.null("string"))
    events = reading.lately("raw_events")
    chosen = events if every else events.filter(events.kind.isin(kinds))
    scopes = Scopes(settings.shops, settings.crm_sources)
    identities = reading.read("customer_identities", reading.days[-1:])
    owned = owned_events(chosen, engine.materialise(owners(identities, scopes)), scopes)
    return engine.materialise(owned.semi_join(people, "customer_id").select(*_EVENT_COLUMNS))
