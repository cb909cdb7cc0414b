"""Mailchimp: newsletters with their reports, and the one audience they are sent to.

Belongs here: authentication, the limit of calls at a time, offsets, trimming by ``fields``, wording. Does not belong
here: what is mailed (``mailings``), what became of each newsletter (``newsletters``).

The audience has everybody who ever agreed to mailings. Leaving by a mail of another tool is entered here too, as a shop
with one list of agreements would do. Opens by privacy proxies look like any other open.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.days import NEVER, iso_offset, opens_at, parse
from scoring_platform.sandbox.inbound import whole_number
from scoring_platform.sandbox.mailings import BOUNCED, CLICKED, SPAM, MailEvent
from scoring_platform.sandbox.newsletters import Newsletter, Newsletters
from scoring_platform.sandbox.population import Account
from scoring_platform.sandbox.timeline import Version

LIST_ID = "5a4db0c0fe"

_ERRORS = "https://mailchimp.com/developer/marketing/docs/errors/"
_MOST = 1_000
_ACTIONS = {BOUNCED: "bounce", CLICKED: "click"}
_STATUS = {"SUBSCRIBED": "subscribed", "UNSUBSCRIBED": "unsubscribed"}
_URL = "https://shop.example.jp/beans"

Item = dict[str, Any]
Thing = TypeVar("Thing")


class _RefusedError(Exception):
    def __init__(self, detail: str, *, status: int = 400, title: str = "Invalid Resource") -> None:
        super().__init__(detail)
        self.status, self.title = status, title


@dataclass(frozen=True)
class _Asked:
    """One request, the moment it is answered for, and what had been mailed by then."""

    company: Company
    request: Request
    now: int
    newsletters: dict[str, Newsletter]

    def time(self, name: str, default: int) -> int:
        text = self.request.query_params.get(name)
        try:
            return default if text is None else parse(text)
        except ValueError as error:
            msg = f"{name} is not an ISO 8601 time"
            raise _RefusedError(msg) from error

    @property
    def newsletter(self) -> Newsletter:
        found = self.newsletters.get(self.request.path_params["campaign_id"])
        if found is None:
            msg = "The requested resource could not be found."
            raise _RefusedError(msg, status=404, title="Resource Not Found")
        return found

    def email(self, event: MailEvent) -> str:
        return self.company.population.books.people[event.person].email or ""


def routes(company: Company) -> list[BaseRoute]:
    """Return Mailchimp's routes."""
    newsletters, connections = Newsletters(), BoundedSemaphore(company.limits.mailchimp_connections)

    def guarded(answer: Callable[[_Asked], Item]) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            refused = _unknown(company, request)
            if refused is not None:
                return refused
            if not connections.acquire(blocking=False):
                return _problem(429, "TooManyRequests", "You have exceeded the limit of 10 simultaneous connections.")
            try:
                now = company.instant()
                sent = newsletters.sent(company.population.books, now)
                return JSONResponse(_trimmed(request, answer(_Asked(company, request, now, sent))))
            except _RefusedError as error:
                return _problem(error.status, error.title, str(error))
            finally:
                connections.release()

        return endpoint

    report = "/3.0/reports/{campaign_id}"
    table = {
        "/3.0/ping": _ping,
        "/3.0/campaigns": _campaigns,
        "/3.0/lists": _lists,
        "/3.0/lists/{list_id}/members": _members,
        f"{report}/sent-to": _sent_to,
        f"{report}/email-activity": _email_activity,
        f"{report}/unsubscribed": _unsubscribed,
    }
    return [Route(path, guarded(answer)) for path, answer in table.items()]


def _unknown(company: Company, request: Request) -> Response | None:
    scheme, _, packed = request.headers.get("authorization", "").partition(" ")
    try:
        key = base64.b64decode(packed).decode().partition(":")[2]
    except ValueError:
        key = ""
    if scheme.lower() == "basic" and key == company.credentials["mailchimp"]["api_key"]:
        return None
    return _problem(401, "API Key Invalid", "Your API key may be invalid, or you've attempted the wrong datacenter.")


def _problem(status: int, title: str, detail: str) -> Response:
    body = {"type": _ERRORS, "title": title, "status": status, "detail": detail, "instance": f"sandbox-{status}"}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def _ping(_asked: _Asked) -> Item:
    return {"health_status": "Everything's Chimpy!"}


def _campaigns(asked: _Asked) -> Item:
    query = asked.request.query_params
    since, until = asked.time("since_send_time", -NEVER), asked.time("before_send_time", NEVER)
    found = [one for one in asked.newsletters.values() if since <= one.sent_at < until]
    if query.get("status", "sent") != "sent" or query.get("list_id", LIST_ID) != LIST_ID:
        found = []
    return _listing(asked, "campaigns", _sorted(asked, found), worded=_campaign)


def _campaign(one: Newsletter) -> Item:
    sent_at = iso_offset(one.sent_at)
    return {
        "id": one.key,
        "type": "regular",
        "create_time": sent_at,
        "status": "sent",
        "emails_sent": len(one.arrivals),
        "send_time": sent_at,
        "recipients": {"list_id": LIST_ID, "list_is_active": True, "list_name": "Newsletter"},
        "settings": {"subject_line": one.title, "title": one.title},
    }


def _lists(asked: _Asked) -> Item:
    opened = iso_offset(opens_at(0))
    return _listing(asked, "lists", [LIST_ID], worded=lambda key: {"id": key, "name": "News", "date_created": opened})


def _members(asked: _Asked) -> Item:
    if asked.request.path_params["list_id"] != LIST_ID:
        msg = "The requested resource could not be found."
        raise _RefusedError(msg, status=404, title="Resource Not Found")
    since, until = asked.time("since_last_changed", -NEVER), asked.time("before_last_changed", NEVER)
    status = asked.request.query_params.get("status")
    accounts = asked.company.population.books.accounts.page(asked.now, since=since, until=until)
    found = [version for version in accounts if _is_member(version.thing, status)]
    return _listing(asked, "members", _sorted(asked, found), worded=_member)


def _is_member(account: Account, status: str | None) -> bool:
    # A second account of the same person spells the same address differently: it is the same member.
    here = account.person.twin_of is None and account.marketing in _STATUS
    return here and status in (None, _STATUS[account.marketing])


def _member(version: Version[Account]) -> Item:
    account, email = version.thing, version.thing.person.email or ""
    joined = iso_offset(max(account.person.mail_since, account.person.arrived_at))
    return {
        "id": _email_id(email),
        "email_address": email,
        "status": _STATUS[account.marketing],
        "timestamp_signup": joined,
        "timestamp_opt": joined,
        "last_changed": iso_offset(version.since),
        "language": account.person.locale[:2],
        "list_id": LIST_ID,
    }


def _sent_to(asked: _Asked) -> Item:
    def worded(event: MailEvent) -> Item:
        return {**_recipient(asked, event), "status": "soft" if event.metric == BOUNCED else "sent"}

    return _listing(asked, "sent_to", asked.newsletter.arrivals, worded=worded)


def _email_activity(asked: _Asked) -> Item:
    """Recipients and what they did; with ``since`` only those who did something after it."""
    newsletter, since = asked.newsletter, asked.time("since", -NEVER)
    everyone = [(one, newsletter.done(one.person, since=since, now=asked.now)) for one in newsletter.arrivals]
    asks_all = "since" not in asked.request.query_params

    def worded(entry: tuple[MailEvent, list[MailEvent]]) -> Item:
        return {**_recipient(asked, entry[0]), "activity": [_action(event) for event in entry[1]]}

    found = [entry for entry in everyone if asks_all or entry[1]]
    return _listing(asked, "emails", found, worded=worded)


def _action(event: MailEvent) -> Item:
    item: Item = {"action": _ACTIONS.get(event.metric, "open"), "timestamp": iso_offset(event.at)}
    if event.metric == CLICKED:
        item["url"] = _URL
    return {**item, "type": "soft"} if event.metric == BOUNCED else item


def _unsubscribed(asked: _Asked) -> Item:
    def worded(event: MailEvent) -> Item:
        complains = event.metric == SPAM
        reason = "The emails are spam and should be reported" if complains else "I no longer want to receive them"
        return {**_recipient(asked, event), "timestamp": iso_offset(event.at), "reason": reason}

    return _listing(asked, "unsubscribes", asked.newsletter.left(asked.now), worded=worded)


def _recipient(asked: _Asked, event: MailEvent) -> Item:
    email = asked.email(event)
    return {
        "campaign_id": asked.newsletter.key,
        "list_id": LIST_ID,
        "list_is_active": True,
        "email_id": _email_id(email),
        "email_address": email,
    }


def _email_id(email: str) -> str:
    return hashlib.md5(email.lower().encode(), usedforsecurity=False).hexdigest()


def _sorted(asked: _Asked, found: list[Thing]) -> list[Thing]:
    """Everything is kept oldest first; only the direction can be asked for."""
    return found[::-1] if asked.request.query_params.get("sort_dir") == "DESC" else found


def _listing(asked: _Asked, key: str, found: Sequence[Thing], *, worded: Callable[[Thing], Item]) -> Item:
    query = asked.request.query_params
    count = whole_number(query.get("count"), 10, least=0, most=_MOST)
    offset = whole_number(query.get("offset"), 0, least=0, most=NEVER)
    if count is None or offset is None:
        msg = f"count must be 0 to {_MOST}, and offset a whole number"
        raise _RefusedError(msg)
    return {key: [worded(thing) for thing in found[offset : offset + count]], "total_items": len(found), "_links": []}


def _trimmed(request: Request, body: Item) -> Item:
    fields = request.query_params.get("fields")
    return body if fields is None else _kept(body, [path.split(".") for path in fields.split(",")])


def _kept(value: Any, paths: list[list[str]]) -> Any:
    """Return ``value`` with only what the dotted paths name."""
    if isinstance(value, list):
        return [_kept(inner, paths) for inner in value]
    if not isinstance(value, dict) or [] in paths:
        return value
    heads = {path[0] for path in paths}
    return {
        name: _kept(inner, [path[1:] for path in paths if path[0] == name])
        for name, inner in value.items()
        if name in heads
    }
