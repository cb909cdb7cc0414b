"""Reads comments by the words of the taxonomy.

Belongs here: phrases found, themes concluded. Does not belong here: how phrases are found (``phrases``), the model
outside (``outside``).
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import NamedTuple
from unicodedata import unidata_version

from scoring_platform.comments.phrases import Match, Phrases, parts
from scoring_platform.comments.reading import Found, Reading, Span, named
from scoring_platform.comments.sentiment import Lexicon, Signal, score
from scoring_platform.comments.words import DICTIONARY, Comment, Word, split
from scoring_platform.config.themes import Theme, Themes

RULES = 1
"""Number of the way of reading in this package; a change of it reads every comment anew."""

_SINGLE, _JOINED, _HINT, _SLIP = 0.8, 0.75, 0.35, 0.75
"""How sure a word, `a & b` and a hint make, and what is left of it when the word is misspelt."""

_MOST = 0.99
_MOST_SHOWN = 20
"""Places that are kept as evidence for one phrase; whoever says it more often says nothing new."""


class _Use(NamedTuple):
    """What a phrase does for a theme; ``rest`` are the other phrases it needs in its statement."""

    theme: str
    role: str
    rest: tuple[int, ...] = ()


class _Hit(NamedTuple):
    """Words of a comment that speak for a theme."""

    places: frozenset[int]
    groups: tuple[tuple[int, int], ...]
    sureness: float


@dataclass
class _Tally:
    hits: dict[str, dict[tuple[int, ...], list[_Hit]]] = field(default_factory=lambda: defaultdict(dict))
    excluded: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))


class Reader:
    """Reads comments by the taxonomy in force; the same comment always gives the same reading."""

    def __init__(self, themes: Themes) -> None:
        taxonomy = themes.merged()
        self._least = themes.minimum_confidence
        self._lexicon = Lexicon(taxonomy.sentiment)
        self._phrases = Phrases()
        self._numbers: dict[str, int] = {}
        self._uses: dict[int, list[_Use]] = defaultdict(list)
        for code, theme in taxonomy.themes.items():
            self._learn(code, theme)

    def read(self, text: str) -> Reading:
        """Return what ``text`` says."""
        comment = split(text)
        signals = self._lexicon.signals(comment.words)
        overall = score(signals)
        tally = self._tally(comment.words)
        found = [
            theme
            for code in sorted(tally.hits)
            if (theme := self._conclude(code, comment, tally, signals=signals, overall=overall)) is not None
        ]
        return Reading(tuple(found), named(overall), overall)

    def _learn(self, code: str, theme: Theme) -> None:
        for role, given in (("word", theme.words), ("hint", theme.hints), ("unless", theme.unless)):
            for phrase in sorted({phrase for phrases in given.values() for phrase in phrases}):
                numbers = [self._number(part) for part in parts(phrase)]
                self._uses[numbers[0]].append(_Use(code, role, tuple(numbers[1:])))

    def _number(self, phrase: str) -> int:
        if phrase not in self._numbers:
            self._numbers[phrase] = len(self._numbers)
            self._phrases.add(phrase, self._numbers[phrase])
        return self._numbers[phrase]

    def _tally(self, words: Sequence[Word]) -> _Tally:
        tally = _Tally()
        by_statement: dict[int, dict[int, list[Match]]] = {}
        for match in self._phrases.within(words):
            by_statement.setdefault(words[match.first].statement, {}).setdefault(match.phrase, []).append(match)
        for said in by_statement.values():
            uses = [
                (use, matches)
                for number, matches in said.items()
                for use in self._uses[number]
                if all(other in said for other in use.rest)
            ]
            # What does not count has to be known before what does.
            for use, matches in uses:
                if use.role == "unless":
                    for matched in _together(matches, [said[other] for other in use.rest]):
                        tally.excluded[use.theme].update(_places(matched))
            for use, matches in uses:
                if use.role != "unless":
                    self._note(use, matches, said, tally=tally)
        return tally

    def _note(self, use: _Use, matches: Sequence[Match], said: Mapping[int, Sequence[Match]], *, tally: _Tally) -> None:
        excluded, kept = tally.excluded[use.theme], tally.hits[use.theme].setdefault((matches[0].phrase, *use.rest), [])
        for matched in _together(matches, [said[other] for other in use.rest]):
            if len(kept) >= _MOST_SHOWN:
                return
            places = frozenset(_places(matched))
            if excluded.isdisjoint(places):
                sureness = _HINT if use.role == "hint" else _JOINED if use.rest else _SINGLE
                if not all(match.sure for match in matched):
                    sureness *= _SLIP
                kept.append(_Hit(places, tuple((match.first, match.last) for match in matched), sureness))

    def _conclude(
        self, code: str, comment: Comment, tally: _Tally, *, signals: Sequence[Signal], overall: float
    ) -> Found | None:
        by_phrase = [kept for kept in tally.hits[code].values() if kept]
        hits = [hit for kept in by_phrase for hit in kept]
        doubt = 1.0
        for sureness in _independent(by_phrase):
            doubt *= 1 - sureness
        confidence = round(min(1 - doubt, _MOST), 2)
        if not hits or confidence < self._least:
            return None
        groups = {group for hit in hits for group in hit.groups}
        said = _spoken_of([comment.words[at] for hit in hits for at in hit.places], signals, overall)
        return Found(code, confidence, _spans(comment, groups), named(said))


def reading_version(themes: Themes) -> str:
    """Return a hash of everything that a reading depends on: the words, the rules, the dictionary and the model."""
    inputs = {
        "rules": RULES,
        "taxonomy": themes.merged().model_dump(mode="json"),
        "minimum_confidence": themes.minimum_confidence,
        "dictionary": [version("sudachipy"), version(f"sudachidict-{DICTIONARY}"), unidata_version],
        "llm": themes.llm.model_dump(mode="json", include={"endpoint", "model"}) if themes.llm else None,
    }
    canonical = json.dumps(inputs, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _together(matches: Sequence[Match], others: Sequence[Sequence[Match]]) -> Iterator[tuple[Match, ...]]:
    """Yield each of ``matches`` with one near it of every one of ``others`` that has no word in common with it."""
    for match in matches:
        beside = []
        for candidates in others:
            after = bisect_left(candidates, (match.last + 1,))
            near = candidates[after] if after < len(candidates) else None
            before = bisect_left(candidates, (match.first,)) - 1
            if before >= 0 and candidates[before].last < match.first:
                distance = match.first - candidates[before].last
                near = candidates[before] if near is None or distance < near.first - match.last else near
            if near is None:
                break
            beside.append(near)
        else:
            yield (match, *beside)


def _places(matched: Sequence[Match]) -> Iterator[int]:
    for match in matched:
        yield from range(match.first, match.last + 1)


def _independent(by_phrase: Sequence[Sequence[_Hit]]) -> Iterator[float]:
    """Yield how sure each phrase makes; one that is said twice, or only within others, counts once."""
    seen: set[int] = set()
    for hits in sorted(by_phrase, key=lambda hits: (-hits[0].sureness, -len(hits[0].places), min(hits[0].places))):
        hit = max(hits, key=lambda hit: hit.sureness)
        if not hit.places <= seen:
            seen |= hit.places
            yield hit.sureness


def _spans(comment: Comment, groups: set[tuple[int, int]]) -> tuple[Span, ...]:
    """Return the spans of groups of words in the original text; those that overlap become one."""
    words, folded = comment.words, comment.folded
    spans: list[Span] = []
    for start, end in sorted(folded.original(words[first].start, words[last].end) for first, last in groups):
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return tuple(spans)


def _spoken_of(words: Sequence[Word], signals: Sequence[Signal], overall: float) -> float:
    """Return how the clauses of ``words`` are meant; of their statements, or of all, where they do not say."""
    clauses, statements = {word.clause for word in words}, {word.statement for word in words}
    for near in (
        [signal for signal in signals if signal.clause in clauses],
        [signal for signal in signals if signal.statement in statements],
    ):
        if near:
            return score(near)
    return overall
