"""Everything that ever happens to the sandbox company, day by day.

Belongs here: bringing the generators together in order of days, and keeping what they made. Does not belong here: how
a single thing is drawn (``people``, ``sales``, ``mailings``, ``visits``, ``desk``, ``survey``, ``planting``), the table
of truths (``truth``), what "now" is, and any vendor's wording.

The same seed gives the same company whatever the clock says and however far it has been asked to reach: a day depends
only on the seed and on the days before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from threading import Lock

from scoring_platform.sandbox.days import NEVER, date_of, day_number, day_of, opens_at
from scoring_platform.sandbox.desk import Desk, Ticket
from scoring_platform.sandbox.mailings import MailEvent, Mailings, Traits
from scoring_platform.sandbox.people import Person, arrivals, person
from scoring_platform.sandbox.planting import Planted, planted, wrong_mail, wrong_orders
from scoring_platform.sandbox.sales import Order, sell
from scoring_platform.sandbox.survey import Response, Survey
from scoring_platform.sandbox.timeline import Timeline, Version, versions_of
from scoring_platform.sandbox.visits import Visit, VisitLog, visit
from scoring_platform.sandbox.wholesale import Sales, Wholesale

DEFAULT_SEED = 20
_FURTHEST_DAY = 3_650


@dataclass(frozen=True, slots=True)
class Account:
    """A customer account in one of its states.

    Attributes:
        person: Whose account it is.
        marketing: SUBSCRIBED, UNSUBSCRIBED or NOT_SUBSCRIBED.
        marketing_at: When that was decided; None while nothing was.
    """

    person: Person
    marketing: str
    marketing_at: int | None


@dataclass(frozen=True)
class Books:
    """All that was generated up to the end of a day; replaced as a whole when the company goes on."""

    through: int
    people: tuple[Person, ...]
    accounts: Timeline[Account]
    orders: Timeline[Order]
    mail: Timeline[MailEvent]
    tickets: Timeline[Ticket]
    responses: Timeline[Response]
    visits: VisitLog
    wholesale: Wholesale = field(default_factory=Wholesale)

    @property
    def sales(self) -> Sales:
        """The company's own orders, and those that are only there for their number."""
        return Sales(self.orders, self.wholesale)


class _Batch:
    """What one call adds to the books."""

    def __init__(self) -> None:
        self.orders: list[Version[Order]] = []
        self.mail: list[Version[MailEvent]] = []
        self.tickets: list[Version[Ticket]] = []
        self.responses: list[Version[Response]] = []
        self.visits: list[Visit] = []


class Population:
    """The company's customers and what they do."""

    def __init__(self, seed: int = DEFAULT_SEED, *, wholesale: int = 0) -> None:
        """Found the company; nothing is generated before ``reach``.

        Args:
            seed: What everything is drawn from.
            wholesale: How many orders there are beside the company's own.
        """
        self.seed = seed
        self._wholesale = wholesale
        self.books = Books(-1, (), Timeline(), Timeline(), Timeline(), Timeline(), Timeline(), VisitLog())
        self._lock = Lock()
        self._people: list[Person] = []
        self._count_on: list[int] = []
        self._buying: dict[int, list[int]] = {}
        self._stopped_at: dict[int, int] = {}
        self._mailings = Mailings(seed, self._stopped_at)
        self._desk = Desk(seed)
        self._survey = Survey(seed)

    def reach(self, instant: int) -> Books:
        """Generate everything up to the business day of ``instant`` and return the books."""
        target = min(day_of(instant), _FURTHEST_DAY)
        if self.books.through < target:
            with self._lock:
                if self.books.through < target:
                    self.books = self._generate(target)
        return self.books

    def reach_day(self, day: date) -> Books:
        """Generate everything up to the business day ``day`` and return the books."""
        return self.reach(opens_at(day_number(day)))

    def planted(self, day: date) -> dict[str, list[Planted]]:
        """Return what is wrong on purpose among the rows that appear on ``day``, by raw table."""
        return planted(day_number(day))

    def accounts(self, through: date) -> tuple[Person, ...]:
        """Return the customers who arrived up to ``through``, in order of arrival."""
        people = self.reach_day(through).people
        return people[: self._count_on[day_number(through)]] if day_number(through) >= 0 else ()

    def early_addresses(self, count: int) -> tuple[str, ...]:
        """Return addresses of customers of the first months, the same ones whatever the clock says."""
        people = self.accounts(date_of(120))
        known = [who.email for who in people if who.email and who.twin_of is None]
        step = max(1, len(known) // count)
        return tuple(known[::step][:count])

    def _generate(self, target: int) -> Books:
        batch, first = _Batch(), self.books.through + 1
        for day in range(first, target + 1):
            self._arrive(day)
        traits = Traits.of(self._people)
        for day in range(first, target + 1):
            self._live(day, traits, batch=batch)
        old = self.books
        return Books(
            through=target,
            people=tuple(self._people),
            accounts=Timeline(self._account_versions()),
            orders=old.orders.with_more(batch.orders),
            mail=old.mail.with_more(batch.mail),
            tickets=old.tickets.with_more(batch.tickets),
            responses=old.responses.with_more(batch.responses),
            visits=old.visits.with_more(batch.visits),
            wholesale=Wholesale(self._wholesale, tuple(self._people), tuple(self._count_on)),
        )

    def _arrive(self, day: int) -> None:
        for _ in range(arrivals(self.seed, day)):
            who = person(self.seed, len(self._people), day=day)
            self._people.append(who)
            for bought_at in who.purchases:
                self._buying.setdefault(day_of(bought_at), []).append(who.index)
        self._count_on.append(len(self._people))

    def _live(self, day: int, traits: Traits, *, batch: _Batch) -> None:
        count = self._count_on[day]
        people = self._people[:count]
        # A later arrival may have been entered first where many days are generated at once.
        buyers = sorted(self._buying.get(day, ()))
        batch.orders += sell(self.seed, day, buyers=[people[index] for index in buyers], people=people)
        batch.orders += wrong_orders(self.seed, day, people=people)
        before = self._buying.get(day - 3, ())
        events, clicks = self._mailings.day(day, traits, count=count, bought_before=before)
        batch.mail += _happened([*events, *wrong_mail(day)])
        batch.visits += visit(self.seed, day, traits=traits, count=count, buyers=sorted(set(buyers)), clicks=clicks)
        batch.tickets += self._desk.day(day, people, count=count, buyers=buyers)
        batch.responses += self._survey.day(day, people, buyers=buyers)

    def _account_versions(self) -> Iterable[Version[Account]]:
        for who in self._people:
            first = who if who.twin_of is None else self._people[who.twin_of]
            since = max(first.mail_since, who.arrived_at) if first.mail_since < NEVER else NEVER
            stopped = self._stopped_at.get(first.index, NEVER)
            yield from versions_of(who.index, _account_states(who, since=since, stopped=stopped))


def _account_states(who: Person, *, since: int, stopped: int) -> list[tuple[int, Account]]:
    states = [(who.arrived_at, Account(who, "NOT_SUBSCRIBED", None))]
    if since < NEVER:
        states.append((since, Account(who, "SUBSCRIBED", since)))
    if stopped < NEVER:
        states.append((max(stopped, since), Account(who, "UNSUBSCRIBED", stopped)))
    return states


def _happened(events: Iterable[MailEvent]) -> list[Version[MailEvent]]:
    return [Version(event.at, NEVER, event.number, event) for event in events]
