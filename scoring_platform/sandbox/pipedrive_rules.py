"""The sandbox's Pipedrive rules: which fields there are, which values they take, and what a refusal looks like.

Belongs here: validation, and values in people's words. Does not belong here: storage, HTTP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Any

from scoring_platform.sandbox.pipedrive_past import LABELS

FIELD_TYPES = frozenset({
    "varchar", "text", "double", "phone", "date", "daterange", "time", "timerange", "set", "enum", "varchar_auto",
    "address", "monetary", "org", "people", "user",
})  # fmt: skip
CHOOSING = frozenset({"enum", "set"})
SEARCHED = frozenset({"varchar", "varchar_auto", "text", "double", "phone", "address", "monetary"})

_OWN_FIELDS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "persons": (
        ("id", "ID", "int"), ("name", "Name", "varchar"), ("label_ids", "Labels", "set"), ("email", "Email", "varchar"),
        ("phone", "Phone", "varchar"), ("owner_id", "Owner", "user"), ("org_id", "Organization", "org"),
        ("add_time", "Person created", "date"), ("update_time", "Update time", "date"),
        ("marketing_status", "Marketing status", "enum"),
    ),
    "organizations": (
        ("id", "ID", "int"), ("name", "Name", "varchar"), ("owner_id", "Owner", "user"),
        ("add_time", "Organization created", "date"), ("update_time", "Update time", "date"),
    ),
    "deals": (
        ("id", "ID", "int"), ("title", "Title", "varchar"), ("owner_id", "Owner", "user"),
        ("person_id", "Contact person", "people"), ("org_id", "Organization", "org"), ("value", "Value", "monetary"),
        ("stage_id", "Stage", "enum"), ("status", "Status", "enum"), ("add_time", "Deal created", "date"),
        ("update_time", "Update time", "date"),
    ),
}  # fmt: skip
_STANDARD: Mapping[str, frozenset[str]] = {
    "persons": frozenset({
        "name", "owner_id", "org_id", "add_time", "update_time", "emails", "phones", "visible_to", "label_ids",
        "marketing_status",
    }),
    "organizations": frozenset({"name", "owner_id", "add_time", "update_time", "visible_to", "label_ids", "address"}),
    "deals": frozenset({
        "title", "owner_id", "person_id", "org_id", "pipeline_id", "stage_id", "value", "currency", "add_time",
        "update_time", "status", "lost_reason", "visible_to", "label_ids", "close_time", "won_time", "lost_time",
    }),
}  # fmt: skip
"""Keys of a body beside the custom fields."""

_KEPT = ("name", "owner_id", "emails", "marketing_status")
_LONGEST = 255
_MARKETING = ("no_consent", "unsubscribed", "subscribed", "archived")

Item = dict[str, Any]


class RefusedError(Exception):
    """A call is refused."""

    def __init__(self, status: int, message: str, *, code: str = "ERR_SCHEMA_VALIDATION_FAILED") -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def body(self) -> Item:
        """The vendor's error envelope."""
        return error_body(self.status, str(self), code=self.code)


def error_body(status: int, message: str, *, code: str) -> Item:
    """Return the vendor's error envelope."""
    info = "Please check developers.pipedrive.com for more information about Pipedrive API."
    return {"success": False, "error": message, "code": code, "error_info": info, "errorCode": status, "data": None}


def own_fields(kind: str) -> list[Item]:
    """Return the fields that records of a kind have in every account."""
    labels = [_option(key, label) for key, label in LABELS]
    return [
        _field(code, name, type_, options=labels if code == "label_ids" else [], custom=False)
        for code, name, type_ in _OWN_FIELDS[kind]
    ]


def new_field(body: Any, known: Mapping[str, Item]) -> Item:
    """Return the field a client asks for.

    Raises:
        RefusedError: It is not allowed.
    """
    asked = body if isinstance(body, dict) else {}
    name, kind = asked.get("field_name"), asked.get("field_type")
    if not isinstance(name, str) or not name.strip():
        raise RefusedError(400, "Validation failed: field_name: Field is required")
    if kind not in FIELD_TYPES:
        raise RefusedError(400, f"Validation failed: field_type: Invalid enum value {kind!r}")
    if kind in CHOOSING and not asked.get("options"):
        raise RefusedError(400, f"Validation failed: options: Field is required for the type {kind}")
    code = hashlib.sha1(f"{name}|{len(known)}".encode(), usedforsecurity=False).hexdigest()
    field = _field(code, name, str(kind), options=[], custom=True)
    return with_options(field, asked.get("options") or [], known) if kind in CHOOSING else field


def with_options(field: Item, body: Any, known: Mapping[str, Item]) -> Item:
    """Return ``field`` with further options.

    Raises:
        RefusedError: The field takes none, or one is there already.
    """
    if field["field_type"] not in CHOOSING:
        raise RefusedError(400, f"Field type {field['field_type']} takes no options")
    labels = [str(one.get("label") or "") for one in body if isinstance(one, dict)] if isinstance(body, list) else []
    there = [option["label"] for option in field["options"]]
    if not labels or "" in labels or len({*labels, *there}) < len(labels) + len(there):
        raise RefusedError(400, "Validation failed: options: labels must be given, and differ from the others")
    first = 1 + max((option["id"] for one in [*known.values(), field] for option in one["options"]), default=200)
    return {**field, "options": [*field["options"], *(_option(first + n, label) for n, label in enumerate(labels))]}


def checked_values(values: Any, fields: Mapping[str, Item]) -> Item:
    """Return the custom values of a record to store.

    Raises:
        RefusedError: A key is unknown, or a value does not fit its field.
    """
    if not isinstance(values, dict):
        raise RefusedError(400, "Validation failed: custom_fields: Expected object")
    for code, value in values.items():
        if code not in fields:
            raise RefusedError(400, f"Validation failed: custom_fields: Unknown field '{code}'")
        problem = None if value is None else _misfit(value, fields[code])
        if problem:
            raise RefusedError(400, f"Validation failed: custom_fields.{code}: {problem}")
    return dict(values)


def checked_standard(kind: str, body: Any, *, new: bool) -> Item:
    """Return the standard values of a record to store.

    Raises:
        RefusedError: One is missing or does not fit.
    """
    asked = body if isinstance(body, dict) else {}
    if new and not (isinstance(asked.get("name"), str) and asked["name"].strip()):
        raise RefusedError(400, "Validation failed: name: Field is required")
    emails = asked.get("emails")
    if emails is not None and not (isinstance(emails, list) and all(_is_email(one) for one in emails)):
        raise RefusedError(400, "Validation failed: emails: Expected a list of objects with a value")
    unknown = asked.keys() - {*_STANDARD[kind], "custom_fields"}
    if unknown:
        raise RefusedError(400, f"Validation failed: Unrecognized key(s) in object: {', '.join(sorted(unknown))}")
    if asked.get("marketing_status") not in (None, *_MARKETING):
        raise RefusedError(400, "Validation failed: marketing_status: Invalid enum value")
    return {name: asked[name] for name in _KEPT if name in asked}


def in_words(values: Mapping[str, Any], fields: Mapping[str, Item]) -> Item:
    """Return custom values by name, options by label, as the platform's plan has them."""
    return {fields[code]["field_name"]: _words(value, fields[code]) for code, value in values.items() if code in fields}


def _words(value: Any, field: Item) -> Any:
    labels = {option["id"]: option["label"] for option in field["options"]}
    if field["field_type"] == "set" and value is not None:
        return ";".join(labels[one] for one in value)
    return labels[value] if field["field_type"] == "enum" and value is not None else value


def _misfit(value: Any, field: Item) -> str | None:
    kind, ids = field["field_type"], {option["id"] for option in field["options"]}
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in ("varchar", "text", "varchar_auto", "phone"):
        if not isinstance(value, str):
            return f"Expected string, received {type(value).__name__}"
        return f"Must be at most {_LONGEST} characters" if kind != "text" and len(value) > _LONGEST else None
    if kind == "double":
        return None if is_number else f"Expected number, received {value!r}"
    if kind == "enum":
        return None if is_number and value in ids else f"Unknown option {value!r}"
    if kind == "set":
        good = isinstance(value, list) and all(one in ids for one in value)
        return None if good else f"Unknown options {value!r}"
    return None if kind != "date" or _is_date(value) else f"Expected a date, received {value!r}"


def _is_date(value: Any) -> bool:
    try:
        date.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return len(value) == len("2026-11-20")


def _is_email(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("value"), str) and bool(one["value"])


def _option(key: int, label: str) -> Item:
    return {"id": key, "label": label}


def _field(code: str, name: str, kind: str, *, options: list[Item], custom: bool) -> Item:
    return {
        "field_name": name,
        "field_code": code,
        "field_type": kind,
        "options": options,
        "subfields": [],
        "is_custom_field": custom,
        "is_optional_response_field": code == "marketing_status",
    }
