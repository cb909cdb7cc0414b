"""The newsletters and what became of each, and which tool sends which mailing.

Klaviyo shows all mailings of the company. The same mailings are split between two other tools: Mailchimp sends the
newsletters, SendGrid the mails that follow from what a customer did ("Welcome 1", "After your order", …). So those two
together show what Klaviyo shows, and a shop with either set-up can be tried.

Belongs here: the split, and every newsletter's recipients, activity and leavers as of a moment. Does not belong here:
how a mail tool words them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from threading import Lock

from scoring_platform.sandbox.days import HOUR, MINUTE, NEVER, day_number, opens_at
from scoring_platform.sandbox.mailings import BOUNCED, CLICKED, OPENED, RECEIVED, MailEvent
from scoring_platform.sandbox.population import Books

_TITLE = "Newsletter "
_HOUR = 10
_SENDING = 20 * MINUTE
"""Seconds until the last mail of a newsletter has gone out."""


def is_newsletter(event: MailEvent) -> bool:
    """Whether the event belongs to a newsletter."""
    return event.campaign is not None and event.campaign.startswith(_TITLE)


def is_automated(event: MailEvent) -> bool:
    """Whether the event belongs to a mail that followed from what a customer did."""
    return event.campaign is not None and not is_newsletter(event)


@dataclass(frozen=True)
class Newsletter:
    """One newsletter and all that will ever become of it.

    Attributes:
        key: The tool's id of it.
        title: Its name.
        sent_at: When sending began.
        arrivals: How it reached, or did not reach, each recipient.
        activity: Opens, clicks and the failed delivery of each recipient, by index.
        leavings: What ended a recipient's agreement, by index: the complaint if there was one.
    """

    key: str
    title: str
    sent_at: int
    arrivals: list[MailEvent] = field(default_factory=list)
    activity: dict[int, list[MailEvent]] = field(default_factory=dict)
    leavings: dict[int, MailEvent] = field(default_factory=dict)

    @property
    def finished_at(self) -> int:
        """When the last mail has gone out."""
        return self.sent_at + _SENDING

    def done(self, person: int, *, since: int, now: int) -> list[MailEvent]:
        """Return what a recipient did after ``since`` and up to ``now``."""
        return [event for event in self.activity.get(person, ()) if since < event.at <= now]

    def left(self, now: int) -> list[MailEvent]:
        """Return what ended agreements up to ``now``."""
        return [event for event in self.leavings.values() if event.at <= now]


class Newsletters:
    """The newsletters of a company, put together anew only when the company has gone on."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lock = Lock()
        self._made_of: Books | None = None
        self._by_key: dict[str, Newsletter] = {}

    def sent(self, books: Books, now: int) -> dict[str, Newsletter]:
        """Return those whose last mail has gone out by ``now``, oldest first, by their key."""
        with self._lock:
            if self._made_of is not books:
                self._by_key, self._made_of = _collect(version.thing for version in books.mail.at(NEVER - 1)), books
            return {key: one for key, one in self._by_key.items() if one.finished_at <= now}


def _collect(events: Iterable[MailEvent]) -> dict[str, Newsletter]:
    found: dict[str, Newsletter] = {}
    for event in events:
        if event.campaign is None or not is_newsletter(event):
            continue
        key = hashlib.blake2b(event.campaign.encode(), digest_size=5).hexdigest()
        if key not in found:
            sent_on = date.fromisoformat(event.campaign.removeprefix(_TITLE))
            found[key] = Newsletter(key, event.campaign, opens_at(day_number(sent_on)) + _HOUR * HOUR)
        _enter(found[key], event)
    return found


def _enter(newsletter: Newsletter, event: MailEvent) -> None:
    if event.metric in (RECEIVED, BOUNCED):
        newsletter.arrivals.append(event)
    if event.metric in (OPENED, CLICKED, BOUNCED):
        newsletter.activity.setdefault(event.person, []).append(event)
    if event.metric not in (RECEIVED, OPENED, CLICKED, BOUNCED):
        # Events come in the order of time, and a complaint a minute before the leaving it causes.
        newsletter.leavings.setdefault(event.person, event)
