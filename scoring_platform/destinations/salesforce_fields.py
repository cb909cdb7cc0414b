"""Salesforce fields: which exist, which cannot take what they are given, and how a person makes what is missing.

Belongs here: field definitions. Does not belong here: records (``salesforce``, ``salesforce_records``).

Salesforce lets no field be made through the API used here, so every sentence says what to make in Setup. A field that
is there but hidden from our user looks the same as one that is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scoring_platform.destinations.protocol import CrmField, FieldKind, Target
from scoring_platform.errors import PermanentError
from scoring_platform.http.salesforce import Session

SOBJECTS: Mapping[Target, str] = {"contact": "Contact", "account": "Account", "deal": "Opportunity"}
"""Kinds of records that can be written."""

Definition = Mapping[str, Any]

_TYPES: dict[FieldKind, frozenset[str]] = {
    "text": frozenset({"string", "textarea", "reference"}),
    "number": frozenset({"double", "int", "long", "currency", "percent"}),
    "date": frozenset({"date"}),
    "choice": frozenset({"picklist", "string", "textarea"}),
    "choices": frozenset({"multipicklist", "string", "textarea"}),
}
_WANTED = {"number": "Number(16, 2)", "date": "Date", "choice": "Picklist", "choices": "Picklist (Multi-Select)"}
_LISTS = frozenset({"picklist", "multipicklist"})
_TEXTS = frozenset({"string", "textarea"})
_OWNER = "OwnerId"


def problems(session: Session, fields: Sequence[CrmField]) -> list[str]:
    """Return what would keep ``fields`` from being written, one sentence each."""
    found: list[str] = []
    for target in dict.fromkeys(field.target for field in fields):
        of_target = [field for field in fields if field.target == target]
        if target not in SOBJECTS:
            names = ", ".join(repr(field.name) for field in of_target)
            found.append(
                f"Salesforce takes values on contact, account and deal, not on {target}: change the target of {names}"
            )
            continue
        known = _known(session, SOBJECTS[target])
        found += [said for field in of_target if (said := _problem(field, known, SOBJECTS[target])) is not None]
    return found


def _known(session: Session, sobject: str) -> dict[str, Definition]:
    """Return the definitions by name in lower case: names of fields know no case."""
    body = session.request("GET", f"/sobjects/{sobject}/describe").json
    fields = body.get("fields") if isinstance(body, dict) else None
    if not isinstance(fields, list):
        msg = f"salesforce described {sobject} without its fields; check api_version"
        raise PermanentError(msg)
    return {str(one["name"]).lower(): one for one in fields if isinstance(one, dict) and one.get("name")}


def _problem(field: CrmField, known: Mapping[str, Definition], sobject: str) -> str | None:
    definition = known.get(field.name.lower())
    where = f"The Salesforce field {field.name!r} on {sobject}"
    if definition is None:
        return (
            f"Salesforce shows no field {field.name!r} on {sobject}: create it in Setup → Object Manager → {sobject} → "
            f"Fields & Relationships as {wanted(field)}, label {field.label!r}, and let our user see and edit it "
            "(field-level security)"
        )
    if not definition.get("custom", field.name.lower().endswith("__c")) and not field.fits_own(_OWNER):
        return f"{where} is one of Salesforce's own: name a custom field (…__c) under destinations.salesforce.fields"
    kind = str(definition.get("type"))
    if kind not in _TYPES[field.kind] or (field.unique and kind != "string"):
        return f"{where} has type {kind!r}; {wanted(field)} is needed: name another field under destinations.salesforce"
    if not (definition.get("updateable") and definition.get("createable", True)):
        return (
            f"{where} is read-only for our user: give it edit access under Field-Level Security, or name another field"
        )
    return _misfit(field, definition, where)


def _misfit(field: CrmField, definition: Definition, where: str) -> str | None:
    if field.unique and not definition.get("externalId"):
        return f"{where} is no External ID: tick External ID in its definition, so that records are found by it"
    if field.unique and not definition.get("unique"):
        return f"{where} allows the same value twice: tick Unique in its definition, so that nobody is doubled"
    kind, length = str(definition["type"]), int(definition.get("length") or 0)
    needed = max([field.length, *(len(option) for option in field.options)], default=0)
    if kind in _TEXTS and length < needed:
        return f"{where} holds {length} characters, {needed} are needed: raise its length"
    if kind in _LISTS:
        return _missing_options(field, definition, where)
    return None


def _missing_options(field: CrmField, definition: Definition, where: str) -> str | None:
    values = [one for one in definition.get("picklistValues") or [] if isinstance(one, dict)]
    active = {str(one.get("value")) for one in values if one.get("active")}
    inactive = {str(one.get("value")) for one in values if not one.get("active")}
    missing = [option for option in field.options if option not in active | inactive]
    # An unrestricted list takes values it does not show.
    missing = missing if definition.get("restrictedPicklist", True) else []
    asleep = [option for option in field.options if option in inactive - active]
    said = [f"lacks the values {', '.join(missing)}: add them"] if missing else []
    said += [f"has deactivated the values {', '.join(asleep)}: activate them"] if asleep else []
    return f"{where} {'; it '.join(said)} in Setup → Object Manager" if said else None


def wanted(field: CrmField) -> str:
    """Return the type of field to make, in the words of Salesforce's Setup."""
    if field.unique:
        return f"Text({max(field.length, 64)}), Unique, External ID"
    if field.kind == "text":
        return f"Text({max(field.length, 1)})"
    values = f" with the values {', '.join(field.options)}" if field.options else ""
    return _WANTED[field.kind] + values
