"""Answers that come in a file go the way of those that come by webhook: into the inbox, each once.

Belongs here: lines to keyed answers and dead letters, in commits of many. Does not belong here: reading the file
(``sources.answer_files``), what a person is told (``cli``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any

from scoring_platform.errors import PermanentError
from scoring_platform.ledger.inbox import DeadLetter, Inbox, Post
from scoring_platform.sources.answer_files import Line
from scoring_platform.sources.answers import KIND, Reader, refuse
from scoring_platform.sources.nps import IMPORTED
from scoring_platform.webhooks.events import canonical
from scoring_platform.webhooks.payload import check, storable

TOGETHER = 1_000
"""Lines in one commit."""

MOST_TOLD = 1_000
"""Bad lines that are told of one by one; all are kept as dead letters."""


@dataclass
class Imported:
    """What became of a file.

    Attributes:
        accepted: New answers, or new states of known ones.
        duplicates: Answers that were there before.
        rejected: Lines that were set aside.
        reasons: Line and reason of the first of them.
        early: New answers of days before a given one.
    """

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    reasons: list[tuple[int, str]] = field(default_factory=list)
    early: int = 0


def store(inbox: Inbox, lines: Iterable[Line], *, read: Reader, history_start: date) -> Imported:
    """Keep the answers of a file.

    Args:
        inbox: Where to.
        lines: The file's rows.
        read: Names the fields of an answer.
        history_start: The first day that runs load.
    """
    done, rest = Imported(), iter(lines)
    while part := list(islice(rest, TOGETHER)):
        post = Post(KIND, IMPORTED, *_split(part, done, read=read, history_start=history_start))
        # Known keys change nothing: after a crash in between the same file is simply read again.
        (stored,) = inbox.store([post])
        done.accepted += stored.accepted
        done.duplicates += stored.duplicates
    return done


def _split(
    lines: Sequence[Line], done: Imported, *, read: Reader, history_start: date
) -> tuple[list[tuple[str, Mapping[str, Any]]], list[DeadLetter]]:
    events: list[tuple[str, Mapping[str, Any]]] = []
    dead: list[DeadLetter] = []
    for line in lines:
        try:
            key, day = _judged(line, read)
        except PermanentError as error:
            reason = f"line {line.number}: {error}"
            dead.append(DeadLetter(reason, storable(canonical(line.given))))
            done.rejected += 1
            done.reasons += [(line.number, str(error))] if len(done.reasons) < MOST_TOLD else []
        else:
            events.append((key, line.event))
            done.early += day < history_start
    return events, dead


def _judged(line: Line, read: Reader) -> tuple[str, date]:
    if line.problem:
        raise PermanentError(line.problem)
    check(line.event)
    answer = refuse(read(line.event, None))
    return answer.key, answer.row["survey_date"]


def told(done: Imported) -> Iterator[str]:
    """Give the bad lines in words."""
    for number, reason in done.reasons:
        yield f"line {number}: {reason}"
    if done.rejected > len(done.reasons):
        yield f"and {done.rejected - len(done.reasons):,} more lines"
