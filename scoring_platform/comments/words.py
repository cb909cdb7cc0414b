"""A comment in words: Japanese by a dictionary, alphabets by letters, emoji one by one, and where a statement ends.

Belongs here: words, their dictionary forms, statements and clauses. Does not belong here: what words mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from sudachipy import Dictionary, SplitMode, Tokenizer

from scoring_platform.comments.english import stem
from scoring_platform.comments.folding import Folded, fold

Kind = Literal["ja", "latin", "sign"]
DICTIONARY = "small"

_RUNS = re.compile(
    r"(?P<ja>[\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff\u3005-\u3007々ー]+)"
    r"|(?P<latin>[^\W_\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff\u3005-\u3007]+(?:'[^\W\d_]+)*)"
    r"|(?P<stop>[。．.!?！？;；\n…]+|[♪☆★]+)"
    r"|(?P<pause>[、,，:：()（）「」『』【】・/／~〜—–]+|\s-+\s)"
    r"|(?P<sign>[\u2600-\u27bf\u2b50\U0001f000-\U0001faff])"
)
_LONGEST_RUN = 4_000
"""Characters given to the dictionary at once; it takes somewhat more, and nobody writes such words."""

_TURNS_EN = frozenset({"but", "however", "although", "though", "yet", "except", "unfortunately", "whereas", "mais"})
_TURNS_JA = frozenset({
    "しかし", "然し", "ただ", "ただし", "但し", "でも", "だが", "ところが", "一方", "が", "けれど", "けれども",
    "ものの", "のに",
})  # fmt: skip
_OFF = {
    "無い": "ない", "ず": "ない", "ぬ": "ない", "まい": "ない", "いい": "良い", "よい": "良い", "善い": "良い",
    "上手い": "旨い",
}  # fmt: skip
"""Spellings that the dictionary keeps apart."""

_POLITE = frozenset({"ます", "です"})
"""Politeness stands between words that belong together: 届かない, 届きません."""

_ASK_THE_PART = _TURNS_JA | _POLITE


class Word(NamedTuple):
    """One word.

    Attributes:
        start: Where it begins in the folded text.
        end: Where it ends.
        surface: As it stands in the folded text.
        lemma: The form that all its forms share.
        kind: What it is written in.
        statement: Number of the statement: up to a full stop, or to a turn such as ``but``.
        clause: Number of the clause: up to a comma.
    """

    start: int
    end: int
    surface: str
    lemma: str
    kind: Kind
    statement: int
    clause: int


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment in words."""

    folded: Folded
    words: Sequence[Word]


def split(text: str) -> Comment:
    """Return ``text`` in words."""
    folded = fold(text)
    return Comment(folded, list(_words(folded.text)))


@lru_cache(maxsize=1)
def tokenizer() -> Tokenizer:
    """Return the Japanese dictionary, loaded once for the process."""
    return Dictionary(dict=DICTIONARY).tokenizer(mode=SplitMode.A)


def _words(text: str) -> Iterator[Word]:
    statement = clause = 0
    for run in _RUNS.finditer(text):
        kind = run.lastgroup
        if kind == "stop":
            if run[0] == "." and _inside_a_number(text, run.start()):
                continue
            statement, clause = statement + 1, clause + 1
        elif kind == "pause":
            clause += 1
        elif kind == "sign":
            yield Word(run.start(), run.end(), run[0], run[0], "sign", statement, clause)
        elif kind == "latin":
            if run[0] in _TURNS_EN:
                statement, clause = statement + 1, clause + 1
            yield Word(run.start(), run.end(), run[0], stem(run[0]), "latin", statement, clause)
        else:
            for start, end, surface, lemma, turns in _japanese(run[0]):
                yield Word(run.start() + start, run.start() + end, surface, lemma, "ja", statement, clause)
                if turns:
                    statement, clause = statement + 1, clause + 1


def _inside_a_number(text: str, at: int) -> bool:
    return 0 < at < len(text) - 1 and text[at - 1].isalnum() and text[at + 1].isalnum()


def _japanese(run: str) -> Iterator[tuple[int, int, str, str, bool]]:
    for at in range(0, len(run), _LONGEST_RUN):
        for found in tokenizer().tokenize(run[at : at + _LONGEST_RUN]):
            lemma, turns = found.normalized_form(), False
            if lemma in _ASK_THE_PART:
                part = found.part_of_speech()
                if lemma in _POLITE and part[0] == "助動詞":
                    continue
                # が is a turn only between sentences (遅いが美味しい), not after a noun (味が良い).
                turns = lemma in _TURNS_JA and (part[1] == "接続助詞" or part[0] == "接続詞")
            yield at + found.begin(), at + found.end(), found.surface(), _OFF.get(lemma, lemma), turns
