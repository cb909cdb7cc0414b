"""The packaged configuration shows the defaults, and every key of it is explained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from scoring_platform.config.base import Section
from scoring_platform.config.connections import HubspotFields, PipedriveFields, SalesforceFields
from scoring_platform.config.leads import Leads
from scoring_platform.config.load import load_config
from scoring_platform.config.model import ScoringConfig
from scoring_platform.config.scoring import Weights
from scoring_platform.settings import PACKAGED_CONFIG

# Which company this is, and how its sandbox differs from production.
OWN_OF_THE_SANDBOX = {"company", "currency", "sources", "destinations", "activation"}
# What every configuration has to say: where its history starts and where its facts come from.
NEEDED = ("history_start", "sources")
# Keys whose whole meaning is their name and the docstring of their section.
CRM_FIELDS = (HubspotFields, SalesforceFields, PipedriveFields)
EXPLAINED_BY_THEIR_SECTION = {
    "EmailDestination.port",
    *(f"{fields.__name__}.{name}" for fields in CRM_FIELDS for name in fields.model_fields),
    "Label.en",
    "Label.ja",
    "Range.max",
    "Range.min",
    "Report.language",
    "SegmentRule.segment",
    "Signal.half_life_days",
    *(f"Weights.{name}" for name in Weights.model_fields),
}


def sections() -> Iterator[type[BaseModel]]:
    """Give every section of the model once, the top first."""
    waiting: list[type[BaseModel]] = [ScoringConfig]
    seen: set[type[BaseModel]] = set()
    while waiting:
        section = waiting.pop(0)
        if section in seen:
            continue
        seen.add(section)
        yield section
        for field in section.model_fields.values():
            waiting += sections_in(field.annotation)


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in sections_in(part)]


ALL_SECTIONS = list(sections())


def test_the_packaged_configuration_has_the_values_of_the_model() -> None:
    packaged = load_config(PACKAGED_CONFIG).config
    shared = set(ScoringConfig.model_fields) - OWN_OF_THE_SANDBOX - set(NEEDED)
    # Whom a company can serve is its own; how intent is read is everybody's.
    leads = Leads(fit=packaged.leads.fit)
    defaults = ScoringConfig.model_validate({**{name: getattr(packaged, name) for name in NEEDED}, "leads": leads})

    assert {name: getattr(packaged, name) for name in shared} == {name: getattr(defaults, name) for name in shared}


def test_the_packaged_configuration_shows_every_section() -> None:
    written = yaml.safe_load(PACKAGED_CONFIG.read_text(encoding="utf-8"))

    assert set(written) == set(ScoringConfig.model_fields)


@pytest.mark.parametrize("section", ALL_SECTIONS, ids=lambda section: section.__name__)
def test_every_section_says_what_it_is_for(section: type[Section]) -> None:
    assert section.__doc__


def test_every_key_is_explained_unless_its_section_explains_it() -> None:
    silent = {
        f"{section.__name__}.{name}"
        for section in ALL_SECTIONS
        for name, field in section.model_fields.items()
        if not field.description and not sections_in(field.annotation)
    }

    assert silent <= EXPLAINED_BY_THEIR_SECTION, "give the key a Field(description=...)"
