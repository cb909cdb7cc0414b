"""Measures days of a large shop, from facts to segments: ``python -m benchmarks.scale --customers 1000000``.

Each stage is what its asset does: compute, write, audit, publish, a range in pieces. Not measured: extraction, who is
who (``identities``), Dagster, destinations, the report. Memory is the process's peak so far, DuckDB included.

Belongs here: stages and their printing. Does not belong here: the made-up facts (``history``), the hand-written floor
(``floor``).
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click
import ibis.expr.types as ir

from benchmarks.apart import MIB, measured, peak_memory
from benchmarks.floor import one_day
from benchmarks.history import TABLES, Past, fill
from benchmarks.home import opened, shop_of_files
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.lake.write import write
from scoring_platform.pipeline import changes, models, nps, pieces, profile, scores
from scoring_platform.pipeline.step import Step

LAST_DAY = date(2026, 6, 30)
_MORE = "consent: {tracking_default: granted}\n"

STAGES: dict[str, Callable[[Step], ir.Table]] = {
    "customer_activity": lambda step: profile.customer_activity(step, step.days),
    "nps_responses": nps.nps_responses,
    "customer_profiles": profile.customer_profiles,
    "score_models": models.score_models,
    "customer_scores": scores.customer_scores,
    "score_changes": changes.score_changes,
    "customer_segments": scores.customer_segments,
    "segment_transitions": scores.segment_transitions,
}


@dataclass(frozen=True)
class Took:
    """What the stages of some days took: seconds by table, and the peak of memory in bytes."""

    seconds: dict[str, float]
    peak: int

    @property
    def total(self) -> float:
        """Seconds of all stages; the fit of a month, which is not of the day, apart."""
        return sum(seconds for name, seconds in self.seconds.items() if name != "score_models")


@click.command(help=__doc__)
@click.option("--customers", default=100_000, show_default=True, type=click.IntRange(100), help="Customers")
@click.option("--months", default=36, show_default=True, type=click.IntRange(2), help="Months of history")
@click.option("--orders", default=20, show_default=True, help="Orders per customer")
@click.option("--others", default=80, show_default=True, help="Mails, visits and so on per customer")
@click.option("--range", "days", default=30, show_default=True, help="Days of the range; 1 leaves it out")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder to make the facts in, or to find them in")
def main(customers: int, months: int, orders: int, others: int, days: int, keep: Path | None) -> None:
    """Fill a lake, compute its last day, then a range; print what each stage took."""
    past = Past(customers, round(months * 30.44), LAST_DAY, orders, others, days)
    with ExitStack() as stack:
        home = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scoring-bench-")))
        _fill(home, past)
        day = measured(compute, home, [past.last]).value
        _print(f"one day, {past.days} days of history", day)
        floor = measured(one_day, home, past.last)
        print(f"{'by hand in SQL':<24}{floor.seconds:>10.2f}{floor.peak / MIB:>10.0f}")
        print(f"{'ratio':<24}{day.total / floor.seconds:>10.2f}\n")
        if days > 1:
            many = measured(compute, home, past.wanted).value
            _print(f"{days} days at once", many)
            print(f"{'ratio to one day':<24}{many.total / day.total:>10.2f}")


def compute(home: Path, days: Sequence[date]) -> Took:
    """Compute and publish ``days`` in ``home`` and return what it took."""
    seconds: dict[str, float] = {}
    with opened(home, "", days) as step:
        for name, stage in STAGES.items():
            started = time.perf_counter()
            for part in pieces.cut(step, contract_of(name), days):
                write(step.engine, contract_of(name), stage(step.for_days(part)), days=part, info={})
            seconds[name] = time.perf_counter() - started
            print(f"  {name:<22}{seconds[name]:>10.2f}{peak_memory() / MIB:>10.0f}", flush=True)
    shutil.rmtree(home / "tmp", ignore_errors=True)
    return Took(seconds, peak_memory())


def _fill(home: Path, past: Past) -> None:
    home.mkdir(parents=True, exist_ok=True)
    if (home / "lake").exists():
        return
    started = time.perf_counter()
    with opened(home, shop_of_files(past.first, *TABLES, more=_MORE), [past.last]) as step:
        rows = fill(step.engine, past)
    made = ", ".join(f"{name} {count:,}" for name, count in rows.items())
    print(f"made in {time.perf_counter() - started:.1f} s: {made}\n", flush=True)


def _print(title: str, took: Took) -> None:
    print(f"\n{title:<24}{'seconds':>10}{'peak MiB':>10}")
    for name, seconds in took.seconds.items():
        print(f"{name:<24}{seconds:>10.2f}")
    print(f"{'total without the fit':<24}{took.total:>10.2f}{took.peak / MIB:>10.0f}")


if __name__ == "__main__":
    main()
