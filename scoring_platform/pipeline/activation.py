"""Whether a run may send, and which day today is.

Belongs here: reading what the permission rests on. Does not belong here: the rule (``domain.permission``), what is
sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from scoring_platform.domain.permission import Permission, permission
from scoring_platform.pipeline.history import event_tables
from scoring_platform.pipeline.step import Step

STREAM = "scores"


def run_permission(step: Step, *, released: Sequence[str] = (), stream: str = STREAM) -> Permission:
    """Return whether this run may send what ``stream`` names (scores or report)."""
    rules = step.config.activation
    return permission(
        list(step.days),
        newest=step.lake.latest("customer_segments"),
        today=today(step),
        max_age_days=rules.max_age_days,
        released=stream in released,
    )


def today(step: Step) -> date:
    """Return the current business day: the wall clock's, or the day after the latest raw event."""
    if step.config.activation.clock == "wall":
        return step.now.astimezone(ZoneInfo(step.config.time_zone)).date()
    return latest_event_day(step) + timedelta(days=1)


def latest_event_day(step: Step) -> date:
    """Return the latest business day with a raw event; the run's last day when there is none."""
    latest: list[date] = []
    for name in event_tables(step.settings):
        for day in reversed(step.lake.days(name)):
            version = step.lake.version(name, day)
            if version is not None and version.rows > 0:
                latest.append(day)
                break
    return max(latest, default=step.last)
