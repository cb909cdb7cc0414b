"""From profiles to scores and segments: which days each table reads, and the domain functions that compute them.

Belongs here: windows, look-back, the day before. Does not belong here: formulas (``domain``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import ibis
import ibis.expr.types as ir

from scoring_platform.config.scoring import PARTS
from scoring_platform.domain import segments
from scoring_platform.domain.measures import latest_answers, purchases
from scoring_platform.domain.scoring import Rules, scores
from scoring_platform.pipeline.models import cut_off_table
from scoring_platform.pipeline.profile import current_activity
from scoring_platform.pipeline.step import Step

_SOURCES_OF_PARTS = {
    "email": "raw_email_events",
    "web": "raw_web_activity",
    "support": "raw_support_tickets",
    "nps": "raw_nps_responses",
}
_PROFILE_COLUMNS = (
    "as_of",
    "customer_id",
    "first_order_on",
    "last_order_on",
    "order_days",
    "order_days_365d",
    "net_spend_365d",
    "nps_score",
    "nps_answered_on",
)


def score_rules(step: Step) -> Rules:
    """Return how scores are made under the step's configuration."""
    given = step.settings.raw_tables
    configured = [part for part in PARTS if part not in _SOURCES_OF_PARTS or _SOURCES_OF_PARTS[part] in given]
    return Rules(step.config.scoring, step.config.rfm, configured, step.settings.config_version)


def customer_scores(step: Step) -> ir.Table:
    """Scores of the run's days."""
    profiles = step.read("customer_profiles", step.days)
    return _scored(step, profiles, step.days)


def customer_segments(step: Step) -> ir.Table:
    """Segments of the run's days, with the day of entry carried from the day before."""
    today = _segments(step)
    return _with_entry(step, today)


def segment_transitions(step: Step) -> ir.Table:
    """Who moved on each of the run's days."""
    today = step.read("customer_segments", step.days).drop("entered_on")
    return segments.transitions(today, _day_before(step, step.days), step.read("customer_profiles", step.days))


def _scored(step: Step, profiles: ir.Table, days: Sequence[date]) -> ir.Table:
    window = timedelta(days=step.config.scoring.engagement_window_days)
    activity = current_activity(step, first=days[0] - window)
    return scores(
        profiles, activity, step.days_table(days), cut_offs=cut_off_table(step, days), rules=score_rules(step)
    )


def _segments(step: Step) -> ir.Table:
    scored = step.read("customer_scores", step.days)
    profiles = step.read("customer_profiles", step.days).select("as_of", "customer_id", "first_order_on", "order_days")
    measured = segments.with_tenure(scored.inner_join(profiles, ["as_of", "customer_id"]))
    rules = step.config.segments
    measured = step.engine.materialise(measured.select("as_of", "customer_id", *segments.MEASURED))
    open_customers = step.engine.materialise(segments.undecided(measured, rules))
    past = step.engine.materialise(_past(step, open_customers))
    return step.engine.materialise(segments.segments(measured, past, rules))


def _past(step: Step, customers: ir.Table) -> ir.Table:
    """Measures of ``customers`` on the run's days and the look-back before the first, from the facts."""
    back = timedelta(days=step.config.segments.look_back_days - 1)
    days = [step.days[0] - back + timedelta(days=n) for n in range((step.last - step.days[0] + back).days + 1)]
    activity = current_activity(step)
    activity = step.engine.materialise(activity.semi_join(customers, "customer_id"))
    table = step.days_table(days)
    grid = table.cross_join(customers)
    bought = purchases(activity, table, window_days=step.config.rfm.window_days)
    answers = latest_answers(step.read("nps_responses", [step.last]), table)
    joined = grid.left_join(bought, ["as_of", "customer_id"])
    joined = joined.select([name for name in joined.columns if not name.endswith("_right")])
    joined = joined.left_join(answers, ["as_of", "customer_id"])
    joined = joined.mutate(
        order_days=joined.order_days.fill_null(0),
        order_days_365d=joined.window_order_days.fill_null(0),
        net_spend_365d=joined.window_net_spend.fill_null(ibis.literal(0, type="decimal(18, 4)")),
    )
    scored = scores(
        step.engine.materialise(joined.select(_PROFILE_COLUMNS)),
        activity,
        table,
        cut_offs=cut_off_table(step, days),
        rules=score_rules(step),
    )
    return segments.with_tenure(scored).select("as_of", "customer_id", *segments.MEASURED)


def _day_before(step: Step, days: Sequence[date]) -> ir.Table:
    """Segments as published on the day before each day, with ``as_of`` moved to the day that follows."""
    before = [day - timedelta(days=1) for day in days]
    published = step.read("customer_segments", before)
    return published.mutate(as_of=(published.as_of + ibis.interval(days=1)).cast("date"))


def _with_entry(step: Step, today: ir.Table) -> ir.Table:
    """Carry ``entered_on``: the latest day of [first day of the run, day] with a change, else the day before's.

    A range carries it inside its run: a row starts a stay when the customer was elsewhere, or nowhere, the day before.
    A baseline day starts a stay without being a transition.
    """
    first = step.days[0]
    published = step.read("customer_segments", [first - timedelta(days=1)])
    earlier = published.select("customer_id", before_segment=published.segment, before_entered=published.entered_on)
    yesterday = today.select(
        "customer_id",
        previous_segment=today.segment,
        as_of=(today.as_of + ibis.interval(days=1)).cast("date"),
    )
    joined = today.left_join(yesterday, ["as_of", "customer_id"])
    joined = joined.select([name for name in joined.columns if not name.endswith("_right")])
    joined = joined.left_join(earlier, "customer_id")
    joined = joined.select([name for name in joined.columns if not name.endswith("_right")])
    on_first = joined.as_of == ibis.literal(first)
    previous = on_first.ifelse(joined.before_segment, joined.previous_segment)
    starts = (previous.isnull() | (previous != joined.segment)).ifelse(
        joined.as_of, on_first.ifelse(joined.before_entered, ibis.null("date"))
    )
    marked = joined.mutate(started_on=starts)
    so_far = ibis.window(group_by="customer_id", order_by=marked.as_of, preceding=None, following=0)
    carried = marked.started_on.max().over(so_far)
    return marked.mutate(entered_on=carried).select("as_of", "customer_id", "segment", "entered_on")
