"""The sandbox CRM over HTTP: the pipeline of deals, and owners.

Belongs here: addresses and the shapes of those answers. Does not belong here: deals themselves (``hubspot``), what
happened to one (``hubspot_past``).
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from scoring_platform.sandbox.hubspot_account import Account, Handler
from scoring_platform.sandbox.hubspot_past import DEAL_STAGES, OWNERS, PIPELINE
from scoring_platform.sandbox.hubspot_rules import RefusedError
from scoring_platform.sandbox.inbound import whole_number

_OWNERS = "/crm/v3/owners"
_MADE = "2025-01-06T01:00:00.000Z"


async def _list_owners(account: Account, request: Request) -> Response:
    limit, after = _page(request, most=500)
    known = [owner for owner in OWNERS if int(owner[0]) > after]
    body: dict[str, Any] = {"results": [_owner(*owner) for owner in known[:limit]]}
    if len(known) > limit:
        body["paging"] = {"next": _next(request, known[limit - 1][0])}
    return JSONResponse(body)


async def _list_pipelines(account: Account, request: Request) -> Response:
    stages = [
        {
            "id": key,
            "label": label,
            "displayOrder": place,
            "metadata": {"isClosed": str(key.startswith("closed")).lower(), "probability": "0.5"},
            "archived": False,
            "createdAt": _MADE,
            "updatedAt": _MADE,
        }
        for place, (key, label) in enumerate(DEAL_STAGES)
    ]
    pipeline = {"id": PIPELINE, "label": "Sales pipeline", "displayOrder": 0, "stages": stages, "archived": False}
    return JSONResponse({"results": [{**pipeline, "createdAt": _MADE, "updatedAt": _MADE}]})


TABLE: tuple[tuple[str, str, Handler], ...] = (
    ("GET", _OWNERS, _list_owners),
    ("GET", "/crm/v3/pipelines/deals", _list_pipelines),
)
"""Method, address and handler."""


def _page(request: Request, *, most: int) -> tuple[int, int]:
    limit = whole_number(request.query_params.get("limit"), 10, least=1, most=most)
    after = whole_number(request.query_params.get("after"), 0, least=0, most=2**53)
    if limit is None or after is None:
        raise RefusedError(400, "VALIDATION_ERROR", f"limit must be between 1 and {most}, and after a cursor of ours")
    return limit, after


def _next(request: Request, cursor: str) -> dict[str, str]:
    return {"after": cursor, "link": f"{request.url.include_query_params(after=cursor)}"}


def _owner(key: str, first: str, last: str, email: str) -> dict[str, Any]:
    name = {"firstName": first, "lastName": last}
    return {"id": key, "email": email, **name, "userId": int(key), "archived": False, "createdAt": _MADE}
