"""From profiles to scores and segments: which days each table reads, and the domain functions that compute them.

Belongs here: windows, look-back, the day before. Does not belong here: formulas (``domain``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from math import ceil

import ibis
import ibis.expr.types as ir

from scoring_platform.contracts.columns import MONEY
from scoring_platform.domain import segments
from scoring_platform.domain.measures import counts, latest_answers, purchase_facts, purchase_spells, purchases
from scoring_platform.domain.minting import reshaped
from scoring_platform.domain.profiles import RECENT, RECENT_DAYS, WINDOW_DAYS
from scoring_platform.domain.rfm import bands, measures
from scoring_platform.domain.running import Days, shifted
from scoring_platform.domain.scoring import Rules, scores
from scoring_platform.domain.turning import Turns, last_days, reached
from scoring_platform.pipeline.forecasts import forecasts
from scoring_platform.pipeline.identities import TABLE as IDENTITIES
from scoring_platform.pipeline.identities import owners
from scoring_platform.pipeline.leads import lead_scores
from scoring_platform.pipeline.models import configured_parts, cut_off_table, cut_offs_of, forecasts_for, versions_for
from scoring_platform.pipeline.step import Step, span

_KEYS = ("as_of", "customer_id")
_FROM_PURCHASES = {"recency_days", "tenure_days", "order_days", "frequency", "monetary", "r", "f", "m"}


def score_rules(step: Step) -> Rules:
    """Return how scores are made under the step's configuration."""
    return Rules(step.config.scoring, step.config.rfm, configured_parts(step), step.settings.config_version)


def customer_scores(step: Step) -> ir.Table:
    """Scores of the run's days."""
    published = step.read("customer_profiles", step.days)
    bought = _within_window(step, published)
    scored = _with_forecasts(step, _scored(step, bought, step.days), bought, step.days)
    return _beside(scored, lead_scores(step, published))


def customer_segments(step: Step) -> ir.Table:
    """Segments of the run's days, with the day of entry carried from the day before."""
    return _with_entry(step, _segments(step))


def segment_transitions(step: Step) -> ir.Table:
    """Who moved on each of the run's days."""
    today = step.read("customer_segments", step.days).drop("entered_on")
    yesterday = _day_before(step, step.days)
    return segments.transitions(today, yesterday, step.read("customer_profiles", step.days), reshaped=reshaped_on(step))


def _within_window(step: Step, published: ir.Table) -> ir.Table:
    """Put purchases within the configured window beside each profile row; profiles have those of one window length."""
    if step.config.rfm.window_days == WINDOW_DAYS:
        return published.mutate(window_order_days=published.order_days_365d, window_net_spend=published.net_spend_365d)
    activity = step.everything("customer_activity", last=step.last)
    bought = purchases(activity, step.as_days(), window_days=step.config.rfm.window_days)
    inside = bought.select(*_KEYS, "window_order_days", "window_net_spend")
    return _filled(_beside(published, inside))


def _beside(left: ir.Table, right: ir.Table) -> ir.Table:
    joined = left.left_join(right, _KEYS)
    return joined.select([name for name in joined.columns if not name.endswith("_right")])


def _filled(joined: ir.Table) -> ir.Table:
    return joined.mutate(
        window_order_days=joined.window_order_days.fill_null(0),
        window_net_spend=joined.window_net_spend.fill_null(ibis.literal(0, type=MONEY)),
    )


def _scored(step: Step, bought: ir.Table, days: Sequence[date]) -> ir.Table:
    window = timedelta(days=step.config.scoring.engagement_window_days)
    activity = step.everything("customer_activity", first=days[0] - window, last=step.last)
    rules = score_rules(step)
    scored = scores(bought, activity, step.as_days(days), cut_offs=cut_off_table(step, days), rules=rules)
    return scored.select([name for name in scored.columns if not name.endswith("_right")])


def _with_forecasts(step: Step, scored: ir.Table, bought: ir.Table, days: Sequence[date]) -> ir.Table:
    return _beside(scored, forecasts(step, bought, forecasts_for(step, days), configured_parts(step)))


def _segments(step: Step) -> ir.Table:
    measured, past = segment_measures(step)
    return step.engine.materialise(segments.segments(measured, past, step.config.segments, days=step.as_days()))


def segment_measures(step: Step) -> tuple[ir.Table, ir.Table]:
    """Return what conditions read of everyone on the run's days, and in the look-back of those whom it decides."""
    rules = step.config.segments
    columns = ["as_of", "customer_id", *segments.measures(rules)]
    scored = step.read("customer_scores", step.days)
    profiles = step.read("customer_profiles", step.days).select("as_of", "customer_id", "first_order_on", "order_days")
    measured = segments.with_tenure(scored.inner_join(profiles, ["as_of", "customer_id"]))
    measured = step.engine.materialise(measured.select(columns))
    open_customers = step.engine.materialise(segments.undecided(measured, rules))
    return measured, step.engine.materialise(_past(step, open_customers).select(columns))


def _past(step: Step, customers: ir.Table) -> ir.Table:
    """Measures of ``customers`` on the run's days and the look-back before the first, from the facts."""
    days = span(step.days[0] - timedelta(days=step.config.segments.look_back_days - 1), step.last)
    every, rules = step.as_days(days), score_rules(step)
    read = set(segments.measures(step.config.segments))
    if read <= _FROM_PURCHASES:
        return segments.with_tenure(bands(measures(_at_turns(step, customers, every)), cut_off_table(step, days)))
    rows = every.table.cross_join(customers)
    known = facts_known(step, rows, every, rules)
    if read <= {*_FROM_PURCHASES, "total_score"}:
        return segments.with_tenure(_scored(step, step.engine.materialise(known), days))
    lately = step.everything("customer_activity", first=days[0] - timedelta(days=RECENT_DAYS - 1), last=step.last)
    recent = counts(lately.semi_join(customers, "customer_id"), every, window_days=RECENT_DAYS, columns=RECENT)
    known = _beside(known, recent)
    known = step.engine.materialise(known.mutate(**{name: known[name].fill_null(0) for name in RECENT}))
    return segments.with_tenure(_with_forecasts(step, _scored(step, known, days), known, days))


def _at_turns(step: Step, customers: ir.Table, days: Days) -> ir.Table:
    """Purchase measures of ``customers``, on the last days before something about them may turn."""
    rules, keep = step.config.segments, step.engine.materialise
    versions = versions_for(step, span(days.first, days.last))
    limits = {limit for version in versions.values() for limit in cut_offs_of(version).recency_days}
    turns = Turns(
        recency=frozenset({ceil(limit) for limit in limits} | reached(segments.thresholds(rules, "recency_days"))),
        tenure=frozenset(reached(segments.thresholds(rules, "tenure_days"))),
        on=frozenset(day for day in versions if versions[day] != versions.get(day - timedelta(days=1))),
    )
    spells = purchase_spells(_purchases_of(step, customers), days, window_days=step.config.rfm.window_days)
    return last_days(keep(spells), turns)


def facts_known(step: Step, rows: ir.Table, days: Days, rules: Rules, *, few: bool = True) -> ir.Table:
    """Return what a score needs to know of customers on days, from the facts as known now.

    Args:
        step: Reads the lake.
        rows: as_of, customer_id.
        days: The days.
        rules: How scores are made.
        few: Whether ``rows`` are of few of the customers, so that it pays to pick their facts first.
    """
    answers = latest_answers(step.read("nps_responses", [step.last]), days)
    activity = _purchases_of(step, rows.select("customer_id").distinct()) if few else _facts(step)
    bought = purchases(activity, days, window_days=rules.rfm.window_days)
    joined = _filled(_beside(rows, bought))
    return _beside(joined.mutate(order_days=joined.order_days.fill_null(0)), answers)


def _purchases_of(step: Step, customers: ir.Table) -> ir.Table:
    """Return the days of ``customers`` with an order or a refund."""
    chosen = step.engine.materialise(customers)
    return step.engine.materialise(purchase_facts(_facts(step)).semi_join(chosen, "customer_id"))


def _facts(step: Step) -> ir.Table:
    return step.everything("customer_activity", last=step.last)


def reshaped_on(step: Step) -> ir.Table:
    """Return who became one with another or came apart on which of the run's days: as_of, customer_id."""
    kinds = ibis.schema({"as_of": "date", "customer_id": "string"})
    parts = [step.engine.materialise(ibis.memtable([], schema=kinds))]
    for day in step.days:
        before = day - timedelta(days=1)
        if _graph(step, before) not in {None, _graph(step, day)}:
            found = reshaped(owners(step.for_days([day])), owners(step.for_days([before])))
            parts.append(step.engine.materialise(found.select("customer_id", as_of=ibis.literal(day))).select(*kinds))
    return ibis.union(*parts) if parts[1:] else parts[0]


def _graph(step: Step, day: date) -> str | None:
    """Name the graph by which identities of a day were published: one run has one for all its days."""
    version = step.lake.version(IDENTITIES, day)
    return str(version.info.get("run_id") or version.version) if version else None


def _day_before(step: Step, days: Sequence[date]) -> ir.Table:
    """Segments as published on the day before each day, with ``as_of`` moved to the day that follows."""
    published = step.read("customer_segments", [day - timedelta(days=1) for day in days])
    return published.mutate(as_of=shifted(published.as_of, 1))


def _with_entry(step: Step, today: ir.Table) -> ir.Table:
    """Carry ``entered_on``: the latest day of [first day of the run, day] with a change, else the day before's.

    A range carries it inside its run: a row starts a stay when the customer was elsewhere, or nowhere, the day before.
    A baseline day starts a stay without being a transition; a merge or a coming apart starts none.
    """
    published = step.engine.materialise(_day_before(step, step.days[:1]))
    inside = today.select("customer_id", as_of=shifted(today.as_of, 1), previous=today.segment)
    earlier = published.select(
        "customer_id", "as_of", previous=published.segment, previous_entered=published.entered_on
    )
    before = earlier.union(inside.mutate(previous_entered=ibis.null("date")).select(earlier.columns))
    joined = _beside(_beside(today, before), reshaped_on(step).mutate(reshaped=True))
    elsewhere = (joined.previous != joined.segment) & joined.reshaped.isnull()
    starts = (joined.previous.isnull() | elsewhere).ifelse(joined.as_of, joined.previous_entered)
    marked = joined.mutate(started_on=starts)
    so_far = ibis.window(group_by="customer_id", order_by=marked.as_of, preceding=None, following=0)
    return marked.select("as_of", "customer_id", "segment", entered_on=marked.started_on.max().over(so_far))
