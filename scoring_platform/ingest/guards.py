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
        quarantined: Rows set aside.
        reasons: How often each reason occurs.
        share_exceeded: More rows were set aside than the limit allows.
        suspiciously_empty: No rows although this weekday usually has some.
        usual_rows: Median rows of the same weekday in the weeks before; None when there is nothing to compare.
    """

    day: date
    rows: int
    quarantined: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    share_exceeded: bool = False
    suspiciously_empty: bool = False
    usual_rows: float | None = None

    @property
    def blocked(self) -> bool:
        """Whether the day must not be published."""
        return self.share_exceeded or self.suspiciously_empty

    @property
    def share(self) -> float:
        """Share of the day's rows that were set aside."""
        total = self.rows + self.quarantined
        return self.quarantined / total if total else 0.0


def judge_days(
    engine: DuckDBEngine,
    table: Table,
    staged: Sequence[StagedDay],
    aside: Quarantined,
    *,
    days: Sequence[date],
    rules: Ingest,
    guarded: bool,
) -> list[DayVerdict]:
    """Return the verdict on every staged day; ``guarded`` says whether emptiness is suspicious at all."""
    rows = {day.day: day.rows for day in staged if day.day}
    verdicts = []
    for day in days:
        bad = aside.counts.get(day, 0)
        share = bad / (bad + rows[day]) if bad else 0.0
        usual = _usual(engine, table, day, rows, rules) if guarded and rows[day] == 0 else None
        verdicts.append(
            DayVerdict(
                day=day,
                rows=rows[day],
                quarantined=bad,
                reasons=aside.reasons.get(day, {}),
                share_exceeded=share > rules.quarantine_share_limit and bad >= rules.quarantine_minimum_rows,
                suspiciously_empty=usual is not None and usual >= rules.empty_extract.minimum_usual_rows,
                usual_rows=usual,
            )
        )
    return verdicts


def _usual(
    engine: DuckDBEngine, table: Table, day: date, staged: Mapping[date, int], rules: Ingest
) -> float | None:
    """Median rows of the same weekday in the weeks before (of the day before, for a state table)."""
    if table.partition == "state":
        before = [engine.lake.latest(table.name, last=day - timedelta(days=1))]
    else:
        before = [day - timedelta(weeks=week) for week in range(1, rules.empty_extract.weeks + 1)]
    counts = []
    for other in before:
        if other is None:
            continue
        version = None if other in staged else engine.lake.version(table.name, other)
        if other in staged:
            counts.append(staged[other])
        elif version is not None:
            counts.append(version.rows)
    return median(counts) if counts else None
