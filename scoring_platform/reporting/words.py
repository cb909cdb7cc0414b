"""Says a phrase in the language of the report.

Belongs here: choosing language and English plural, and the edition that carries words, formats and figures together.
Does not belong here: the phrases themselves (``phrases``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from scoring_platform.reporting.data import Language, ReportData
from scoring_platform.reporting.formats import Formats
from scoring_platform.reporting.phrases import PHRASES

_PLURAL = re.compile(r"\[([^|\]]*)\|([^\]]*)\]")


@dataclass(frozen=True)
class Words:
    """The phrases in one language."""

    language: Language

    def say(self, key: str, number: int = 2, /, **values: str) -> str:
        """Return the phrase ``key`` filled with ``values``; ``number`` chooses the English singular or plural."""
        japanese, english = PHRASES[key]
        if self.language == "ja":
            return japanese.format(**values)
        return _PLURAL.sub(r"\1" if number == 1 else r"\2", english).format(**values)

    def name(self, kind: str, code: str) -> str:
        """Return the name of a code such as a cause or a raw table; an unknown code stays as it is."""
        key = f"{kind}.{code}"
        return self.say(key) if key in PHRASES else code


@dataclass(frozen=True)
class Edition:
    """One day's figures with the language and the currency they are told in."""

    data: ReportData
    words: Words
    formats: Formats

    @classmethod
    def of(cls, data: ReportData) -> Edition:
        """Return the edition that ``data`` asks for."""
        return cls(data, Words(data.language), Formats(data.language, data.currency))

    def say(self, key: str, number: int = 2, /, **values: str) -> str:
        """Return a phrase; see :meth:`Words.say`."""
        return self.words.say(key, number, **values)

    def segment(self, code: str) -> str:
        """Return the label of a segment; the code itself when the configuration no longer has it."""
        return next((row.label for row in self.data.segments if row.code == code), code)
