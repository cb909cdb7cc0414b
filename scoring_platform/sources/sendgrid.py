"""SendGrid: what its event webhook told about e-mails, and who is on its suppression lists.

Belongs here: the naming of webhook events and suppressions in our contracts. Does not belong here: receiving and
verifying events (they lie in the inbox when a run begins), checks of rows.

Events are read by the time they arrived, so one that SendGrid delivers a day late is read with the next run; each run
reads a day further back than it has to, because an event may be dated after the end of the run it arrived for.

Decisions come twice, by webhook and by list: both ways make the same id of kind, address and second. Bounces are taken
from the webhook alone. The bounce list knows hard bounces only, names neither campaign nor event, and could not be told
from the event of the same bounce.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx
from pydantic import Field

from scoring_platform.config.base import Endpoint, SourceSection
from scoring_platform.http.auth import HeaderAuth
from scoring_platform.http.client import ApiClient
from scoring_platform.http.pages import paginate
from scoring_platform.http.verdict import Verdict, retry_after
from scoring_platform.ledger.inbox import Inbox, InboxEvent
from scoring_platform.sources.protocol import Page, Row, Window
from scoring_platform.sources.shape import expected_shape

KINDS = {
    "processed": "sent",
    "delivered": "delivered",
    "open": "open",
    "click": "click",
    "bounce": "bounce",
    "unsubscribe": "unsubscribe",
    "group_unsubscribe": "unsubscribe",
    "spamreport": "complaint",
}
"""Webhook event to the kind of e-mail event. Not read: deferred (it will be tried again), dropped (nothing was sent),
group_resubscribe (a decision, but nothing that happened to a mail) and what happens to the account."""

DECISIONS = {
    "unsubscribe": "revoked",
    "group_unsubscribe": "revoked",
    "spamreport": "revoked",
    "group_resubscribe": "granted",
}
"""Webhook event to the decision; groups are not told apart, so leaving one counts as leaving."""

LISTS = {"/v3/suppression/unsubscribes": "unsubscribe", "/v3/suppression/spam_reports": "spamreport"}
"""Suppression list to the webhook event that says the same."""

_READ_AGAIN = timedelta(days=1)
"""How much earlier than asked the inbox is read: what belonged to a day that was not over has its day now."""

_LONGEST_WAIT = 120.0
"""Seconds; the allowance comes back every minute, and a reset is told in whole seconds."""

_CAMPAIGN = ("singlesend_id", "mc_auto_id", "marketing_campaign_id")
"""Fields with the id of a marketing campaign or automation; mails sent by a program have a category at most."""

Event = Mapping[str, Any]


class SendgridSource(SourceSection):
    """SendGrid: e-mail events by webhook, consents by webhook and suppression lists."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_email_events", "raw_consents"})

    endpoint: Endpoint = Field(
        "https://api.sendgrid.com", description="API host; https://api.eu.sendgrid.com in the EU"
    )
    page_size: int = Field(500, ge=1, le=500, description="Suppressions per page")


@dataclass(frozen=True)
class Sendgrid:
    """The SendGrid API and webhook events of one account.

    Args:
        settings: The ``sources.sendgrid`` section.
        endpoint: Resolved address.
        credential: Gives ``api_key``.
        zone: Business time zone (SendGrid's instants are counted in UTC).
        inbox: Events that arrived by webhook.
    """

    settings: SendgridSource
    endpoint: str
    credential: Callable[[str], str]
    zone: ZoneInfo
    inbox: Inbox
    name: str = "sendgrid"

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield what arrived or was listed within ``window``; see ``Source.fetch``."""
        wanted, row = {"raw_email_events": (KINDS, email_row), "raw_consents": (DECISIONS, decision_row)}[table]
        with expected_shape(self.name, table):
            for page in self.inbox.read("email", self.name, since=window.since - _READ_AGAIN, until=window.until):
                yield [row(received) for received in page if _what(received) in wanted]
            if table == "raw_consents":
                yield from self._suppressions(window)

    def probe(self) -> str:
        """Read one entry of a list, and say when the webhook was last heard of."""
        with self._client() as client, expected_shape(self.name, "a suppression list"):
            client.request("GET", "/v3/suppression/unsubscribes", params={"limit": "1"})
        latest = self.inbox.last_arrival("email", self.name)
        heard = f"last webhook event {latest.isoformat(timespec='seconds')}" if latest else "no webhook event yet"
        return f"sendgrid: the suppression lists can be read, {heard}"

    def _suppressions(self, window: Window) -> Iterator[Page]:
        with self._client() as client:
            for path, what in LISTS.items():
                for found in self._pages(client, path, window):
                    yield [suppression_row(entry, what) for entry in found]

    def _pages(self, client: ApiClient, path: str, window: Window) -> Iterator[list[Event]]:
        size = self.settings.page_size
        bounds = {"start_time": str(int(window.since.timestamp())), "end_time": str(int(window.until.timestamp()))}

        def part(offset: int) -> tuple[int, list[Event]]:
            params = {**bounds, "limit": str(size), "offset": str(offset)}
            return offset, client.request("GET", path, params=params).json

        parts = paginate(
            part(0),
            lambda found: None if len(found[1]) < size else found[0] + size,
            fetch=part,
            rows_of=lambda found: found[1],
            where=f"sendgrid GET {path}",
        )
        return (rows for _, rows in parts)

    def _client(self) -> ApiClient:
        return ApiClient(
            self.name,
            self.endpoint,
            auth=HeaderAuth(lambda: self.credential("api_key")),
            classify=verdict,
            max_wait=_LONGEST_WAIT,
            secrets=("api_key",),
        )


def verdict(response: httpx.Response) -> Verdict | None:
    """Read how long to wait from SendGrid's own header: the second at which calls are allowed again."""
    if response.status_code != httpx.codes.TOO_MANY_REQUESTS:
        return None
    return Verdict("throttled", wait=retry_after(response) or _until_reset(response))


def email_row(received: InboxEvent) -> Row:
    """Name an e-mail event's fields."""
    event, what = received.event, _what(received)
    return {
        "event_id": received.key,
        "email": event.get("email"),
        "campaign_id": campaign_id(event),
        "kind": KINDS[what],
        "machine": event.get("sg_machine_open") if what == "open" else None,
        "occurred_at": instant_text(event.get("timestamp")),
    }


def decision_row(received: InboxEvent) -> Row:
    """Name the fields of a decision that came by webhook."""
    event = received.event
    return _decision(_what(received), event.get("email"), event.get("timestamp"))


def suppression_row(entry: Event, what: str) -> Row:
    """Name the fields of an entry of a suppression list."""
    return _decision(what, entry["email"], entry["created"])


def campaign_id(event: Event) -> str | None:
    """Return the campaign of a mail: its id, or the first category it was sent with."""
    named = next((event[name] for name in _CAMPAIGN if event.get(name)), None)
    category = event.get("category")
    first = (category[0] if category else None) if isinstance(category, list) else category
    found = named or first
    return None if found is None or found == "" else str(found)


def instant_text(timestamp: object) -> str | None:
    """Write a Unix time in ISO 8601; what is none stays as it is."""
    if timestamp is None:
        return None
    try:
        return datetime.fromtimestamp(float(str(timestamp)), UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return str(timestamp)


def _what(received: InboxEvent) -> str:
    return str(received.event.get("event"))


def _decision(what: str, email: Any, timestamp: Any) -> Row:
    seen = json.dumps([what, str(email).strip().lower(), str(timestamp)])
    return {
        "event_id": hashlib.blake2b(seen.encode(), digest_size=16).hexdigest(),
        "subject": email,
        "channel": "email",
        "purpose": "marketing",
        "status": DECISIONS[what],
        "occurred_at": instant_text(timestamp),
    }


def _until_reset(response: httpx.Response) -> float | None:
    """Seconds until the reset by the server's own clock; None when either is not told or it has passed."""
    try:
        reset = float(response.headers["X-RateLimit-Reset"])
        now = parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return None
    return reset - now if reset > now else None
