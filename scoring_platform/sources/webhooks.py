"""Signed webhooks of anybody: the website's forms, a webinar tool, a consent banner.

Belongs here: which providers there are, how each signs, and the naming of its fields in our contracts. Does not belong
here: receiving (``webhooks``) and storing (``ledger.inbox``); checks of rows.

Events are found by the time they were received, whatever time they name themselves, so a late one is never missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, StringConstraints

from scoring_platform.config.base import Section, SourceSection
from scoring_platform.ledger.inbox import Inbox, InboxEvent, read_through
from scoring_platform.sources.protocol import Page, Row, Window
from scoring_platform.sources.signing import Signing

KIND = "events"
"""Kind of webhook these providers send; part of the address."""

CONSENT = "consent"
"""Kind of event that is a decision about consent, not behaviour."""

_FAST_CLOCKS = timedelta(days=1)
"""How much earlier than asked is read: an event of a sender whose clock is fast belongs to a day that was not over."""

_UNITS = {"seconds": 1, "milliseconds": 1_000}

ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Path = Annotated[str, StringConstraints(min_length=1)]


class EventFields(Section):
    """Where each of our values stands in an event: names joined by dots, such as `data.contact.email`."""

    id: Path = Field("id", description="The provider's id of the event; without one, equal events count once")
    kind: Path = Field("kind", description="What happened; `consent` makes it a decision about consent")
    occurred_at: Path = Field("occurred_at", description="When it happened; UTC unless it names an offset")
    email: Path = Field("email", description="E-mail address")
    customer_ref: Path = Field("customer_ref", description="The shop's customer id")
    client_id: Path = Field("client_id", description="Cookie or device id")
    properties: Path = Field("properties", description="Everything else worth keeping")
    channel: Path = Field("channel", description="Of a consent, here or below the properties: email, sms, web …")
    purpose: Path = Field("purpose", description="Of a consent, here or below the properties: marketing or tracking")
    status: Path = Field("status", description="Of a consent, here or below the properties: granted, denied, revoked")


class WebhookProvider(Signing):
    """One sender: how it signs, and where its events hold our values."""

    events: Path = Field("events", description="Where a body that holds several events has its list")
    default_kind: str | None = Field(None, min_length=1, description="Kind of an event that names none")
    times: Literal["text", "seconds", "milliseconds"] = Field(
        "text", description="How a time that is a number counts since 1970"
    )
    fields: EventFields = EventFields()


class WebhooksSource(SourceSection):
    """Signed webhooks of anybody: behaviour events and consents."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_events", "raw_consents"})

    providers: dict[ProviderName, WebhookProvider] = Field(
        min_length=1, description="Senders; each posts to /webhooks/events/NAME, signed with its own secret"
    )


@dataclass(frozen=True)
class Webhooks:
    """What all generic providers have sent.

    Args:
        settings: The ``sources.webhooks`` section.
        endpoint: Empty; the providers come to us.
        credential: Not used; the receiver has checked the signatures.
        zone: Business time zone (times without an offset are UTC).
        inbox: Where the receiver stores what came.
    """

    settings: WebhooksSource
    endpoint: str
    credential: Callable[[str], str]
    zone: ZoneInfo
    inbox: Inbox
    name: str = "webhooks"

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield what was received within ``window``; see ``Source.fetch``."""
        row = {"raw_events": event_row, "raw_consents": consent_row}[table]
        for provider, section in self.settings.providers.items():
            pages = self.inbox.read(KIND, provider, since=window.since - _FAST_CLOCKS, until=window.until)
            for page in pages:
                wanted = [event for event in page if is_consent(event.event, section) == (table == "raw_consents")]
                yield [row(event, provider, section) for event in wanted]

    def probe(self) -> str:
        """Say how many events wait for the next run and when the last one came."""
        read = read_through(self.inbox.ledger, self.name, self.settings.gives)
        providers = self.settings.providers
        waiting = sum(self.inbox.waiting(KIND, provider, since=read).count for provider in providers)
        arrivals = [self.inbox.last_arrival(KIND, provider) for provider in providers]
        last = max((instant for instant in arrivals if instant), default=None)
        came = "none has come yet" if last is None else f"the last came at {last.isoformat(timespec='seconds')}"
        return f"webhooks: {waiting} events wait for the next run, {came}"


def at_path(event: Mapping[str, Any], path: str) -> Any:
    """Return what stands at a dotted path of ``event``; None where there is nothing."""
    found: Any = event
    for part in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(part)
        elif isinstance(found, Sequence) and not isinstance(found, str) and part.isascii() and part.isdigit():
            found = found[int(part)] if int(part) < len(found) else None
        else:
            return None
    return found


def kind_of(event: Mapping[str, Any], provider: WebhookProvider) -> Any:
    """Return what happened, or the provider's default where the event does not say."""
    return at_path(event, provider.fields.kind) or provider.default_kind


def is_consent(event: Mapping[str, Any], provider: WebhookProvider) -> bool:
    """Whether an event is a decision about consent."""
    return bool(kind_of(event, provider) == CONSENT)


def event_row(event: InboxEvent, provider: str, section: WebhookProvider) -> Row:
    """Name an event's fields."""
    given, fields = event.event, section.fields
    return {
        "event_id": f"{provider}:{event.key}",
        "customer_ref": at_path(given, fields.customer_ref),
        "email": at_path(given, fields.email),
        "client_id": at_path(given, fields.client_id),
        "kind": kind_of(given, section),
        "occurred_at": _time(at_path(given, fields.occurred_at), section),
        "properties": _properties(given, fields),
    }


def consent_row(event: InboxEvent, provider: str, section: WebhookProvider) -> Row:
    """Name the fields of a decision about consent."""
    given, fields = event.event, section.fields
    below = at_path(given, fields.properties)
    decision = {
        name: at_path(given, path) or (below.get(name) if isinstance(below, Mapping) else None)
        for name, path in {"channel": fields.channel, "purpose": fields.purpose, "status": fields.status}.items()
    }
    return {
        "event_id": f"{provider}:{event.key}",
        "subject": at_path(given, fields.email) or at_path(given, fields.customer_ref),
        "occurred_at": _time(at_path(given, fields.occurred_at), section),
        **decision,
    }


def _time(value: Any, section: WebhookProvider) -> Any:
    """A counted time as an instant; anything else as sent."""
    unit = _UNITS.get(section.times)
    if unit is None or isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        return datetime.fromtimestamp(value / unit, UTC)
    except (ValueError, OverflowError, OSError):
        return value


def _properties(event: Mapping[str, Any], fields: EventFields) -> Any:
    """What the provider sent beside our columns; its own properties as they are, unless they can be joined by it."""
    own = at_path(event, fields.properties)
    named = {path.split(".", 1)[0] for path in fields.model_dump().values()}
    rest = {name: value for name, value in event.items() if name not in named}
    if own is None:
        return rest
    return {**rest, **own} if isinstance(own, Mapping) else own
