"""Pages and answers of the sandbox's Pipedrive, the same for persons and deals.

Belongs here: order, bounds and cursors of a listing, the envelope of an answer. Does not belong here: what is listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from scoring_platform.sandbox import cursors
from scoring_platform.sandbox.days import parse
from scoring_platform.sandbox.inbound import whole_number
from scoring_platform.sandbox.pipedrive_rules import RefusedError
from scoring_platform.sandbox.pipedrive_store import Item

MOST_PER_PAGE = 500


def paged(items: Iterable[Item], query: Mapping[str, str]) -> tuple[list[Item], str | None]:
    """Return one page of a listing in the order asked for, and the cursor of the next.

    Raises:
        RefusedError: A parameter is wrong.
    """
    limit = whole_number(query.get("limit"), 100, least=1, most=MOST_PER_PAGE)
    order, direction = query.get("sort_by", "id"), query.get("sort_direction", "asc")
    if limit is None or order not in ("id", "update_time", "add_time") or direction not in ("asc", "desc"):
        raise RefusedError(400, f"Validation failed: limit (1 to {MOST_PER_PAGE}), sort_by or sort_direction")
    sign = 1 if direction == "asc" else -1
    since, until = _instant(query, "updated_since"), _instant(query, "updated_until")
    placed = []
    for item in items:
        changed = parse(item["update_time"])
        if (since is None or changed >= since) and (until is None or changed < until):
            rank = item["id"] if order == "id" else parse(item[order])
            placed.append((sign * rank, sign * item["id"], item))
    after = place(query.get("cursor"), 2)
    rest = sorted((one for one in placed if after is None or one[:2] > after), key=lambda one: one[:2])
    following = cursors.encode(*rest[limit - 1][:2]) if len(rest) > limit else None
    return [one[2] for one in rest[:limit]], following


def _instant(query: Mapping[str, str], name: str) -> int | None:
    if name not in query:
        return None
    try:
        return parse(query[name])
    except ValueError:
        raise RefusedError(400, f"Validation failed: {name}: Invalid datetime") from None


def place(cursor: str | None, count: int) -> tuple[int, ...] | None:
    """Return the place a cursor names; None without one.

    Raises:
        RefusedError: It is no cursor.
    """
    if not cursor:
        return None
    try:
        return cursors.decode(cursor, count)
    except ValueError:
        raise RefusedError(400, "Validation failed: cursor: Invalid cursor") from None


def good(data: Any, **additional: Any) -> Response:
    """Return the vendor's answer to a call that went well."""
    body = {"success": True, "data": data}
    return JSONResponse({**body, "additional_data": additional} if additional else body)
