"""Measures who is who: ``python -m benchmarks.identities --people 100000`` (a million identifiers).

Two days, each resolved and written in a process of its own, from raw tables in the lake and as the asset does it: on
the first nobody has an id yet; on the second everybody has, and new links make one person of some pairs.

Belongs here: the two days, what must come out, printing. Does not belong here: the made-up identifiers (``crowd``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click

from benchmarks.apart import measured
from benchmarks.crowd import TABLES, Crowd, fill_first_day, fill_second_day
from benchmarks.home import opened, shop_of_files
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.write import write
from scoring_platform.pipeline import identities

FIRST_DAY = date(2026, 6, 30)


@dataclass(frozen=True)
class Found:
    """What came out of one day.

    Attributes:
        identifiers: Rows of customer_identities.
        customers: Different customers among them.
        set_aside: Identifiers that link nobody.
        merges: Customers that became part of another one.
    """

    identifiers: int
    customers: int
    set_aside: int
    merges: int


@click.command(help=__doc__)
@click.option("--people", default=100_000, show_default=True, type=click.IntRange(100), help="Ten identifiers each")
def main(people: int) -> None:
    """Fill a lake, resolve two days, print what each took."""
    crowd = Crowd(people, FIRST_DAY)
    print(f"{crowd.people:,} people, {crowd.identifiers:,} identifiers, {crowd.links:,} links\n")
    with tempfile.TemporaryDirectory(prefix="scoring-bench-") as folder:
        first = Found(crowd.identifiers, crowd.people, 2 * crowd.shared, 0)
        _day(Path(folder), crowd, day=crowd.first_day, fill=fill_first_day, expected=first)
        second = Found(crowd.identifiers, crowd.people - crowd.pairs, 2 * crowd.shared, crowd.pairs)
        _day(Path(folder), crowd, day=crowd.second_day, fill=fill_second_day, expected=second)


def _day(home: Path, crowd: Crowd, *, day: date, fill: Callable[[DuckDBEngine, Crowd], None], expected: Found) -> None:
    with opened(home, shop_of_files(crowd.history[0], *TABLES), [day]) as step:
        fill(step.engine, crowd)
    result = measured(_resolve, home, day)
    found = result.value
    print(f"{day}: {result.words}")
    print(
        f"  {found.identifiers:,} identifiers of {found.customers:,} customers, {found.set_aside:,} set aside, "
        f"{found.merges:,} merges"
    )
    if found != expected:
        msg = f"{day}: {found} came out, not {expected}"
        raise click.ClickException(msg)


def _resolve(home: Path, day: date) -> Found:
    with opened(home, "", [day]) as step:
        resolved = identities.resolve(step)
        written = write(step.engine, contract_of(identities.TABLE), resolved.on(step), days=[day], info={})
        customers = step.read(identities.TABLE, [day]).customer_id.nunique().execute()
    return Found(written.rows, int(customers), sum(resolved.set_aside.values()), resolved.merges)


if __name__ == "__main__":
    main()
