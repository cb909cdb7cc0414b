"""The help desk: tickets by incremental export.

Belongs here: tokens, the cursor export with its sideloads, users. Does not belong here: what happens to a ticket.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from scoring_platform.sandbox import cursors
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.days import MINUTE, iso_z
from scoring_platform.sandbox.desk import Ticket
from scoring_platform.sandbox.inbound import bearer, fields, vendor_base, whole_number
from scoring_platform.sandbox.limits import FixedWindow
from scoring_platform.sandbox.people import Person
from scoring_platform.sandbox.population import Books
from scoring_platform.sandbox.timeline import Version

_TOKEN_SECONDS = 7_200
_MOST_PER_PAGE, _MOST_USERS = 1_000, 100
_FIRST_USER = 900_000_000
_AGENT = 800_000_001
_EXPORT = "/api/v2/incremental/tickets/cursor"

Item = dict[str, Any]


def routes(company: Company) -> list[BaseRoute]:
    """Return the help desk's routes."""
    window = FixedWindow(company.limits.zendesk_per_minute, float(MINUTE))

    async def token(request: Request) -> Response:
        return _token(company, await fields(request))

    def export(request: Request) -> Response:
        refused = _refused(company, request) or _throttled(window)
        return refused or _export(company, request, window=window)

    def show_many(request: Request) -> Response:
        return _refused(company, request) or _show_many(company, request)

    def show_me(request: Request) -> Response:
        me = {"id": _AGENT, "name": "Sandbox agent", "role": "admin", "email": "agent@example.com", "active": True}
        return _refused(company, request) or JSONResponse({"user": me})

    return [
        Route("/oauth/tokens", token, methods=["POST"]),
        *(Route(_EXPORT + ending, export) for ending in ("", ".json")),
        *(Route("/api/v2/users/show_many" + ending, show_many) for ending in ("", ".json")),
        *(Route("/api/v2/users/me" + ending, show_me) for ending in ("", ".json")),
    ]


def _token(company: Company, sent: Item) -> Response:
    known = company.credentials["zendesk"]
    if sent.get("grant_type") != "client_credentials":
        return JSONResponse({"error": "unsupported_grant_type"}, status_code=400)
    if any(sent.get(name) != value for name, value in known.items()):
        words = {"error": "invalid_client", "error_description": "Client authentication failed"}
        return JSONResponse(words, status_code=401)
    token = company.tokens.issue("zendesk", lifetime_seconds=_TOKEN_SECONDS)
    scope = sent.get("scope", "read")
    return JSONResponse({"access_token": token, "token_type": "bearer", "scope": scope, "expires_in": _TOKEN_SECONDS})


def _refused(company: Company, request: Request) -> Response | None:
    if company.tokens.accepts("zendesk", bearer(request)):
        return None
    return JSONResponse({"error": "Couldn't authenticate you"}, status_code=401)


def _throttled(window: FixedWindow) -> Response | None:
    if window.take():
        return None
    words = {
        "error": "APIRateLimitExceeded",
        "description": "Number of allowed incremental ticket export API requests per minute exceeded",
    }
    return JSONResponse(words, status_code=429, headers={"Retry-After": f"{max(1.0, window.reset_seconds):.0f}"})


def _export(company: Company, request: Request, *, window: FixedWindow) -> Response:
    query, now = request.query_params, company.instant()
    size = whole_number(query.get("per_page"), _MOST_PER_PAGE, least=1, most=_MOST_PER_PAGE)
    after = _start(query.get("cursor"), query.get("start_time"), now=now)
    if size is None or isinstance(after, str):
        description = "per_page must be 1 to 1000" if size is None else str(after)
        return JSONResponse({"error": "InvalidValue", "description": description}, status_code=422)
    # The export never gives the last minute.
    found = company.population.books.tickets.page(now, after=after, until=now - MINUTE, limit=size + 1)
    body = _page(request, company.population.books, found=found[:size], ended=len(found) <= size, start=after)
    limits = {"X-Rate-Limit": str(window.requests), "X-Rate-Limit-Remaining": str(window.remaining)}
    return JSONResponse(body, headers=limits)


def _start(cursor: str | None, start_time: str | None, *, now: int) -> tuple[int, int] | str:
    """Return the position behind which to go on, or what is wrong."""
    if cursor is not None:
        try:
            since, number = cursors.decode(cursor, 2)
        except ValueError:
            return "Invalid cursor"
        return since, number
    if start_time is None or not start_time.isdigit():
        return "start_time or cursor is required"
    if int(start_time) > now - MINUTE:
        return "Too recent start_time. Use a start_time older than 1 minute"
    return int(start_time), -1


def _page(request: Request, books: Books, *, found: list[Version[Ticket]], ended: bool, start: tuple[int, int]) -> Item:
    include = request.query_params.get("include", "").split(",")
    cursor = cursors.encode(*(found[-1].position if found else start))
    base = vendor_base(request)
    body: Item = {"tickets": [_ticket(version, with_metrics="metric_sets" in include) for version in found]}
    if "users" in include:
        asking = dict.fromkeys(version.thing.person for version in found)
        body["users"] = [_user(books.people[index]) for index in asking]
    return {
        **body,
        "after_cursor": cursor,
        "after_url": f"{base}{_EXPORT}.json?cursor={cursor}",
        "before_cursor": None,
        "before_url": None,
        "end_of_stream": ended,
    }


def _ticket(version: Version[Ticket], *, with_metrics: bool) -> Item:
    ticket = version.thing
    item: Item = {
        "id": ticket.number,
        "created_at": iso_z(ticket.created_at),
        "updated_at": iso_z(version.since),
        "generated_timestamp": version.since,
        "status": ticket.status,
        "priority": ticket.priority,
        "subject": ticket.subject,
        "requester_id": _FIRST_USER + ticket.person,
        "submitter_id": _FIRST_USER + ticket.person,
        "via": {"channel": "email"},
        "satisfaction_rating": {"score": ticket.rating},
        "custom_fields": [],
        "tags": [],
    }
    if with_metrics:
        item["metric_set"] = _metric_set(ticket, version.since)
    return item


def _metric_set(ticket: Ticket, updated_at: int) -> Item:
    waited = None if ticket.first_reply_at is None else ticket.first_reply_at - ticket.created_at
    minutes = None if waited is None else waited // MINUTE
    return {
        "id": ticket.number + 1_000_000_000,
        "ticket_id": ticket.number,
        "created_at": iso_z(ticket.created_at),
        "updated_at": iso_z(updated_at),
        "replies": 0 if waited is None else 1,
        "reopens": 0,
        "reply_time_in_minutes": {"calendar": minutes, "business": minutes},
        "reply_time_in_seconds": {"calendar": waited},
        "solved_at": None if ticket.solved_at is None else iso_z(ticket.solved_at),
    }


def _show_many(company: Company, request: Request) -> Response:
    texts = [text for text in request.query_params.get("ids", "").split(",") if text]
    if not texts or len(texts) > _MOST_USERS or not all(text.isdigit() for text in texts):
        words = {"error": "InvalidValue", "description": f"ids must be 1 to {_MOST_USERS} numbers"}
        return JSONResponse(words, status_code=400)
    now, people = company.instant(), company.population.books.people
    wanted = {int(text) - _FIRST_USER for text in texts}
    users = [_user(people[i]) for i in sorted(wanted) if 0 <= i < len(people) and people[i].arrived_at <= now]
    return JSONResponse({"users": users, "count": len(users), "next_page": None, "previous_page": None})


def _user(who: Person) -> Item:
    created = iso_z(who.arrived_at)
    return {
        "id": _FIRST_USER + who.index,
        "name": who.email,
        "email": who.email,
        "role": "end-user",
        "locale": who.locale,
        "created_at": created,
        "updated_at": created,
    }
