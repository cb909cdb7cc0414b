"""The survey tool: answers to the NPS survey over the management API.

Belongs here: the API key, pages and the wording of a response. Does not belong here: what is answered.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.days import MINUTE, NEVER, iso_millis, parse
from scoring_platform.sandbox.inbound import whole_number
from scoring_platform.sandbox.limits import FixedWindow
from scoring_platform.sandbox.population import Books
from scoring_platform.sandbox.survey import Response as Answer
from scoring_platform.sandbox.timeline import Version

SURVEY_ID = "sandboxnps"
SCORE_QUESTION = "nps"
COMMENT_QUESTION = "comment"

_DEFAULT_LIMIT, _MOST_PER_PAGE, _FURTHEST = 50, 250, 10_000_000
_WORKSPACE = {
    "workspaceId": "sandbox",
    "environmentId": "sandbox",
    "environmentType": "production",
    "permission": "read",
    "projectId": "sandbox",
    "projectName": "Sandbox Coffee",
}

Item = dict[str, Any]


def routes(company: Company) -> list[BaseRoute]:
    """Return the survey tool's routes."""
    window = FixedWindow(company.limits.formbricks_per_minute, float(MINUTE))

    def responses(request: Request) -> Response:
        return _refused(company, request, window=window) or _list(company, request)

    def me(request: Request) -> Response:
        rights = {"organizationId": "sandbox", "organizationAccess": {"accessControl": {"read": True, "write": False}}}
        body = {"data": {**rights, "workspaces": [_WORKSPACE]}}
        return _refused(company, request, window=window) or JSONResponse(body)

    return [
        Route("/api/v2/management/responses", responses),
        Route("/api/v1/management/responses", responses),
        Route("/api/v2/me", me),
    ]


def _refused(company: Company, request: Request, *, window: FixedWindow) -> Response | None:
    if request.headers.get("x-api-key") != company.credentials["formbricks"]["api_key"]:
        return _error(401, "Unauthorized")
    if not window.take():
        return _error(429, "Too Many Requests", headers={"Retry-After": f"{max(1.0, window.reset_seconds):.0f}"})
    return None


def _error(code: int, message: str, *, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=code, headers=headers)


def _list(company: Company, request: Request) -> Response:
    query = request.query_params
    limit = whole_number(query.get("limit"), _DEFAULT_LIMIT, least=1, most=_MOST_PER_PAGE)
    skip = whole_number(query.get("skip"), 0, least=0, most=_FURTHEST)
    by, order = query.get("sortBy", "createdAt"), query.get("order", "desc")
    span = _span(query.get("startDate"), query.get("endDate"))
    known = by in ("createdAt", "updatedAt") and order in ("asc", "desc")
    if limit is None or skip is None or span is None or not known:
        return _error(400, "Bad Request")
    if query.get("surveyId", SURVEY_ID) != SURVEY_ID:
        return JSONResponse({"data": [], "meta": {"total": 0, "limit": limit, "offset": skip}})
    now, books = company.instant(), company.population.books
    found = [v for v in books.responses.at(now) if span[0] <= _time(v, query.get("filterDateField", by)) <= span[1]]
    found.sort(key=lambda version: (_time(version, by), version.number), reverse=order == "desc")
    data = [response_of(books, version) for version in found[skip : skip + limit]]
    return JSONResponse({"data": data, "meta": {"total": len(found), "limit": limit, "offset": skip}})


def _span(start: str | None, end: str | None) -> tuple[int, int] | None:
    try:
        return (-NEVER if start is None else parse(start)), (NEVER if end is None else parse(end))
    except ValueError:
        return None


def _time(version: Version[Answer], field: str) -> int:
    return version.since if field == "updatedAt" else version.thing.created_at


def response_of(books: Books, version: Version[Answer]) -> Item:
    """Word a response as the API and the webhook do."""
    answer = version.thing
    who = books.people[answer.person]
    data: Item = {} if answer.score is None else {SCORE_QUESTION: answer.score}
    if answer.comment is not None:
        data[COMMENT_QUESTION] = answer.comment
    return {
        "id": f"resp{answer.number:010d}",
        "createdAt": iso_millis(answer.created_at),
        "updatedAt": iso_millis(version.since),
        "finished": answer.finished,
        "surveyId": SURVEY_ID,
        "contactId": f"contact{who.index:08d}",
        "endingId": None,
        "data": data,
        "variables": {"region": who.region},
        "ttc": {},
        "meta": {"source": "link", "country": "JP"},
        "contactAttributes": _attributes(answer, email=who.email, ref=who.ref),
        "singleUseId": None,
        "language": who.locale.split("-")[0],
        "displayId": None,
    }


def _attributes(answer: Answer, *, email: str | None, ref: int) -> dict[str, str]:
    if answer.identity == "email" and email is not None:
        return {"email": email}
    if answer.identity == "unknown":
        return {"email": f"unknown{answer.number:08d}@example.com"}
    return {"userId": str(ref)}
