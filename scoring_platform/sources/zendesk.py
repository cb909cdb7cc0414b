"""Zendesk Support: tickets with their requester, rating and reply times.

Belongs here: the incremental export and the naming of its fields in our contract. Does not belong here: checks of rows.

Scope: ``read``, for an OAuth client whose user is an admin (the export demands it). Limit: 10 calls a minute.

The export compares with the time of any change, the system's own too, so a ticket may come whose ``updated_at`` is
older than the window. Reply and solve times come from the ticket metrics, loaded alongside (``metric_sets``): the
alternative, metric events, is one more export to page through for the same two instants. A deleted ticket is kept with
status ``deleted`` as long as Zendesk still knows who asked and when; later it is emptied, and then there is no row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field

from scoring_platform.config.base import Endpoint, SourceSection
from scoring_platform.http.auth import Token, TokenAuth, refused_grant, request_token
from scoring_platform.http.client import Answer, ApiClient
from scoring_platform.http.limits import RateLimit
from scoring_platform.http.pages import paginate
from scoring_platform.sources.protocol import Page, Row, Window
from scoring_platform.sources.shape import expected_shape, instant_of

_EXPORT = "/api/v2/incremental/tickets/cursor"
_SECRETS = ("client_id", "client_secret")
_SIDELOADS = "users,metric_sets"
_NEWEST_START = timedelta(seconds=61)
"""The export refuses a start less than a minute old."""

_MANY = 100
"""Users that one call can show."""

Ticket = Mapping[str, Any]


class ZendeskSource(SourceSection):
    """Zendesk Support: tickets."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_support_tickets"})

    endpoint: Endpoint = Field(description="https://SUBDOMAIN.zendesk.com")
    page_size: int = Field(1000, ge=1, le=1000, description="Tickets per page")


@dataclass(frozen=True)
class Zendesk:
    """The Zendesk Support API of one account.

    Args:
        settings: The ``sources.zendesk`` section.
        endpoint: Resolved address.
        credential: Gives ``client_id`` and ``client_secret`` of the OAuth client.
        zone: Business time zone (Zendesk's instants are UTC).
    """

    settings: ZendeskSource
    endpoint: str
    credential: Callable[[str], str]
    zone: ZoneInfo
    name: str = "zendesk"

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield the tickets changed since the start of ``window``; see ``Source.fetch``."""
        with self._client() as client, expected_shape(self.name, table):
            for answer in self._pages(client, window):
                tickets = answer.json["tickets"]
                emails = self._emails(client, answer.json)
                metrics = metrics_by_ticket(answer.json)
                rows = [ticket_row(ticket, emails, metrics) for ticket in tickets if not emptied(ticket, emails)]
                yield rows

    def probe(self) -> str:
        """Ask who we are."""
        with self._client() as client, expected_shape(self.name, "our own user"):
            user = client.request("GET", "/api/v2/users/me").json["user"]
        return f"zendesk: signed in with role {user['role']}"

    def _pages(self, client: ApiClient, window: Window) -> Iterator[Answer]:
        common = {"per_page": str(self.settings.page_size), "include": _SIDELOADS}
        start = int(min(window.since, window.until - _NEWEST_START).timestamp())
        return paginate(
            client.request("GET", _EXPORT, params={"start_time": str(start), **common}),
            lambda answer: None if answer.json["end_of_stream"] else answer.json["after_cursor"],
            fetch=lambda cursor: client.request("GET", _EXPORT, params={"cursor": cursor, **common}),
            rows_of=lambda answer: answer.json["tickets"],
            where=f"zendesk GET {_EXPORT}",
        )

    def _emails(self, client: ApiClient, page: Mapping[str, Any]) -> dict[int, str | None]:
        """E-mail addresses of the requesters of a page, asking once more for those that did not come with it."""
        emails = {user["id"]: user.get("email") for user in page.get("users") or []}
        wanted = {ticket["requester_id"] for ticket in page["tickets"] if ticket.get("requester_id") is not None}
        missing = sorted(wanted - emails.keys())
        for start in range(0, len(missing), _MANY):
            emails |= self._show_many(client, missing[start : start + _MANY])
        return emails

    def _show_many(self, client: ApiClient, ids: Sequence[int]) -> dict[int, str | None]:
        params = {"ids": ",".join(str(key) for key in ids)}
        users = client.request("GET", "/api/v2/users/show_many", params=params).json["users"]
        return {user["id"]: user.get("email") for user in users}

    @cached_property
    def _auth(self) -> TokenAuth:
        return TokenAuth(self._token)

    @cached_property
    def _rate(self) -> RateLimit:
        return RateLimit(10, 60)

    def _client(self) -> ApiClient:
        return ApiClient(self.name, self.endpoint, auth=self._auth, rate=self._rate, secrets=_SECRETS)

    def _token(self) -> Token:
        secrets = {name: self.credential(name) for name in _SECRETS}
        grant = {"grant_type": "client_credentials", "scope": "read", **secrets}
        with ApiClient(self.name, self.endpoint, classify=refused_grant, secrets=_SECRETS) as client:
            return request_token(client, "/oauth/tokens", grant, as_json=True)


def ticket_row(ticket: Ticket, emails: Mapping[int, str | None], metrics: Mapping[int, Mapping[str, Any]]) -> Row:
    """Name a ticket's fields."""
    measured = metrics.get(ticket["id"], {})
    return {
        "ticket_id": str(ticket["id"]),
        "email": emails.get(ticket["requester_id"]),
        "created_at": ticket["created_at"],
        "updated_at": ticket["updated_at"],
        "status": ticket["status"],
        "priority": ticket.get("priority"),
        "satisfaction": satisfaction(ticket),
        "first_reply_at": first_reply_at(ticket, measured),
        "solved_at": measured.get("solved_at"),
    }


def emptied(ticket: Ticket, emails: Mapping[int, str | None]) -> bool:
    """Whether a deleted ticket no longer says who asked or when."""
    gone = not ticket.get("created_at") or not emails.get(ticket.get("requester_id") or 0)
    return ticket["status"] == "deleted" and gone


def satisfaction(ticket: Ticket) -> str | None:
    """Return good or bad; None for a rating that was only offered, or not even that."""
    score = str((ticket.get("satisfaction_rating") or {}).get("score") or "")
    word = score.removesuffix("_with_comment").removesuffix("_without_comment")
    return word if word in ("good", "bad") else None


def first_reply_at(ticket: Ticket, measured: Mapping[str, Any]) -> datetime | None:
    """Return when an agent first answered: the opening plus the reply time, in calendar time."""
    waited = _calendar(measured, "reply_time_in_seconds", timedelta(seconds=1))
    waited = _calendar(measured, "reply_time_in_minutes", timedelta(minutes=1)) if waited is None else waited
    opened = instant_of(ticket["created_at"])
    return None if waited is None or opened is None else opened + waited


def _calendar(measured: Mapping[str, Any], field: str, unit: timedelta) -> timedelta | None:
    count = (measured.get(field) or {}).get("calendar")
    return None if count is None else count * unit


def metrics_by_ticket(page: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """Return the metrics of each ticket of a page, which come inside the ticket or beside the list."""
    beside = {metric["ticket_id"]: metric for metric in page.get("metric_sets") or []}
    inside = {ticket["id"]: ticket["metric_set"] for ticket in page["tickets"] if ticket.get("metric_set")}
    return {**beside, **inside}
