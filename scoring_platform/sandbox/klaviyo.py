"""The mail tool: events, metrics and profiles over JSON:API.

Belongs here: authentication, filters, pages and the wording of events and profiles. Does not belong here: what is
mailed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from scoring_platform.sandbox import cursors
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.days import iso_offset
from scoring_platform.sandbox.inbound import vendor_base
from scoring_platform.sandbox.klaviyo_query import Filter, RefusedError, page_size, position, read_filter
from scoring_platform.sandbox.limits import FixedWindow
from scoring_platform.sandbox.mailings import METRICS, OPENED, MailEvent
from scoring_platform.sandbox.people import Person
from scoring_platform.sandbox.planting import event_id
from scoring_platform.sandbox.population import Account, Books
from scoring_platform.sandbox.timeline import Position, Version

_METRIC_IDS = {name: f"SBM{number:03d}" for number, name in enumerate(METRICS)}
_MOST_EVENTS, _MOST_PROFILES = 1_000, 100
_SCAN = 1_000
_TYPE = "application/vnd.api+json"

Item = dict[str, Any]


def routes(company: Company) -> list[BaseRoute]:
    """Return the mail tool's routes."""
    window = FixedWindow(company.limits.klaviyo_per_minute, 60.0)

    def guarded(answer: Callable[[Company, Request], Item]) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            return _guard(company, window, request=request) or _tried(company, request, answer=answer, window=window)

        return endpoint

    table = (("/api/events", _events), ("/api/metrics", _metrics), ("/api/profiles", _profiles))
    return [Route(path + slash, guarded(answer)) for path, answer in table for slash in ("", "/")]


def _guard(company: Company, window: FixedWindow, *, request: Request) -> Response | None:
    key = company.credentials["klaviyo"]["api_key"]
    if request.headers.get("authorization") != f"Klaviyo-API-Key {key}":
        return _error(401, "not_authenticated", detail="Missing or invalid private key.")
    if not request.headers.get("revision"):
        return _error(400, "invalid", detail="The revision header is required.")
    if not window.take():
        return _error(
            429, "throttled", detail="Request was throttled.", headers={"Retry-After": f"{window.reset_seconds:.0f}"}
        )
    return None


def _tried(
    company: Company, request: Request, *, answer: Callable[[Company, Request], Item], window: FixedWindow
) -> Response:
    limits = {
        "RateLimit-Limit": str(window.requests),
        "RateLimit-Remaining": str(window.remaining),
        "RateLimit-Reset": f"{window.reset_seconds:.0f}",
    }
    try:
        return JSONResponse(answer(company, request), media_type=_TYPE, headers=limits)
    except RefusedError as error:
        return _error(400, "invalid", detail=str(error))


def _error(status: int, code: str, *, detail: str, headers: dict[str, str] | None = None) -> Response:
    error = {"id": f"sandbox-{code}", "code": code, "title": code.replace("_", " "), "detail": detail, "status": status}
    return JSONResponse({"errors": [error]}, status_code=status, media_type=_TYPE, headers=headers)


def _events(company: Company, request: Request) -> Item:
    now, query = company.instant(), request.query_params
    wanted, books = read_filter(query.get("filter"), "datetime", "timestamp"), company.population.books
    size = page_size(query.get("page[size]"), 200, most=_MOST_EVENTS)
    if query.get("sort", "datetime") not in ("datetime", "timestamp"):
        msg = "the sandbox sorts events by datetime only"
        raise RefusedError(msg)
    found = _matching(books, now, wanted=wanted, after=position(query.get("page[cursor]")), limit=size + 1)
    shown = [version.thing for version in found[:size]]
    base = vendor_base(request)
    body: Item = {"data": [_event_item(event, base, picked=_picked(request, "event")) for event in shown]}
    if query.get("include"):
        body["included"] = list(_included(request, books, shown=shown, base=base))
    return {**body, "links": _links(request, found, size=size)}


def _matching(books: Books, now: int, *, wanted: Filter, after: Position, limit: int) -> list[Version[MailEvent]]:
    found: list[Version[MailEvent]] = []
    while len(found) < limit:
        page = books.mail.page(now, after=after, since=wanted.since, until=wanted.until, limit=_SCAN)
        found += [version for version in page if _wanted(version.thing, wanted)]
        if len(page) < _SCAN:
            break
        after = page[-1].position
    return found[:limit]


def _wanted(event: MailEvent, wanted: Filter) -> bool:
    if wanted.metric is not None and _METRIC_IDS[event.metric] != wanted.metric:
        return False
    return wanted.profile is None or _profile_id(event) == wanted.profile


def _event_item(event: MailEvent, base: str, *, picked: set[str] | None) -> Item:
    attributes: Item = {
        "timestamp": event.at,
        "datetime": iso_offset(event.at),
        "uuid": f"00000000-0000-1000-8000-{event.number:012d}",
        "event_properties": _properties(event),
    }
    return {
        "type": "event",
        "id": event_id(event.number),
        "attributes": _only(attributes, picked),
        "relationships": {
            "profile": {"data": {"type": "profile", "id": _profile_id(event)}},
            "metric": {"data": {"type": "metric", "id": _METRIC_IDS[event.metric]}},
        },
        "links": {"self": f"{base}/api/events/{event_id(event.number)}"},
    }


def _properties(event: MailEvent) -> Item:
    if event.campaign is None:
        return {}
    properties: Item = {"Subject": event.campaign, "Campaign Name": event.campaign, "$message": event.campaign}
    if event.metric == OPENED:
        properties["machine_open"] = event.machine
    return properties


def _included(request: Request, books: Books, *, shown: list[MailEvent], base: str) -> Iterable[Item]:
    kinds = request.query_params["include"].split(",")
    if "profile" in kinds:
        picked = _picked(request, "profile")
        for event in {_profile_id(event): event for event in shown}.values():
            who = books.people[event.person] if event.person >= 0 else None
            yield _profile_item(_profile_id(event), who, base=base, picked=picked, email=event.email)
    if "metric" in kinds:
        for name in {event.metric: None for event in shown}:
            yield _metric_item(name, base, picked=_picked(request, "metric"))


def _metrics(_company: Company, request: Request) -> Item:
    base = vendor_base(request)
    data = [_metric_item(name, base, picked=_picked(request, "metric")) for name in METRICS]
    return {"data": data, "links": {"self": f"{base}/api/metrics", "next": None, "prev": None}}


def _metric_item(name: str, base: str, *, picked: set[str] | None) -> Item:
    opened = "2025-10-01T00:00:00+00:00"
    attributes: Item = {"name": name, "created": opened, "updated": opened, "integration": {"name": "Klaviyo"}}
    key = _METRIC_IDS[name]
    return {
        "type": "metric",
        "id": key,
        "attributes": _only(attributes, picked),
        "links": {"self": f"{base}/api/metrics/{key}"},
    }


def _profiles(company: Company, request: Request) -> Item:
    now, query = company.instant(), request.query_params
    wanted = read_filter(query.get("filter"), "updated")
    size = page_size(query.get("page[size]"), 20, most=_MOST_PROFILES)
    after, accounts, base = position(query.get("page[cursor]")), company.population.books.accounts, vendor_base(request)
    found = accounts.page(now, after=after, since=wanted.since, until=wanted.until, limit=size + 1)
    picked = _picked(request, "profile")
    more = query.get("additional-fields[profile]") == "subscriptions"
    data = []
    for version in found[:size]:
        who = version.thing.person
        item = _profile_item(
            _person_profile(who.index), who, base=base, picked=picked, email=None, updated=version.since
        )
        if more:
            item["attributes"]["subscriptions"] = _subscriptions(version.thing)
        data.append(item)
    return {"data": data, "links": _links(request, found, size=size)}


def _subscriptions(account: Account) -> Item:
    at = None if account.marketing_at is None else iso_offset(account.marketing_at)
    marketing = {
        "can_receive_email_marketing": account.marketing == "SUBSCRIBED",
        "consent": "NEVER_SUBSCRIBED" if account.marketing == "NOT_SUBSCRIBED" else account.marketing,
        "consent_timestamp": at,
        "last_updated": at,
    }
    return {"email": {"marketing": marketing}}


def _profile_item(
    key: str, who: Person | None, *, base: str, picked: set[str] | None, email: str | None, updated: int | None = None
) -> Item:
    attributes: Item = {"email": email, "external_id": None, "locale": None, "updated": None, "properties": {}}
    if who is not None:
        attributes = {
            "email": who.email,
            "external_id": str(who.ref),
            "locale": who.locale,
            "created": iso_offset(who.arrived_at),
            "updated": iso_offset(who.arrived_at if updated is None else updated),
            "properties": {},
        }
    links = {"self": f"{base}/api/profiles/{key}"}
    return {"type": "profile", "id": key, "attributes": _only(attributes, picked), "links": links}


def _profile_id(event: MailEvent) -> str:
    return _person_profile(event.person) if event.person >= 0 else f"01SBXLOST{event.number:012d}"


def _person_profile(index: int) -> str:
    return f"01SBX{index:08d}"


def _picked(request: Request, kind: str) -> set[str] | None:
    text = request.query_params.get(f"fields[{kind}]")
    return None if text is None else set(text.split(","))


def _only(attributes: Item, picked: set[str] | None) -> Item:
    return attributes if picked is None else {name: value for name, value in attributes.items() if name in picked}


def _links(request: Request, found: list[Version[Any]], *, size: int) -> Item:
    here = str(request.url.replace(query=""))
    links: Item = {"self": str(request.url), "prev": None, "next": None}
    if len(found) > size:
        kept = [(name, value) for name, value in request.query_params.multi_items() if name != "page[cursor]"]
        links["next"] = f"{here}?{urlencode([*kept, ('page[cursor]', cursors.encode(*found[size - 1].position))])}"
    return links
