"""A comment as it is compared: one width, one case, plain emoji, and every character's place in the original.

Belongs here: characters. Does not belong here: words.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

_CLUSTER = re.compile(r".[\u0300-\u036f\u3099\u309a\uff9e\uff9f]*", re.DOTALL)
_QUOTES = {"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u00b4": "'"}
_UNSEEN = re.compile(r"[\ufe0e\ufe0f\u200b-\u200d\u2060\ufeff\U0001f3fb-\U0001f3ff]")
"""Variants of emoji, skin tones, and marks without width."""

_known: dict[str, str] = {}
_MOST_KNOWN = 50_000


@dataclass(frozen=True, slots=True)
class Folded:
    """A folded text; ``places[i]`` is where character ``i`` came from, and None means everything is where it was."""

    text: str
    places: Sequence[int] | None
    length: int

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the original text that [start, end) came from."""
        if self.places is None:
            return start, end
        first, last = self.places[start], self.places[end - 1]
        after = bisect_right(self.places, last)
        return first, self.places[after] if after < len(self.places) else self.length


def fold(text: str) -> Folded:
    """Return ``text`` in compatibility form and lower case."""
    if text.isascii():
        return Folded(text.lower(), None, len(text))
    letters: list[str] = []
    places: list[int] = []
    for match in _CLUSTER.finditer(text):
        cluster = match[0]
        folded = _known.get(cluster)
        if folded is None:
            folded = _folded(cluster)
        letters.append(folded)
        places.extend([match.start()] * len(folded))
    return Folded("".join(letters), places, len(text))


def _folded(cluster: str) -> str:
    found = unicodedata.normalize("NFKC", cluster).lower()
    found = _UNSEEN.sub("", "".join(_QUOTES.get(letter, letter) for letter in found))
    if len(_known) < _MOST_KNOWN and len(cluster) <= 2:
        _known[cluster] = found
    return found
