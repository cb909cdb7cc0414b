"""A small home to test in: a lake, an engine, a shop's CSV folder, a source that behaves like a vendor's API.

Belongs here: what tests of several folders share. Does not belong here: expectations.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from scoring_platform.config.load import load_config
from scoring_platform.config.model import ScoringConfig
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.ingest.loading import AnySource, Load, Loaded, load
from scoring_platform.ingest.quarantine import quarantine_table
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.tree import Lake
from scoring_platform.ledger.store import Ledger
from scoring_platform.sources.files import Files
from scoring_platform.sources.protocol import Page, Window

MONDAY = date(2026, 3, 2)
ORDERS_SQL = "SELECT * FROM read_csv('orders*.csv', all_varchar = true, union_by_name = true)"
ITEMS_SQL = "SELECT * FROM read_csv('items*.csv', all_varchar = true)"


def days_from(first: date, count: int) -> list[date]:
    """``count`` days from ``first`` on."""
    return [first + timedelta(days=offset) for offset in range(count)]


def order(order_id: str, ordered_at: str, /, **changes: Any) -> dict[str, Any]:
    """A paid order of 1,000 yen."""
    row = {
        "order_id": order_id,
        "customer_ref": "c1",
        "email": "a@example.jp",
        "ordered_at": ordered_at,
        "status": "paid",
        "updated_at": "",
        "currency": "JPY",
        "total_amount": "1000",
        "refunded_amount": "0",
    }
    return {**row, **changes}


def item(order_id: str, line_id: str = "1", /, **changes: Any) -> dict[str, Any]:
    """One unit for 500 yen."""
    return {"order_id": order_id, "line_id": line_id, "product_id": "p1", "quantity": "1", "amount": "500", **changes}


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows under the columns of the first."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


class ShopSettings:
    """What the section of such a source promises."""

    gives = frozenset({"raw_orders"})
    whole: frozenset[str] = frozenset()


@dataclass
class Shop:
    """A source like a vendor's API: rows with the instant they became known, given page by page."""

    zone: ZoneInfo
    name: str = "shop"
    settings: ShopSettings = field(default_factory=ShopSettings)
    known: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)

    def change(self, at: str, row: dict[str, Any]) -> None:
        """Let the shop know a row from the local time ``at`` on."""
        instant = datetime.fromisoformat(at).replace(tzinfo=self.zone)
        self.known.append((instant, {**row, "updated_at": instant.isoformat()}))

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        self.windows.append(window)
        rows = [row for instant, row in self.known if window.since <= instant < window.until]
        for start in range(0, len(rows), 3):
            yield rows[start : start + 3]

    def probe(self) -> str:
        return "open"


@dataclass
class Home:
    """A home under a temporary folder, with one engine."""

    root: Path
    engine: DuckDBEngine
    ledger: Ledger
    settings: str = "{}"
    sql: dict[str, str] = field(default_factory=lambda: {"raw_orders": ORDERS_SQL, "raw_order_items": ITEMS_SQL})
    zone: str = "Asia/Tokyo"
    source_zone: str | None = None
    cadence: str = "once"

    @property
    def data(self) -> Path:
        """Folder of the shop's files."""
        folder = self.root / "data"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def config(self) -> ScoringConfig:
        """The configuration, written to a file and read back."""
        tables = "".join(f"\n      {name}: {{sql: {sql!r}}}" for name, sql in self.sql.items())
        zone = f"\n    time_zone: {self.source_zone}" if self.source_zone else ""
        path = self.root / "scoring.yaml"
        path.write_text(
            f"time_zone: {self.zone}\nhistory_start: 2026-01-01\ningest: {self.settings}\nsources:\n  files:\n"
            f"    root: data\n    cadence: {self.cadence}{zone}\n    tables:{tables}\n",
            encoding="utf-8",
        )
        return load_config(path).config

    @property
    def files(self) -> Files:
        """The files source over ``data``."""
        config = self.config
        assert config.sources.files is not None
        return Files(config.sources.files, self.data.resolve(), ZoneInfo(self.source_zone or self.zone))

    def orders(self, *rows: Mapping[str, Any], name: str = "orders.csv") -> None:
        """Write the shop's orders."""
        write_csv(self.data / name, rows)

    def items(self, *rows: Mapping[str, Any]) -> None:
        """Write the shop's order items."""
        write_csv(self.data / "items.csv", rows)

    def load(
        self,
        days: date | Sequence[date],
        *,
        table: str = "raw_orders",
        sources: Sequence[AnySource] | None = None,
        now: datetime | None = None,
        config: ScoringConfig | None = None,
    ) -> Loaded:
        """Load days; the run takes place at six in the morning after the last."""
        wanted = [days] if isinstance(days, date) else list(days)
        config = config or self.config
        zone = ZoneInfo(config.time_zone)
        morning = datetime.combine(wanted[-1] + timedelta(days=1), datetime.min.time().replace(hour=6), tzinfo=zone)
        request = Load(
            table=contract_of(table),
            days=wanted,
            sources=[self.files] if sources is None else sources,
            config=config,
            now=now or morning.astimezone(UTC),
        )
        return load(self.engine, request, self.ledger)

    def rows(self, table: str = "raw_orders", day: date | None = None) -> list[dict[str, Any]]:
        """Published rows in a fixed order."""
        contract = contract_of(table)
        days = [day] if day else self.engine.lake.days(table)
        found: list[dict[str, Any]] = self.engine.read(contract, days).to_pyarrow().to_pylist()
        return sorted(found, key=lambda row: (row["as_of"], *(str(row[name]) for name in contract.key)))

    def set_aside(self, table: str = "raw_orders") -> list[dict[str, Any]]:
        """Quarantined rows in a fixed order."""
        store = quarantine_table(contract_of(table))
        found: list[dict[str, Any]] = (
            self.engine.read(store, self.engine.lake.days(store.name)).to_pyarrow().to_pylist()
        )
        return sorted(found, key=lambda row: (row["as_of"], row["row_key"], row["payload"]))

    def reasons(self, table: str = "raw_orders") -> list[str]:
        """Reasons of the quarantined rows."""
        return [row["reason"] for row in self.set_aside(table)]

    def versions(self, table: str = "raw_orders") -> dict[date, str | None]:
        """Published version of every day."""
        return {day: self.engine.lake.version_id(table, day) for day in self.engine.lake.days(table)}


def open_home(root: Path) -> Home:
    """Open an empty home below ``root``; its connection and ledger are closed by ``close_home``."""
    root.mkdir(parents=True, exist_ok=True)
    engine = DuckDBEngine(duckdb.connect(config={"threads": 1}), Lake(root / "lake"))
    return Home(root, engine, Ledger(f"sqlite:///{root / 'ledger.db'}").open())


def close_home(home: Home) -> None:
    """Let go of what a home holds open."""
    home.engine.connection.close()
    home.ledger.close()
