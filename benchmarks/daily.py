"""Measures one day, from raw facts in the lake to segments: ``python -m benchmarks.daily --customers 20000``.

Each stage is what its asset does: compute, write, audit, publish. Not measured: extraction and judging of raw rows,
Dagster, destinations, the report. Memory is the process's peak so far, DuckDB included.

Belongs here: stages and their printing. Does not belong here: the made-up facts (``generated``).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click
import ibis.expr.types as ir

from benchmarks.apart import MIB, peak_memory
from benchmarks.generated import TABLES, Size, fill
from benchmarks.home import opened, shop_of_files
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.lake.write import write
from scoring_platform.pipeline import identities, models, nps, profile, scores
from scoring_platform.pipeline.step import Step

LAST_DAY = date(2026, 6, 30)


@dataclass(frozen=True)
class Stage:
    """One table: how it is computed, and for which days."""

    table: str
    compute: Callable[[Step], ir.Table]
    days: Sequence[date]


def stages(size: Size) -> list[Stage]:
    """Return the stages of one day in the order they run; activity is made for every day of history."""
    day = [size.last]
    return [
        Stage("customer_identities", (lambda step: identities.resolve(step).on(step)), day),
        Stage("customer_activity", lambda step: profile.customer_activity(step, size.every_day), size.every_day),
        Stage("nps_responses", nps.nps_responses, day),
        Stage("customer_profiles", profile.customer_profiles, day),
        Stage("score_models", models.score_models, day),
        Stage("customer_scores", scores.customer_scores, day),
        Stage("customer_segments", scores.customer_segments, day),
        Stage("segment_transitions", scores.segment_transitions, day),
    ]


@click.command(help=__doc__)
@click.option("--customers", default=20_000, show_default=True, type=click.IntRange(100), help="Customer accounts")
@click.option("--days", default=400, show_default=True, type=click.IntRange(31), help="Days of history")
@click.option("--threads", default=0, help="DuckDB threads; 0 leaves it to DuckDB")
def main(customers: int, days: int, threads: int) -> None:
    """Fill a lake, compute the day, print what each stage took."""
    size = Size(customers, days, LAST_DAY)
    with tempfile.TemporaryDirectory(prefix="scoring-bench-") as folder:
        _day(Path(folder), size, threads)


def _day(home: Path, size: Size, threads: int) -> None:
    with opened(home, shop_of_files(size.first, *TABLES), [size.last], threads=threads) as step:
        started = time.perf_counter()
        rows = fill(step.engine, size)
        made = ", ".join(f"{name} {count:,}" for name, count in rows.items())
        print(f"made in {time.perf_counter() - started:.1f} s: {made}\n")
        _measure(step, stages(size))


def _measure(step: Step, chosen: Sequence[Stage]) -> None:
    total = 0.0
    print(f"{'stage':<24}{'days':>6}{'rows':>12}{'seconds':>10}{'peak MiB':>10}")
    for stage in chosen:
        started = time.perf_counter()
        written = write(step.engine, contract_of(stage.table), stage.compute(step), days=stage.days, info={})
        seconds = time.perf_counter() - started
        total += seconds
        print(f"{stage.table:<24}{len(stage.days):>6}{written.rows:>12,}{seconds:>10.2f}{peak_memory() / MIB:>10.0f}")
    print(f"{'total':<42}{total:>10.2f}{peak_memory() / MIB:>10.0f}")


if __name__ == "__main__":
    main()
