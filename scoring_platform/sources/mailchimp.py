"""Mailchimp Marketing: what happened to campaign e-mails, and who joined or left an audience.

Belongs here: which reports are read and how their fields are named in our contracts. Does not belong here: checks of
rows.

Opens and clicks arrive for weeks, and Mailchimp finds them by campaign only: every campaign sent up to ``settle_days``
before the window is asked again for what happened since. Nothing has an id there, so an id is made of what happened to
whom and when; two equal things within one second are one row. Opens by privacy proxies are not told apart.

Limits: ten calls at a time per account; we make one. No header says how much is left or how long to wait: too much is
429, or 403 without JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx
from pydantic import Field

from scoring_platform.config.base import Endpoint, SourceSection
from scoring_platform.errors import TransientError
from scoring_platform.http.auth import HeaderAuth
from scoring_platform.http.client import Answer, ApiClient
from scoring_platform.http.pages import paginate
from scoring_platform.http.verdict import Verdict, body_of
from scoring_platform.sources.protocol import Page, Row, Window
from scoring_platform.sources.shape import expected_shape, instant_of

KINDS = frozenset({"open", "click", "bounce"})
"""Actions of a recipient, in Mailchimp's words and in ours."""

DECISIONS = {"subscribed": "granted", "unsubscribed": "revoked"}
"""Status of a member to the decision; a cleaned, pending, archived or transactional address decided nothing."""

_COMPLAINTS = ("spam", "abuse")
"""Words in the reason for leaving that make it a complaint."""

_TIMEOUT = 120.0
"""Seconds; deep offsets are slow."""

_ATTEMPTS = 8
"""More than usual: without a hint how long to wait, only waiting longer each time helps."""

_SENDING = timedelta(days=7)
"""How long after its send time a campaign may appear: it is listed when its last mail has gone out."""

_SECOND = timedelta(seconds=1)

Item = Mapping[str, Any]


class MailchimpSource(SourceSection):
    """Mailchimp Marketing: campaign e-mail events and consents."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_email_events", "raw_consents"})

    endpoint: Endpoint = Field(description="https://DC.api.mailchimp.com, DC being the end of the API key")
    list_ids: tuple[str, ...] = Field((), description="Audiences to read; all of them when empty")
    settle_days: int = Field(30, ge=0, le=365, description="Days for which opens and clicks of a campaign are read")
    page_size: int = Field(1000, ge=1, le=1000, description="Entries per page")


@dataclass(frozen=True)
class Mailchimp:
    """The Mailchimp Marketing API of one account.

    Args:
        settings: The ``sources.mailchimp`` section.
        endpoint: Resolved address.
        credential: Gives ``api_key``.
        zone: Business time zone (Mailchimp's instants carry their own offset).
    """

    settings: MailchimpSource
    endpoint: str
    credential: Callable[[str], str]
    zone: ZoneInfo
    name: str = "mailchimp"

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield what happened since the start of ``window``; see ``Source.fetch``."""
        read = {"raw_email_events": self._email_events, "raw_consents": self._consents}[table]
        with self._client() as client, expected_shape(self.name, table):
            yield from read(client, window)

    def probe(self) -> str:
        """Ask for the health of the service, which needs a valid key."""
        with self._client() as client, expected_shape(self.name, "its health"):
            health = client.request("GET", "/3.0/ping").json["health_status"]
        return f"mailchimp: {health}"

    def _email_events(self, client: ApiClient, window: Window) -> Iterator[Page]:
        for campaign in self._campaigns(client, window):
            report = f"/3.0/reports/{campaign['id']}"
            if _may_be_new(campaign, window):
                for found in self._pages(client, f"{report}/sent-to", "sent_to", fields=("email_id", "email_address")):
                    yield [sent_row(entry, campaign) for entry in found]
            for found in self._activity(client, report, window):
                yield [row for entry in found for row in activity_rows(entry, campaign)]
            fields = ("email_id", "email_address", "timestamp", "reason")
            for found in self._pages(client, f"{report}/unsubscribed", "unsubscribes", fields=fields):
                yield [unsubscribe_row(entry, campaign) for entry in found]

    def _campaigns(self, client: ApiClient, window: Window) -> Iterator[Item]:
        asked = {
            "status": "sent",
            "since_send_time": _text(window.since - timedelta(days=self.settings.settle_days)),
            "before_send_time": _text(window.until + _SECOND),
            # Latest first: one whose sending ends meanwhile pushes others back, which can only make them come twice.
            "sort_field": "send_time",
            "sort_dir": "DESC",
        }
        queries = [{**asked, "list_id": key} for key in self.settings.list_ids] or [asked]
        for query in queries:
            for found in self._pages(client, "/3.0/campaigns", "campaigns", fields=("id", "send_time"), query=query):
                yield from found

    def _activity(self, client: ApiClient, report: str, window: Window) -> Iterator[list[Item]]:
        # A second early: whether the vendor means "since" or "after" is not written anywhere.
        query = {"since": _text(window.since - _SECOND)}
        fields = ("email_id", "email_address", "activity")
        # Not counted: the total may include recipients who did nothing since.
        return self._pages(client, f"{report}/email-activity", "emails", fields=fields, query=query, counted=False)

    def _consents(self, client: ApiClient, window: Window) -> Iterator[Page]:
        # Latest change first and no upper bound: a member who changes meanwhile moves to the front and can only make
        # others come twice. With a bound that member would leave the list, and one behind a page's end be skipped.
        query = {
            "since_last_changed": _text(window.since - _SECOND),
            "sort_field": "last_changed",
            "sort_dir": "DESC",
        }
        fields = ("id", "email_address", "status", "timestamp_opt", "last_changed")
        for key in self._list_ids(client):
            for found in self._pages(client, f"/3.0/lists/{key}/members", "members", fields=fields, query=query):
                yield [consent_row(member, key) for member in found if member["status"] in DECISIONS]

    def _list_ids(self, client: ApiClient) -> list[str]:
        if self.settings.list_ids:
            return list(self.settings.list_ids)
        return [one["id"] for found in self._pages(client, "/3.0/lists", "lists", fields=("id",)) for one in found]

    def _pages(
        self,
        client: ApiClient,
        path: str,
        key: str,
        *,
        fields: tuple[str, ...],
        query: Mapping[str, str] | None = None,
        counted: bool = True,
    ) -> Iterator[list[Item]]:
        """Yield the entries of a listing; with ``counted`` an empty page before the announced total is no end."""
        asked = {"fields": ",".join([*(f"{key}.{name}" for name in fields), "total_items"]), **(query or {})}

        def part(offset: int) -> _Part:
            params = {**asked, "count": str(self.settings.page_size), "offset": str(offset)}

            def check(answer: Answer) -> None:
                if counted and not answer.json[key] and offset < answer.json["total_items"]:
                    msg = f"mailchimp gave an empty page at GET {path} after {offset} of {answer.json['total_items']}"
                    raise TransientError(msg)

            body = client.request("GET", path, params=params, check=check).json
            return _Part(body[key], offset + len(body[key]), body["total_items"])

        where = f"mailchimp GET {path}"
        parts = paginate(part(0), _next_offset, fetch=part, rows_of=lambda found: found.rows, where=where)
        return (found.rows for found in parts)

    def _client(self) -> ApiClient:
        return ApiClient(
            self.name,
            self.endpoint,
            auth=HeaderAuth(self._basic, scheme="Basic "),
            timeout=_TIMEOUT,
            attempts=_ATTEMPTS,
            classify=verdict,
            secrets=("api_key",),
        )

    def _basic(self) -> str:
        # The user name may be anything; the key alone counts.
        return base64.b64encode(f"any:{self.credential('api_key')}".encode()).decode()


@dataclass(frozen=True)
class _Part:
    rows: list[Item]
    reached: int
    total: int


def verdict(response: httpx.Response) -> Verdict | None:
    """Tell a 403 that is a throttle, which has no JSON, from one that is a refusal."""
    if response.status_code == httpx.codes.FORBIDDEN and not isinstance(body_of(response), dict):
        return Verdict("throttled", words="no JSON, which is Mailchimp's way to say too many calls")
    return None


def sent_row(entry: Item, campaign: Item) -> Row:
    """Name a recipient's fields; whom the mail did not reach it was sent to all the same."""
    key = event_id(campaign["id"], entry["email_id"], "sent")
    return _email_row(key, entry, campaign, kind="sent", at=campaign["send_time"])


def activity_rows(entry: Item, campaign: Item) -> list[Row]:
    """Name the fields of what one recipient did."""
    return [
        _email_row(
            event_id(campaign["id"], entry["email_id"], done["action"], done["timestamp"], done.get("url")),
            entry,
            campaign,
            kind=done["action"],
            at=done["timestamp"],
        )
        for done in entry.get("activity") or []
        if done["action"] in KINDS
    ]


def unsubscribe_row(entry: Item, campaign: Item) -> Row:
    """Name the fields of one who left by a campaign; who calls it spam complains."""
    reason = str(entry.get("reason") or "").lower()
    kind = "complaint" if any(word in reason for word in _COMPLAINTS) else "unsubscribe"
    key = event_id(campaign["id"], entry["email_id"], "unsubscribed", entry["timestamp"])
    return _email_row(key, entry, campaign, kind=kind, at=entry["timestamp"])


def consent_row(member: Item, list_id: str) -> Row:
    """Name a member's decision: joining when it was confirmed, leaving at the last change."""
    status = member["status"]
    joined = member.get("timestamp_opt") if status == "subscribed" else None
    at = joined or member["last_changed"]
    return {
        "event_id": event_id(list_id, member["id"], status, at),
        "subject": member["email_address"],
        "channel": "email",
        "purpose": "marketing",
        "status": DECISIONS[status],
        "occurred_at": at,
    }


def event_id(*parts: str | None) -> str:
    """Return an id that is the same whenever the same thing is read."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def _email_row(key: str, entry: Item, campaign: Item, *, kind: str, at: str) -> Row:
    return {
        "event_id": key,
        "email": entry["email_address"],
        "campaign_id": campaign["id"],
        "kind": kind,
        "machine": None,
        "occurred_at": at,
    }


def _may_be_new(campaign: Item, window: Window) -> bool:
    """Whether the recipients may not have been read yet."""
    sent_at = instant_of(campaign["send_time"])
    return sent_at is None or sent_at >= window.since - _SENDING


def _next_offset(part: _Part) -> int | None:
    return part.reached if part.rows and part.reached < part.total else None


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds")
