"""The sandbox CRM's rules: which properties exist, which values they take, and what a refusal looks like.

Belongs here: validation and error bodies as the vendor words them. Does not belong here: storage, HTTP.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from scoring_platform.sandbox.hubspot_past import LIFECYCLE_STAGES
from scoring_platform.sandbox.hubspot_store import Kind

_CREATED = ("createdate", "Create date", "datetime", False, True)
_OBJECT_ID = ("hs_object_id", "Record ID", "number", True, True)
_CHANGED = ("hs_lastmodifieddate", "Last modified date", "datetime", False, True)

STANDARD_PROPERTIES: Mapping[Kind, tuple[tuple[str, str, str, bool, bool], ...]] = {
    "contacts": (
        ("email", "Email", "string", True, False),
        ("firstname", "First name", "string", False, False),
        ("lastname", "Last name", "string", False, False),
        ("phone", "Phone number", "string", False, False),
        ("lifecyclestage", "Lifecycle stage", "enumeration", False, False),
        ("hubspot_owner_id", "Contact owner", "enumeration", False, False),
        ("hs_email_optout", "Unsubscribed from all email", "bool", False, False),
        ("associatedcompanyid", "Primary Associated Company ID", "number", False, False),
        _CREATED,
        ("lastmodifieddate", "Last modified date", "datetime", False, True),
        _OBJECT_ID,
    ),
    "companies": (
        ("name", "Company name", "string", False, False),
        ("domain", "Company domain name", "string", False, False),
        ("hubspot_owner_id", "Company owner", "enumeration", False, False),
        _CREATED,
        _CHANGED,
        _OBJECT_ID,
    ),
    "deals": (
        ("dealname", "Deal name", "string", False, False),
        ("pipeline", "Pipeline", "string", False, False),
        ("dealstage", "Deal stage", "string", False, False),
        ("amount", "Amount", "number", False, False),
        ("amount_in_home_currency", "Amount in company currency", "number", False, True),
        ("closedate", "Close date", "datetime", False, False),
        ("hubspot_owner_id", "Deal owner", "enumeration", False, False),
        ("hs_is_closed", "Is deal closed?", "bool", False, True),
        ("hs_is_closed_won", "Is closed won", "bool", False, True),
        _CREATED,
        _CHANGED,
        _OBJECT_ID,
    ),
}
"""Name, label, type, unique, read-only, by kind of record."""

_FIELD_TYPES = {
    "string": ("text", "textarea", "phonenumber", "html", "file", "calculation_equation"),
    "number": ("number", "calculation_equation"),
    "date": ("date",),
    "datetime": ("date",),
    "bool": ("booleancheckbox",),
    "enumeration": ("select", "radio", "checkbox", "booleancheckbox"),
    "phone_number": ("phonenumber",),
}
_GROUPS: Mapping[Kind, str] = {
    "contacts": "contactinformation",
    "companies": "companyinformation",
    "deals": "dealinformation",
}
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,99}$")
_EMAIL = re.compile(r"^[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")
_MAX_UNIQUE = 10
_STANDARD_UNIQUE = frozenset({"email", "hs_object_id"})


class RefusedError(Exception):
    """One input is refused; ``status`` is the answer's when it is refused alone."""

    def __init__(self, status: int, category: str, message: str, *, code: str | None = None, prop: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.category = category
        self.message = message
        self.code = code
        self.prop = prop

    def details(self) -> list[dict[str, Any]]:
        """The ``errors`` list of the body."""
        if self.code is None:
            return []
        return [{"message": self.message, "code": self.code, "context": {"propertyName": [self.prop]}}]

    def body(self) -> dict[str, Any]:
        """The body when this refuses a whole call."""
        return error_body(self.category, self.message, errors=self.details())

    def item(self, *, trace_id: str | None, identifier: str | None) -> dict[str, Any]:
        """The entry in the ``errors`` of a 207."""
        context = {"objectWriteTraceId": [trace_id]} if trace_id else {}
        if identifier:
            context["ids"] = [identifier]
        return {
            "status": "error",
            "category": self.category,
            "message": self.message,
            "context": context,
            "errors": self.details(),
            "links": {},
        }


def error_body(category: str, message: str, **extra: Any) -> dict[str, Any]:
    """Return the vendor's error envelope."""
    correlation = str(uuid.uuid4())
    return {"status": "error", "message": message, "correlationId": correlation, "category": category, **extra}


def standard_definitions(record_kind: Kind) -> list[dict[str, Any]]:
    """Return the definitions that records of a kind have in every account."""
    group = _GROUPS[record_kind]
    known = [
        _definition(
            name, label, kind=kind, field_type=_FIELD_TYPES[kind][0], unique=unique, read_only=read_only, group=group
        )
        for name, label, kind, unique, read_only in STANDARD_PROPERTIES[record_kind]
    ]
    stages = [{"value": value, "label": label} for value, label in LIFECYCLE_STAGES]
    named = [{**one, "options": _options(stages)} if one["name"] == "lifecyclestage" else one for one in known]
    return [{**one, "hubspotDefined": True} for one in named]


def new_definition(body: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]], kind: Kind) -> dict[str, Any]:
    """Return the definition a client asks for.

    Raises:
        RefusedError: It is not allowed, or the name is taken.
    """
    missing = [name for name in ("name", "label", "type", "fieldType", "groupName") if not body.get(name)]
    if missing:
        raise RefusedError(400, "VALIDATION_ERROR", f"Invalid input JSON: some required fields were not set: {missing}")
    if body["groupName"] != _GROUPS[kind]:
        raise RefusedError(400, "VALIDATION_ERROR", f"Property group '{body['groupName']}' does not exist")
    name, type_ = str(body["name"]), str(body["type"])
    if not _NAME.match(name):
        raise RefusedError(400, "VALIDATION_ERROR", f"Property name '{name}' is not valid")
    if str(body["fieldType"]) not in _FIELD_TYPES.get(type_, ()):
        raise RefusedError(400, "VALIDATION_ERROR", f"Field type {body['fieldType']} is not allowed for type {type_}")
    if name in known:
        raise RefusedError(409, "OBJECT_ALREADY_EXISTS", f"A property named '{name}' already exists.")
    unique = bool(body.get("hasUniqueValue"))
    own = [one for one in known.values() if one["hasUniqueValue"] and one["name"] not in _STANDARD_UNIQUE]
    if unique and len(own) >= _MAX_UNIQUE:
        raise RefusedError(400, "VALIDATION_ERROR", "The limit of unique properties was reached")
    made = _definition(
        name,
        str(body["label"]),
        kind=type_,
        field_type=str(body["fieldType"]),
        unique=unique,
        read_only=False,
        group=str(body["groupName"]),
    )
    return {**made, "options": _options(body.get("options") or []), "hubspotDefined": False}


def check_values(properties: Any, known: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the values to store.

    Raises:
        RefusedError: A property is unknown or read-only, or a value does not fit it.
    """
    if not isinstance(properties, dict):
        raise RefusedError(400, "VALIDATION_ERROR", "Invalid input JSON: properties must be an object")
    return {name: _checked(name, value, known.get(name)) for name, value in properties.items()}


def _checked(name: str, value: Any, definition: Mapping[str, Any] | None) -> str:
    if not isinstance(value, str):
        raise RefusedError(400, "VALIDATION_ERROR", f"Invalid input JSON: the value of {name} must be a string")
    if definition is None:
        raise _invalid(name, value, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
    if definition["modificationMetadata"]["readOnlyValue"]:
        raise _invalid(name, value, "READ_ONLY_VALUE", f'"{name}" is a read only property')
    code = _misfit(name, value, str(definition["type"])) or _no_option(value, definition) if value else None
    if code is not None:
        raise _invalid(name, value, code, f"{value} was not a valid {definition['type']}")
    return value.strip().lower() if name == "email" else value


def _misfit(name: str, value: str, kind: str) -> str | None:
    if name == "email":
        return None if _EMAIL.match(value.strip()) else "INVALID_EMAIL"
    if kind == "number":
        return None if re.fullmatch(r"-?\d+(\.\d+)?", value) else "INVALID_LONG"
    if kind == "bool":
        return None if value in ("true", "false") else "INVALID_OPTION"
    if kind == "date" and not value.isdigit():
        try:
            date.fromisoformat(value)
        except ValueError:
            return "INVALID_DATE"
    return None


def _no_option(value: str, definition: Mapping[str, Any]) -> str | None:
    """Hold a choice against the options; owners, which are no options of the property, are not looked at."""
    options = {one["value"] for one in definition["options"]}
    chosen = value.split(";") if definition["fieldType"] == "checkbox" else [value]
    return "INVALID_OPTION" if options and not options.issuperset(chosen) else None


def _options(given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"value": str(one["value"]), "label": str(one["label"]), "displayOrder": place, "hidden": False}
        for place, one in enumerate(given)
    ]


def _invalid(name: str, value: str, code: str, message: str) -> RefusedError:
    listed = json.dumps([{"isValid": False, "message": message, "error": code, "name": name, "value": value}])
    return RefusedError(400, "VALIDATION_ERROR", f"Property values were not valid: {listed}", code=code, prop=name)


def _definition(
    name: str, label: str, *, kind: str, field_type: str, unique: bool, read_only: bool, group: str
) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": kind,
        "fieldType": field_type,
        "description": "",
        "groupName": group,
        "options": [],
        "hasUniqueValue": unique,
        "hidden": False,
        "archived": False,
        "modificationMetadata": {"archivable": not read_only, "readOnlyDefinition": False, "readOnlyValue": read_only},
    }
