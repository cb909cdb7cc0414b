"""What the shop mails, and what the recipients do with it.

Belongs here: mailings, opens, clicks, bounces, and how agreement to mailings changes. Does not belong here: how the
mail tool's API words an event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring_platform.sandbox.days import DAY, HOUR, MINUTE, NEVER, date_of, day_of, opens_at
from scoring_platform.sandbox.people import Person

RECEIVED = "Received Email"
OPENED = "Opened Email"
CLICKED = "Clicked Email"
BOUNCED = "Bounced Email"
SPAM = "Marked Email as Spam"
SUBSCRIBED = "Subscribed to Email Marketing"
UNSUBSCRIBED = "Unsubscribed from Email Marketing"
METRICS = (RECEIVED, OPENED, CLICKED, BOUNCED, SPAM, SUBSCRIBED, UNSUBSCRIBED)

NEWSLETTER_EVERY = 14
_NEWSLETTER_ON = 6
_MAIL = 30
_PER_DAY = 1_000_000


@dataclass(frozen=True, slots=True)
class MailEvent:
    """One thing that happened to one mail or to one person's agreement.

    Attributes:
        number: Number of the event.
        at: When it happened.
        metric: What happened, one of ``METRICS``.
        person: Index of the recipient; -1 where the recipient is no customer.
        campaign: Name of the mailing; None for a change of agreement.
        machine: Opened by a privacy proxy.
        email: Address of a recipient who is no customer.
    """

    number: int
    at: int
    metric: str
    person: int
    campaign: str | None = None
    machine: bool = False
    email: str | None = None


@dataclass(frozen=True)
class Traits:
    """The customers' traits as columns, in order of arrival."""

    arrived_day: NDArray[np.int64]
    mail_since: NDArray[np.int64]
    mail_interest: NDArray[np.float64]
    web_interest: NDArray[np.float64]
    mail_proxy: NDArray[np.bool_]
    first_account: NDArray[np.bool_]
    dropped_out_at: NDArray[np.int64]

    @classmethod
    def of(cls, people: Sequence[Person]) -> Traits:
        """Collect the traits of ``people``."""
        return cls(
            arrived_day=np.array([day_of(who.arrived_at) for who in people], dtype=np.int64),
            mail_since=np.array([who.mail_since for who in people], dtype=np.int64),
            mail_interest=np.array([who.mail_interest for who in people]),
            web_interest=np.array([who.web_interest for who in people]),
            mail_proxy=np.array([who.mail_proxy for who in people], dtype=bool),
            first_account=np.array([who.twin_of is None for who in people], dtype=bool),
            dropped_out_at=np.array([who.dropped_out_at for who in people], dtype=np.int64),
        )


@dataclass
class Mailings:
    """Sends the mailings day by day and remembers who has had enough.

    Attributes:
        stopped_at: When each customer left the list, by index; absent while on it.
    """

    seed: int
    stopped_at: dict[int, int]

    def day(
        self, day: int, traits: Traits, *, count: int, bought_before: Sequence[int]
    ) -> tuple[list[MailEvent], list[tuple[int, str]]]:
        """Return the events of the mailings sent on ``day`` and the (customer, campaign) of that day's clicks.

        Args:
            day: Number of the day; days must come in order.
            traits: Traits of at least the first ``count`` customers.
            count: How many accounts exist on that day.
            bought_before: Customers who bought three days ago.
        """
        rng = np.random.default_rng([self.seed, _MAIL, day])
        events = list(self._agreements(day, traits, count=count))
        clicks: list[tuple[int, str]] = []
        for campaign, hour, recipients in self._plan(day, traits, count=count, bought_before=bought_before):
            sent_at = opens_at(day) + hour * HOUR
            chosen = [i for i in recipients if traits.mail_since[i] < sent_at < self.stopped_at.get(i, NEVER)]
            for event in self._send(
                rng, traits, chosen=np.array(chosen, dtype=np.int64), campaign=campaign, sent_at=sent_at
            ):
                events.append(event)
                if event.metric == CLICKED and day_of(event.at) == day:
                    clicks.append((event.person, campaign))
        return [_numbered(event, day * _PER_DAY + place) for place, event in enumerate(events)], clicks

    def _plan(
        self, day: int, traits: Traits, *, count: int, bought_before: Sequence[int]
    ) -> Iterator[tuple[str, int, list[int]]]:
        first = traits.first_account[:count]
        if day % NEWSLETTER_EVERY == _NEWSLETTER_ON:
            yield f"Newsletter {date_of(day)}", 10, np.flatnonzero(first).tolist()
        for step, age in (("Welcome 1", 1), ("Welcome 2", 5)):
            yield step, 9, np.flatnonzero(first & (traits.arrived_day[:count] == day - age)).tolist()
        yield "After your order", 18, sorted({index for index in bought_before if first[index]})

    def _agreements(self, day: int, traits: Traits, *, count: int) -> Iterator[MailEvent]:
        start, since = opens_at(day), traits.mail_since[:count]
        fresh = (since >= start) & (since < start + DAY) & traits.first_account[:count]
        for index in np.flatnonzero(fresh).tolist():
            yield MailEvent(0, int(since[index]), SUBSCRIBED, index)

    def _send(
        self, rng: np.random.Generator, traits: Traits, *, chosen: NDArray[np.int64], campaign: str, sent_at: int
    ) -> Iterator[MailEvent]:
        size = len(chosen)
        active = np.where(traits.dropped_out_at[chosen] > sent_at, 1.0, 0.35)
        chance = rng.random((6, size))
        opens = chance[0] < traits.mail_interest[chosen] * active
        proxied = traits.mail_proxy[chosen] & (chance[1] < 0.9)
        arrives = sent_at + rng.integers(0, 20 * MINUTE, size=size)
        waits = np.maximum(MINUTE, rng.exponential(8 * HOUR, size=size)).astype(np.int64)
        for place, index in enumerate(chosen.tolist()):
            at = int(arrives[place])
            if chance[2, place] < 0.004:
                yield MailEvent(0, at, BOUNCED, index, campaign)
                continue
            yield MailEvent(0, at, RECEIVED, index, campaign)
            if proxied[place]:
                yield MailEvent(0, at + 2 * MINUTE, OPENED, index, campaign, machine=True)
            read_at = at + int(waits[place])
            if opens[place]:
                yield MailEvent(0, read_at, OPENED, index, campaign)
                if chance[3, place] < 0.22:
                    yield MailEvent(0, read_at + MINUTE, CLICKED, index, campaign)
            if chance[4, place] < 0.0045:
                yield from self._leave(
                    index, read_at + 5 * MINUTE, campaign=campaign, complains=bool(chance[5, place] < 0.08)
                )

    def _leave(self, index: int, at: int, *, campaign: str, complains: bool) -> Iterator[MailEvent]:
        if index in self.stopped_at:
            return
        self.stopped_at[index] = at
        if complains:
            yield MailEvent(0, at - MINUTE, SPAM, index, campaign)
        yield MailEvent(0, at, UNSUBSCRIBED, index, campaign)


def _numbered(event: MailEvent, number: int) -> MailEvent:
    return MailEvent(
        number, event.at, event.metric, event.person, event.campaign, machine=event.machine, email=event.email
    )
