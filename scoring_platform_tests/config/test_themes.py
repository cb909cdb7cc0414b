"""The taxonomy's configuration: what it says when it is wrong, and that the packaged one keeps its own rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from scoring_platform.config.load import load_config
from scoring_platform.config.themes import packaged
from scoring_platform.errors import ConfigurationError
from scoring_platform.settings import PACKAGED_CONFIG

SHOP = "history_start: 2026-01-01\nsources: {files: {root: ., tables: {raw_orders: {sql: SELECT 1}}}}\n"


@pytest.mark.parametrize(
    ("section", "place", "advice"),
    [
        ("{taxonomy: {Gift: {words: {en: [gift]}}}}", "themes.taxonomy.Gift.[key]", "pattern"),
        (
            "{taxonomy: {gift: {labels: {ja: 贈, en: Gift}}}}",
            "themes",
            "taxonomy.gift: a theme of your own needs words",
        ),
        ("{taxonomy: {gift: {words: {en: gift}}}}", "themes.taxonomy.gift.words.en", "tuple"),
        ("{taxonomy: {gift: {words: {english: [gift]}}}}", "themes.taxonomy.gift.words.english.[key]", "pattern"),
        ("{taxonomy: {gift: {words: {en: [gift &]}}}}", "themes.taxonomy.gift.words.en.0", "is not a phrase"),
        ("{taxonomy: {gift: {words: {en: [a & b & c & d]}}}}", "themes.taxonomy.gift.words.en.0", "at most 3"),
        ("{taxonomy: {gift: {word: {en: [gift]}}}}", "themes.taxonomy.gift.word", "allowed here: hints, labels"),
        ("{without: [weather]}", "themes", "'weather' is no packaged theme; known: price"),
        ("{packaged: false, without: [price]}", "themes", "known: none"),
        ("{minimum_confidence: 2}", "themes.minimum_confidence", "less than or equal to 1"),
        ("{sentiment: {positive: {ja: ['…']}}}", "themes.sentiment.positive.ja.0", "is not a phrase"),
        ("{llm: {endpoint: sandbox, model: m}}", "themes.llm", "the sandbox has no language model"),
        ("{llm: {endpoint: 'http://example.com', model: m}}", "themes.llm.endpoint", "https://"),
        ("{llm: {endpoint: 'https://example.com/v1'}}", "themes.llm.model", "required"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_place(tmp_path: Path, section: str, place: str, advice: str) -> None:
    path = tmp_path / "scoring.yaml"
    path.write_text(f"{SHOP}themes: {section}\n", encoding="utf-8")

    with pytest.raises(ConfigurationError) as caught:
        load_config(path)

    assert str(path) in str(caught.value)
    assert f"  {place}: " in str(caught.value)
    assert advice in str(caught.value)


def test_every_packaged_theme_has_labels_and_words_in_both_languages_given_once() -> None:
    for code, theme in packaged().themes.items():
        assert theme.labels is not None, code
        assert {"ja", "en"} <= set(theme.words), code
        for words in (theme.words, theme.hints, theme.unless):
            assert all(len(set(phrases)) == len(phrases) for phrases in words.values()), code


def test_the_shipped_configuration_reads_by_the_packaged_taxonomy_and_asks_nobody() -> None:
    themes = load_config(PACKAGED_CONFIG).config.themes

    assert themes.llm is None
    assert themes.merged().themes == packaged().themes
