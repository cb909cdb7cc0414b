"""The configuration of writing to CRMs: which value stands on which field, and how much may be written at once.

Belongs here: mappings, rollout, brakes. Does not belong here: a vendor's own keys (``connections``), what a difference
is (``domain.crm_plan``).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator

from scoring_platform.config.base import PlainText, Section

Target = Literal["contact", "account", "deal", "note"]

OF_RECORDS: Mapping[str, str] = {"account": "raw_crm_contacts", "deal": "raw_crm_deals"}
"""Targets that are records of the sales people's, only ever updated, and the raw table that tells whose they are."""

SCORES: tuple[str, ...] = (
    "total_score", "rfm_code", "segment", "churn_band", "churn_risk", "clv_12m", "lead_score", "assigned_owner",
)  # fmt: skip
NPS: tuple[str, ...] = ("nps_score", "nps_segment", "nps_themes")
SCORE_DATE = "score_date"


@dataclass(frozen=True)
class Mapped:
    """A field of a CRM: its name there, and the kind of record it stands on."""

    __pydantic_config__ = ConfigDict(extra="forbid", str_strip_whitespace=True)

    field: Annotated[PlainText, Field(min_length=1)]
    target: Target = "contact"


def _named(value: Any) -> Any:
    return {"field": value} if isinstance(value, str) else value


MappedField = Annotated[Mapped, BeforeValidator(_named)]
"""Written as the field's name, or as ``{field: …, target: …}``."""


def mapped(field: str, target: Target = "contact") -> Mapped:
    """Return a default of a mapping."""
    return Mapped(field, target)


class CrmFields(Section):
    """The CRM's field that receives each value: its name, or `{field, target}`; null leaves the value out."""

    customer_key: PlainText = Field(min_length=1, description="Unique field with our customer id")
    total_score: MappedField | None = None
    rfm_code: MappedField | None = None
    segment: MappedField | None = None
    churn_band: MappedField | None = None
    churn_risk: MappedField | None = None
    clv_12m: MappedField | None = None
    lead_score: MappedField | None = None
    assigned_owner: MappedField | None = Field(None, description="Owner by the rules of `routing`")
    score_date: MappedField | None = Field(None, description="Day of the scores that were written last")
    nps_score: MappedField | None = None
    nps_segment: MappedField | None = None
    nps_themes: MappedField | None = None

    def of_stream(self, values: tuple[str, ...], target: Target) -> dict[str, str]:
        """Return the field names of those of ``values`` that stand on ``target``."""
        found: dict[str, Mapped | None] = {value: getattr(self, value) for value in values}
        return {value: field.field for value, field in found.items() if field is not None and field.target == target}

    def targets(self, values: tuple[str, ...]) -> list[Target]:
        """Return the kinds of record on which some of ``values`` stand, contacts first."""
        order: tuple[Target, ...] = ("contact", "account", "deal", "note")
        return [target for target in order if self.of_stream(values, target)]

    def doubled(self) -> Iterator[tuple[str, str, Mapped]]:
        """Give two values that stand on one field of one kind of record, and where that is.

        Names are compared as the CRMs do that are least particular: without case, width and spaces around them.
        """
        seen: dict[tuple[Target, str], str] = {}
        given = {value: getattr(self, value) for value in (*SCORES, SCORE_DATE, *NPS)}
        for value, field in {"customer_key": Mapped(self.customer_key), **given}.items():
            if field is None:
                continue
            place = (field.target, unicodedata.normalize("NFKC", field.field).strip().casefold())
            if place in seen:
                yield seen[place], value, field
            seen.setdefault(place, value)

    def standing_on(self, target: Target) -> list[str]:
        """Return the values, the day among them, that stand on ``target``."""
        return list(self.of_stream((*SCORES, SCORE_DATE, *NPS), target))


class CrmDestination(Section):
    """What every CRM has."""

    fields: CrmFields
    provision: Literal["auto", "manual"] = Field(
        "manual", description="`auto` creates missing fields; `manual` waits for `scoring-platform crm provision`"
    )
    mode: Literal["upsert", "update_only"] = Field(
        "upsert", description="`update_only` never creates a record: who is not in the CRM stays out of it"
    )


class Rollout(Section):
    """Who is written while a CRM is being introduced; everybody unless it says otherwise."""

    percentage: float = Field(100, ge=0, le=100, description="Share of customers, always the same ones")
    segments: tuple[str, ...] = Field((), description="Only these segments; none named: all")
    regions: tuple[str, ...] = Field((), description="Only these regions; none named: all")


class Brakes(Section):
    """When a sync goes slowly, stops, or does not begin; `run --release scores` lets one day through."""

    canary: int = Field(50, ge=0, description="Rows of a first sync that go ahead of the others; 0: no canary")
    ramp: float = Field(5, ge=1, description="After the canary each step may be so many times the one before")
    reject_share: float = Field(0.2, gt=0, le=1, description="Share of refused rows from which a sync stops")
    reject_minimum: int = Field(20, ge=1, description="Rows that have to be sent before a sync stops for that")
    usual_factor: float = Field(4, ge=1, description="Times the usual share of changed customers that is let through")
    usual_share: float = Field(0.25, ge=0, le=1, description="Share of changed customers that is always let through")
    shrunk_share: float = Field(
        0.2, gt=0, le=1, description="When so many customers are gone since the day before, nothing is written"
    )
    blank_share: float = Field(
        0.05, gt=0, le=1, description="When fields of so many customers would be emptied, nothing is written"
    )


class CrmRules(Section):
    """What counts as a change for the CRMs, and how carefully it is written."""

    clv_dead_band: float = Field(0.25, ge=0, le=1, description="CLV moves up to this share are not written")
    score_dead_band: int = Field(2, ge=0, le=20, description="Points by which the total score may be off unwritten")
    churn_dead_band: float = Field(0.1, ge=0, le=1, description="Moves of the churn risk up to this are not written")
    dry_run: bool = Field(default=False, description="Plan, and write nothing")
    rollout: Rollout = Rollout()
    brakes: Brakes = Brakes()


class RoutingRule(Section):
    """Who gets customers of one kind; within a rule they are shared out evenly."""

    owners: tuple[PlainText, ...] = Field(min_length=1, description="Owners as the CRM names them")
    segments: tuple[str, ...] = Field((), description="Only these segments; none named: all")
    regions: tuple[str, ...] = Field((), description="Only these regions; none named: all")
    product_categories: tuple[str, ...] = Field((), description="Only who is interested in these; none named: all")
    lead_score: int | None = Field(None, ge=0, le=100, description="Only prospects from this lead score on")
    churn_bands: tuple[Literal["low", "medium", "high"], ...] = Field((), description="Only these churn bands")

    @field_validator("owners")
    @classmethod
    def _each_once(cls, owners: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(owners)) < len(owners):
            msg = "an owner is named twice; customers are shared out evenly, use two rules for unequal shares"
            raise ValueError(msg)
        return owners


class Routing(Section):
    """Whose customers hot leads and endangered good customers are: the first rule that holds gives the owner."""

    keep_owner: bool = Field(default=True, description="Who has an owner in the CRM keeps that one")
    rules: tuple[RoutingRule, ...] = ()
