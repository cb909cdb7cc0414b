"""Decides per day whether raw rows may be published: share of bad rows, suspicious emptiness.

Belongs here: the two limits. Does not belong here: publishing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
        suspiciously_empty: No rows although this weekday usually has some, or although the day was published with some.
        usual_rows: Median rows of the same weekday in the weeks before; None when there is nothing to compare.
        elsewhere: Rows set aside on days outside the run; its last day tells of them, they count in no share.
        loss: When published rows would be lost: which, and what to do; the same words on every such day of a load.
    """

    day: date
    rows: int
    quarantined: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    share_exceeded: bool = False
    suspiciously_empty: bool = False
    usual_rows: float | None = None
    elsewhere: int = 0
    loss: str = ""

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
        whole: Whether the extract is the full picture, so that what it does not have would be gone.
        covered_from: A full picture holds rows from this day on: a published day before it was cut off.
        covered_until: It holds rows up to this day: an empty day before it was quiet, not lost.
    """

    expected: bool
    whole: bool = False
    covered_from: date | None = None
    covered_until: date | None = None

    def ended_before(self, day: date) -> bool:
        """Whether nothing is known of ``day`` because the extract may end before it."""
        return self.covered_until is None or day >= self.covered_until

    def begins_after(self, day: date) -> bool:
        """Whether the extract knows nothing as early as ``day``."""
        return self.covered_from is None or day < self.covered_from


@dataclass(frozen=True)
class Loss:
    """Published days that had rows and would have none.

    Attributes:
        rows: Published rows by day.
        days: Those of them that were lost, as far as can be told, and did not merely come to be empty.
        usual: What usually comes on days for which rows should have come.
    """

    rows: Mapping[date, int]
    days: frozenset[date]
    usual: float = 0

    @property
    def words(self) -> str:
        """What was lost and how to go on."""
        lost = sorted(self.days)
        span = str(lost[0]) if len(lost) == 1 else f"{len(lost)} days between {lost[0]} and {lost[-1]}"
        above = int(max(sum(self.rows.values()), self.usual))
        return (
            f"{sum(self.rows[day] for day in lost)} published rows of {span} are in no extract any more; they stay "
            "published. Bring them back at their source; or, if they are gone rightly, set "
            f"ingest.empty_extract.minimum_usual_rows to {above + 1} for one run"
        )


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
    usual = {day: _usual(engine, table, day, rows, rules) for day, count in rows.items() if count == 0}
    missed = {day: count for day, count in usual.items() if count is not None and _missed(day, count, rules, emptiness)}
    loss = _loss(engine, table, missed, empty=usual, rules=rules, emptiness=emptiness)
    verdicts = []
    for day in sorted(rows):
        bad = aside.counts.get(day, 0)
        elsewhere = aside.elsewhere if day == run_days[-1] else {}
        reasons = {**aside.reasons.get(day, {}), **elsewhere}
        verdicts.append(
            DayVerdict(
                day=day,
                rows=rows[day],
                quarantined=sum(reasons.values()),
                reasons=reasons,
                share_exceeded=_exceeds(bad, bad + rows[day], rules) or (undated and day == run_days[-1]),
                suspiciously_empty=day in missed or day in loss.days,
                usual_rows=usual.get(day),
                elsewhere=sum(elsewhere.values()),
                loss=loss.words if day in loss.days else "",
            )
        )
    return verdicts


def _exceeds(bad: int, total: int, rules: Ingest) -> bool:
    return bad >= rules.quarantine_minimum_rows and bad > rules.quarantine_share_limit * total


def _missed(day: date, usual: float, rules: Ingest, emptiness: Emptiness) -> bool:
    """Whether rows should have come for an empty day."""
    return emptiness.expected and emptiness.ended_before(day) and usual >= rules.empty_extract.minimum_usual_rows


def _loss(
    engine: DuckDBEngine,
    table: Table,
    missed: Mapping[date, float],
    *,
    empty: Iterable[date],
    rules: Ingest,
    emptiness: Emptiness,
) -> Loss:
    """Tell days that were lost from days that came to be empty.

    One day in the midst of a full picture may be corrected away. A day outside of it, or several at once, are what a
    file that is missing, or was cut off, leaves behind. Less than the minimum of rows is no loss to stop a run for.
    """
    minimum = rules.empty_extract.minimum_usual_rows
    most = max(missed.values(), default=0)
    published = {day: engine.lake.version(table.name, day) for day in empty}
    gone = {day: version.rows for day, version in published.items() if version is not None and version.rows}
    if emptiness.whole and len(gone) > 1 and sum(gone.values()) >= minimum:
        return Loss(gone, frozenset(gone), most)
    outside = {day for day in gone if emptiness.begins_after(day) or emptiness.ended_before(day)}
    return Loss(gone, frozenset(day for day in outside if gone[day] >= minimum), most)


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
