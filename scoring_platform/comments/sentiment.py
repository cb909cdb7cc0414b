"""How a comment is meant: words of praise and of complaint, turned by a negation.

Belongs here: signals of one comment and their sum. Does not belong here: which words they are (``config/themes.yaml``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from scoring_platform.comments.phrases import Match, Phrases, longest
from scoring_platform.comments.words import Word
from scoring_platform.config.themes import SentimentWords

_POSITIVE, _NEGATIVE = 1, 0
_NOT = frozenset({
    "not", "no", "never", "hardly", "barely", "without", "cannot", "can't", "cant", "don't", "dont", "doesn't",
    "doesnt", "didn't", "didnt", "isn't", "isnt", "aren't", "wasn't", "wasnt", "weren't", "won't", "wont", "wouldn't",
    "couldn't", "shouldn't", "haven't", "hasn't", "hadn't", "ain't", "neither", "nor", "none", "nobody", "nothing",
    "zero", "pas",
})  # fmt: skip
_BACK, _AHEAD = 3, 5
_BETWEEN = frozenset("は も て で だ が の じゃ 有る 居る く に 見る 思う た 訳 事 する 為る".split())  # noqa: SIM905 -- one line of words
"""Words that may stand between a Japanese word and its negation: 良くは思わない, 便利ではない."""

_TURNED = {_POSITIVE: -1.0, _NEGATIVE: 0.7}
"""Not good is bad; not bad is good, though less so."""


class Signal(NamedTuple):
    """A word of praise (above nought) or of complaint."""

    clause: int
    statement: int
    weight: float


class Lexicon:
    """Finds the signals of a comment."""

    def __init__(self, words: SentimentWords) -> None:
        self._phrases = Phrases()
        for number, given in ((_POSITIVE, words.positive), (_NEGATIVE, words.negative)):
            for phrase in sorted({phrase for phrases in given.values() for phrase in phrases}):
                self._phrases.add(phrase, number)

    def signals(self, words: Sequence[Word]) -> list[Signal]:
        """Return the signals in reading order."""
        matches = longest(self._phrases.within(words))
        turned = {match: _negation(words, match) for match in matches}
        # A word that turns another says nothing of its own: "never" in "never slow".
        spent = {at for at in turned.values() if at is not None}
        signals = []
        for match in matches:
            if match.first == match.last and match.first in spent:
                continue
            weight = _TURNED[match.phrase] if turned[match] is not None else (1.0 if match.phrase else -1.0)
            signals.append(Signal(words[match.first].clause, words[match.first].statement, weight))
        return signals


def score(signals: Iterable[Signal]) -> float:
    """Return -1 to 1; 0 without signals."""
    weights = [signal.weight for signal in signals]
    total = sum(abs(weight) for weight in weights)
    return round(sum(weights) / total, 3) if total else 0.0


def _negation(words: Sequence[Word], match: Match) -> int | None:
    """Return the place of the word that turns a match."""
    word = words[match.last]
    if word.kind == "latin":
        first = words[match.first]
        for at in range(match.first - 1, max(-1, match.first - 1 - _BACK), -1):
            if words[at].clause != first.clause or words[at].kind != "latin":
                return None
            if words[at].surface in _NOT:
                return at
        return None
    if word.kind == "ja":
        for at in range(match.last + 1, min(len(words), match.last + 1 + _AHEAD)):
            if words[at].clause != word.clause:
                return None
            if words[at].lemma == "ない":
                return at
            if words[at].lemma not in _BETWEEN:
                return None
    return None
