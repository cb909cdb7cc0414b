"""The validated model of ``scoring.yaml``: every threshold, weight, window, label and endpoint.

Belongs here: the top level and what applies to the whole platform. Does not belong here: connections and scoring rules,
which have modules of their own, and anything computed.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from scoring_platform.config.base import Section, ZoneName
from scoring_platform.config.connections import Destinations, Sources
from scoring_platform.config.crm import OF_RECORDS, CrmDestination, CrmRules, Mapped, Routing
from scoring_platform.config.leads import Leads
from scoring_platform.config.scoring import (
    Churn,
    Clv,
    ConsentRules,
    IdentityRules,
    Rfm,
    Scoring,
    Segments,
)
from scoring_platform.config.themes import Themes
from scoring_platform.config.webhooks import WebhookReceiver
from scoring_platform.contracts.raw import RAW_TABLES

RAW_NAMES = tuple(table.name for table in RAW_TABLES)
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Memory = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)? ?[MGT]i?B$")]
Month = Annotated[str, StringConstraints(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]


class Company(Section):
    """Whose customers these are."""

    name: str = Field("", description="Shown in the report")


class CurrencyRules(Section):
    """The reporting currency and the rates into it."""

    reporting: Currency | None = Field(None, description="ISO code; by default the only currency seen")
    rates: dict[Currency, dict[Month, Annotated[Decimal, Field(gt=0)]]] = Field(
        default_factory=dict, description="Units of the reporting currency for one unit, by currency and month"
    )

    @model_validator(mode="after")
    def _rates_need_a_target(self) -> CurrencyRules:
        if self.rates and self.reporting is None:
            msg = "rates are given but `reporting` is not: say which currency they lead to"
            raise ValueError(msg)
        return self


class EmptyExtract(Section):
    """When an extract without rows is suspicious."""

    minimum_usual_rows: int = Field(
        20, ge=1, description="Block when the same weekday usually has at least this many rows"
    )
    weeks: int = Field(4, ge=1, le=52, description="How many past weeks make the usual")


class Ingest(Section):
    """How raw rows are judged."""

    quarantine_share_limit: float = Field(
        0.25, ge=0, le=1, description="Share of a day's rows set aside above which the day is not published"
    )
    quarantine_minimum_rows: int = Field(
        5, ge=1, description="Fewer rows set aside than this never block, however few rows the day has"
    )
    future_tolerance_hours: int = Field(24, ge=0, description="An event later than extraction plus this is set aside")
    overlap_minutes: int = Field(60, ge=0, description="How far each extraction reaches back before the last one")
    empty_extract: EmptyExtract = EmptyExtract()


class Activation(Section):
    """When a day may send."""

    clock: Literal["wall", "data"] = Field(
        "wall", description="`data`: today is the day after the latest business day with a raw event (sandbox, tests)"
    )
    max_age_days: int = Field(2, ge=0, description="A day older than this sends nothing unless released by name")
    start_on: date | None = Field(None, description="Nothing that began before this day is sent")


class Report(Section):
    """The morning report."""

    language: Literal["ja", "en"] = "ja"
    dagster_url: str = Field("http://127.0.0.1:3000", description="Where the Dagster UI answers, for links")
    movers: int = Field(10, ge=1, le=100, description="Risers and fallers listed")


class Alerts(Section):
    """Alerts to the on-call."""

    window_minutes: int = Field(60, ge=1, description="One message per problem within this time")


class Engine(Section):
    """How much of the machine the DuckDB engine may use; what does not fit into memory goes to disk."""

    threads: int | None = Field(None, ge=1, description="Threads; by default one per core")
    memory_limit: Memory | None = Field(None, description="Such as `4GB`; by default four fifths of the machine's")
    ingest_memory_limit: Memory | None = Field(
        None, description="The same while a raw table is loaded; by default 64 MB a thread, and at least 128 MB"
    )
    range_days: int | None = Field(
        None, ge=1, description="Days of a range that are computed at once; by default as many as fit memory"
    )


class ScoringConfig(Section):
    """The whole of ``scoring.yaml``."""

    company: Company = Company()
    time_zone: ZoneName = Field("Asia/Tokyo", description="Business time zone: it decides what a day is")
    history_start: date = Field(description="First day that is loaded")
    catch_up_days: int = Field(7, ge=0, le=31, description="Days missed by an outage that are computed afterwards")
    currency: CurrencyRules = CurrencyRules()
    sources: Sources = Sources()
    destinations: Destinations = Destinations()
    webhooks: WebhookReceiver = WebhookReceiver()
    ingest: Ingest = Ingest()
    consent: ConsentRules = ConsentRules()
    identity: IdentityRules = IdentityRules()
    rfm: Rfm = Rfm()
    scoring: Scoring = Scoring()
    churn: Churn = Churn()
    clv: Clv = Clv()
    leads: Leads = Leads()
    segments: Segments = Segments()
    themes: Themes = Themes()
    crm: CrmRules = CrmRules()
    routing: Routing = Routing()
    activation: Activation = Activation()
    report: Report = Report()
    alerts: Alerts = Alerts()
    engine: Engine = Engine()

    @model_validator(mode="after")
    def _known_tables(self) -> ScoringConfig:
        for name in self.sources.files.tables if self.sources.files else ():
            if name not in RAW_NAMES:
                msg = f"sources.files.tables.{name}: no such raw table; known: {', '.join(RAW_NAMES)}"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _has_a_source(self) -> ScoringConfig:
        if not any(getattr(self.sources, name) for name in type(self.sources).model_fields):
            msg = "sources: no source is configured; name at least one, such as files or shopify"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _records_are_read_back(self) -> ScoringConfig:
        """Require that a CRM whose accounts or deals are written is also read: that tells whose they are."""
        for crm in type(self.destinations).model_fields:
            section = getattr(self.destinations, crm)
            if not isinstance(section, CrmDestination):
                continue
            for first, second, place in section.fields.doubled():
                raise ValueError(_doubled(crm, first, second, place))
            given: frozenset[str] = getattr(getattr(self.sources, crm, None), "gives", frozenset())
            for target, table in OF_RECORDS.items():
                values = section.fields.standing_on(target)  # type: ignore[arg-type]
                if values and table not in given:
                    raise ValueError(_needs_source(crm, target, table, value=values[0]))
        return self


def _doubled(crm: str, first: str, second: str, place: Mapped) -> str:
    return (
        f"destinations.{crm}.fields.{first} and destinations.{crm}.fields.{second} both name the {place.target} field "
        f"{place.field!r}: give each a field of its own, or leave one out with null"
    )


def _needs_source(crm: str, target: str, table: str, *, value: str) -> str:
    return (
        f"destinations.{crm}.fields.{value} has target: {target}, and whose {target} is whose is read from {crm} "
        f"({table}): add sources.{crm}, or choose target: contact"
    )
