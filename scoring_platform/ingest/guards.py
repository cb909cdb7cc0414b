"""Decides per day whether raw rows may be published: share of bad rows, suspicious emptiness.

Belongs here: the two limits. Does not belong here: publishing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from statistics import median

from scoring_platform.config.model import Ingest
from scoring_platform.contracts.table import Table
from scoring_platform.ingest.quarantine import Quarantined
from scoring_platform.lake.engine import DuckDBEngine, StagedDay


@dataclass(frozen=True)
class DayVerdict:
    """What was found for one day of one raw table.

    Attributes:
        day: The day.
        rows: Good rows.
        quarantined: Rows set aside, those of ``elsewhere`` included.
        reasons: How often each reason occurs.
        share_exceeded: More rows were set aside than the limit allows.
        suspiciously_empty: No rows although this weekday usually has some.
        usual_rows: Median rows of the same weekday in the weeks before; None when there is nothing to compare.
        elsewhere: Rows set aside on days outside the run; its last day tells of them, they count in no share.
    """

    day: date
    rows: int
    quarantined: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    share_exceeded: bool = False
    suspiciously_empty: bool = False
    usual_rows: float | None = None
    elsewhere: int = 0

    @property
    def blocked(self) -> bool:
        """Whether the day must not be published."""
        return self.share_exceeded or self.suspiciously_empty

    @property
    def share(self) -> float:
        """Share of the day's rows that were set aside."""
        own = self.quarantined - self.elsewhere
        total = self.rows + own
        return own / total if total else 0.0


@dataclass(frozen=True)
class Emptiness:
    """What makes a day without rows suspicious.

    Attributes:
        expected: Whether every usual day should have rows (a source that comes daily).
        covered_until: Files hold rows up to this day: an empty day before it was quiet, not lost.
    """

    expected: bool
    covered_until: date | None = None


def judge_days(
    engine: DuckDBEngine,
    table: Table,
    staged: Sequence[StagedDay],
    aside: Quarantined,
    *,
    delivered: int,
    run_days: Sequence[date],
    rules: Ingest,
    emptiness: Emptiness,
) -> list[DayVerdict]:
    """Return the verdict on every staged day.

    Rows without a readable day count against all that was delivered, and stop the run's last day. That day also tells
    of rows that were set aside on days outside the run.
    """
    rows = {day.day: day.rows for day in staged if day.day}
    undated = _exceeds(aside.undated, delivered, rules)
    verdicts = []
    for day in sorted(rows):
        bad = aside.counts.get(day, 0)
        usual = _usual(engine, table, day, rows, rules) if rows[day] == 0 else None
        elsewhere = aside.elsewhere if day == run_days[-1] else {}
        reasons = {**aside.reasons.get(day, {}), **elsewhere}
        verdicts.append(
            DayVerdict(
                day=day,
                rows=rows[day],
                quarantined=sum(reasons.values()),
                reasons=reasons,
                share_exceeded=_exceeds(bad, bad + rows[day], rules) or (undated and day == run_days[-1]),
                suspiciously_empty=usual is not None and _suspicious(engine, table, day, usual, rules, emptiness),
                usual_rows=usual,
                elsewhere=sum(elsewhere.values()),
            )
        )
    return verdicts


def _exceeds(bad: int, total: int, rules: Ingest) -> bool:
    return bad >= rules.quarantine_minimum_rows and bad > rules.quarantine_share_limit * total


def _suspicious(
    engine: DuckDBEngine, table: Table, day: date, usual: float, rules: Ingest, emptiness: Emptiness
) -> bool:
    if emptiness.covered_until is not None and day < emptiness.covered_until:
        return False
    minimum = rules.empty_extract.minimum_usual_rows
    published = engine.lake.version(table.name, day)
    emptied = published is not None and published.rows >= minimum
    return emptied or (emptiness.expected and usual >= minimum)


def _usual(engine: DuckDBEngine, table: Table, day: date, staged: Mapping[date, int], rules: Ingest) -> float | None:
    """Median rows of the same weekday in the weeks before (of the day before, for a state table).

    What is published comes first: an extract that lost everything must not be compared with itself.
    """
    if table.partition == "state":
        newest = engine.lake.latest(table.name, last=day)
        before = [newest] if newest else []
    else:
        before = [day - timedelta(weeks=week) for week in range(1, rules.empty_extract.weeks + 1)]
    counts = []
    for other in before:
        version = engine.lake.version(table.name, other)
        if version is not None:
            counts.append(version.rows)
        elif other in staged:
            counts.append(staged[other])
    own = engine.lake.version(table.name, day)
    return median(counts) if counts else (float(own.rows) if own else None)
