"""Answers to NPS surveys that were sent to us, by webhook or in a file.

Belongs here: which providers there are, reading what lies in the inbox. Does not belong here: where a provider's bodies
have our values (``nps_fields``, ``typeform``, ``surveymonkey``), receiving (``webhooks``), reading files
(``answer_files``), Formbricks, which can be asked as well (``formbricks``).

Answers are found by the time they were received, whatever day they name themselves, so a late one is never missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from scoring_platform.config.base import SourceSection
from scoring_platform.ledger.inbox import Inbox, InboxEvent, read_through
from scoring_platform.sources import nps_fields, surveymonkey, typeform
from scoring_platform.sources.answers import KIND, Reader, SurveyAnswer, moment
from scoring_platform.sources.nps_fields import NpsProvider
from scoring_platform.sources.protocol import Page, Window
from scoring_platform.sources.webhooks import ProviderName

IMPORTED = "import"
"""The provider of answers that came in a file."""

_READ_AGAIN = timedelta(days=1)
"""How much earlier than asked is read: an answer dated after the end of a run belongs to a day that was not over."""

_TAKEN = {IMPORTED: "files that are imported", "formbricks": "the section sources.formbricks (webhook: true)"}


def _free(name: str) -> str:
    if name in _TAKEN:
        msg = f"{name!r} is the name of {_TAKEN[name]}; take another one"
        raise ValueError(msg)
    return name


NpsProviderName = Annotated[ProviderName, AfterValidator(_free)]


class NpsSource(SourceSection):
    """Answers to NPS surveys sent to us: by webhook from any survey tool, and files read with `nps import`."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_nps_responses"})

    providers: dict[NpsProviderName, NpsProvider] = Field(
        default_factory=dict,
        description="Senders; each posts to /webhooks/nps/NAME, signed with its own secret. Formbricks has a section "
        "of its own",
    )


@dataclass(frozen=True)
class Nps:
    """What all providers have sent, and what was read from files.

    Args:
        settings: The ``sources.nps`` section.
        endpoint: Empty; the providers come to us.
        credential: Not used; every provider has its own.
        zone: Business time zone, which decides the day of an answer.
        inbox: Where the receiver stores what came.
        credentials: Gives a secret of a system by its name.
    """

    settings: NpsSource
    endpoint: str
    credential: Callable[[str], str]
    zone: ZoneInfo
    inbox: Inbox
    credentials: Callable[[str, str], str]
    name: str = "nps"

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield what was received within ``window``; see ``Source.fetch``."""
        yield from self.received(window)
        for provider, section in self.settings.providers.items():
            if section.format == "surveymonkey":
                yield from self._pointed_at(provider, section, window)

    def received(self, window: Window) -> Iterator[Page]:
        """Yield what can be read without asking anybody."""
        for provider, section in {IMPORTED: NpsProvider(), **self.settings.providers}.items():
            if section.format != "surveymonkey":
                read = reader(provider, section, self.zone)
                for page in self._arrived(provider, window):
                    yield [read(one.event, one.received_at).row for one in page]

    def probe(self) -> str:
        """Say how many answers wait for the next run and when the last one came."""
        read = read_through(self.inbox.ledger, self.name, self.settings.gives)
        providers = [IMPORTED, *self.settings.providers]
        waiting = sum(self.inbox.waiting(KIND, provider, since=read).count for provider in providers)
        arrivals = [self.inbox.last_arrival(KIND, provider) for provider in providers]
        last = max((instant for instant in arrivals if instant), default=None)
        came = "none has come yet" if last is None else f"the last came at {last.isoformat(timespec='seconds')}"
        return f"nps: {waiting} answers wait for the next run, {came}"

    def _arrived(self, provider: str, window: Window) -> Iterator[list[InboxEvent]]:
        pages = self.inbox.read(KIND, provider, since=window.since - _READ_AGAIN, until=window.until)
        return (list(page) for page in pages)

    def _pointed_at(self, provider: str, section: NpsProvider, window: Window) -> Iterator[Page]:
        pointers: dict[str, datetime] = {}
        for one in (one for page in self._arrived(provider, window) for one in page):
            key = surveymonkey.ids(one.event)
            if key is not None:
                at = _instant(moment(one.event.get("event_datetime")), one.received_at)
                pointers[key] = min(at, pointers.get(key, at))
        token = partial(self.credentials, provider, surveymonkey.TOKEN)
        yield from surveymonkey.Responses(provider, section, section.endpoint, token, self.zone).fetch(pointers)


def reader(provider: str, section: NpsProvider, zone: ZoneInfo) -> Reader:
    """Return what names the fields of a provider's answers."""

    def read(event: Mapping[str, Any], received_at: datetime | None) -> SurveyAnswer:
        if section.format == "surveymonkey":
            return surveymonkey.pointer(event, provider, zone=zone, received_at=received_at)
        name = typeform.answer if section.format == "typeform" else nps_fields.answer
        return name(event, provider, section=section, zone=zone, received_at=received_at)

    return read


def _instant(found: datetime | date | None, otherwise: datetime) -> datetime:
    return found if isinstance(found, datetime) else otherwise
