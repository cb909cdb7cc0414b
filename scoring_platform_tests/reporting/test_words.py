"""Both languages say the same things."""

from __future__ import annotations

import re

import pytest

from scoring_platform.contracts import raw
from scoring_platform.contracts.derived import SCORE_CHANGES
from scoring_platform.contracts.table import Table
from scoring_platform.reporting.data import Language
from scoring_platform.reporting.phrases import PHRASES
from scoring_platform.reporting.words import Words


@pytest.mark.parametrize("key", PHRASES)
def test_a_phrase_has_both_languages_with_the_same_places_to_fill(key: str) -> None:
    japanese, english = PHRASES[key]
    assert japanese.strip()
    assert english.strip()
    assert set(re.findall(r"{(\w*)}", japanese)) == set(re.findall(r"{(\w*)}", english))


def test_japanese_phrases_are_not_left_in_english_and_english_ones_not_in_japanese() -> None:
    kana_or_kanji = re.compile(r"[\u3041-\u30ff\u4e00-\u9fff]")
    shared = {key for key, (japanese, english) in PHRASES.items() if japanese == english}
    assert shared == {"col.crm"}
    assert [key for key, (_, english) in PHRASES.items() if kana_or_kanji.search(english)] == []


def test_english_counts_one_and_many() -> None:
    words = Words("en")
    assert words.say("people", 1, count="1") == "1 customer"
    assert words.say("people", 0, count="0") == "0 customers"
    assert words.say("story.score", 1, customers="1", score="50.0") == "There is 1 customer, with a mean score of 50.0."


def test_a_value_with_braces_or_brackets_is_text_and_nothing_else() -> None:
    said = Words("en").say("watch.gain", 2, count="2", origin="{count}", target="[a|b]")
    assert "from {count} to [a|b]" in said


@pytest.mark.parametrize("language", ["ja", "en"])
def test_every_raw_table_and_every_cause_of_change_has_a_name(language: Language) -> None:
    words = Words(language)
    tables = [each.name for each in vars(raw).values() if isinstance(each, Table)]
    assert len(tables) == 11
    assert [name for name in tables if words.name("table", name) == name] == []
    causes = set(SCORE_CHANGES.columns) - {"customer_id", "total_before", "total_after"}
    assert [cause for cause in causes if words.name("cause", cause) == cause] == []


def test_an_unknown_code_is_shown_as_it_is() -> None:
    assert Words("ja").name("inert", "A pause was asked for.") == "A pause was asked for."
