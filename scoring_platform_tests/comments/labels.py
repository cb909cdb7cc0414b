"""Labelled comments, and how well a reader finds their themes.

Belongs here: reading the set, F1. Does not belong here: what is good enough.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scoring_platform.comments.reader import Reader

SET = Path(__file__).with_name("labelled.jsonl")


@dataclass(frozen=True)
class Labelled:
    """One comment and what a person found in it."""

    language: str
    origin: str
    text: str
    themes: tuple[str, ...]
    sentiment: str | None
    part: str


@dataclass(frozen=True)
class Figures:
    """F1 over all mentions, and the mean of the themes' own."""

    micro: float
    macro: float


def labelled(**wanted: str) -> list[Labelled]:
    """Return the comments whose fields are as ``wanted``."""
    lines = SET.read_text(encoding="utf-8").splitlines()
    rows = [Labelled(**{**row, "themes": tuple(row["themes"])}) for row in map(json.loads, lines)]
    return [row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]


def figures(reader: Reader, rows: Iterable[Labelled]) -> Figures:
    """Return how well ``reader`` finds the themes of ``rows``."""
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for row in rows:
        found, told = set(reader.read(row.text).themes), set(row.themes)
        right.update(found & told)
        wrong.update(found ^ told)
    each = [_f1(right[theme], wrong[theme]) for theme in {*right, *wrong}]
    return Figures(_f1(right.total(), wrong.total()), sum(each) / len(each))


def agreement(reader: Reader, rows: Iterable[Labelled]) -> float:
    """Return the share of ``rows`` whose sentiment ``reader`` sees as the person did."""
    judged = [row for row in rows if row.sentiment is not None]
    return sum(reader.read(row.text).sentiment == row.sentiment for row in judged) / len(judged)


def _f1(right: int, wrong: int) -> float:
    return 2 * right / (2 * right + wrong)
