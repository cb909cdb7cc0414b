"""Why total scores moved on the run's days: which totals are computed again, under what.

Belongs here: the day before as now known, as then configured, as then modelled. Does not belong here: the sum of causes
(``domain.changes``), formulas of the score (``domain.scoring``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

import ibis
import ibis.expr.types as ir

from scoring_platform.config.load import load_config
from scoring_platform.domain import changes as domain
from scoring_platform.domain.running import shifted
from scoring_platform.domain.scoring import Rules, scores
from scoring_platform.ledger.models import ModelVersion
from scoring_platform.pipeline.models import cut_offs_under, version_name, version_named, versions_for
from scoring_platform.pipeline.scores import facts_known, reshaped_on, score_rules
from scoring_platform.pipeline.step import Step

_DAY = timedelta(days=1)
_KEYS = ["as_of", "customer_id"]


@dataclass(frozen=True)
class _Then:
    """What was in force on the day before the run's first.

    Attributes:
        rules: Configuration of scores; None when it is no longer kept.
        version: Version of cut-offs and models.
        published: Whether that day is published.
    """

    rules: Rules | None
    version: ModelVersion
    published: bool


def score_changes(step: Step) -> ir.Table:
    """Changes of the run's days.

    Only the first of them can hold late data, merges or another configuration: the day before each other one has just
    been computed by this run.
    """
    keep, first = step.engine.materialise, step.days[0]
    now, then = score_rules(step), _then(step, first - _DAY)
    versions = versions_for(step, [first - _DAY, *step.days])
    before = {day: then.version if day == first else versions[day - _DAY] for day in step.days}
    after = keep(_totals(step.read("customer_scores", step.days)))
    published = keep(_moved(_totals(step.read("customer_scores", [day - _DAY for day in step.days]))))
    known = _first_day(published, first, _known(step, after, first, then))
    if not then.published:  # starts from that day as now known, for those who were there
        published = known.semi_join(_there(step, first), _KEYS).union(published.filter(published.as_of != first))
        published = keep(published)
    configured = known
    if then.rules != now:
        configured = _first_day(known, first, _rescored(step, after, {first: then.version}, now))
    others = {day: versions[day] for day in step.days if version_name(versions[day]) != version_name(before[day])}
    modelled = configured
    if others:
        rest = configured.filter(configured.as_of.notin(list(others)))
        modelled = keep(rest.union(_rescored(step, after, others, now)))
    aged = keep(_aged(step, after, now, versions))
    totals = domain.Totals(published, known, configured, modelled, aged, after, keep(reshaped_on(step)))
    return keep(domain.changes(totals))


def _then(step: Step, day: date) -> _Then:
    rows = step.read("customer_scores", [day]).select("config_version", "model_version").distinct().limit(2)
    found = rows.order_by("config_version", "model_version").to_pyarrow().to_pylist()
    if not found:
        return _Then(score_rules(step), versions_for(step, [day])[day], published=False)
    version = version_named(step, found[0]["model_version"]) or versions_for(step, [day])[day]
    return _Then(_rules_of(step, found[0]["config_version"]), version, published=True)


def _rules_of(step: Step, config_version: str) -> Rules | None:
    """Return the rules of an archived configuration; None when it is not there any more."""
    current = score_rules(step)
    if config_version == current.config_version:
        return current
    path = step.settings.home / "config" / f"{config_version}.yaml"
    if not path.exists():
        return None
    return score_rules(replace(step, settings=replace(step.settings, loaded=load_config(path))))


def _known(step: Step, after: ir.Table, first: date, then: _Then) -> ir.Table | None:
    if then.rules is None:  # what cannot be computed again is put down to the configuration
        return None
    before = step.lake.version("customer_scores", first - _DAY)
    if before is not None and before.info.get("run_id") == step.run_id != "":  # a piece of a range before this one
        return None
    return _rescored(step, after, {first: then.version}, then.rules)


def _first_day(totals: ir.Table, first: date, replacing: ir.Table | None) -> ir.Table:
    """Return ``totals`` with those of the first day replaced."""
    return totals if replacing is None else totals.filter(totals.as_of != first).union(replacing)


def _rescored(step: Step, after: ir.Table, versions: Mapping[date, ModelVersion], rules: Rules) -> ir.Table:
    """Return totals of the day before each day, by the facts and the graph known now; ``as_of`` is the day itself."""
    eves = [day - _DAY for day in sorted(versions)]
    rows = after.filter(after.as_of.isin(list(versions))).select("as_of", "customer_id")
    days = step.as_days(eves)
    measured = step.engine.materialise(
        facts_known(step, rows.mutate(as_of=shifted(rows.as_of, -1)), days, rules, few=False)
    )
    cut_offs = cut_offs_under(step, {day - _DAY: version for day, version in versions.items()})
    activity = _lately(step, rules, eves[0], eves[-1])
    scored = scores(measured, activity, days, cut_offs=cut_offs, rules=rules)
    return step.engine.materialise(_moved(_totals(scored)))


def _aged(step: Step, after: ir.Table, rules: Rules, versions: Mapping[date, ModelVersion]) -> ir.Table:
    """Return totals of each day as they would be had nothing happened since the day before.

    For whom nothing has happened that is the total of the day.
    """
    active = step.engine.materialise(after.select(*_KEYS).semi_join(_happened(step), _KEYS))
    customers = active.select("customer_id").distinct()
    days = step.as_days(lag=1)
    measured = step.engine.materialise(facts_known(step, active, days, rules))
    cut_offs = cut_offs_under(step, {day: versions[day] for day in step.days})
    activity = _lately(step, rules, step.days[0], step.last).semi_join(customers, "customer_id")
    aged = _totals(scores(measured, activity, days, cut_offs=cut_offs, rules=rules))
    return after.anti_join(active, _KEYS).union(aged)


def _happened(step: Step) -> ir.Table:
    """Return for whom there are facts of the run's days themselves: as_of, customer_id."""
    activity = step.read("customer_activity", step.days).select(*_KEYS)
    answers = step.read("nps_responses", [step.last])
    answers = answers.filter(answers.survey_date.isin(list(step.days)) & answers.customer_id.notnull())
    return activity.union(answers.select("customer_id", as_of=answers.survey_date).select(*_KEYS)).distinct()


def _lately(step: Step, rules: Rules, first: date, last: date) -> ir.Table:
    window = timedelta(days=rules.scoring.engagement_window_days)
    return step.everything("customer_activity", first=first - window, last=last)


def _there(step: Step, day: date) -> ir.Table:
    """Return the customers of a day who had been seen before it."""
    profiles = step.read("customer_profiles", [day])
    return profiles.filter(profiles.first_seen_on < profiles.as_of).select("as_of", "customer_id")


def _totals(scored: ir.Table) -> ir.Table:
    total = (scored.total_score * ibis.literal(100, type="decimal(5, 0)")).round(0).cast("int64")
    return scored.select("as_of", "customer_id", total=total)


def _moved(totals: ir.Table) -> ir.Table:
    """Return totals under the day that follows."""
    return totals.mutate(as_of=shifted(totals.as_of, 1))
