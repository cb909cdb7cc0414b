"""What a comment says: its themes, each with where it says so, and how it is meant.

Belongs here: the result and its JSON form. Does not belong here: how it is found.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

Sentiment = Literal["negative", "neutral", "positive"]
Span = tuple[int, int]

_CLEAR = 0.2
"""A score nearer to nought than this is neutral."""


@dataclass(frozen=True, slots=True)
class Found:
    """One theme of a comment.

    Attributes:
        theme: Its code.
        confidence: How sure, 0 to 1.
        spans: Where the comment says so: [start, end) in characters of the original text.
        sentiment: How this theme is spoken of.
    """

    theme: str
    confidence: float
    spans: tuple[Span, ...]
    sentiment: Sentiment


@dataclass(frozen=True, slots=True)
class Reading:
    """What one comment says.

    Attributes:
        found: Themes by code.
        sentiment: How the comment is meant as a whole.
        score: The same, -1 to 1.
        by: What read it.
        note: Why the model outside did not, when it should have.
    """

    found: tuple[Found, ...] = ()
    sentiment: Sentiment = "neutral"
    score: float = 0.0
    by: Literal["words", "llm"] = "words"
    note: str | None = None

    @property
    def themes(self) -> list[str]:
        """Codes of the themes, sorted."""
        return [found.theme for found in self.found]

    def evidence(self) -> str:
        """Return the JSON kept in ``nps_responses.theme_evidence``; it quotes nothing of the text."""
        value: dict[str, Any] = {
            "themes": [
                {
                    "theme": found.theme,
                    "confidence": found.confidence,
                    "spans": [list(span) for span in found.spans],
                    "sentiment": found.sentiment,
                }
                for found in self.found
            ],
            "score": self.score,
            "by": self.by,
        }
        if self.note is not None:
            value["note"] = self.note
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def named(score: float) -> Sentiment:
    """Return the word for a score of -1 to 1."""
    return "positive" if score > _CLEAR else "negative" if score < -_CLEAR else "neutral"
