"""The configuration of what comments are read for: themes, words of praise and complaint, the optional model outside.

Belongs here: the taxonomy's form, the packaged one, and how a company's own words join it. Does not belong here: how a
comment is read (``comments``).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated
from unicodedata import category

import yaml
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from scoring_platform.config.base import Endpoint, Section

PACKAGED_TAXONOMY = Path(__file__).parent / "themes.yaml"
BOTH = "&"
"""Between two words of a phrase: both within one statement, in any order."""

_MOST_PARTS, _LONGEST = 3, 60


def _phrase(value: str) -> str:
    parts = [part.strip() for part in value.split(BOTH)]
    if not all(any(letter.isalnum() or category(letter) == "So" for letter in part) for part in parts):
        msg = f"{value!r} is not a phrase: write words, or two with {BOTH} between them"
        raise ValueError(msg)
    if len(parts) > _MOST_PARTS or len(value) > _LONGEST:
        msg = f"{value!r} is too long: at most {_MOST_PARTS} words joined by {BOTH}, and {_LONGEST} characters"
        raise ValueError(msg)
    return f" {BOTH} ".join(parts)


Phrase = Annotated[str, AfterValidator(_phrase)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Language = Annotated[str, StringConstraints(pattern=r"^(any|[a-z]{2})$")]
Words = dict[Language, tuple[Phrase, ...]]


class ThemeLabels(Section):
    """What people read instead of the code."""

    ja: str = Field(min_length=1, description="Japanese")
    en: str = Field(min_length=1, description="English")


class Theme(Section):
    """One theme: words by language (`ja`, `en`, others such as `fr`); added to the packaged one of the same code."""

    labels: ThemeLabels | None = Field(None, description="By default those of the packaged theme, or the code")
    words: Words = Field(default_factory=dict, description="One of them is enough; `a & b`: both in one statement")
    hints: Words = Field(default_factory=dict, description="Two different ones are enough")
    unless: Words = Field(default_factory=dict, description="A word inside such a phrase does not count")


class SentimentWords(Section):
    """Words of praise and of complaint, added to the packaged ones."""

    positive: Words = Field(default_factory=dict, description="Praise; a negation turns it into complaint")
    negative: Words = Field(default_factory=dict, description="Complaint; a negation turns it into mild praise")


class LanguageModel(Section):
    """A model behind an OpenAI-compatible endpoint that reads new comments; what it cannot give, the words give."""

    endpoint: Endpoint = Field(description="Address that /chat/completions is appended to")
    model: str = Field(min_length=1, description="Name of the model as the endpoint knows it")
    timeout_seconds: float = Field(10, gt=0, le=120, description="For one comment")
    budget_seconds: float = Field(60, gt=0, le=3600, description="For all comments of a run; then the words read them")
    comments_per_run: int = Field(500, ge=1, description="More new comments than this are read by the words")

    @model_validator(mode="after")
    def _not_the_sandbox(self) -> LanguageModel:
        if not self.endpoint.startswith("http"):
            msg = "endpoint: the sandbox has no language model; use https://… (http:// only on loopback)"
            raise ValueError(msg)
        return self


class Themes(Section):
    """What comments of NPS answers are read for."""

    packaged: bool = Field(default=True, description="Start from the packaged taxonomy; false: only your own themes")
    taxonomy: dict[Code, Theme] = Field(default_factory=dict, description="Themes added or extended, by code")
    without: tuple[Code, ...] = Field((), description="Packaged themes that are not wanted")
    sentiment: SentimentWords = SentimentWords()
    minimum_confidence: float = Field(0.5, gt=0, le=1, description="A theme that is less certain is not reported")
    llm: LanguageModel | None = Field(None, description="Off unless given; needs SCORING_THEMES_API_KEY")

    @model_validator(mode="after")
    def _makes_sense(self) -> Themes:
        known = packaged().themes if self.packaged else {}
        for code in self.without:
            if code not in known:
                msg = f"without: {code!r} is no packaged theme; known: {', '.join(known) or 'none'}"
                raise ValueError(msg)
        for code, theme in self.taxonomy.items():
            if code not in known and not any((*theme.words.values(), *theme.hints.values())):
                msg = f"taxonomy.{code}: a theme of your own needs words, such as words: {{ja: [ギフト], en: [gift]}}"
                raise ValueError(msg)
        return self

    def merged(self) -> Taxonomy:
        """Return the packaged taxonomy with what this configuration adds and removes."""
        base = packaged() if self.packaged else Taxonomy()
        themes = {code: theme for code, theme in base.themes.items() if code not in self.without}
        for code, theme in self.taxonomy.items():
            themes[code] = _joined(code, themes.get(code, Theme()), theme)
        return Taxonomy(
            themes=themes,
            sentiment=SentimentWords(
                positive=_both(base.sentiment.positive, self.sentiment.positive),
                negative=_both(base.sentiment.negative, self.sentiment.negative),
            ),
        )


class Taxonomy(Section):
    """Themes and sentiment words in force."""

    themes: dict[Code, Theme] = Field(default_factory=dict)
    sentiment: SentimentWords = SentimentWords()


@lru_cache(maxsize=1)
def packaged() -> Taxonomy:
    """Return the packaged taxonomy."""
    return Taxonomy.model_validate(yaml.safe_load(PACKAGED_TAXONOMY.read_text(encoding="utf-8")))


def _joined(code: str, base: Theme, more: Theme) -> Theme:
    return Theme(
        labels=more.labels or base.labels or ThemeLabels(ja=code, en=code),
        words=_both(base.words, more.words),
        hints=_both(base.hints, more.hints),
        unless=_both(base.unless, more.unless),
    )


def _both(one: Mapping[str, tuple[str, ...]], other: Mapping[str, tuple[str, ...]]) -> Words:
    return {name: (*one.get(name, ()), *other.get(name, ())) for name in sorted({*one, *other})}
