"""A small shop in a lake of its own: raw facts go in, the days are computed as the assets compute them.

Belongs here: writing facts, running the steps, reading tables. Does not belong here: expectations, Dagster.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir

from scoring_platform.contracts.catalog import CATALOG
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.contracts.table import Table
from scoring_platform.destinations.protocol import CrmReceipt, CrmWrite, Value
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.tree import Lake
from scoring_platform.lake.write import write
from scoring_platform.ledger.store import Ledger
from scoring_platform.pipeline import identities, models, nps, profile, scores
from scoring_platform.pipeline.step import Step, span
from scoring_platform.settings import Settings, load_settings
from scoring_platform_tests.domain.tables import noon, table

START = date(2026, 3, 20)
RAW = [name for name in CATALOG if name.startswith("raw_")]
CONFIGURATION = """
time_zone: Asia/Tokyo
history_start: {start}
sources: {{files: {{root: ., tables: {{{tables}}}}}}}
destinations: {{hubspot: {{endpoint: sandbox}}}}
{more}
"""

_COMPUTED: dict[str, Callable[[Step], ir.Table]] = {
    "nps_responses": nps.nps_responses,
    "customer_profiles": profile.customer_profiles,
    "score_models": models.score_models,
    "customer_scores": scores.customer_scores,
    "customer_segments": scores.customer_segments,
    "segment_transitions": scores.segment_transitions,
}
STATE_TABLES = ("customer_identities", "customer_activity", *_COMPUTED)


@dataclass
class Shop:
    """A home, and the raw facts published in it."""

    engine: DuckDBEngine
    settings: Settings
    ledger: Ledger
    facts: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    _published: dict[str, tuple[int, date]] = field(default_factory=dict)

    def add(self, name: str, *rows: Mapping[str, Any]) -> None:
        """Let the shop know rows of a raw table; ``as_of`` is their day."""
        known = self.facts[name]
        for number, row in enumerate(rows, start=len(known)):
            key = {column: f"{column}-{number}" for column in contract_of(name).key if column.endswith("_id")}
            known.append({"source": "files", **key, **_created(contract_of(name), row["as_of"]), **row})

    def order(self, ref: str | None, day: date, total: int = 100, **changes: Any) -> None:
        """Add a paid order."""
        row = {"customer_ref": ref, "as_of": day, "status": "paid", "total_amount_reporting": total}
        self.add("raw_orders", {**row, **changes})

    def publish(self, last: date) -> None:
        """Publish every raw day up to ``last`` as now known."""
        for name in RAW:
            facts = self.facts[name]
            if contract_of(name).partition == "event":
                count, through = self._published.get(name, (-1, START))
                first = through + timedelta(days=1) if count == len(facts) else START
                if days := span(first, last):
                    self.write(name, table(name, *facts), days)
                self._published[name] = (len(facts), max(last, through))
            else:
                self.write(name, table(name, *facts).mutate(as_of=ibis.literal(last)), [last])

    def publish_states(self, days: Sequence[date]) -> None:
        """Publish the raw state tables for each of ``days``."""
        for name in ("raw_customers", "raw_crm_contacts"):
            rows = [{**row, "as_of": day} for day in days for row in self.facts[name] if row["as_of"] <= day]
            self.write(name, table(name, *rows), days)

    def step(self, *days: date, now: datetime | None = None) -> Step:
        """The surroundings of a computation of ``days``."""
        morning = datetime.combine(days[-1] + timedelta(days=1), time(6), tzinfo=UTC)
        return Step(self.engine, self.settings, self.ledger, days, now or morning)

    def compute(self, *days: date) -> None:
        """Compute ``days`` as one run."""
        step = self.step(*days)
        self.write("customer_identities", identities.resolve(step).on(step), days)
        wanted = profile.activity_days(step)
        inputs = {day: profile.activity_inputs(step, day) for day in wanted}
        facts = profile.customer_activity(step, wanted)
        self.write("customer_activity", facts, wanted, inputs=inputs)
        for name, computed in _COMPUTED.items():
            self.write(name, computed(step), days)

    def rows(self, name: str, *days: date) -> list[dict[str, Any]]:
        """Published rows in a fixed order; of all days unless some are named."""
        found = self.engine.read(contract_of(name), days or self.engine.lake.days(name)).to_pyarrow().to_pylist()
        key = contract_of(name).key
        return sorted(found, key=lambda row: (row["as_of"], *(str(row[column]) for column in key)))

    def write(self, name: str, rows: ir.Table, days: Sequence[date], **info: Any) -> None:
        """Publish days of a table."""
        write(self.engine, contract_of(name), rows, days=list(days), info=info)


def _created(contract: Table, day: date) -> dict[str, datetime]:
    return {name: noon(day) for name in ("created_at", "updated_at") if name in contract.columns}


@contextmanager
def open_shop(root: Path, more: str = "", *, tables: Sequence[str] = RAW) -> Iterator[Shop]:
    """Give an empty shop below ``root``, closed afterwards."""
    root.mkdir(parents=True, exist_ok=True)
    path = root / "scoring.yaml"
    given = ", ".join(f"{name}: {{sql: SELECT 1}}" for name in tables)
    path.write_text(CONFIGURATION.format(start=START, tables=given, more=more), encoding="utf-8")
    settings = load_settings({}, home=root / "home", config_path=path)
    with duckdb.connect(config={"threads": 1}) as connection, Ledger(f"sqlite:///{root / 'ledger.db'}") as ledger:
        yield Shop(DuckDBEngine(connection, Lake(settings.lake_root)), settings, ledger)


def bustle(shop: Shop, *, seed: int, people: int, last: date) -> None:
    """Fill a shop with random lives up to ``last``: every kind of fact, some late links between accounts."""
    chance = Random(seed)

    def some_day() -> date:
        return START + timedelta(days=chance.randint(0, (last - START).days))

    for n in range(people):
        ref, email = f"r{n}", f"p{n}@example.jp"
        shop.add("raw_customers", {"customer_ref": ref, "email": email, "as_of": some_day()})
        for _ in range(chance.choice([0, 1, 1, 2, 3, 6, 9])):
            total = chance.randint(0, 200)
            status = chance.choice(["paid"] * 8 + ["cancelled", "pending"])
            refunded = total if chance.random() < 0.1 else 0
            shop.order(ref, some_day(), total, email=email, status=status, refunded_amount_reporting=refunded)
        for _ in range(chance.randint(0, 6)):
            kind = chance.choice(["sent", "open", "click", "unsubscribe"])
            shop.add("raw_email_events", {"email": email, "kind": kind, "as_of": some_day()})
        if chance.random() < 0.5:
            shop.add("raw_support_tickets", {"email": email, "satisfaction": "bad", "as_of": some_day()})
            shop.add(
                "raw_web_activity", {"customer_ref": ref, "client_id": f"d{n}", "sessions": 2, "as_of": some_day()}
            )
            shop.add("raw_web_activity", {"client_id": f"d{n}", "sessions": 1, "as_of": some_day()})
            shop.add("raw_consents", _decision(email, chance.choice(["granted", "revoked"]), some_day()))
            shop.add("raw_nps_responses", _answer(email, chance.randint(0, 10), some_day()))
        if n and chance.random() < 0.1:
            shop.order(ref, some_day(), email=f"p{n - 1}@example.jp")


def _decision(subject: str, status: str, day: date) -> dict[str, Any]:
    at = datetime.combine(day, time(3), tzinfo=UTC)
    kind = {"channel": "web", "purpose": "tracking"}
    return {"subject": subject, "status": status, "as_of": day, "occurred_at": at, **kind}


def _answer(email: str, score: int, day: date) -> dict[str, Any]:
    kind = {"identity_kind": "email", "identity_key": email}
    return {"nps_score": score, "as_of": day, "survey_date": day, **kind}


@dataclass
class RecordingCrm:
    """A CRM that notes what it is asked to write; addresses in ``refuses`` are dead, those in ``throttles`` retry."""

    name: str = "hubspot"
    batch_size: int = 3
    refuses: set[str] = field(default_factory=set)
    throttles: set[str] = field(default_factory=set)
    batches: list[list[CrmWrite]] = field(default_factory=list)
    breaks_after: int | None = None
    error: Exception | None = None
    holds: dict[str, dict[str, Value]] = field(default_factory=dict)

    @property
    def writes(self) -> list[CrmWrite]:
        """Everything asked for, in order."""
        return [one for batch in self.batches for one in batch]

    def held(
        self, records: Mapping[str, str], fields: Sequence[str], *, target: str = "contact"
    ) -> dict[str, Mapping[str, Value]]:
        return {one: self.holds[record] for one, record in records.items() if record in self.holds}

    def sized(self, rows: int) -> int:
        return self.batch_size

    def apply(self, batch: Sequence[CrmWrite]) -> list[CrmReceipt]:
        """Take a batch."""
        if self.error is not None and len(self.batches) == self.breaks_after:
            raise self.error
        self.batches.append(list(batch))
        return [self._receipt(one) for one in batch]

    def _receipt(self, one: CrmWrite) -> CrmReceipt:
        if one.email in self.refuses:
            return CrmReceipt(one.customer_id, "dead", error_code="INVALID_EMAIL")
        if one.email in self.throttles:
            return CrmReceipt(one.customer_id, "retry", error_code="RATE_LIMIT")
        return CrmReceipt(one.customer_id, "acknowledged", destination_id=f"k-{one.customer_id}")

    def probe(self) -> str:
        return "open"

    def preflight(self, fields: Sequence[Any]) -> list[str]:
        return []

    def provision(self, fields: Sequence[Any]) -> list[str]:
        return []

    def find(self, emails: Sequence[str]) -> dict[str, str]:
        return {}
