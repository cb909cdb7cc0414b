"""What all answers to NPS surveys have in common, whoever sends them.

Belongs here: an answer with what is wrong about it, its key, reading scores and times, what becomes a dimension. Does
not belong here: where a sender's body has these values (a module per sender), receiving and storing.

A sender is told at once what is wrong (``problems``). Once an answer lies in the inbox it is never refused again:
whatever the description then makes of it, the ingest step judges it row by row.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from scoring_platform.errors import PermanentError
from scoring_platform.ledger.inbox import Inbox
from scoring_platform.sources.protocol import Row

KIND = "nps"
"""Kind of webhook that brings answers; part of the address."""

IDENTITIES = ("email", "customer_id", "account_number", "crm_id")
"""What may name a person, the surest first."""

MOST_DIMENSIONS = 8_192
"""Characters of JSON that the dimensions of an answer may have; what is more stays in the inbox."""

HIGHEST = 10

_LONGEST_KEY = 255
_MILLISECONDS_FROM = 10**11
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253_370_764_800
_WHOLE = re.compile(r"(\d{1,4})(?:\.0+)?", re.ASCII)
_SECONDS = re.compile(r"\d{9,13}(?:\.\d+)?", re.ASCII)
_PERSONAL = re.compile(
    r"^name$|(first|last|full|family|given|customer|user|contact|person)_?name"
    r"|(^|_)(e_?mail|mail|phone|tel|mobile|address|ip|birthday|birth_?date)($|_)"
)


@dataclass(frozen=True)
class SurveyAnswer:
    """One answer as a row of raw_nps_responses, and what is wrong about it.

    Attributes:
        row: The row; what cannot be read stands in it as it was sent.
        problems: Why the sender has to mend it; empty for a good answer.
    """

    row: Row
    problems: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The id of this state of the answer: equal states have the same, whatever brings them."""
        text = json.dumps(self.row, sort_keys=True, ensure_ascii=False, default=str)
        digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        key = f"{self.row['response_id']}:{self.row['revision']}:{digest[:16]}"
        return key if len(key) <= _LONGEST_KEY else f"sha256:{digest}"


Reader = Callable[[Mapping[str, Any], datetime | None], SurveyAnswer]
"""Names the fields of an answer that was received at an instant; None while it is being received, so that nothing but
what was sent makes its key."""


@dataclass
class Findings:
    """What is read of one answer, noting what cannot be read."""

    problems: list[str] = field(default_factory=list)

    def score(self, value: Any) -> Any:
        """Return 0 to 10, None for a dismissed survey, or the value as sent."""
        if value is None or value == "":
            return None
        found = _whole(value)
        if found is not None and found <= HIGHEST:
            return found
        self.problems.append(f"the score is not a whole number from 0 to {HIGHEST}")
        return value

    def moment(self, value: Any, what: str) -> datetime | date | None:
        """Return an instant or, where only a day is given, that day; None where there is none, or none can be read."""
        if value is None or value == "":
            return None
        found = moment(value)
        if found is None:
            self.problems.append(f"{what} is not a time")
        return found

    def text(self, value: Any) -> str | None:
        """Return a comment; None for an empty one."""
        if value is None or isinstance(value, str):
            return value.strip() or None if value else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        self.problems.append("the comment is not text")
        return None

    def require(self, found: object, words: str) -> None:
        """Note ``words`` unless something was found."""
        if not found:
            self.problems.append(words)


def refuse(answer: SurveyAnswer) -> SurveyAnswer:
    """Return a good answer.

    Raises:
        PermanentError: It is not; the message says why and quotes nothing.
    """
    if answer.problems:
        raise PermanentError("; ".join(answer.problems))
    return answer


def moment(value: Any) -> datetime | date | None:
    """Read a time: ISO 8601 (UTC unless it names an offset), a day, or seconds or milliseconds since 1970."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _counted(float(value))
    text = unicodedata.normalize("NFKC", value).strip() if isinstance(value, str) else ""
    if _SECONDS.fullmatch(text):
        return _counted(float(text))
    try:
        if len(text) == len("2026-11-20"):
            return date.fromisoformat(text)
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def day_of(found: datetime | date, zone: ZoneInfo) -> date:
    """Return the business day of a time; a day is its own."""
    if not isinstance(found, datetime):
        return found
    try:
        return found.astimezone(zone).date()
    except OverflowError:  # at the ends of the calendar
        return found.date()


def revision_of(found: datetime | date | None, zone: ZoneInfo) -> int | None:
    """Return the milliseconds since 1970 of a time, so that a later one is the greater revision."""
    if found is None:
        return None
    instant = found if isinstance(found, datetime) else datetime.combine(found, time(), zone)
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def named_by(values: Iterable[tuple[str, Any]]) -> tuple[str | None, str | None]:
    """Return the first of ``values`` that names somebody, as kind and key."""
    for kind, value in values:
        key = text_of(value)
        if key:
            return kind, key
    return None, None


def text_of(value: Any) -> str | None:
    """Return an id as text: text and whole numbers are ids; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def bounded(dimensions: Mapping[str, Any]) -> dict[str, Any]:
    """Return what may stand in the dimensions: nothing that looks personal, and no more than fits.

    Dimensions are shown in reports; names, addresses and numbers of people stay in the inbox.
    """
    kept: dict[str, Any] = {}
    left = MOST_DIMENSIONS
    for name, value in dimensions.items():
        if value is None or _PERSONAL.search(name.lower()) or "@" in str(value):
            continue
        size = len(json.dumps([name, value], ensure_ascii=False, default=str))
        if size <= left:
            kept[name] = value
            left -= size
    return kept


def last_heard(inbox: Inbox | None, provider: str) -> str:
    """Say when a sender was heard of last."""
    latest = None if inbox is None else inbox.last_arrival(KIND, provider)
    return f"last webhook answer {latest.isoformat(timespec='seconds')}" if latest else "no webhook answer yet"


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    if isinstance(value, float):
        return int(value) if value >= 0 and value.is_integer() else None
    if not isinstance(value, str):
        return None
    found = _WHOLE.fullmatch(unicodedata.normalize("NFKC", value).strip())
    return int(found[1]) if found else None


def _counted(number: float) -> datetime | None:
    seconds = number / 1_000 if abs(number) >= _MILLISECONDS_FROM else number
    if not 0 < seconds < _LATEST:
        return None
    return _EPOCH + timedelta(milliseconds=round(seconds * 1_000))
