"""SendGrid: the events of automated mails, and the suppression lists.

Belongs here: the wording of events, authentication, pages and the rate limit of the lists. Does not belong here: what
is mailed, and pushing events (``event_webhook``).

Every mail is ``processed`` before it is delivered or fails; nobody subscribes again by a mail. Failed deliveries are
blocks, so the company goes on mailing those addresses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.days import NEVER
from scoring_platform.sandbox.inbound import bearer, whole_number
from scoring_platform.sandbox.limits import FixedWindow
from scoring_platform.sandbox.mailings import BOUNCED, CLICKED, OPENED, RECEIVED, SPAM, UNSUBSCRIBED, MailEvent
from scoring_platform.sandbox.newsletters import is_automated
from scoring_platform.sandbox.people import Person
from scoring_platform.sandbox.planting import event_id

_EVENTS = {
    RECEIVED: "delivered",
    OPENED: "open",
    CLICKED: "click",
    BOUNCED: "bounce",
    SPAM: "spamreport",
    UNSUBSCRIBED: "unsubscribe",
}
_LISTS = {"unsubscribes": UNSUBSCRIBED, "spam_reports": SPAM, "blocks": BOUNCED}
_MOST = 500
_FAILED = {"reason": "450 mailbox temporarily unavailable", "status": "4.2.1"}

Item = dict[str, Any]


def routes(company: Company) -> list[BaseRoute]:
    """Return SendGrid's routes."""
    window = FixedWindow(company.limits.sendgrid_per_minute, 60.0)

    def listing(metric: str) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            return _refused(company, request, window=window) or _listed(company, request, metric=metric, window=window)

        return endpoint

    return [Route(f"/v3/suppression/{name}", listing(metric)) for name, metric in _LISTS.items()]


def worded(event: MailEvent, people: Sequence[Person]) -> list[Item]:
    """Return what the event webhook says of a mail event of ours: two events where a mail went out, otherwise one."""
    message = f"sbx{event.person:06d}.{event.campaign}".replace(" ", "")
    common: Item = {
        "email": address(event, people),
        "timestamp": event.at,
        "sg_message_id": f"{message}.filter0001",
        "smtp-id": f"<{message}@sandbox>",
        # SendGrid gives back what the sender wrote: one name, or a list.
        "category": [event.campaign] if event.campaign and event.campaign.startswith("Welcome") else event.campaign,
    }
    key = event_id(event.number)
    told = {**common, "event": _EVENTS[event.metric], "sg_event_id": key, **_details(event)}
    if event.metric not in (RECEIVED, BOUNCED):
        return [told]
    return [{**common, "event": "processed", "sg_event_id": f"{key}p"}, told]


def address(event: MailEvent, people: Sequence[Person]) -> str | None:
    """Return the address of a recipient."""
    return people[event.person].email if event.person >= 0 else event.email


def _details(event: MailEvent) -> Item:
    seen = {"useragent": "Mozilla/5.0", "ip": "192.0.2.1"}
    match event.metric:
        case "Received Email":
            return {"response": "250 OK"}
        case "Opened Email":
            return {**seen, "sg_content_type": "html", "sg_machine_open": event.machine}
        case "Clicked Email":
            return {**seen, "url": "https://shop.example.jp/beans", "url_offset": {"index": 0, "type": "html"}}
        case "Bounced Email":
            return {**_FAILED, "type": "blocked", "bounce_classification": "Mailbox Unavailable"}
        case _:
            return {}


def _refused(company: Company, request: Request, *, window: FixedWindow) -> Response | None:
    if bearer(request) != company.credentials["sendgrid"]["api_key"]:
        return _error(401, "authorization required")
    if not window.take():
        return _error(429, "too many requests", headers=_limits(window))
    return None


def _error(status: int, message: str, *, headers: dict[str, str] | None = None) -> Response:
    body = {"errors": [{"message": message, "field": None, "help": None}]}
    return JSONResponse(body, status_code=status, headers=headers)


def _limits(window: FixedWindow) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(window.requests),
        "X-RateLimit-Remaining": str(window.remaining),
        "X-RateLimit-Reset": str(int(time.time() + window.reset_seconds) + 1),
    }


def _listed(company: Company, request: Request, *, metric: str, window: FixedWindow) -> Response:
    query, now = request.query_params, company.instant()
    limit = whole_number(query.get("limit"), _MOST, least=1, most=_MOST)
    offset = whole_number(query.get("offset"), 0, least=0, most=NEVER)
    since = whole_number(query.get("start_time"), 0, least=0, most=NEVER)
    last = whole_number(query.get("end_time"), NEVER, least=0, most=NEVER)
    if limit is None or offset is None or since is None or last is None:
        return _error(400, "limit must be 1 to 500; offset, start_time and end_time whole numbers")
    books = company.population.books
    versions = books.mail.page(now, since=since, until=last + 1)
    wanted = [one.thing for one in versions if one.thing.metric == metric and is_automated(one.thing)]
    newest_first = wanted[::-1][offset : offset + limit]
    return JSONResponse([_entry(event, books.people) for event in newest_first], headers=_limits(window))


def _entry(event: MailEvent, people: Sequence[Person]) -> Item:
    further: Item = _FAILED if event.metric == BOUNCED else {"ip": "192.0.2.1"} if event.metric == SPAM else {}
    return {"created": event.at, "email": address(event, people), **further}
