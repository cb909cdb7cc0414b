"""The other help desk: the same tickets as conversations, and the customers as contacts.

Belongs here: the token, the two searches with their cursors, the wording of conversations and contacts. Does not
belong here: what happens to a ticket, and reading a query (``intercom_query``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from scoring_platform.sandbox import cursors
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.desk import Ticket
from scoring_platform.sandbox.inbound import bearer, fields
from scoring_platform.sandbox.intercom_query import Fields, Matching, RefusedError, matcher
from scoring_platform.sandbox.limits import FixedWindow
from scoring_platform.sandbox.people import Person
from scoring_platform.sandbox.population import Account
from scoring_platform.sandbox.timeline import Position, Version

_WINDOW_SECONDS = 10.0
_MOST_PER_PAGE = 150
_AGENT = {"type": "admin", "id": "8001", "name": "Sandbox agent", "email": "agent@example.com"}
_STATE = {"new": "open", "open": "open", "pending": "snoozed", "solved": "closed", "closed": "closed"}
_CONVERSATION_FIELDS: Fields = {"id": str, "created_at": int, "updated_at": int, "state": str, "priority": str}
_CONTACT_FIELDS: Fields = {
    "id": str,
    "email": str,
    "external_id": str,
    "created_at": "day",
    "updated_at": "day",
    "unsubscribed_from_emails": bool,
    "marked_email_as_spam": bool,
}

Item = dict[str, Any]
Placed = tuple[Position, Item]
"""An entry with its place: when it last changed, and its number."""


def routes(company: Company) -> list[BaseRoute]:
    """Return the help desk's routes."""
    window = FixedWindow(company.limits.intercom_per_ten_seconds, _WINDOW_SECONDS)

    def searching(answer: Callable[[Company, Item], Item]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            body = await fields(request)
            if (refused := _refused(company, request, window=window)) is not None:
                return refused
            return await run_in_threadpool(_tried, company, body, answer=answer, window=window)

        return endpoint

    def me(request: Request) -> Response:
        app = {"type": "app", "id_code": "sandbox", "name": "Sandbox Coffee", "region": "US", "timezone": "Asia/Tokyo"}
        return _refused(company, request, window=window) or JSONResponse({**_AGENT, "has_inbox_seat": True, "app": app})

    return [
        Route("/me", me),
        Route("/conversations/search", searching(_conversations), methods=["POST"]),
        Route("/contacts/search", searching(_contacts), methods=["POST"]),
    ]


def _refused(company: Company, request: Request, *, window: FixedWindow) -> Response | None:
    if bearer(request) != company.credentials["intercom"]["token"]:
        return _error(401, "unauthorized", message="Access Token Invalid")
    if not window.take():
        return _error(429, "rate_limit_exceeded", message="Rate limit exceeded", headers=_limits(window))
    return None


def _tried(company: Company, body: Item, *, answer: Callable[[Company, Item], Item], window: FixedWindow) -> Response:
    try:
        return JSONResponse(answer(company, body), headers=_limits(window))
    except RefusedError as error:
        return _error(400, "parameter_invalid", message=str(error))


def _limits(window: FixedWindow) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(window.requests),
        "X-RateLimit-Remaining": str(window.remaining),
        "X-RateLimit-Reset": f"{time.time() + max(1.0, window.reset_seconds):.0f}",
    }


def _error(status: int, code: str, *, message: str, headers: dict[str, str] | None = None) -> Response:
    body = {"type": "error.list", "request_id": None, "errors": [{"code": code, "message": message}]}
    return JSONResponse(body, status_code=status, headers=headers)


def _conversations(company: Company, body: Item) -> Item:
    now, matches = company.instant(), matcher(body.get("query"), _CONVERSATION_FIELDS)
    books = company.population.books
    placed = [(version.position, _conversation(version, books.people)) for version in books.tickets.at(now)]
    shown, pages, total = _page(placed, body, matches=matches, default=20)
    return {"type": "conversation.list", "conversations": shown, "total_count": total, "pages": pages}


def _contacts(company: Company, body: Item) -> Item:
    now, matches = company.instant(), matcher(body.get("query"), _CONTACT_FIELDS)
    placed = [(version.position, _contact(version)) for version in company.population.books.accounts.at(now)]
    shown, pages, total = _page(placed, body, matches=matches, default=50)
    return {"type": "list", "data": shown, "total_count": total, "pages": pages}


def _page(placed: list[Placed], body: Item, *, matches: Matching, default: int) -> tuple[list[Item], Item, int]:
    """Return one page, latest change first, what is said about pages, and how many entries match."""
    asked = body.get("pagination") or {}
    size, after = asked.get("per_page", default), asked.get("starting_after")
    if not isinstance(size, int) or not 1 <= size <= _MOST_PER_PAGE:
        msg = f"per_page must be between 1 and {_MOST_PER_PAGE}"
        raise RefusedError(msg)
    found = sorted((each for each in placed if matches(each[1])), key=lambda each: each[0], reverse=True)
    behind, number = _start(after)
    left = found if behind is None else [each for each in found if each[0] < behind]
    pages: Item = {"type": "pages", "page": number, "per_page": size, "total_pages": -(-len(found) // size)}
    if len(left) > size:
        cursor = cursors.encode(*left[size - 1][0], number + 1)
        pages["next"] = {"page": number + 1, "starting_after": cursor}
    return [item for _, item in left[:size]], pages, len(found)


def _start(after: object) -> tuple[Position | None, int]:
    if after is None:
        return None, 1
    try:
        since, number, page = cursors.decode(str(after), 3)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    return (since, number), page


def _conversation(version: Version[Ticket], people: tuple[Person, ...]) -> Item:
    ticket, who = version.thing, people[version.thing.person]
    customer = {"type": "user", "id": contact_id(who), "name": None, "email": who.email}
    # Some customers telephone, and an agent writes it down: such a conversation does not show their address.
    by_agent = ticket.number % 7 == 0
    source = {
        "type": "phone_call" if by_agent else "email",
        "id": str(ticket.number),
        "delivered_as": "admin_initiated" if by_agent else "customer_initiated",
        "subject": ticket.subject,
        "body": "",
        "author": _AGENT if by_agent else customer,
    }
    state = _STATE[ticket.status]
    return {
        "type": "conversation",
        "id": str(ticket.number),
        "title": None,
        "created_at": ticket.created_at,
        "updated_at": version.since,
        "open": state == "open",
        "state": state,
        "read": state != "open",
        "priority": "priority" if ticket.priority in ("high", "urgent") else "not_priority",
        "source": source,
        "contacts": {"type": "contact.list", "contacts": [_reference(who)]},
        "conversation_rating": _rating(version),
        "statistics": _statistics(ticket),
    }


def _rating(version: Version[Ticket]) -> Item | None:
    ticket = version.thing
    stars = {"good": 4 + ticket.number % 2, "bad": 1 + ticket.number % 2}.get(ticket.rating)
    return None if stars is None else {"rating": stars, "remark": "", "created_at": version.since}


def _statistics(ticket: Ticket) -> Item:
    replied, closed = ticket.first_reply_at, ticket.solved_at
    return {
        "type": "conversation_statistics",
        "time_to_admin_reply": None if replied is None else replied - ticket.created_at,
        "first_admin_reply_at": replied,
        "first_close_at": closed,
        "last_close_at": closed,
        "count_reopens": 0,
    }


def _contact(version: Version[Account]) -> Item:
    account, who = version.thing, version.thing.person
    return {
        **_reference(who),
        "role": "user",
        "email": who.email,
        "name": None,
        "created_at": who.arrived_at,
        "updated_at": version.since,
        "signed_up_at": who.arrived_at,
        "has_hard_bounced": False,
        "marked_email_as_spam": False,
        "unsubscribed_from_emails": account.marketing == "UNSUBSCRIBED",
        "custom_attributes": {},
    }


def _reference(who: Person) -> Item:
    return {"type": "contact", "id": contact_id(who), "external_id": str(who.ref)}


def contact_id(who: Person) -> str:
    """Return the help desk's id of a customer."""
    return f"5ba682d2{who.index:016x}"
