"""What customers ask the support desk.

Belongs here: tickets, replies and ratings. Does not belong here: how the help desk's API words a ticket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from scoring_platform.sandbox.days import DAY, HOUR, MINUTE, opens_at
from scoring_platform.sandbox.people import Person
from scoring_platform.sandbox.timeline import Version, versions_of

SUBJECTS = ("Where is my parcel?", "Damaged package", "Change of address", "Invoice", "Which grind?", "Wrong item")
_DESK = 50
_PER_DAY = 1_000
_FIRST_TICKET = 10_000


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket in one of its states.

    Attributes:
        number: The help desk's number.
        person: Index of the customer who asks.
        created_at: When it was opened.
        status: State in the help desk's words.
        priority: Priority in the help desk's words.
        subject: What it is about.
        rating: unoffered, offered, good or bad.
        first_reply_at: First answer by an agent.
        solved_at: When it was solved.
    """

    number: int
    person: int
    created_at: int
    status: str
    priority: str | None
    subject: str
    rating: str = "unoffered"
    first_reply_at: int | None = None
    solved_at: int | None = None


@dataclass
class Desk:
    """Opens tickets day by day; some come some days after an order."""

    seed: int
    _due: dict[int, list[int]] = field(default_factory=dict)

    def day(self, day: int, people: Sequence[Person], *, count: int, buyers: Sequence[int]) -> list[Version[Ticket]]:
        """Return the tickets opened on ``day`` with all that will happen to them.

        Args:
            day: Number of the day; days must come in order.
            people: At least the first ``count`` customers.
            count: How many accounts exist on that day.
            buyers: Customers who order that day.
        """
        rng = np.random.default_rng([self.seed, _DESK, day])
        for index in buyers:
            if rng.random() < 0.11:
                self._due.setdefault(day + int(rng.integers(1, 9)), []).append(index)
        asking = self._due.pop(day, [])
        if count:
            asking = asking + rng.integers(0, count, size=int(rng.poisson(0.9))).tolist()
        asking = [index for index in asking if people[index].email and people[index].twin_of is None]
        found: list[Version[Ticket]] = []
        for place, index in enumerate(asking):
            number = _FIRST_TICKET + day * _PER_DAY + place
            found += versions_of(number, _course(rng, number, who=people[index], opened_on=day))
        return found


def _course(rng: np.random.Generator, number: int, *, who: Person, opened_on: int) -> list[tuple[int, Ticket]]:
    """Return the states of one ticket with the instant of each."""
    created = max(opens_at(opened_on) + int(rng.integers(8 * HOUR, 23 * HOUR)), who.arrived_at + 10 * MINUTE)
    wait = int(rng.lognormal(np.log(3 * HOUR), 0.9))
    solve = int(rng.lognormal(np.log(20 * HOUR), 0.8))
    ticket = Ticket(
        number=number,
        person=who.index,
        created_at=created,
        status="new",
        priority=(None, "low", "normal", "normal", "high", "urgent")[int(rng.integers(6))],
        subject=SUBJECTS[int(rng.integers(len(SUBJECTS)))],
    )
    replied, solved = created + wait, created + wait + solve
    answered = replace(ticket, status="open", first_reply_at=replied)
    done = replace(answered, status="solved", rating="offered", solved_at=solved)
    states = [(created, ticket), (replied, answered)]
    if solve > 12 * HOUR:
        states.append((replied + solve // 3, replace(answered, status="pending")))
    states.append((solved, done))
    if rng.random() < 0.55:
        bad = rng.random() < min(0.85, 0.08 + 0.3 * (wait > 8 * HOUR) + 0.3 * (who.attitude < 6))
        done = replace(done, rating="bad" if bad else "good")
        states.append((solved + int(rng.integers(HOUR, 40 * HOUR)), done))
    states.append((solved + 4 * DAY, replace(done, status="closed")))
    return states
