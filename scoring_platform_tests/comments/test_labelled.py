"""Themes and sentiment against what a person found in the same comments."""

from __future__ import annotations

import hashlib

import pytest

from scoring_platform.comments.reader import Reader
from scoring_platform.config.themes import packaged
from scoring_platform_tests.comments.labels import agreement, figures, labelled


def test_the_set_is_large_enough_bilingual_and_split_by_hash() -> None:
    rows = labelled()
    parts = {
        row.text: "dev" if int(hashlib.sha256(row.text.encode()).hexdigest(), 16) % 2 == 0 else "held_out"
        for row in rows
    }

    assert len(parts) == len(rows) >= 200
    assert min(len(labelled(language=language)) for language in ("ja", "en")) >= 100
    assert all(parts[row.text] == row.part for row in rows)
    assert {theme for row in rows for theme in row.themes} == set(packaged().themes)


@pytest.mark.parametrize("language", ["ja", "en"])
def test_themes_of_held_out_comments_are_found(reader: Reader, language: str) -> None:
    found = figures(reader, labelled(part="held_out", origin="written", language=language))

    assert found.micro >= 0.9
    assert found.macro >= 0.9


def test_themes_of_a_real_survey_of_another_trade_are_found(reader: Reader) -> None:
    assert figures(reader, labelled(part="held_out", origin="toyama")).micro >= 0.8


@pytest.mark.parametrize(("language", "least"), [("ja", 0.8), ("en", 0.75)])
def test_most_held_out_comments_are_taken_as_they_are_meant(reader: Reader, language: str, least: float) -> None:
    assert agreement(reader, labelled(part="held_out", language=language)) >= least
