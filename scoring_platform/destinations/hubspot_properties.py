"""HubSpot contact properties: which exist, which are wrong, and making the missing ones.

Belongs here: property definitions. Does not belong here: contacts (``hubspot``, ``hubspot_batches``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scoring_platform.destinations.protocol import CrmField
from scoring_platform.errors import PermanentError
from scoring_platform.http.client import ApiClient
from scoring_platform.http.verdict import fit_words

PATH = "/crm/v3/properties/contacts"
GROUP = "contactinformation"
MAX_INPUTS = 100

_FIELD_TYPES = {
    "text": ("string", "text"),
    "number": ("number", "number"),
    "date": ("date", "date"),
    # As texts, so that a new label of a segment needs no new option; a property that is a list already will do.
    "choice": ("string", "text"),
    "choices": ("string", "text"),
}
_LISTS = frozenset({"choice", "choices"})
_ENUMERATION = "enumeration"


def problems(client: ApiClient, fields: Sequence[CrmField]) -> list[str]:
    """Return what is wrong with the account's properties for ``fields``."""
    known = _known(client)
    found = [_problem(field, known.get(field.name)) for field in fields]
    return [problem for problem in found if problem is not None]


def create_missing(client: ApiClient, fields: Sequence[CrmField]) -> list[str]:
    """Create the properties that do not exist and return their names.

    Raises:
        PermanentError: HubSpot refused one.
    """
    known = _known(client)
    missing = [field for field in fields if field.name not in known and field.target == "contact"]
    for start in range(0, len(missing), MAX_INPUTS):
        some = missing[start : start + MAX_INPUTS]
        body = {"inputs": [_definition(field) for field in some]}
        # Not idempotent for the vendor, but a property made by a lost first try only comes back as a conflict.
        answer = client.request("POST", f"{PATH}/batch/create", json=body, ok=frozenset({200, 201, 207}))
        _raise_refused(answer.json)
    return [field.name for field in missing]


def _known(client: ApiClient) -> dict[str, dict[str, Any]]:
    body = client.request("GET", PATH).json
    results = body.get("results") if isinstance(body, dict) else None
    if not isinstance(results, list):
        msg = f"hubspot answered without results at GET {PATH}"
        raise PermanentError(msg)
    return {str(one["name"]): one for one in results if isinstance(one, dict) and one.get("name")}


def _problem(field: CrmField, known: dict[str, Any] | None) -> str | None:
    wanted = _FIELD_TYPES[field.kind][0]
    if field.target != "contact":
        return f"HubSpot takes values on contacts only: {field.name!r} stands on a {field.target}; change its target"
    if known is None:
        return f"HubSpot has no contact property {field.name!r}; run `scoring-platform crm provision`"
    if field.kind in _LISTS and known.get("type") == _ENUMERATION:
        return _missing_options(field, known)
    if known.get("type") != wanted:
        return (
            f"The HubSpot contact property {field.name!r} has type {known.get('type')!r}, {wanted!r} is needed; "
            "name another property under destinations.hubspot.fields"
        )
    if field.unique and not known.get("hasUniqueValue"):
        return (
            f"The HubSpot contact property {field.name!r} does not require unique values and cannot be changed; "
            "name another property under destinations.hubspot.fields.customer_key"
        )
    if (known.get("modificationMetadata") or {}).get("readOnlyValue"):
        return f"The HubSpot contact property {field.name!r} is read-only; name another one"
    return None


def _missing_options(field: CrmField, known: dict[str, Any]) -> str | None:
    there = {str(one.get("value")) for one in known.get("options") or [] if not one.get("hidden")}
    missing = [option for option in field.options if option not in there]
    if not missing:
        return None
    return f"The HubSpot contact property {field.name!r} lacks the options {', '.join(missing)}; add them in HubSpot"


def _definition(field: CrmField) -> dict[str, Any]:
    kind, field_type = _FIELD_TYPES[field.kind]
    definition = {
        "name": field.name,
        "label": field.label,
        "type": kind,
        "fieldType": field_type,
        "groupName": GROUP,
    }
    return {**definition, "hasUniqueValue": True} if field.unique else definition


def _raise_refused(body: Any) -> None:
    errors = (body or {}).get("errors") or []
    refused = [one for one in errors if one.get("category") not in ("OBJECT_ALREADY_EXISTS", "CONFLICT")]
    if refused:
        words = fit_words("; ".join(str(one.get("message", "no reason given")) for one in refused))
        msg = f"hubspot refused to create {len(refused)} contact propert{'y' if len(refused) == 1 else 'ies'}: {words}"
        raise PermanentError(msg)
