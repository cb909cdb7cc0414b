"""Klaviyo: what happened to marketing e-mails, and consent given and taken back.

Belongs here: which metrics are read and how events are named in our contracts. Does not belong here: checks of rows.

Scopes: ``events:read``, ``profiles:read``, ``metrics:read``. Limits: 350 calls a second and 3500 a minute for events.
Events are found by the time they happened, so one that Klaviyo records later than the caller's overlap is missed.
"Dropped Email" is not read: nothing was sent. Klaviyo has no event for sending; "Received Email" means delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field

from scoring_platform.config.base import Endpoint, SourceSection
from scoring_platform.errors import PermanentError
from scoring_platform.http.auth import HeaderAuth
from scoring_platform.http.client import Answer, ApiClient
from scoring_platform.http.limits import RateLimit
from scoring_platform.http.pages import paginate
from scoring_platform.sources.protocol import Page, Row, Window
from scoring_platform.sources.shape import expected_shape

KINDS = {
    "Received Email": "delivered",
    "Opened Email": "open",
    "Clicked Email": "click",
    "Bounced Email": "bounce",
    "Unsubscribed": "unsubscribe",
    "Unsubscribed from Email Marketing": "unsubscribe",
    "Marked Email as Spam": "complaint",
}
"""Metric name to the kind of e-mail event; accounts know the global unsubscribe under either name."""

DECISIONS = {
    "Subscribed to List": "granted",
    "Subscribed to Email Marketing": "granted",
    "Unsubscribed": "revoked",
    "Unsubscribed from Email Marketing": "revoked",
    "Unsubscribed from List": "revoked",
}
"""Metric name to the decision; leaving one list counts as leaving, since lists are not told apart here."""

_MACHINE = ("machine_open", "Apple Privacy Open")
"""Properties of an open that mark a proxy: any scanner, and Apple's privacy proxy."""

_MESSAGE = "$message"
"""Property with the id of the campaign or flow message."""


class KlaviyoSource(SourceSection):
    """Klaviyo: e-mail events and consents."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_email_events", "raw_consents"})

    endpoint: Endpoint = Field("https://a.klaviyo.com", description="API host")
    revision: str = Field("2026-07-15", description="API revision")
    page_size: int = Field(200, ge=1, le=1000, description="Events per page")


@dataclass(frozen=True)
class Klaviyo:
    """The Klaviyo API of one account.

    Args:
        settings: The ``sources.klaviyo`` section.
        endpoint: Resolved address.
        credential: Gives ``api_key``, a private key.
        zone: Business time zone (Klaviyo's instants carry their own offset).
    """

    settings: KlaviyoSource
    endpoint: str
    credential: Callable[[str], str]
    zone: ZoneInfo
    name: str = "klaviyo"

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield what happened within ``window``; see ``Source.fetch``."""
        words, row, fields = {
            "raw_email_events": (KINDS, email_row, "datetime,event_properties"),
            "raw_consents": (DECISIONS, consent_row, "datetime"),
        }[table]
        with self._client() as client, expected_shape(self.name, table):
            for metric, word in self._metrics(client, words):
                for answer in self._events(client, metric, window, fields=fields):
                    _check_metric(answer, metric)
                    emails = profile_emails(answer)
                    yield [row(event, word, emails) for event in answer.json["data"]]

    def probe(self) -> str:
        """List the metrics and say how many of those we read are there."""
        with self._client() as client, expected_shape(self.name, "its metrics"):
            found = len(self._metrics(client, {**KINDS, **DECISIONS}))
        return f"klaviyo: {found} of the metrics we read, revision {self.settings.revision}"

    def _metrics(self, client: ApiClient, words: Mapping[str, str]) -> list[tuple[str, str]]:
        """Ids of the metrics named in ``words`` with their word; ids differ by account, and names may repeat."""
        first = client.request("GET", "/api/metrics", params={"fields[metric]": "name"})
        metrics = [metric for answer in self._pages(client, first, "metrics") for metric in answer.json["data"]]
        named = [(metric["id"], metric["attributes"]["name"]) for metric in metrics]
        return [(key, words[name]) for key, name in named if name in words]

    def _events(self, client: ApiClient, metric: str, window: Window, *, fields: str) -> Iterator[Answer]:
        conditions = (
            f'equals(metric_id,"{metric}")',
            f"greater-or-equal(datetime,{_text(window.since)})",
            f"less-than(datetime,{_text(window.until)})",
        )
        params = {
            "filter": ",".join(conditions),
            "sort": "datetime",
            "include": "profile",
            "fields[event]": fields,
            "fields[profile]": "email",
            "page[size]": str(self.settings.page_size),
        }
        first = client.request("GET", "/api/events", params=params)
        return self._pages(client, first, "events")

    def _pages(self, client: ApiClient, first: Answer, what: str) -> Iterator[Answer]:
        return paginate(
            first,
            lambda answer: (answer.json.get("links") or {}).get("next"),
            fetch=lambda link: client.request("GET", link),
            rows_of=lambda answer: answer.json["data"],
            where=f"klaviyo {what}",
        )

    @cached_property
    def _rate(self) -> RateLimit:
        return RateLimit(3500, 60, burst=350)

    def _client(self) -> ApiClient:
        return ApiClient(
            self.name,
            self.endpoint,
            headers={"revision": self.settings.revision, "Accept": "application/vnd.api+json"},
            auth=HeaderAuth(lambda: self.credential("api_key"), scheme="Klaviyo-API-Key "),
            rate=self._rate,
            secrets=("api_key",),
        )


def profile_emails(answer: Answer) -> dict[str, str | None]:
    """Return the e-mail address of every profile that came with a page."""
    included = answer.json.get("included") or []
    return {item["id"]: item["attributes"].get("email") for item in included if item["type"] == "profile"}


def email_row(event: Mapping[str, Any], kind: str, emails: Mapping[str, str | None]) -> Row:
    """Name an e-mail event's fields."""
    properties = event["attributes"].get("event_properties") or {}
    return {
        "event_id": event["id"],
        "email": emails.get(_profile(event)),
        "campaign_id": properties.get(_MESSAGE),
        "kind": kind,
        "machine": machine(properties) if kind == "open" else None,
        "occurred_at": event["attributes"]["datetime"],
    }


def consent_row(event: Mapping[str, Any], status: str, emails: Mapping[str, str | None]) -> Row:
    """Name a decision's fields."""
    return {
        "event_id": event["id"],
        "subject": emails.get(_profile(event)),
        "channel": "email",
        "purpose": "marketing",
        "status": status,
        "occurred_at": event["attributes"]["datetime"],
    }


def machine(properties: Mapping[str, Any]) -> bool | None:
    """Whether an open came from a proxy; None when the event does not say."""
    said = [properties[name] for name in _MACHINE if properties.get(name) is not None]
    return any(str(value).lower() in ("true", "1", "yes") for value in said) if said else None


def _check_metric(answer: Answer, metric: str) -> None:
    """Events take their kind from the metric asked for, so a page of another one would be mislabelled."""
    given = {event["relationships"]["metric"]["data"]["id"] for event in answer.json["data"]}
    if given - {metric}:
        msg = f"klaviyo gave events of another metric than {metric}, which was asked for"
        raise PermanentError(msg)


def _profile(event: Mapping[str, Any]) -> str:
    data = (event["relationships"].get("profile") or {}).get("data") or {}
    return str(data.get("id", ""))


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
