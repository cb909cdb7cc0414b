"""The sandbox's Salesforce: which fields records have, which values they take, and what a refusal looks like.

Belongs here: definitions, validation and error bodies as the vendor words them. Does not belong here: storage, HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

THEMES = ("delivery", "price", "quality", "service", "website", "other")

_EMAIL = re.compile(r"^[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")
_NULL = "#N/A"


@dataclass(frozen=True)
class FieldRule:
    """A field of a kind of record.

    Attributes:
        name: API name.
        type: Type in the words of ``describe``.
        length: Characters a text takes.
        unique: Whether a value has one owner.
        external_id: Whether records are found by it.
        writable: Whether a client may set it.
        options: Values of a picklist.
        restricted: Whether the picklist takes no other.
        required: Whether a new record needs it.
        label: Its name for people.
    """

    name: str
    type: str
    length: int = 0
    unique: bool = False
    external_id: bool = False
    writable: bool = True
    options: tuple[str, ...] = ()
    restricted: bool = False
    required: bool = False
    label: str = ""

    def described(self) -> dict[str, Any]:
        """Return the field as ``describe`` shows it."""
        values = [{"active": True, "label": one, "value": one, "defaultValue": False} for one in self.options]
        return {
            "name": self.name,
            "label": self.label or self.name.removesuffix("__c").replace("_", " "),
            "type": self.type,
            "length": self.length,
            "unique": self.unique,
            "externalId": self.external_id,
            "idLookup": self.external_id or self.name in ("Id", "Email"),
            "custom": self.name.endswith("__c"),
            "createable": self.writable,
            "updateable": self.writable,
            "nillable": not self.required,
            "restrictedPicklist": self.restricted,
            "picklistValues": values,
        }


_SYSTEM = (
    FieldRule("Id", "id", 18, writable=False),
    FieldRule("IsDeleted", "boolean", writable=False),
    FieldRule("CreatedDate", "datetime", writable=False),
    FieldRule("LastModifiedDate", "datetime", writable=False),
    FieldRule("SystemModstamp", "datetime", writable=False),
    FieldRule("OwnerId", "reference", 18),
)
_SCORES = (
    FieldRule("Total_Score__c", "double"),
    FieldRule("RFM_Code__c", "string", 3),
    FieldRule("Segment__c", "picklist", 255),
    FieldRule("Churn_Band__c", "picklist", 255, options=("low", "medium", "high"), restricted=True),
    FieldRule("CLV_12m__c", "double"),
    FieldRule("Score_Date__c", "date"),
    FieldRule("Churn_Risk__c", "double"),
    FieldRule("Lead_Score__c", "double"),
    FieldRule("NPS_Score__c", "double"),
    FieldRule("NPS_Segment__c", "picklist", options=("promoter", "passive", "detractor"), restricted=True),
    FieldRule("NPS_Themes__c", "multipicklist", 4099, options=THEMES),
)

RULES: dict[str, dict[str, FieldRule]] = {
    sobject: {rule.name.lower(): rule for rule in rules}
    for sobject, rules in {
        "Contact": (
            *_SYSTEM,
            FieldRule("AccountId", "reference", 18),
            FieldRule("FirstName", "string", 40, label="First Name"),
            FieldRule("LastName", "string", 80, required=True, label="Last Name"),
            FieldRule("Name", "string", 121, writable=False, label="Full Name"),
            FieldRule("Email", "email", 80),
            FieldRule("HasOptedOutOfEmail", "boolean", label="Email Opt Out"),
            FieldRule("Lifecycle_Stage__c", "picklist", 255, options=("Lead", "Customer")),
            FieldRule("Customer_Key__c", "string", 64, unique=True, external_id=True),
            *_SCORES,
        ),
        "Account": (*_SYSTEM, FieldRule("Name", "string", 255, required=True), *_SCORES),
        "Opportunity": (
            *_SYSTEM,
            FieldRule("AccountId", "reference", 18),
            FieldRule("ContactId", "reference", 18),
            FieldRule("Name", "string", 120, required=True),
            FieldRule("StageName", "picklist", 255, required=True),
            FieldRule("Amount", "currency"),
            FieldRule("CloseDate", "date", required=True),
            FieldRule("IsClosed", "boolean", writable=False),
            FieldRule("IsWon", "boolean", writable=False),
            *_SCORES,
        ),
    }.items()
}
"""Fields by kind of record, by name in lower case: names know no case."""


class RefusedError(Exception):
    """A call, or one record of it, is refused; ``status`` is the answer's when the whole call is."""

    def __init__(self, code: str, message: str, *fields: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = fields
        self.status = status

    def body(self) -> list[dict[str, Any]]:
        """The body when this refuses a whole call."""
        named = {"fields": list(self.fields)} if self.fields else {}
        return [{"message": self.message, "errorCode": self.code, **named}]

    def result(self) -> dict[str, Any]:
        """The result of a record in a collection."""
        error = {"statusCode": self.code, "message": self.message, "fields": list(self.fields)}
        return {"success": False, "errors": [error]}

    def line(self) -> str:
        """The ``sf__Error`` of a line in a file."""
        return f"{self.code}:{self.message}:{' '.join(self.fields)} --"


def rules_of(sobject: str) -> dict[str, FieldRule]:
    """Return the fields of a kind of record.

    Raises:
        RefusedError: There is no such kind.
    """
    for name, rules in RULES.items():
        if name.lower() == sobject.lower():
            return rules
    msg = f"sObject type '{sobject}' is not supported."
    raise RefusedError("NOT_FOUND", msg, status=404)


def rule_of(sobject: str, name: str) -> FieldRule:
    """Return a field.

    Raises:
        RefusedError: There is no such field.
    """
    rule = rules_of(sobject).get(name.lower())
    if rule is None:
        raise RefusedError("INVALID_FIELD", f"No such column '{name}' on sobject of type {sobject}")
    return rule


def require_readable(sobject: str, given: Mapping[str, Any]) -> None:
    """Refuse the whole call for what Salesforce cannot even read: unknown fields, and values of another JSON type.

    Raises:
        RefusedError: So it is.
    """
    for name, value in given.items():
        rule = rule_of(sobject, name)
        if rule.type in ("double", "currency") and isinstance(value, str) and not _is_number(value):
            msg = f"Cannot deserialize instance of double from VALUE_STRING value {value}"
            raise RefusedError("JSON_PARSER_ERROR", msg)
        if rule.type == "date" and isinstance(value, str) and not _is_date(value):
            raise RefusedError(
                "JSON_PARSER_ERROR", f"Cannot deserialize instance of date from VALUE_STRING value {value}"
            )


def checked(sobject: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of one record to store, under the fields' own names.

    Raises:
        RefusedError: The record is refused.
    """
    values: dict[str, Any] = {}
    for name, value in given.items():
        rule = rule_of(sobject, name)
        if not rule.writable:
            msg = (
                f"Unable to create/update fields: {rule.name}. Please check the security settings of this field and "
                "verify that it is read/write for your profile or permission set."
            )
            raise RefusedError("INVALID_FIELD_FOR_INSERT_UPDATE", msg, rule.name)
        values[rule.name] = None if value is None or value == "" else _fitting(rule, value)
    return values


def require_complete(sobject: str, values: Mapping[str, Any]) -> None:
    """Refuse a new record that lacks what it needs.

    Raises:
        RefusedError: It does.
    """
    missing = [rule.name for rule in rules_of(sobject).values() if rule.required and values.get(rule.name) is None]
    if missing:
        listed = ", ".join(missing)
        raise RefusedError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{listed}]", *missing)


def from_cell(sobject: str, name: str, cell: str) -> Any:
    """Return what a cell of a file stands for.

    Raises:
        RefusedError: The cell does not fit the field.
    """
    rule = rule_of(sobject, name)
    if cell == _NULL:
        return None
    if rule.type in ("double", "currency"):
        if not _is_number(cell):
            msg = f"{rule.name}: invalid number: {cell}"
            raise RefusedError("INVALID_TYPE_ON_FIELD_IN_RECORD", msg, rule.name)
        return _number(cell)
    if rule.type == "date" and not _is_date(cell):
        raise RefusedError("INVALID_TYPE_ON_FIELD_IN_RECORD", f"{rule.name}: invalid date: {cell}", rule.name)
    return cell.lower() == "true" if rule.type == "boolean" else cell


def _fitting(rule: FieldRule, value: Any) -> Any:
    if rule.type in ("double", "currency"):
        return _number(value) if isinstance(value, str) else value
    if rule.type == "boolean":
        return bool(value)
    text = str(value)
    if rule.type == "email" and not _EMAIL.match(text.strip()):
        raise RefusedError("INVALID_EMAIL_ADDRESS", f"{rule.name}: invalid email address: {text}", rule.name)
    if rule.type in ("string", "email") and len(text) > rule.length:
        shown = rule.label or rule.name
        raise RefusedError(
            "STRING_TOO_LONG", f"{shown}: data value too large: {text} (max length={rule.length})", rule.name
        )
    parts = text.split(";") if rule.type == "multipicklist" else [text]
    for part in parts if rule.restricted else ():
        if part not in rule.options:
            words = f"{rule.name}: bad value for restricted picklist field: {part}"
            raise RefusedError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", words, rule.name)
    return text.strip().lower() if rule.type == "email" else text


def _number(text: str) -> int | float:
    """Return a number the way it was sent, so that what was received can be compared with it."""
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", text) is not None


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
