"""HubSpot properties of contacts, companies and deals: which exist, which are wrong, and making the missing ones.

Belongs here: property definitions. Does not belong here: records (``hubspot``, ``hubspot_batches``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scoring_platform.destinations.protocol import CrmField, Target
from scoring_platform.errors import PermanentError
from scoring_platform.http.client import ApiClient
from scoring_platform.http.verdict import fit_words

MAX_INPUTS = 100

OBJECTS: Mapping[Target, str] = {"contact": "contacts", "account": "companies", "deal": "deals"}
"""What HubSpot calls the kinds of records that can be written."""

_CALLED: Mapping[Target, str] = {"contact": "contact", "account": "company", "deal": "deal"}

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
_OWNER = "hubspot_owner_id"


def problems(client: ApiClient, fields: Sequence[CrmField]) -> list[str]:
    """Return what is wrong with the account's properties for ``fields``."""
    found: list[str | None] = []
    for target in dict.fromkeys(field.target for field in fields):
        of_target = [field for field in fields if field.target == target]
        known = _known(client, target) if target in OBJECTS else {}
        found += [_problem(field, known.get(field.name)) for field in of_target]
    return [problem for problem in found if problem is not None]


def create_missing(client: ApiClient, fields: Sequence[CrmField]) -> list[str]:
    """Create the properties that do not exist and return their names.

    Raises:
        PermanentError: HubSpot refused one.
    """
    created: list[str] = []
    for target in OBJECTS:
        wanted = [field for field in fields if field.target == target]
        known = _known(client, target) if wanted else {}
        missing = [field for field in wanted if field.name not in known]
        for start in range(0, len(missing), MAX_INPUTS):
            body = {"inputs": [_definition(field) for field in missing[start : start + MAX_INPUTS]]}
            # Not idempotent for the vendor, but a property made by a lost first try only comes back as a conflict.
            path, ok = f"{_path(target)}/batch/create", frozenset({200, 201, 207})
            _raise_refused(client.request("POST", path, json=body, ok=ok).json, _CALLED[target])
        created += [field.name for field in missing]
    return created


def _path(target: Target) -> str:
    return f"/crm/v3/properties/{OBJECTS[target]}"


def _known(client: ApiClient, target: Target) -> dict[str, dict[str, Any]]:
    body = client.request("GET", _path(target)).json
    results = body.get("results") if isinstance(body, dict) else None
    if not isinstance(results, list):
        msg = f"hubspot answered without results at GET {_path(target)}"
        raise PermanentError(msg)
    return {str(one["name"]): one for one in results if isinstance(one, dict) and one.get("name")}


def _problem(field: CrmField, known: dict[str, Any] | None) -> str | None:
    wanted = _FIELD_TYPES[field.kind][0]
    if field.target not in OBJECTS:
        return (
            f"HubSpot takes values on contact, account and deal: {field.name!r} stands on a {field.target}; "
            "change its target"
        )
    where = f"The HubSpot {_CALLED[field.target]} property {field.name!r}"
    if known is None:
        return f"HubSpot has no {_CALLED[field.target]} property {field.name!r}; run `scoring-platform crm provision`"
    if known.get("hubspotDefined") and not field.fits_own(_OWNER):
        return f"{where} is one of HubSpot's own; name one of yours under destinations.hubspot.fields"
    if field.kind in _LISTS and known.get("type") == _ENUMERATION:
        return _missing_options(field, known, where)
    # The owner is one of a list that HubSpot keeps elsewhere.
    if known.get("type") != wanted and not (field.name == _OWNER and known.get("hubspotDefined")):
        return (
            f"{where} has type {known.get('type')!r}, {wanted!r} is needed; "
            "name another property under destinations.hubspot.fields"
        )
    if field.unique and not known.get("hasUniqueValue"):
        return (
            f"{where} does not require unique values and cannot be changed; "
            "name another property under destinations.hubspot.fields.customer_key"
        )
    if (known.get("modificationMetadata") or {}).get("readOnlyValue"):
        return f"{where} is read-only; name another one"
    return None


def _missing_options(field: CrmField, known: dict[str, Any], where: str) -> str | None:
    there = {str(one.get("value")) for one in known.get("options") or [] if not one.get("hidden")}
    missing = [option for option in field.options if option not in there]
    if not missing:
        return None
    return f"{where} lacks the options {', '.join(missing)}; add them in HubSpot"


def _definition(field: CrmField) -> dict[str, Any]:
    kind, field_type = _FIELD_TYPES[field.kind]
    definition = {
        "name": field.name,
        "label": field.label,
        "type": kind,
        "fieldType": field_type,
        "groupName": f"{_CALLED[field.target]}information",
    }
    return {**definition, "hasUniqueValue": True} if field.unique else definition


def _raise_refused(body: Any, called: str) -> None:
    errors = (body or {}).get("errors") or []
    refused = [one for one in errors if one.get("category") not in ("OBJECT_ALREADY_EXISTS", "CONFLICT")]
    if refused:
        words = fit_words("; ".join(str(one.get("message", "no reason given")) for one in refused))
        msg = f"hubspot refused to create {len(refused)} {called} propert{'y' if len(refused) == 1 else 'ies'}: {words}"
        raise PermanentError(msg)
