"""The other shop: the same orders and customers over the WooCommerce REST API.

Belongs here: keys, filters, offsets and headers of the lists. Does not belong here: how an order or a customer looks
(``woocommerce_items``).

The shop keeps its time in Tokyo. As at the vendor, an instant with an offset in a filter is turned into the shop's own
time even when the filter is said to be in UTC.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.days import BUSINESS_ZONE, MINUTE, NEVER, seconds
from scoring_platform.sandbox.inbound import whole_number
from scoring_platform.sandbox.limits import FixedWindow
from scoring_platform.sandbox.sales import Order
from scoring_platform.sandbox.timeline import Version
from scoring_platform.sandbox.wholesale import Numbers, Wholesale
from scoring_platform.sandbox.woocommerce_items import STATUSES, Item, customer_item, order_item, order_status

_DEFAULT_SIZE, _MOST_PER_PAGE, _FURTHEST = 10, 100, 10_000_000
_ORDER_OF_ORDERS = ("date", "modified", "id")
_ORDER_OF_CUSTOMERS = ("id", "registered_date")
_ROLES = ("all", "customer")

Found = tuple[int, int, Version[Any]]
"""The instant a list may be ordered by, the id, and what is to be worded."""


class _RefusedError(Exception):
    """A parameter that the shop does not accept."""


@dataclass(frozen=True)
class _Place:
    """Which part of a list is asked for, in which order."""

    size: int
    offset: int
    by: str
    descending: bool


@dataclass(frozen=True)
class _Tail:
    """Orders whose ids are greater than all others; only those of the page that is asked for are worded."""

    wholesale: Wholesale
    places: Numbers
    now: int

    def __len__(self) -> int:
        return len(self.places)

    def part(self, start: int, end: int) -> list[Version[Order]]:
        return self.wholesale.at(self.places[max(0, start) : max(0, end)], self.now)

    def nothing(self) -> _Tail:
        return replace(self, places=self.places[:0])


def routes(company: Company) -> list[BaseRoute]:
    """Return the shop's routes."""
    window = FixedWindow(company.limits.woocommerce_per_minute, float(MINUTE))

    def guarded(answer: Callable[[Company, Request], Response]) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            return _refused(company, request) or _throttled(window) or _tried(company, request, answer=answer)

        return endpoint

    base = "/wp-json/wc/v3"
    return [Route(f"{base}/orders", guarded(_orders)), Route(f"{base}/customers", guarded(_customers))]


def _refused(company: Company, request: Request) -> Response | None:
    known = company.credentials["woocommerce"]
    key, _, secret = _basic(request).partition(":")
    if not key:
        return _error(401, "woocommerce_rest_cannot_view", message="Sorry, you cannot list resources.")
    if (key, secret) != (known["consumer_key"], known["consumer_secret"]):
        wrong = "key" if key != known["consumer_key"] else "secret"
        return _error(401, "woocommerce_rest_authentication_error", message=f"Consumer {wrong} is invalid.")
    return None


def _basic(request: Request) -> str:
    scheme, _, packed = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(packed, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _throttled(window: FixedWindow) -> Response | None:
    """The vendor has no limit of its own; hosts do, and answer with a web page."""
    if window.take():
        return None
    wait = {"Retry-After": f"{max(1.0, window.reset_seconds):.0f}"}
    return HTMLResponse("<html><body><h1>429 Too Many Requests</h1></body></html>", status_code=429, headers=wait)


def _tried(company: Company, request: Request, *, answer: Callable[[Company, Request], Response]) -> Response:
    try:
        return answer(company, request)
    except _RefusedError as error:
        message = f"Invalid parameter(s): {error}"
        return _error(400, "rest_invalid_param", message=message, params={str(error): f"{error} is not valid."})


def _error(status: int, code: str, *, message: str, params: Mapping[str, str] | None = None) -> Response:
    data: Item = {"status": status} if params is None else {"status": status, "params": params}
    return JSONResponse({"code": code, "message": message, "data": data}, status_code=status)


def _orders(company: Company, request: Request) -> Response:
    now, query = company.instant(), request.query_params
    wanted = query.get("status", "any").split(",")
    if not set(wanted) <= {"any", *STATUSES}:
        raise _RefusedError("status")
    changed, placed = _span(query, "modified_"), _span(query, "")
    books = company.population.books
    versions = books.orders.page(now, since=changed[0], until=changed[1])
    place = _place(query, _ORDER_OF_ORDERS, default=("date", "desc"))
    tail = _Tail(books.wholesale, books.wholesale.places(now, since=changed[0], until=changed[1]), now)
    if wanted == ["trash"]:
        tail = tail.nothing()
    elif "any" not in wanted or placed != (-NEVER, NEVER) or place.by != "id" or place.descending:
        versions, tail = [*versions, *tail.part(0, len(tail))], tail.nothing()
    found: list[Found] = [
        (version.since if place.by == "modified" else version.thing.ordered_at, version.number, version)
        for version in versions
        if _listed(order_status(version.thing), wanted) and placed[0] <= version.thing.ordered_at < placed[1]
    ]
    return _list(request, found, place, item=order_item, tail=tail)


def _listed(status: str, wanted: Sequence[str]) -> bool:
    """Any status is any but that of the trash, even when both are asked for."""
    return status != "trash" if "any" in wanted else status in wanted


def _customers(company: Company, request: Request) -> Response:
    now, query = company.instant(), request.query_params
    if query.get("role", "customer") not in _ROLES:
        raise _RefusedError("role")
    place = _place(query, _ORDER_OF_CUSTOMERS, default=("registered_date", "asc"))
    accounts = company.population.books.accounts.at(now)
    people = [(version.thing.person, version) for version in accounts]
    wanted = query.get("email")
    found: list[Found] = [
        (who.arrived_at, who.ref, version) for who, version in people if wanted in (None, who.email or "")
    ]
    return _list(request, found, place, item=lambda version: customer_item(version, now))


def _span(query: Mapping[str, str], prefix: str) -> tuple[int, int]:
    """Return the changes asked for as [since, until); both bounds of the vendor are exclusive."""
    after, before = _bound(query, f"{prefix}after"), _bound(query, f"{prefix}before")
    return (-NEVER if after is None else after + 1), (NEVER if before is None else before)


def _bound(query: Mapping[str, str], name: str) -> int | None:
    if name not in query:
        return None
    try:
        given = datetime.fromisoformat(query[name])
    except ValueError as error:
        raise _RefusedError(name) from error
    local = given.astimezone(BUSINESS_ZONE).replace(tzinfo=None) if given.tzinfo else given
    utc = query.get("dates_are_gmt", "false") in ("true", "1")
    return seconds(local.replace(tzinfo=UTC if utc else BUSINESS_ZONE))


def _place(query: Mapping[str, str], known: Sequence[str], *, default: tuple[str, str]) -> _Place:
    by, order = query.get("orderby", default[0]), query.get("order", default[1])
    size = whole_number(query.get("per_page"), _DEFAULT_SIZE, least=1, most=_MOST_PER_PAGE)
    page = whole_number(query.get("page"), 1, least=1, most=_FURTHEST)
    if size is None or page is None:
        raise _RefusedError("per_page" if size is None else "page")
    offset = whole_number(query.get("offset"), 0, least=0, most=_FURTHEST)
    for name, right in (("offset", offset is not None), ("orderby", by in known), ("order", order in ("asc", "desc"))):
        if not right:
            raise _RefusedError(name)
    return _Place(size, offset or (page - 1) * size, by, order == "desc")


def _list(
    request: Request,
    found: list[Found],
    place: _Place,
    *,
    item: Callable[[Version[Any]], Item],
    tail: _Tail | None = None,
) -> Response:
    ordered = sorted(found, key=lambda each: (0 if place.by == "id" else each[0], each[1]), reverse=place.descending)
    end = place.offset + place.size
    part = [version for _, _, version in ordered[place.offset : end]]
    if tail is not None:
        part += tail.part(place.offset - len(ordered), end - len(ordered))
    shown = [_picked(request, item(version)) for version in part]
    total = len(ordered) + len(tail or ())
    pages = -(-total // place.size)
    headers = {"X-WP-Total": str(total), "X-WP-TotalPages": str(pages)}
    number = int(request.query_params.get("page", "1"))
    if number < pages:
        query = urlencode({**request.query_params, "page": str(number + 1)})
        headers["Link"] = f'<{request.url.replace(query="")}?{query}>; rel="next"'
    return JSONResponse(shown, headers=headers)


def _picked(request: Request, item: Item) -> Item:
    """Leave only the fields asked for; as at the vendor, a field inside a field names nothing."""
    if "_fields" not in request.query_params:
        return item
    wanted = {"id", *request.query_params["_fields"].split(",")}
    return {name: value for name, value in item.items() if name in wanted}
