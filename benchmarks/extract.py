"""Measures a large first load: ``python -m benchmarks.extract --orders 1000000``.

A sandbox with so many orders runs as a process of its own. Another process loads raw_orders from its Shopify into an
empty home, as the asset does it: fetch, stage, judge, merge, publish. Its memory must not grow with the orders.

Belongs here: the load, what must come out, printing. Does not belong here: the orders (``sandbox.wholesale``).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from benchmarks.apart import MIB, Measured, measured, peak_memory
from benchmarks.home import opened
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.ingest.loading import Load, load
from scoring_platform.pipeline.step import Step, span
from scoring_platform.sandbox.connection import start
from scoring_platform.sandbox.days import EPOCH
from scoring_platform.sandbox.wholesale import FIRST_NUMBER, REFUNDED_AFTER, SPREAD_DAYS
from scoring_platform.sources.opening import open_source
from scoring_platform.sources.protocol import Page, Source, SourceSettings, Window

TABLE = "raw_orders"
MEMORY_LIMIT = 500 * MIB
LAST_DAY = EPOCH + timedelta(days=SPREAD_DAYS, seconds=REFUNDED_AFTER)
NOW = datetime.combine(LAST_DAY, datetime.min.time(), UTC) + timedelta(hours=21)
CONFIGURATION = """
company: {{name: Benchmark}}
time_zone: Asia/Tokyo
history_start: {first}
currency: {{reporting: JPY}}
sources:
  shopify: {{endpoint: sandbox, bulk_from_days: {bulk_from_days}}}
"""


@dataclass
class Watched:
    """A source that notes when its pages came, and how much memory it took to bring them to disk."""

    inner: Source
    first_page_at: float = 0.0
    last_page_at: float = 0.0
    peak: int = 0
    name: str = field(init=False)
    settings: SourceSettings = field(init=False)

    def __post_init__(self) -> None:
        self.name, self.settings = self.inner.name, self.inner.settings

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield the pages of the source."""
        for page in self.inner.fetch(table, window):
            self.first_page_at = self.first_page_at or time.perf_counter()
            yield page
        self.last_page_at, self.peak = time.perf_counter(), peak_memory()

    def probe(self) -> str:
        """Say who answers."""
        return self.inner.probe()


@dataclass(frozen=True)
class Extracted:
    """What a load did.

    Attributes:
        delivered: Rows the shop gave.
        published: Rows in the lake.
        counted: Those of them that are there only for their number.
        waited: Seconds until the first page came.
        fetched: Seconds from then until all rows were on disk.
        fetched_peak: Largest resident memory until then, in bytes.
    """

    delivered: int
    published: int
    counted: int
    waited: float
    fetched: float
    fetched_peak: int


@click.command(help=__doc__)
@click.option("--orders", default=1_000_000, show_default=True, type=click.IntRange(1), help="Orders of the shop")
@click.option("--pages", is_flag=True, help="Read page by page instead of in bulk; the shop's limits make that slow")
def main(orders: int, *, pages: bool) -> None:
    """Start the sandbox, load its orders, print what that took."""
    with tempfile.TemporaryDirectory(prefix="scoring-bench-") as folder:
        home = Path(folder)
        running = start(home, orders=orders)
        try:
            running.endpoint.set_clock(NOW)
            result = measured(_load, home, 0 if pages else 31)
        finally:
            running.stop()
    _tell(result)
    if result.value.counted != orders:
        msg = f"{result.value.counted:,} of {orders:,} orders came out"
        raise click.ClickException(msg)
    if result.peak > MEMORY_LIMIT:
        msg = f"the load took more than {MEMORY_LIMIT / MIB:,.0f} MiB"
        raise click.ClickException(msg)


def _load(home: Path, bulk_from_days: int) -> Extracted:
    days = span(EPOCH, LAST_DAY)
    with opened(home, CONFIGURATION.format(first=EPOCH, bulk_from_days=bulk_from_days), days) as step:
        source = Watched(_shopify(step))
        request = Load(contract_of(TABLE), days, [source], step.config, NOW)
        started = time.perf_counter()
        loaded = load(step.engine, request, step.ledger)
        return Extracted(
            loaded.delivered,
            loaded.written.rows,
            _counted(step, days),
            source.first_page_at - started,
            source.last_page_at - source.first_page_at,
            source.peak,
        )


def _shopify(step: Step) -> Source:
    source = open_source(step.settings, "shopify")
    if not hasattr(source, "fetch"):
        msg = "shopify is a source with pages"
        raise TypeError(msg)
    return source


def _counted(step: Step, days: list[date]) -> int:
    orders = step.read(TABLE, days)
    return int(orders.filter(orders.order_id.cast("int64") >= FIRST_NUMBER).count().execute())


def _tell(result: Measured[Extracted]) -> None:
    found = result.value
    print(f"{found.delivered:,} rows delivered, {found.published:,} published in {result.words}")
    print(f"  {'the shop prepares its answer':<30}{found.waited:>8.1f} s")
    _tell_part("fetch and stage", found.fetched, rows=found.delivered, peak=found.fetched_peak)
    rest = result.seconds - found.waited - found.fetched
    _tell_part("judge, merge, publish", rest, rows=found.delivered, peak=result.peak)


def _tell_part(name: str, seconds: float, *, rows: int, peak: int) -> None:
    print(f"  {name:<30}{seconds:>8.1f} s, {rows / seconds:>8,.0f} rows/s, peak {peak / MIB:,.0f} MiB")


if __name__ == "__main__":
    main()
