"""Which days are missing: event days since the start, state days of the last few.

Belongs here: comparing the calendar with the lake. Does not belong here: computing a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from scoring_platform.contracts.catalog import CATALOG
from scoring_platform.lake.tree import Lake
from scoring_platform.pipeline.step import span
from scoring_platform.settings import Settings

STATE = "customer_segments"
"""The table whose published days say which days have been computed."""


@dataclass(frozen=True)
class Missing:
    """Days to compute before a day can be.

    Attributes:
        events: Range of event days that some raw table lacks, without a gap; empty when none is missing.
        state: Range of days an outage left out; empty on a first run.
    """

    events: list[date]
    state: list[date]


def missing_days(lake: Lake, settings: Settings, day: date) -> Missing:
    """Return what is missing before ``day`` (event days: up to and including it)."""
    return Missing(_missing_events(lake, settings, day), _missing_state(lake, settings, day))


def _missing_events(lake: Lake, settings: Settings, day: date) -> list[date]:
    wanted = span(settings.config.history_start, day - timedelta(days=1))
    lacking: set[date] = set()
    for name in event_tables(settings):
        lacking |= set(wanted) - set(lake.days(name, last=day))
    return span(min(lacking), max(lacking)) if lacking else []


def _missing_state(lake: Lake, settings: Settings, day: date) -> list[date]:
    earliest = day - timedelta(days=settings.config.catch_up_days)
    computed = lake.days(STATE, last=day - timedelta(days=1))
    if not computed:
        return []
    first = max(earliest, computed[0] + timedelta(days=1))
    lacking = [one for one in span(first, day - timedelta(days=1)) if one not in set(computed)]
    return span(lacking[0], lacking[-1]) if lacking else []


def event_tables(settings: Settings) -> list[str]:
    """Return the configured raw tables that hold events."""
    return [name for name in sorted(settings.raw_tables) if CATALOG[name].partition == "event"]
