"""Pipedrive's records by their ids: what several of them hold, whatever kind they are.

Belongs here: where each kind of record answers, and reading custom fields. Does not belong here: which person a
customer is (``pipedrive_people``), writing (``pipedrive``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scoring_platform.destinations.protocol import Target
from scoring_platform.errors import PermanentError
from scoring_platform.http.pipedrive import LIST, PipedriveApi

PATHS: Mapping[Target, str] = {
    "contact": "/api/v2/persons",
    "account": "/api/v2/organizations",
    "deal": "/api/v2/deals",
}
"""Kinds of records with fields of ours."""

MAX_IDS = 100
MAX_FIELDS = 15


def values(api: PipedriveApi, target: Target, ids: Iterable[str], codes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the values of the custom fields ``codes``, by key, of those of ``ids`` that exist."""
    wanted = [one for one in dict.fromkeys(ids) if one.isdigit()]
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(wanted), MAX_IDS):
        some = {"ids": ",".join(wanted[start : start + MAX_IDS]), "limit": str(MAX_IDS)}
        for first in range(0, max(1, len(codes)), MAX_FIELDS):
            asked = ",".join(codes[first : first + MAX_FIELDS])
            for item in listed(api, PATHS[target], {**some, **({"custom_fields": asked} if asked else {})})["data"]:
                if not item.get("is_deleted"):
                    found.setdefault(str(item["id"]), {}).update(item.get("custom_fields") or {})
    return found


def listed(api: PipedriveApi, path: str, params: Mapping[str, str]) -> dict[str, Any]:
    """Return one page of a listing, which has ``data``.

    Raises:
        PermanentError: It has none.
    """
    body = api.call("GET", path, cost=LIST, params=params).json
    if not isinstance(body, dict) or not isinstance(body.get("data"), list):
        msg = f"pipedrive answered without data at GET {path}"
        raise PermanentError(msg)
    return body
