"""Measures models and forecasts: ``python -m benchmarks.models --customers 1000000``.

Three years of made-up purchases lie in a lake. One process fits the models of a month, as it is done once a month, and
forecasts every customer, as it is done each day; then it makes customer_scores as the asset does. Beside it the package
``lifetimes`` forecasts the same customers, in an environment of its own made by ``uv run``; where that cannot be had,
this is said and nothing else changes.

Belongs here: stages, the comparison, printing. Does not belong here: made-up purchases (``buyers``), calls of the other
package (``peer``).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks import peer
from benchmarks.apart import MIB, Measured, measured, peak_memory
from benchmarks.buyers import TABLES, Buyers, fill
from benchmarks.home import opened, shop_of_files
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.lake.write import write
from scoring_platform.pipeline import fits, forecasts, models, scores
from scoring_platform.pipeline.step import Step

LAST_DAY = date(2026, 6, 30)
TARGET_SECONDS = 15.0
_TARGET_CUSTOMERS = 1_000_000
_HISTORIES = "histories.npz"
_PEER_SECONDS = 1_800


@dataclass
class Taken:
    """What the stages took, and the forecasts' totals.

    Attributes:
        stages: Name, seconds, and the process's peak so far in bytes.
        customers: How many were forecast.
        orders: Expected orders of all.
        value: CLV of all.
    """

    stages: list[tuple[str, float, int]] = field(default_factory=list)
    customers: int = 0
    orders: float = 0.0
    value: float = 0.0

    def note(self, name: str, started: float) -> None:
        """Note that a stage has ended."""
        self.stages.append((name, time.perf_counter() - started, peak_memory()))


@click.command(help=__doc__)
@click.option("--customers", default=_TARGET_CUSTOMERS, show_default=True, type=click.IntRange(1_000), help="Buyers")
@click.option("--days", default=1_096, show_default=True, type=click.IntRange(100), help="Days of history")
@click.option("--threads", default=0, help="DuckDB threads; 0 leaves it to DuckDB")
@click.option("--compare/--alone", default=True, show_default=True, help="Run lifetimes on the same customers")
def main(customers: int, days: int, threads: int, *, compare: bool) -> None:
    """Fill a lake, fit and forecast, print what it took beside the other package."""
    buyers = Buyers(customers, days, LAST_DAY)
    with tempfile.TemporaryDirectory(prefix="scoring-bench-") as folder:
        home = Path(folder)
        started = time.perf_counter()
        with opened(home, shop_of_files(buyers.first, *TABLES), [buyers.last], threads=threads) as step:
            rows = fill(step.engine, buyers)
            _export(step, home / _HISTORIES)
        print(f"{customers:,} customers, {rows:,} purchase days, made in {time.perf_counter() - started:.1f} s\n")
        own = measured(_forecast, home, buyers.last, threads)
        _tell(own)
        if own.value.customers != customers:
            msg = f"{own.value.customers:,} of {customers:,} customers were forecast"
            raise click.ClickException(msg)
        if compare:
            for each in sorted({1, max(1, customers // fits.SAMPLE)}):
                print(f"\nlifetimes, fitted to {-(-customers // each):,} customers")
                _tell_peer(_peer(home / _HISTORIES, each), own.value)


def _export(step: Step, path: Path) -> None:
    """Write what the other package wants: repeat purchases, times in weeks, the mean of repeat purchases."""
    activity = step.everything("customer_activity").select("customer_id", "active_on", "revenue")
    profiles = step.read("customer_profiles", step.days)
    known = profiles.select("as_of", "customer_id", "first_order_on", "last_order_on", "order_days")
    joined = activity.inner_join(known, "customer_id")
    repeats = joined.filter(joined.active_on > joined.first_order_on)
    means = repeats.group_by("customer_id").aggregate(monetary=repeats.revenue.mean().cast("float64"))
    rows = known.left_join(means, "customer_id")
    rows = rows.select(
        place=rows.customer_id.hexdigest("md5"),
        frequency=(rows.order_days - 1).cast("float64"),
        recency=rows.last_order_on.delta(rows.first_order_on, unit="day") / 7.0,
        tenure=rows.as_of.delta(rows.first_order_on, unit="day") / 7.0,
        monetary=rows.monetary.fill_null(0.0),
    )
    # By lot, so that every so many-th customer is a fair sample, and the same lot every time.
    found = rows.order_by("place").drop("place").to_pyarrow()
    np.savez(path, **{name: found[name].to_numpy() for name in found.column_names})


def _forecast(home: Path, day: date, threads: int) -> Taken:
    taken = Taken()
    with opened(home, "", [day], threads=threads) as step:
        parts = models.configured_parts(step)
        started = time.perf_counter()
        fitted = fits.fit(step, day, configured=parts).forecast
        taken.note("fit", started)
        started = time.perf_counter()
        found = forecasts.forecasts(step, step.read("customer_profiles", [day]), [(fitted, [day])], parts)
        taken.note("forecast", started)
        total = found.aggregate(n=found.count(), orders=found.expected_orders.sum(), value=found.clv_12m.sum())
        (row,) = total.to_pyarrow().to_pylist()
        taken.customers, taken.orders, taken.value = row["n"], row["orders"], float(row["value"])
        step.engine.forget(found)
        models.score_models(step)  # of the month, as any day but its first finds them
        started = time.perf_counter()
        write(step.engine, contract_of("customer_scores"), scores.customer_scores(step), days=[day], info={})
        taken.note("customer_scores", started)
    return taken


def _tell(own: Measured[Taken]) -> None:
    print(f"{'stage':<34}{'seconds':>10}{'peak MiB':>10}")
    by_name = {}
    for name, seconds, peak in own.value.stages:
        by_name[name] = seconds
        print(f"{name:<34}{seconds:>10.2f}{peak / MIB:>10,.0f}")
    both = by_name["fit"] + by_name["forecast"]
    print(f"{'fit and forecast':<34}{both:>10.2f}{own.peak / MIB:>10,.0f}")
    if own.value.customers >= _TARGET_CUSTOMERS and both > TARGET_SECONDS:
        print(f"That is more than the {TARGET_SECONDS:.0f} s it should take on two cores that are free.")


def _peer(histories: Path, each: int) -> dict[str, Any] | str:
    """Return what the other package took, or why it could not be run."""
    wanted = [part for need in peer.NEEDS for part in ("--with", need)]
    uv = [sys.executable, "-m", "uv", "run", "--no-project", "--quiet", "--python", sys.executable, *wanted]
    command = [*uv, "python", str(Path(peer.__file__)), str(histories), str(each)]
    try:
        done = subprocess.run(  # noqa: S603 - only ours
            command, capture_output=True, check=False, text=True, cwd=histories.parent, timeout=_PEER_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {_PEER_SECONDS} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it ended with an error"])[-1]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _tell_peer(found: dict[str, Any] | str, own: Taken) -> None:
    if isinstance(found, str):
        print(f"It could not be compared with: {found}")
        return
    seconds: dict[str, float] = found["seconds"]
    for name, value in seconds.items():
        print(f"{name:<34}{value:>10.2f}")
    total = sum(seconds.values())
    own_total = sum(value for name, value, _ in own.stages if name in {"fit", "forecast"})
    print(f"{'in all':<34}{total:>10.2f}{(found['peak'] or 0) / MIB:>10,.0f}")
    print(f"That is {total / own_total:.1f} times as long as the platform's fit and forecast.")
    print(f"Expected orders {found['orders']:,.0f} (platform {own.orders:,.0f}),", end=" ")
    print(f"lifetime value {found['value']:,.0f} (platform {own.value:,.0f})")


if __name__ == "__main__":
    main()
