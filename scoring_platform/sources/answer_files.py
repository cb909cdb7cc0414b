"""Files of NPS answers: exports of Delighted, whose service has ended, and any CSV.

Belongs here: encodings, columns, and rows as the signed JSON of anybody (``nps_fields``), each with its line. Does not
belong here: storing them, what an answer is.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from scoring_platform.errors import ConfigurationError
from scoring_platform.sources.answers import moment

Format = Literal["csv", "delighted"]

TARGETS = ("id", "email", "customer_id", "account_number", "crm_id", "score", "comment", "answered_at", "updated_at")
"""What a column may be. Any other column is a dimension."""

ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("id", "response_id", "survey_response_id", "回答id"),
    "email": ("email", "e_mail", "email_address", "person_email", "メールアドレス", "メール"),
    "customer_id": ("customer_id", "customer_ref", "user_id", "顧客id", "会員番号"),
    "account_number": ("account_number", "顧客番号"),
    "crm_id": ("crm_id", "contact_id", "person_id"),
    "score": ("score", "nps_score", "nps_score__c", "nps", "rating", "スコア", "点数", "推奨度"),
    "comment": ("comment", "comments", "raw_text", "feedback", "コメント", "自由記述", "ご意見"),
    "answered_at": ("answered_at", "survey_date", "created_at", "responded_at", "date", "回答日時", "回答日"),
    "updated_at": ("updated_at", "更新日時"),
}
"""Names that columns go by, after ``_name``; the first that occurs counts."""

_NOT_OF_DELIGHTED = frozenset({"customer_id", "user_id", "contact_id", "person_id"})
"""Ids in Delighted's exports that are Delighted's own, unless they are mapped."""

_ENCODINGS = ("utf-8-sig", "cp932")
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_CHUNK = 1 << 20
_LONGEST_FIELD = 1 << 20
_ZONE_NAME = re.compile(r"\s+(UTC|GMT)$")
_OFFSET = re.compile(r"\s+([+-]\d{2}:?\d{2})$")
_DAY = re.compile(r"^(\d{4})[/.年-](\d{1,2})[/.月-](\d{1,2})日?")
_TIME = re.compile(r"^[T\s]+(\d{1,2}):(\d{2})")


@dataclass(frozen=True)
class Reading:
    """How a file is read.

    Attributes:
        format: Whose export it is.
        zone: Zone of times without an offset.
        columns: Target by column, beside those known by their names.
        date_format: How dates are written, as for ``strptime``, where it is not year, month, day.
        survey: What ids are unique in; by default the format.
    """

    format: Format
    zone: ZoneInfo
    columns: Mapping[str, str] = field(default_factory=dict)
    date_format: str | None = None
    survey: str | None = None


@dataclass(frozen=True)
class Line:
    """One row of a file.

    Attributes:
        number: Line it begins on, the first being 1.
        given: The row as it stands in the file.
        event: The answer as JSON of our own names.
        problem: Why it cannot be read; empty when it can.
    """

    number: int
    given: Mapping[str, Any]
    event: Mapping[str, Any]
    problem: str = ""


def read(path: Path, reading: Reading) -> Iterator[Line]:
    """Yield the rows of a file.

    Raises:
        ConfigurationError: It is no text, or has no column of a score or of a person.
    """
    encoding = encoding_of(path)
    with path.open(encoding=encoding, newline="") as file:
        first = file.read(_CHUNK).lstrip()[:1]
        file.seek(0)
        rows = _json_rows(file.read(), path) if first in ("[", "{") else _csv_rows(file, path)
        yield from _answers(rows, path, reading)


def encoding_of(path: Path) -> str:
    """Return UTF-8 (with or without its mark), UTF-16 with its mark, or else CP932, which Excel writes in Japan.

    Raises:
        ConfigurationError: It is none of them.
    """
    with path.open("rb") as file:
        marked = _MARKS.get(file.read(2))
    if marked:
        return marked
    for encoding in _ENCODINGS:
        decoder = codecs.getincrementaldecoder(encoding)()
        with path.open("rb") as file:
            try:
                while chunk := file.read(_CHUNK):
                    decoder.decode(chunk)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                continue
        return encoding
    msg = f"{path} is neither UTF-8 nor CP932 (Shift_JIS) text: save it as CSV in UTF-8"
    raise ConfigurationError(msg)


def _csv_rows(file: Any, path: Path) -> Iterator[tuple[int, dict[str, Any], str]]:
    csv.field_size_limit(_LONGEST_FIELD)
    sample = file.read(65_536)
    file.seek(0)
    head = sample.splitlines()[0] if sample.strip() else ""
    if not head:
        msg = f"{path} is empty"
        raise ConfigurationError(msg)
    reader = csv.reader(file, delimiter=max(",;\t", key=head.count))
    names: list[str] | None = None
    while True:
        start = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield start, {}, f"the line is no CSV ({error})"
            continue
        if names is None:
            names = [name.strip().lstrip("\ufeff") for name in row]
        elif any(value.strip() for value in row):
            given = dict(zip(names, row, strict=False))
            fits = len(row) <= len(names) or not any(row[len(names) :])
            yield start, given, "" if fits else f"the line has {len(row)} values, the first line {len(names)}"


def _json_rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Answers as Delighted's API gave them: a list, or one to a line."""
    try:
        found = json.loads(text)
        rows = list(enumerate(found if isinstance(found, list) else [found], start=1))
    except json.JSONDecodeError:
        rows = []
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                rows.append((number, _parsed(line)))
    for number, row in rows:
        if isinstance(row, dict):
            person = row.get("person")
            yield number, {**row, **(_person(person) if isinstance(person, dict) else {})}, ""
        else:
            yield number, {"line": row}, "this is no object of JSON"
    if not rows:
        msg = f"{path} is empty"
        raise ConfigurationError(msg)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return line


def _person(person: Mapping[str, Any]) -> dict[str, Any]:
    return {"email": person.get("email")}


def _answers(rows: Iterator[tuple[int, dict[str, Any], str]], path: Path, reading: Reading) -> Iterator[Line]:
    unnamed: dict[str, tuple[int, str]] = {}
    columns: dict[str, str] = {}
    named: tuple[str, ...] = ()
    for number, given, problem in rows:
        if tuple(given) != named and not problem:
            named = tuple(given)
            columns = _columns(named, path, reading)
        event, wrong = ({}, problem) if problem else _event(given, columns, reading)
        yield Line(number, given, event, wrong or _told_twice(event, number, unnamed))


def _columns(names: tuple[str, ...], path: Path, reading: Reading) -> dict[str, str]:
    """Return the target of every column that has one."""
    missing = sorted(set(reading.columns) - set(names))
    if missing:
        msg = f"{path} has no column {', '.join(missing)}; it has {', '.join(names)}"
        raise ConfigurationError(msg)
    found = dict(reading.columns)
    known = {_name(name): name for name in reversed(names)}
    for target, aliases in ALIASES.items():
        own = _NOT_OF_DELIGHTED if reading.format == "delighted" else frozenset()
        column = next((known[alias] for alias in aliases if alias in known and alias not in own), None)
        if column is not None and column not in found and target not in found.values():
            found[column] = target
    people = {"email", "customer_id", "account_number", "crm_id"} & set(found.values())
    if "score" not in found.values() or not people:
        lacks = "score" if people else "person (email, customer_id, account_number or crm_id)"
        has = ", ".join(names)
        msg = f"{path}: no column is known to hold the {lacks}; name it with --map COLUMN=FIELD. It has {has}"
        raise ConfigurationError(msg)
    return found


def _event(given: Mapping[str, Any], columns: Mapping[str, str], reading: Reading) -> tuple[dict[str, Any], str]:
    values = {target: _value(given.get(column)) for column, target in columns.items()}
    rest = {name: _value(value) for name, value in given.items() if name not in columns and _value(value) is not None}
    properties = rest.pop("person_properties", None)
    rest.pop("person", None)
    event: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    event["nps_score"] = event.pop("score", None)
    for name in ("answered_at", "updated_at"):
        if name in event:
            at = _moment(event[name], reading)
            if at is None:
                return event, f"{name} is not a time; other than year, month, day is read with --date-format"
            event[name] = at.isoformat()
    if "answered_at" not in event:
        return event, "the row does not say when it was answered (answered_at)"
    if "id" in event:
        event["id"] = f"{reading.survey or reading.format}:{event['id']}"
    event["dimensions"] = {**rest, **(properties if isinstance(properties, dict) else {})}
    return event, ""


def _told_twice(event: Mapping[str, Any], number: int, unnamed: dict[str, tuple[int, str]]) -> str:
    """Without ids, two different answers of one person at one time cannot be told from one that was changed."""
    if not event or "id" in event:
        return ""
    who = "\n".join(
        str(event.get(name)) for name in ("email", "customer_id", "account_number", "crm_id", "answered_at")
    )
    key = hashlib.sha256(who.encode()).hexdigest()
    digest = hashlib.sha256(json.dumps(event, sort_keys=True, default=str).encode()).hexdigest()
    line, before = unnamed.setdefault(key, (number, digest))
    return "" if before == digest else f"the same person and time as on line {line}, and no column with ids"


def _value(value: Any) -> Any:
    return (value.strip() or None) if isinstance(value, str) else value


def _moment(value: Any, reading: Reading) -> datetime | date | None:
    if not isinstance(value, str):
        return moment(value)
    text = unicodedata.normalize("NFKC", value).strip()
    if reading.date_format:
        return _formatted(text, reading)
    text = _OFFSET.sub(r"\1", _ZONE_NAME.sub("+00:00", text))
    text = _DAY.sub(lambda found: f"{found[1]}-{int(found[2]):02}-{int(found[3]):02}", text)
    head, rest = text[:10], _TIME.sub(lambda found: f"T{int(found[1]):02}:{found[2]}", text[10:])
    found = moment(head + rest)
    naive = isinstance(found, datetime) and not re.search(r"(Z|[+-]\d{2}:?\d{2}(:?\d{2})?)$", rest) and rest
    return found.replace(tzinfo=reading.zone) if isinstance(found, datetime) and naive else found


def _formatted(text: str, reading: Reading) -> datetime | date | None:
    pattern = reading.date_format or ""
    try:
        found = datetime.strptime(text, pattern)  # noqa: DTZ007 - its zone follows
    except ValueError:
        return None
    if not re.search("%[HIMSfpXTcs]", pattern):
        return found.date()
    return found if found.tzinfo else found.replace(tzinfo=reading.zone)


def _name(column: str) -> str:
    plain = unicodedata.normalize("NFKC", column).strip().casefold()
    return re.sub(r"[^\w]+", "_", plain).strip("_")


__all__ = ["ALIASES", "TARGETS", "Format", "Line", "Reading", "encoding_of", "read"]
