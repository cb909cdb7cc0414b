"""The generated pages say what the code says."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pytest
from pydantic import Field

from scoring_platform.config.base import Endpoint, ZoneName
from scoring_platform.config.model import ScoringConfig
from scoring_platform.config.scoring import Segments
from scoring_platform.contracts.catalog import CATALOG
from scoring_platform.reference.__main__ import main
from scoring_platform.reference.configuration import configuration_page, places
from scoring_platform.reference.markdown import table
from scoring_platform.reference.pages import PAGES
from scoring_platform.reference.segments import segments_page
from scoring_platform.reference.tables import rule_words, tables_page
from scoring_platform.reference.types import type_words


def test_every_page_is_written_into_the_folder_named(tmp_path: Path) -> None:
    assert main([str(tmp_path / "docs")]) == 0
    assert {path.name for path in (tmp_path / "docs").iterdir()} == set(PAGES)


def test_without_a_folder_nothing_is_written_and_the_exit_code_says_so() -> None:
    assert main([]) == 2


def test_every_table_and_every_column_is_on_the_page() -> None:
    sections = tables_page().split("\n### ")[1:]

    assert [section.splitlines()[0] for section in sections] == list(CATALOG)
    for section, member in zip(sections, CATALOG.values(), strict=True):
        assert all(f"\n| `{column}` |" in section for column in member.columns)


def test_every_key_of_every_section_is_on_the_page() -> None:
    page = configuration_page()

    for place in places():
        section = page.split(f"\n## {place.title}\n")[1].split("\n## ")[0]
        assert all(f"| `{key}` |" in section for key in place.section.model_fields)


def test_a_section_that_stands_at_several_places_shows_the_default_of_each() -> None:
    page = configuration_page()
    half_lives = [
        page.split(f"## `scoring.{part}`")[1].split("half_life_days` | ")[1].split(" |")[1] for part in ("email", "web")
    ]

    assert half_lives == [f" `{getattr(_defaults().scoring, part).half_life_days}`" for part in ("email", "web")]


def test_the_page_of_segments_has_every_segment_in_the_order_of_the_rules() -> None:
    rows = [line.split("|") for line in segments_page().splitlines() if line.startswith("| ") and "`" in line]

    assert [row[2].strip(" `") for row in rows] == list(Segments().codes)


@pytest.mark.parametrize(
    ("annotation", "constraints", "said"),
    [
        (int, Field(ge=1, le=9).metadata, "whole number, 1 to 9"),
        (float, Field(gt=0).metadata, "number, above 0"),
        (int, Field(ge=2).metadata, "whole number, at least 2"),
        (float, Field(le=2, lt=3).metadata, "number, at most 2, below 3"),
        (str | None, (), "text or null"),
        (Literal["a", "b"], (), "one of `a`, `b`"),
        (tuple[str, ...], (), "list of text"),
        (tuple[int, int], (), "list of 2: whole number"),
        (dict[str, Annotated[float, Field(gt=0)]], (), "map of text to number"),
        (ZoneName, (), "time zone name"),
        (Endpoint, (), "address or `sandbox`"),
        (date | None, (), "day (YYYY-MM-DD) or null"),
    ],
)
def test_types_are_said_in_words(annotation: Any, constraints: Any, said: str) -> None:
    assert type_words(annotation, constraints) == said


def test_a_rule_without_words_is_an_error_not_a_gap() -> None:
    check = pa.Column(dt.int64, pa.Check.gt(3)).checks[0]

    with pytest.raises(ValueError, match="add them here"):
        rule_words(check)


def test_text_cannot_break_out_of_its_cell() -> None:
    assert table(["a"], [["x | y\nz"]]).splitlines()[-1] == "| x \\| y z |"


def _defaults() -> ScoringConfig:
    return ScoringConfig.model_validate(
        {
            "history_start": "2026-01-01",
            "sources": {"files": {"root": ".", "tables": {"raw_orders": {"sql": "SELECT 1"}}}},
        }
    )
