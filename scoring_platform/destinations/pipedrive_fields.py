"""Pipedrive's fields of persons, organizations and deals: keys and option ids by name, what is wrong, what is missing.

Belongs here: field definitions, and values in the form a field takes. Does not belong here: records
(``pipedrive_people``, ``pipedrive_records``), writing them (``pipedrive``).

A custom field is addressed by a key of 40 characters and an option by a number, both made by Pipedrive. The
configuration and the plan know names and labels only; they are translated here, at the edge.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scoring_platform.destinations.pipedrive_records import listed
from scoring_platform.destinations.protocol import CrmField, FieldKind, Target, Value
from scoring_platform.errors import OutcomeUnknownError, PermanentError
from scoring_platform.http.pages import paginate
from scoring_platform.http.pipedrive import PAGE_SIZE, WRITE, PipedriveApi

CALLED: Mapping[Target, str] = {"contact": "person", "account": "organization", "deal": "deal"}
"""What Pipedrive calls the records that have fields of ours."""

LONGEST_VARCHAR = 255

_TYPES: dict[FieldKind, tuple[str, ...]] = {
    "text": ("varchar", "varchar_auto", "text"),
    "number": ("double",),
    "date": ("date",),
    "choice": ("enum", "varchar", "text"),
    "choices": ("set", "text", "varchar"),
}
"""Types that take a kind; the first one is made."""

_CHOOSING = frozenset({"enum", "set"})
_PROVISION = "run `scoring-platform crm provision`"


class MissingError(Exception):
    """A value cannot be said in Pipedrive's terms: the field or the option is not there."""

    def __init__(self, text: str, *, code: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Definition:
    """A field as Pipedrive has it, ``called`` what it is of; ``options`` holds the id of each label."""

    name: str
    code: str
    kind: str
    custom: bool
    options: Mapping[str, int] = field(default_factory=dict)
    called: str = CALLED["contact"]

    def option(self, label: str) -> int:
        """Return the id of the option called ``label``.

        Raises:
            MissingError: There is none.
        """
        found = {_folded(known): key for known, key in self.options.items()}.get(_folded(label))
        if found is None:
            msg = f"The Pipedrive {self.called} field 「{self.name}」 has no option 「{label}」; {_PROVISION}"
            raise MissingError(msg, code="OPTION_MISSING")
        return found

    def decoded(self, value: Any) -> Value:
        """Return a value of this field as the plan has it: options as their labels."""
        labels = {key: label for label, key in self.options.items()}
        if self.kind == "set" and isinstance(value, list):
            return ";".join(str(labels.get(one, one)) for one in value)
        if self.kind == "enum" and value is not None:
            return str(labels.get(value, value))
        return value if isinstance(value, str | int | float) else None


class FieldBook:
    """The account's fields of one kind of record, asked for once and again when they turn out to be old."""

    def __init__(self, api: PipedriveApi, target: Target = "contact") -> None:
        """Ask ``api`` with the first use."""
        self._api = api
        self.target = target
        self.called = CALLED[target]
        self.path = f"/api/v2/{self.called}Fields"
        self.place = f"Settings, Data fields, {self.called.capitalize()}"
        self._known: list[Definition] | None = None
        self._renewed = False

    def all(self) -> list[Definition]:
        """Return every field."""
        if self._known is None:
            self._known = _read(self._api, self.path, self.called)
        return self._known

    def renew(self) -> bool:
        """Ask once more; False when that was done before."""
        if self._renewed:
            return False
        self._renewed, self._known = True, None
        return True

    def forget(self) -> None:
        """Ask again with the next use, because fields were made."""
        self._known = None

    def named(self, name: str) -> list[Definition]:
        """Return the fields called ``name``, ours before Pipedrive's own."""
        found = [one for one in self.all() if _folded(one.name) == _folded(name)]
        return sorted(found, key=lambda one: not one.custom)

    def code(self, name: str) -> str | None:
        """Return the key of the custom field called ``name``."""
        return next((one.code for one in self.named(name) if one.custom), None)

    def encoded(self, properties: Mapping[str, Value]) -> dict[str, Any]:
        """Return ``properties`` by key, in the form each field takes.

        Raises:
            MissingError: A field or an option is not there, though it was looked for twice.
        """
        try:
            return self._encoded(properties)
        except MissingError:
            if not self.renew():
                raise
            return self._encoded(properties)

    def _encoded(self, properties: Mapping[str, Value]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, value in properties.items():
            definition = next((one for one in self.named(name) if one.custom), None)
            if definition is None:
                msg = f"Pipedrive has no {self.called} field 「{name}」; {_PROVISION}"
                raise MissingError(msg, code="FIELD_MISSING")
            values[definition.code] = _value(definition, value)
        return values


def problems(book: FieldBook, fields: Sequence[CrmField]) -> list[str]:
    """Return what keeps those of ``fields`` from being written that stand on the book's kind of record."""
    wanted = [one for one in fields if one.target == book.target]
    return [*_doubled(wanted), *(problem for one in wanted if (problem := _problem(book, one)))]


def _doubled(wanted: Sequence[CrmField]) -> list[str]:
    counts = Counter(_folded(one.name) for one in wanted)
    found = [f"Two values go to 「{one.name}」; name another field" for one in wanted if counts[_folded(one.name)] > 1]
    return list(dict.fromkeys(found))


def create_missing(api: PipedriveApi, book: FieldBook, fields: Sequence[CrmField]) -> list[str]:
    """Create the fields and options that are missing and return the names of the fields touched.

    Raises:
        PermanentError: Pipedrive refused one, or two values go to one field: nothing is made then.
    """
    wanted = [one for one in fields if one.target == book.target]
    if doubled := _doubled(wanted):
        msg = f"pipedrive: no field was made, because {'; '.join(doubled)}"
        raise PermanentError(msg)
    book.forget()
    touched = []
    for one in wanted:
        known = book.named(one.name)
        if not known:
            _create(api, book, one)
            touched.append(one.name)
        elif known[0].custom and (missing := _lacking(one, known[0])):
            body = [{"label": label} for label in missing]
            _make(api, book, one, path=f"{book.path}/{known[0].code}/options", body=body)
            touched.append(one.name)
    book.forget()
    return touched


def _create(api: PipedriveApi, book: FieldBook, wanted: CrmField) -> None:
    kind = "text" if wanted.length > LONGEST_VARCHAR else _TYPES[wanted.kind][0]
    if kind in _CHOOSING and not wanted.options:
        # A list cannot be made empty; as text it takes whatever comes.
        kind = _TYPES[wanted.kind][1]
    body: dict[str, Any] = {"field_name": wanted.name, "field_type": kind}
    if kind in _CHOOSING:
        body["options"] = [{"label": label} for label in wanted.options]
    _make(api, book, wanted, path=book.path, body=body)


def _make(api: PipedriveApi, book: FieldBook, wanted: CrmField, *, path: str, body: Any) -> None:
    try:
        api.call("POST", path, cost=WRITE, json=body, idempotent=False)
    except OutcomeUnknownError:
        book.forget()
        known = book.named(wanted.name)
        # Made after all, though no answer came: a second one of that name would be a mistake for good.
        if not known or _lacking(wanted, known[0]):
            raise
    except PermanentError as error:
        msg = f"pipedrive refused the {book.called} field 「{wanted.name}」: {error}"
        raise type(error)(msg) from error


def _problem(book: FieldBook, wanted: CrmField) -> str | None:
    known = book.named(wanted.name)
    where = f"The Pipedrive {book.called} field 「{wanted.name}」"
    if not known:
        return f"Pipedrive has no {book.called} field 「{wanted.name}」; {_PROVISION}, or make it under {book.place}"
    if not known[0].custom:
        return (
            f"「{wanted.name}」 is one of Pipedrive's own {book.called} fields; "
            "name a custom field under destinations.pipedrive.fields"
        )
    if len([one for one in known if one.custom]) > 1:
        words = f"Pipedrive has several {book.called} fields called 「{wanted.name}」"
        return f"{words}; rename all but one under {book.place}"
    types = _TYPES[wanted.kind]
    if known[0].kind not in types or (wanted.length > LONGEST_VARCHAR and known[0].kind != "text"):
        needed = "text" if wanted.length > LONGEST_VARCHAR else types[0]
        return (
            f"{where} has type {known[0].kind!r}, {needed!r} is needed; "
            "name another field under destinations.pipedrive.fields"
        )
    missing = _lacking(wanted, known[0])
    if missing:
        labels = ", ".join(f"「{label}」" for label in missing)
        return f"{where} lacks the options {labels}; {_PROVISION}"
    return None


def _lacking(wanted: CrmField, known: Definition) -> list[str]:
    if known.kind not in _CHOOSING:
        return []
    there = {_folded(label) for label in known.options}
    return [label for label in wanted.options if _folded(label) not in there]


def _value(definition: Definition, value: Value) -> Any:
    if value is None or value == "":
        return None
    if definition.kind == "enum":
        return definition.option(str(value))
    if definition.kind == "set":
        return [definition.option(label) for label in str(value).split(";") if label]
    if definition.kind == "double":
        return _figure(value)
    return str(value)


def _figure(value: Value) -> Any:
    if not isinstance(value, str):
        return value
    try:
        figure = float(value)
    except ValueError:
        # What is no number is for Pipedrive to refuse, in its own words.
        return value
    return int(figure) if figure.is_integer() else figure


def _read(api: PipedriveApi, path: str, called: str) -> list[Definition]:
    def fetch(cursor: str | None = None) -> Mapping[str, Any]:
        return listed(api, path, {"limit": str(PAGE_SIZE), **({"cursor": cursor} if cursor else {})})

    pages = paginate(
        fetch(),
        lambda page: (page.get("additional_data") or {}).get("next_cursor"),
        fetch=fetch,
        rows_of=lambda page: page["data"],
        where=f"pipedrive GET {path}",
    )
    return [_definition(one, called) for page in pages for one in page["data"] if one.get("field_code")]


def _definition(one: Mapping[str, Any], called: str) -> Definition:
    options = {str(option["label"]): int(option["id"]) for option in one.get("options") or [] if _is_option(option)}
    name, kind = str(one.get("field_name") or ""), str(one.get("field_type") or "")
    return Definition(name, str(one["field_code"]), kind, bool(one.get("is_custom_field")), options, called)


def _is_option(option: Mapping[str, Any]) -> bool:
    # Options of Pipedrive's own fields may have words for ids.
    return isinstance(option.get("id"), int) and option.get("label") is not None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()
