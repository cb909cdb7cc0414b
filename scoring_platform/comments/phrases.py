"""Phrases of a taxonomy, and where they occur in a comment.

Belongs here: finding phrases in one pass, whatever form their words have. Does not belong here: what they stand for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from scoring_platform.comments.words import Word, split
from scoring_platform.config.themes import BOTH

_MISSPELT_FROM = 6
"""Shorter words are not looked for with a letter wrong: too many are one letter apart."""

_ALIKE = ("aeiouy", "cskz")

_MOST_WORDS = 12
_DIFFERENT = frozenset({"shopping", "shopp", "shop", "stopp", "suppli", "supplier", "resport", "sport", "deport"})
"""Words that are no misspelling of one of the taxonomy."""


class Match(NamedTuple):
    """Words [first, last] of a comment that are a phrase."""

    first: int
    last: int
    phrase: int
    sure: bool = True


@dataclass
class Phrases:
    """A set of phrases, each known by a number.

    A phrase is looked for as the dictionary forms of its words, and as it is written: a phrase alone is sometimes cut
    into other words than inside a sentence, but both are the same letters.
    """

    _ends: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _begins: set[str] = field(default_factory=set)
    _misspelt: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _vocabulary: set[str] = field(default_factory=set)

    def add(self, phrase: str, number: int) -> None:
        """Look for ``phrase`` from now on, as ``number``."""
        words = split(phrase).words
        for key in {_key(words, lemma=True), _key(words, lemma=False)} - {""}:
            self._ends[key].append(number)
            self._begins.update(key[:length] for length in range(1, len(key) + 1))
        self._vocabulary.update(word.lemma for word in words if word.kind == "latin")
        if len(words) == 1 and words[0].kind == "latin" and len(words[0].lemma) >= _MISSPELT_FROM:
            for form in _one_less(words[0].lemma):
                self._misspelt[form].add(words[0].lemma)

    def within(self, words: Sequence[Word]) -> list[Match]:
        """Return every occurrence of every phrase in reading order."""
        found: set[Match] = set()
        for at, word in enumerate(words):
            if word.lemma in self._begins:
                self._walk(words, at, found, lemma=True)
            if word.kind == "ja":
                if word.surface in self._begins:
                    self._walk(words, at, found, lemma=False)
            elif word.kind == "latin":
                self._misspellings(word, at, found)
        return sorted(found)

    def _walk(self, words: Sequence[Word], first: int, found: set[Match], *, lemma: bool) -> None:
        key = ""
        statement = words[first].statement
        for last in range(first, min(first + _MOST_WORDS, len(words))):
            if words[last].statement != statement:
                return
            key = _longer(key, words, last, lemma=lemma)
            if key not in self._begins:
                return
            for phrase in self._ends.get(key, ()):
                found.add(Match(first, last, phrase))

    def _misspellings(self, word: Word, at: int, found: set[Match]) -> None:
        lemma = word.lemma
        if len(lemma) < _MISSPELT_FROM or lemma in self._vocabulary or lemma in _DIFFERENT:
            return
        near = {known for form in _one_less(lemma) for known in self._misspelt.get(form, ())}
        for known in sorted(known for known in near if known[0] == lemma[0] and _one_slip(known, lemma)):
            for phrase in self._ends.get(known, ()):
                found.add(Match(at, at, phrase, sure=False))


def parts(phrase: str) -> list[str]:
    """Return the words of ``a & b``; of any other phrase, itself."""
    return [part.strip() for part in phrase.split(BOTH)]


def longest(matches: Iterable[Match]) -> list[Match]:
    """Return the matches that do not lie inside a longer one."""
    kept: list[Match] = []
    reach = -1
    for match in sorted(matches, key=lambda match: (match.first, -match.last)):
        if match.last > reach:
            kept.append(match)
            reach = match.last
        elif kept and (match.first, match.last) == (kept[-1].first, kept[-1].last):
            kept.append(match)
    return kept


def _key(words: Sequence[Word], *, lemma: bool) -> str:
    key = ""
    for place in range(len(words)):
        key = _longer(key, words, place, lemma=lemma)
    return key


def _longer(key: str, words: Sequence[Word], at: int, *, lemma: bool) -> str:
    word = words[at]
    apart = " " if key and word.kind == "latin" and words[at - 1].kind == "latin" else ""
    return key + apart + (word.lemma if lemma or word.kind != "ja" else word.surface)


def _one_less(word: str) -> Iterator[str]:
    yield word
    for place in range(len(word)):
        yield word[:place] + word[place + 1 :]


def _one_slip(known: str, typed: str) -> bool:
    """Whether one letter is missing, too many, swapped with its neighbour, or one that sounds alike."""
    if abs(len(known) - len(typed)) == 1:
        return True
    wrong = [place for place in range(min(len(known), len(typed))) if known[place] != typed[place]]
    if len(known) != len(typed) or not 1 <= len(wrong) <= 2:
        return False
    if len(wrong) == 1:
        return any(known[wrong[0]] in alike and typed[wrong[0]] in alike for alike in _ALIKE)
    one, other = wrong
    return other == one + 1 and known[one] == typed[other] and known[other] == typed[one]
