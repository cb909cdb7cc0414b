"""Exactly once in effect: however the days of a random history were run, they hold what a plain reading gives."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from scoring_platform.ingest.loading import AnySource, Load, load
from scoring_platform.ingest.quarantine import quarantine_table
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.tree import Lake
from scoring_platform.lake.write import write
from scoring_platform.ledger.store import Ledger
from scoring_platform.pipeline import identities, profile
from scoring_platform.pipeline.step import Step, span
from scoring_platform.settings import Settings, load_settings
from scoring_platform.sources.files import Files
from scoring_platform_tests.pipeline.histories import FILE_TABLES, TABLES, History, file_rows, sources_of
from scoring_platform_tests.pipeline.lives import KNOWN, REPORTING, SINGLE_DAYS, random_history
from scoring_platform_tests.pipeline.reference import (
    Day,
    Facts,
    Memory,
    Node,
    Person,
    Said,
    good_rows,
    unusable_orders,
)

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


Key = tuple[str | None, ...]
Told = tuple[Any, ...]
_TELLING = {
    "raw_orders": ("customer_ref", "email", "status", "total_amount_reporting", "refunded_amount_reporting"),
    "raw_order_items": ("amount_reporting",),
    "raw_customers": ("email",),
    "raw_support_tickets": ("satisfaction",),
    "raw_web_activity": ("sessions", "pageviews"),
}


@dataclass
class Platform:
    """A home that is run over a history."""

    history: History
    settings: Settings
    ledger: Ledger
    engine: DuckDBEngine
    memory: Memory

    def run(self, days: Sequence[date], now: datetime) -> None:
        """Run days as the daily job does: event days still missing are loaded with them, then who is who and did what.

        The first run of all loads everything before its days.
        """
        missing = [day for day in span(self.history.first, days[-1]) if day not in self._loaded()]
        loaded = span(missing[0], days[-1]) if missing else days
        self._load(loaded, now)
        self.memory.look(self._pictures(loaded))
        step = Step(self.engine, self.settings, self.ledger, days, now)
        self._write("customer_identities", step, days, identities.resolve(step).on(step))
        wanted = profile.activity_days(step)
        inputs = {day: profile.activity_inputs(step, day) for day in wanted}
        self._write("customer_activity", step, wanted, profile.customer_activity(step, wanted), inputs=inputs)

    def _pictures(self, days: Sequence[date]) -> Iterator[Said]:
        zone = self.history.zone
        for name, number in (("raw_customers", "customer_ref"), ("raw_crm_contacts", "crm_id")):
            for row in self.engine.read(contract_of(name), days).to_pyarrow().to_pylist():
                account = (name, row["source"], row[number])
                yield Said(account, row["email"], row["as_of"], row["updated_at"].astimezone(zone).date())

    def _loaded(self) -> set[date]:
        return set(self.engine.lake.days("raw_orders"))

    def _load(self, days: Sequence[date], now: datetime) -> None:
        config = self.settings.config
        assert config.sources.files is not None
        for name in FILE_TABLES:
            _export(self._data / f"{name}.csv", contract_of(name).given_columns, file_rows(self.history, name, now))
        files = Files(config.sources.files, self._data.resolve(), self.history.files_zone)
        for name in TABLES:
            every: list[AnySource] = [*sources_of(self.history), files]
            giving = [source for source in every if name in source.settings.gives]
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

    def raw(self, name: str) -> dict[Key, Told]:
        """What lies in the lake: all days of an event table, the last day of a state table."""
        days = self.engine.lake.days(name)
        event = contract_of(name).partition == "event"
        rows = self.engine.read(contract_of(name), days if event else days[-1:]).to_pyarrow().to_pylist()
        found = {_key(name, row["source"], row): _told(name, row, row["as_of"] if event else None) for row in rows}
        assert len(found) == len(rows), f"{name} has a row twice"
        return found

    def set_aside(self, name: str) -> set[Key]:
        """Source and id of what lies in quarantine and is not published."""
        store = quarantine_table(contract_of(name))
        rows = self.engine.read(store, self.engine.lake.days(store.name)).to_pyarrow().to_pylist()
        return {tuple(row["row_key"].split("\x1f")) for row in rows} - self.raw(name).keys()

    def activity(self) -> dict[tuple[Person, date], Day]:
        """Every customer's every active day as its readers see it, measures that are zero left out."""
        last = self.history.last
        step = Step(self.engine, self.settings, self.ledger, [last], self.history.mornings[last])
        people = self._people(step)
        days: dict[tuple[Person, date], Day] = defaultdict(lambda: defaultdict(int))
        for row in step.everything("customer_activity", last=last).to_pyarrow().to_pylist():
            nobody = frozenset({("nobody", "", row["customer_id"])})
            day = days[people.get(row["customer_id"], nobody), row["active_on"]]
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


def _key(name: str, source: str, row: Mapping[str, Any]) -> Key:
    return (source, *(None if row.get(part) is None else str(row[part]) for part in contract_of(name).key[1:]))


def _told(name: str, row: Mapping[str, Any], day: date | None) -> Told:
    return (day, *(row.get(column) for column in _TELLING[name]))


def _export(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def lived(root: Path, history: History, runs: Callable[[History], list[Run]]) -> Iterator[Platform]:
    """Give a platform below ``root`` after its runs, each with an engine of its own."""
    root.mkdir(parents=True)
    tables = "\n".join(
        f"      {name}: {{sql: \"SELECT * FROM read_csv('{name}.csv', header = true, all_varchar = true)\"}}"
        for name in FILE_TABLES
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
        memory = Memory()
        for run in runs(history):
            with duckdb.connect(config={"threads": 1}) as connection:
                platform = Platform(history, found, ledger, DuckDBEngine(connection, Lake(found.lake_root)), memory)
                platform.run(run.days, run.at)
        with duckdb.connect(config={"threads": 1}) as connection:
            yield Platform(history, found, ledger, DuckDBEngine(connection, Lake(found.lake_root)), memory)


@dataclass(frozen=True)
class Run:
    """One run: its days, and when it looks."""

    days: Sequence[date]
    at: datetime


def every_day(history: History) -> list[Run]:
    """One run per day; the first loads all before it."""
    return _planned(history, *[(back, back) for back in range(SINGLE_DAYS - 1, -1, -1)])


def all_at_once(history: History) -> list[Run]:
    """One run over all days at the end."""
    return [Run(history.days, history.mornings[history.last])]


def with_gaps(history: History) -> list[Run]:
    """The first day is run twice, some are skipped and caught up later, one of these is run after a later one."""
    return _planned(history, (4, 4), (4, 3), (1, 1), (3, 1), (0, 0))


def in_pieces(history: History) -> list[Run]:
    """Past days are run again one after the other, and days that were missed as a range."""
    days, mornings = history.days, history.mornings
    last = Run(days[-2:], mornings[history.last])
    return [*_planned(history, (4, 4), (3, 3), (2, 2), (4, 1), (3, 1)), last]


def _planned(history: History, *plan: tuple[int, int]) -> list[Run]:
    """Return runs of single days; a day and the morning are counted back from the last day."""
    found = []
    for place, (back, seen) in enumerate(plan):
        again = timedelta(minutes=place if (back, seen) != (0, 0) else 0)
        found.append(Run([history.days[-1 - back]], history.mornings[history.days[-1 - seen]] + again))
    return found


PLANS = {plan.__name__: plan for plan in (every_day, all_at_once, with_gaps, in_pieces)}


def check(root: Path, seed: int, plan: Callable[[History], list[Run]], *, people: int = 12) -> None:
    """Run a random history by a plan and compare all it says with the plain reading."""
    history = random_history(seed, people=people)
    with lived(root / "home", history, plan) as platform:
        facts = Facts(history, platform.memory)
        assert platform.activity() == facts.activity()
        for name in _TELLING:
            assert platform.raw(name) == expected_raw(history, name), name
        aside = platform.set_aside("raw_orders")
        assert unusable_orders(history) <= aside
        assert aside <= {_key("raw_orders", source, row) for source, row in history.final("raw_orders")}


def expected_raw(history: History, name: str) -> dict[Key, Told]:
    """What ought to lie in the lake."""
    event = contract_of(name).partition == "event"
    rows = good_rows(history, name)
    return {_key(name, row.source, row.values): _told(name, row.values, row.day if event else None) for row in rows}


# Every seventh seed plays in one place.
LONG = [pytest.param(*one, marks=pytest.mark.drill) for one in ((6, "every_day"), (10, "with_gaps"))]


@pytest.mark.parametrize(("seed", "plan"), [*LONG, (9, "all_at_once")])
def test_however_days_are_run_they_hold_what_happened_once(tmp_path: Path, seed: int, plan: str) -> None:
    check(tmp_path, seed, PLANS[plan])


@pytest.mark.drill
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("plan", list(PLANS))
@settings(max_examples=14, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), people=st.sampled_from([4, 12, 40]))
def test_many_histories(tmp_path_factory: pytest.TempPathFactory, plan: str, seed: int, people: int) -> None:
    check(tmp_path_factory.mktemp("history"), seed, PLANS[plan], people=people)
