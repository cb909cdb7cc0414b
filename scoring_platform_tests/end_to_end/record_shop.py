"""A home whose values stand on accounts and deals of one CRM, read from and written to the sandbox.

Belongs here: making the home, reading the CRM, judging customers, syncing a day, what the CRM then holds. Does not
belong here: expectations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import yaml

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.destinations.preflight import require_fields
from scoring_platform.destinations.protocol import Crm, CrmReceipt, CrmWrite, Target
from scoring_platform.destinations.registry import open_crms
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.tree import Lake
from scoring_platform.lake.write import write
from scoring_platform.ledger.store import Ledger
from scoring_platform.pipeline import crm_plan, crm_sync
from scoring_platform.pipeline.crm_sync import Applied
from scoring_platform.pipeline.step import Step
from scoring_platform.sandbox import hubspot, pipedrive, salesforce
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.credentials import CREDENTIALS
from scoring_platform.sandbox.outbox import crm_records
from scoring_platform.sandbox.pipedrive_outbox import records as pipedrive_records
from scoring_platform.sandbox.salesforce_store import received
from scoring_platform.settings import load_settings
from scoring_platform.sources.files import Files
from scoring_platform.sources.opening import open_source
from scoring_platform.sources.protocol import Window
from scoring_platform_tests.destinations.running import Call, Running, company, serving
from scoring_platform_tests.domain.tables import table

FIRST_DAY = date(2025, 11, 20)
VENDORS: Mapping[str, ModuleType] = {"hubspot": hubspot, "salesforce": salesforce, "pipedrive": pipedrive}
KINDS: Mapping[str, Mapping[str, str]] = {
    "hubspot": {"account": "companies", "deal": "deals"},
    "salesforce": {"account": "Account", "deal": "Opportunity"},
    "pipedrive": {"account": "organizations", "deal": "deals"},
}
FIELDS: Mapping[str, Mapping[str, str]] = {
    "hubspot": {
        "clv_12m": "clv_12m", "nps_score": "nps_score", "total_score": "customer_score", "rfm_code": "rfm_code",
        "score_date": "score_date",
    },
    "salesforce": {
        "clv_12m": "CLV_12m__c", "nps_score": "NPS_Score__c", "total_score": "Total_Score__c",
        "rfm_code": "RFM_Code__c", "score_date": "Score_Date__c",
    },
    "pipedrive": {
        "clv_12m": "予測LTV", "nps_score": "NPS スコア", "total_score": "スコア", "rfm_code": "RFM",
        "score_date": "スコア更新日",
    },
}  # fmt: skip
ON_ACCOUNTS, ON_DEALS = ("clv_12m", "rfm_code", "nps_score"), ("total_score", "score_date")
UNUSED = ("segment", "churn_band", "nps_segment", "nps_themes")

Row = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """What a customer came to on a day."""

    score: int
    clv: int | None = None
    nps: int | None = None
    answered: int = 0
    """Days since the answer."""


@dataclass
class RecordShop:
    """One home, its CRM and what the sales people have there."""

    crm: str
    root: Path
    company: Company
    running: Running
    day: date = FIRST_DAY
    contacts: list[Row] = field(default_factory=list)
    deals: list[Row] = field(default_factory=list)
    _published: Any = None

    @property
    def settings(self) -> Any:
        """The settings of the home."""
        secrets = {f"SCORING_{self.crm}_{name}".upper(): value for name, value in CREDENTIALS[self.crm].items()}
        home = {"SCORING_HOME": str(self.root / "home"), "SCORING_CONFIG": str(self.root / "scoring.yaml")}
        return load_settings({**home, **secrets})

    @contextmanager
    def step(self) -> Iterator[Step]:
        """The surroundings of a computation of the day."""
        settings = self.settings
        settings.home.mkdir(parents=True, exist_ok=True)
        with Ledger(settings.ledger_url) as ledger, duckdb.connect(config={"threads": 1}) as connection:
            yield Step(DuckDBEngine(connection, Lake(settings.lake_root)), settings, ledger, [self.day], self._morning)

    @contextmanager
    def client(self) -> Iterator[Crm]:
        """The CRM as the platform reaches it, with our fields in place."""
        with open_crms(self.settings) as crms:
            require_fields(self.settings, crms)
            yield crms[0]

    def go_to(self, day: date) -> None:
        """Let the sales people work until the morning after ``day``, and read what they have then."""
        self.day = day
        self.company.clock.set(self._morning)
        source = open_source(self.settings, self.crm)
        assert not isinstance(source, Files)
        window = Window(datetime(2024, 1, 1, tzinfo=UTC), self._morning + timedelta(seconds=1))
        read = {
            name: [_typed(row) for page in source.fetch(name, window) for row in page]
            for name in ("raw_crm_contacts", "raw_crm_deals")
        }
        self.contacts, self.deals = read["raw_crm_contacts"], read["raw_crm_deals"]

    def sync(self, judged: Mapping[str, Judged], contacts: Mapping[str, str]) -> Applied:
        """Publish what customers came to, plan the day, and write what is due.

        Args:
            judged: Customers.
            contacts: Whose each contact is.
        """
        with self.step() as step:
            given = (self.day, dict(judged), dict(contacts))
            if given != self._published:
                self._publish(step, judged, contacts)
                self._published = given
            plan = crm_plan.crm_sync_plan(step, [self.crm])
            write(step.engine, contract_of(crm_plan.PLAN), plan, days=[self.day], info={})
            self.running.calls.clear()
            with open_crms(self.settings) as crms:
                applied = crm_sync.apply_plan(step, crms, released=("scores", "nps"))
            outcome = crm_sync.crm_sync(step, applied.held)
            write(step.engine, contract_of(crm_sync.SYNC), outcome, days=[self.day], info={})
        return applied

    def rows(self, name: str = crm_plan.PLAN) -> list[Row]:
        """Published rows of the day."""
        with self.step() as step:
            found: list[Row] = step.read(name, [self.day]).to_pyarrow().to_pylist()
        return found

    @property
    def writes(self) -> list[Call]:
        """The calls of the last sync that change something."""
        return [call for call in self.running.writes if not call.path.endswith("/token")]

    def held(self, target: Target) -> dict[str, Row]:
        """What records hold in our fields, by id; without those that hold nothing."""
        state, kind, ours = self.root / "sandbox", KINDS[self.crm][target], set(FIELDS[self.crm].values())
        rows: list[Row]
        if self.crm == "salesforce":
            rows = [{**one, "id": one["Id"]} for one in received(state) if one["type"] == kind]
        elif self.crm == "pipedrive":
            rows = [{**one["properties"], "id": one["id"]} for one in pipedrive_records(state, kind)]  # type: ignore[arg-type]
        else:
            rows = [dict(one) for one in crm_records(state, kind)]
        found = {one["id"]: {name: value for name, value in one.items() if name in ours} for one in rows}
        return {key: {n: v for n, v in values.items() if v is not None} for key, values in found.items() if values}

    def delete(self, crm: Any, target: Target, record: str) -> None:
        """Do what a sales person does: delete a record."""
        kind = KINDS[self.crm][target]
        if self.crm == "hubspot":
            crm._client.request("DELETE", f"/crm/v3/objects/{kind}/{record}")
        elif self.crm == "salesforce":
            crm._session.request("DELETE", f"/sobjects/{kind}/{record}")
        else:
            crm._api.call("DELETE", f"/api/v2/{kind}/{record}", cost=3)

    def write_rows(self, crm: Crm, target: Target, values: Mapping[str, Mapping[str, Any]]) -> list[CrmReceipt]:
        """Write values, by our names, to records."""
        batch = [
            CrmWrite(f"c{n}", None, key, {FIELDS[self.crm][name]: value for name, value in given.items()}, target)
            for n, (key, given) in enumerate(values.items())
        ]
        return crm.apply(batch)

    @property
    def _morning(self) -> datetime:
        return datetime.combine(self.day, time(21), tzinfo=UTC)

    def _publish(self, step: Step, judged: Mapping[str, Judged], contacts: Mapping[str, str]) -> None:
        consents = {"consent_email_marketing": "unknown", "consent_web_tracking": "unknown"}
        known = [
            {"source": self.crm, "id_kind": "crm_id", "id_value": k, "customer_id": v, "rule": "single"}
            for k, v in contacts.items()
        ]
        tables: dict[str, Sequence[Row]] = {
            "customer_scores": [
                {
                    "customer_id": who, "total_score": Decimal(one.score), "horizon_days": 90,
                    "clv_12m": one.clv, "rfm_code": f"{one.score % 5 + 1}55",
                }
                for who, one in judged.items()
            ],
            "customer_segments": [{"customer_id": who, "segment": "vip"} for who in judged],
            "customer_profiles": [{"customer_id": who, "email": f"{who}@example.jp", **consents} for who in judged],
            "customer_identities": known,
            "nps_responses": [
                {
                    "source": "forms", "response_id": f"r-{who}", "customer_id": who, "nps_score": one.nps,
                    "survey_date": self.day - timedelta(days=one.answered), "identity_kind": "email",
                    "identity_key": f"{who}@example.jp", "nps_segment": "promoter", "themes": [],
                }
                for who, one in judged.items() if one.nps is not None
            ],
            "raw_crm_contacts": [{**row, "source": self.crm} for row in self.contacts],
            "raw_crm_deals": [{**row, "source": self.crm} for row in self.deals],
        }  # fmt: skip
        for name, rows in tables.items():
            made = table(name, *[{**row, "as_of": self.day} for row in rows])
            write(step.engine, contract_of(name), made, days=[self.day], info={})


@contextmanager
def record_shop(root: Path, crm: str) -> Iterator[RecordShop]:
    """A home below ``root`` with values on accounts and deals of one CRM, whose fields are in place."""
    shop = company(root / "sandbox")
    shop.clock.set(datetime.combine(FIRST_DAY, time(21), tzinfo=UTC))
    with serving(f"/{crm}", VENDORS[crm].routes(shop)) as running:
        (root / "scoring.yaml").write_text(
            yaml.safe_dump(configuration(crm, running.url), allow_unicode=True), encoding="utf-8"
        )
        opened = RecordShop(crm, root, shop, running)
        opened.go_to(FIRST_DAY)
        with opened.client():
            yield opened


def configuration(crm: str, endpoint: str) -> dict[str, Any]:
    """What stands in scoring.yaml: nothing on contacts."""
    fields: dict[str, Any] = dict.fromkeys(UNUSED)
    fields |= {value: {"field": FIELDS[crm][value], "target": "account"} for value in ON_ACCOUNTS}
    fields |= {value: {"field": FIELDS[crm][value], "target": "deal"} for value in ON_DEALS}
    section: dict[str, Any] = {"endpoint": endpoint, "fields": fields}
    if crm != "salesforce":
        section["provision"] = "auto"
    return {
        "time_zone": "Asia/Tokyo",
        "history_start": "2025-10-01",
        "sources": {crm: {"endpoint": endpoint}},
        "destinations": {crm: section},
        "crm": {"clv_dead_band": 0, "score_dead_band": 0},
    }


def _typed(row: Mapping[str, Any]) -> Row:
    """Return a row of a source with its instants as such."""
    instants = ("created_at", "updated_at", "closed_at")
    return {name: _instant(value) if name in instants else value for name, value in row.items()}


def _instant(value: Any) -> Any:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
