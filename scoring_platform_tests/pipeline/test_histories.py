"""Exactly once in effect: however the days of a random history were run, they hold what a plain reading gives."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.ingest.loading import Load, load
from scoring_platform.ingest.quarantine import quarantine_table
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.tree import Lake
from scoring_platform.lake.write import write
from scoring_platform.ledger.store import Ledger
from scoring_platform.pipeline import identities, profile
from scoring_platform.pipeline.step import Step, span
from scoring_platform.settings import Settings, load_settings
from scoring_platform.sources.files import Files
from scoring_platform_tests.pipeline.histories import (
    FILE_TABLES,
    KNOWN,
    PLACES,
    REPORTING,
    SINGLE_DAYS,
    TABLES,
    History,
    file_rows,
    random_history,
    sources_of,
)
from scoring_platform_tests.pipeline.reference import Day, Facts, Node, Person, good_rows, unpublished_keys

CONFIGURATION = """
time_zone: {zone}
history_start: {first}
currency: {{reporting: {reporting}, rates: {{{known}: {{{rates}}}}}}}
ingest: {{quarantine_minimum_rows: 1000000, empty_extract: {{minimum_usual_rows: 1000000}}}}
sources:
  shopify: {{endpoint: sandbox}}
  files:
    root: data
    time_zone: {files_zone}
    tables:
{tables}
"""


@dataclass
class Platform:
    """A home that is run over a history."""

    history: History
    settings: Settings
    ledger: Ledger

    @contextmanager
    def _engine(self) -> Iterator[None]:
        """Work with an engine of its own, as every run does."""
        with duckdb.connect(config={"threads": 1}) as connection:
            self.engine = DuckDBEngine(connection, Lake(self.settings.lake_root))
            yield

    def run(self, days: Sequence[date], *, now: datetime | None = None) -> None:
        """Run days as the daily job does: event days still missing are loaded first, then everything of the days."""
        now = now or self.history.mornings[days[-1]]
        with self._engine():
            self._run(days, now)

    def _run(self, days: Sequence[date], now: datetime) -> None:
        missing = [day for day in span(self.history.first, days[-1]) if day not in self._loaded()]
        self._load(span(missing[0], days[-1]) if missing else days, now)
        step = Step(self.engine, self.settings, self.ledger, days, now)
        self._write("customer_identities", step, days, identities.resolve(step).rows)
        wanted = profile.activity_days(step)
        inputs = {day: profile.activity_inputs(step, day) for day in wanted}
        self._write("customer_activity", step, wanted, profile.customer_activity(step, wanted), inputs=inputs)

    def _loaded(self) -> set[date]:
        return set(self.engine.lake.days("raw_orders"))

    def _load(self, days: Sequence[date], now: datetime) -> None:
        config = self.settings.config
        assert config.sources.files is not None
        for name in FILE_TABLES:
            _export(self._data / f"{name}.csv", contract_of(name).given_columns, file_rows(self.history, name, now))
        files = Files(config.sources.files, self._data.resolve(), self.history.files_zone)
        for name in TABLES:
            giving = [source for source in (*sources_of(self.history), files) if name in source.settings.gives]
            loaded = load(self.engine, Load(contract_of(name), days, giving, config, now), self.ledger)
            assert not loaded.blocked

    @property
    def _data(self) -> Path:
        folder = self.settings.loaded.path.parent / "data"
        folder.mkdir(exist_ok=True)
        return folder

    def _write(self, name: str, step: Step, days: Sequence[date], rows: Any, **info: Any) -> None:
        write(step.engine, contract_of(name), rows, days=list(days), info=info)

    # What it says

    def raw(self, name: str) -> list[dict[str, Any]]:
        """Rows of all days of a raw event table, of the last day of a state table."""
        days = self.engine.lake.days(name)
        wanted = days if contract_of(name).partition == "event" else days[-1:]
        found: list[dict[str, Any]] = self.engine.read(contract_of(name), wanted).to_pyarrow().to_pylist()
        return found

    def set_aside(self, name: str) -> set[tuple[str, str]]:
        """Source and key of what lies in quarantine and is not published."""
        store = quarantine_table(contract_of(name))
        rows = self.engine.read(store, self.engine.lake.days(store.name)).to_pyarrow().to_pylist()
        published = {(row["source"], row["order_id"]) for row in self.raw(name)}
        return {(row["source"], row["row_key"].split("\x1f")[1]) for row in rows} - published

    def activity(self) -> dict[tuple[Person, date], Day]:
        """Every customer's every active day as its readers see it, measures that are zero left out."""
        step = Step(self.engine, self.settings, self.ledger, [self.history.last], self.history.mornings[self.history.last])
        people = self._people(step)
        days: dict[tuple[Person, date], Day] = defaultdict(lambda: defaultdict(int))
        for row in profile.current_activity(step).to_pyarrow().to_pylist():
            day = days[people.get(row["customer_id"], frozenset({("nobody", "", row["customer_id"])})), row["active_on"]]
            for name, value in row.items():
                if name not in {"customer_id", "active_on", "as_of"}:
                    day[name] = max(day[name], value) if name == "purchase_day" else day[name] + value
        found = {key: {name: value for name, value in day.items() if value} for key, day in days.items()}
        return {key: day for key, day in found.items() if day}

    def _people(self, step: Step) -> dict[str, Person]:
        people: dict[str, set[Node]] = defaultdict(set)
        for row in identities.owners(step).to_pyarrow().to_pylist():
            kind, scope, value = row["node"].split("|")
            people[row["customer_id"]].add((kind, scope, value))
        return {customer_id: frozenset(nodes) for customer_id, nodes in people.items()}


def _export(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def opened(root: Path, history: History) -> Iterator[Platform]:
    """Give a platform with an empty home below ``root``."""
    root.mkdir(parents=True)
    tables = "\n".join(
        f"      {name}: {{sql: \"SELECT * FROM read_csv('{name}.csv', header = true, all_varchar = true)\"}}" for name in FILE_TABLES
    )
    text = CONFIGURATION.format(
        zone=history.zone.key,
        first=history.first,
        files_zone=history.files_zone.key,
        tables=tables,
        reporting=REPORTING,
        known=KNOWN,
        rates=", ".join(f'"{month}": {rate}' for month, rate in history.rates.items()),
    )
    (root / "scoring.yaml").write_text(text, encoding="utf-8")
    found = load_settings({}, home=root / "home", config_path=root / "scoring.yaml")
    with Ledger(f"sqlite:///{root / 'ledger.db'}") as ledger:
        yield Platform(history, found, ledger)
