"""What sales people do in the sandbox CRM by themselves: contacts, companies, owners, stages, opt-outs, deals.

Belongs here: what a contact or a deal is at a moment, computed from its number. Does not belong here: what clients
wrote (``hubspot_store``), the wording of answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scoring_platform.sandbox.days import DAY, HOUR, date_of, moment
from scoring_platform.sandbox.hubspot_store import FIRST_ID, Record, iso
from scoring_platform.sandbox.people import Person
from scoring_platform.sandbox.population import Population

OWNERS = (
    ("71001", "Aoi", "Tanaka", "owner.kanto@example.com"),
    ("71002", "Ren", "Mori", "owner.kansai@example.com"),
    ("71003", "", "", "owner.online@example.com"),
)
"""Id, first name, last name and address; one has no name, as happens."""

LIFECYCLE_STAGES = (
    ("subscriber", "Subscriber"),
    ("lead", "Lead"),
    ("marketingqualifiedlead", "Marketing Qualified Lead"),
    ("customer", "Customer"),
    ("4711001", "Wholesale partner"),
)
"""Value and label; stages that an account adds have numbers for values."""

PIPELINE = "default"
DEAL_STAGES = (
    ("appointmentscheduled", "Appointment scheduled"),
    ("qualifiedtobuy", "Qualified to buy"),
    ("contractsent", "Contract sent"),
    ("closedwon", "Closed won"),
    ("closedlost", "Closed lost"),
)
"""Id and label in order; the last two end a deal."""

FIRST_COMPANY, FIRST_DEAL = 70_000_001, 90_000_001

_IN_COMPANY = 3
_EARLY_DAYS = 120
_BETWEEN_EDITS = 30 * DAY
_STAGE_AFTER = (0, 2 * DAY, 5 * DAY)
_CLOSED_AFTER = 12 * DAY
_FIRST_STAGES = ("subscriber", "lead", "marketingqualifiedlead", "4711001")


@dataclass(frozen=True)
class Past:
    """A contact that was there before the platform.

    Attributes:
        email: Its address.
        made_at: When it was made.
        first: Its properties then.
        changes: Instant and new properties of every change but those of the owner, in order.
        owners: Number of its first owner, who takes turns with the others; None without an owner.
    """

    email: str
    made_at: int
    first: dict[str, str]
    changes: tuple[tuple[int, dict[str, str]], ...]
    owners: int | None


@dataclass(frozen=True)
class Deal:
    """A deal in one of its states."""

    id: str
    contacts: tuple[str, ...]
    owner: str
    stage: str
    amount: int | None
    made_at: int
    updated_at: int
    closes_at: int

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""
        return self.stage in ("closedwon", "closedlost")

    def shown(self, stored: Record) -> Record:
        """Return the deal as a record, with what clients have ``stored`` of it."""
        amount = {} if self.amount is None else dict.fromkeys(("amount", "amount_in_home_currency"), str(self.amount))
        known = {
            "dealname": f"Deal {int(self.id) - FIRST_DEAL}",
            "pipeline": PIPELINE,
            "dealstage": self.stage,
            **amount,
            "hubspot_owner_id": self.owner,
            "closedate": iso(moment(self.closes_at)),
            "hs_is_closed": str(self.is_closed).lower(),
            "hs_is_closed_won": str(self.stage == "closedwon").lower(),
        }
        updated = max(stored.updated_at, iso(moment(self.updated_at)))
        return Record(self.id, {**known, **stored.properties}, iso(moment(self.made_at)), updated)


def pasts(population: Population, addresses: Sequence[str]) -> tuple[Past, ...]:
    """Return the contacts of the customers with these addresses, in this order."""
    people = {who.email: who for who in population.accounts(date_of(_EARLY_DAYS)) if who.twin_of is None}
    return tuple(_past(number, people[email]) for number, email in enumerate(addresses))


def as_of(contact: Record, past: Past, now: int) -> Record:
    """Return a stored contact with what sales people have changed up to ``now``, where no client has."""
    done = [(at, values) for at, values in (*past.changes, *_edits(past, now)) if at <= now]
    if not done:
        return contact
    latest: dict[str, str] = {}
    for _, values in sorted(done, key=lambda change: change[0]):
        latest |= values
    untouched = {name for name in latest if contact.properties.get(name) == past.first.get(name)}
    changed = {name: value for name, value in latest.items() if name in untouched}
    updated = max(contact.updated_at, iso(moment(max(at for at, _ in done))))
    return Record(contact.id, {**contact.properties, **changed}, contact.created_at, updated)


def companies(known: Sequence[Past]) -> Iterator[tuple[str, int]]:
    """Yield name and instant of making of every company, in order of their ids."""
    for first in range(0, len(known), _IN_COMPANY):
        made_at = min(past.made_at for past in known[first : first + _IN_COMPANY])
        yield f"Company {first // _IN_COMPANY}", made_at


def deal_numbers(known: Sequence[Past]) -> range:
    """Return which contacts have a deal."""
    return range(1, len(known), 3)


def opened_at(past: Past) -> int:
    """Return when the deal of a contact is opened."""
    return past.made_at + 3 * DAY


def deal_of(number: int, past: Past, now: int) -> Deal:
    """Return the deal of a contact as it is at ``now``, when it is open already."""
    return _deal(number, opened_at(past), max(0, now - opened_at(past)))


def _past(number: int, who: Person) -> Past:
    made_at = who.arrived_at + 2 * HOUR
    first, changes = {"email": who.email or ""}, []
    owner = number // 3 % len(OWNERS) if number % 3 == 0 else None
    if owner is not None:
        first["hubspot_owner_id"] = OWNERS[owner][0]
    if number % 2 == 0:
        first["lifecyclestage"] = _FIRST_STAGES[number // 2 % len(_FIRST_STAGES)]
        if who.purchases:
            changes.append((max(who.purchases[0], made_at) + 5 * HOUR, {"lifecyclestage": "customer"}))
    if number % 5 != 4:
        first["associatedcompanyid"] = str(FIRST_COMPANY + number // _IN_COMPANY)
    if number % 25 == 7:
        first["hs_email_optout"] = "true"
    if number % 50 == 12:
        # By telephone: no other system hears of it.
        changes.append((made_at + 40 * DAY, {"hs_email_optout": "true"}))
    return Past(who.email or "", made_at, first, tuple(changes), owner)


def _edits(past: Past, now: int) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the last change of owner up to ``now``."""
    turns = (now - past.made_at) // _BETWEEN_EDITS
    if past.owners is not None and turns > 0:
        owner = OWNERS[(past.owners + turns) % len(OWNERS)][0]
        yield past.made_at + turns * _BETWEEN_EDITS, {"hubspot_owner_id": owner}


def _deal(number: int, opened: int, age: int) -> Deal:
    contact = str(FIRST_ID + number)
    contacts = (str(FIRST_ID + number + 1), contact) if number % 15 == 4 else (contact,)
    place = max(index for index, after in enumerate(_STAGE_AFTER) if after <= age)
    stage, updated = DEAL_STAGES[place][0], opened + _STAGE_AFTER[place]
    if age >= _CLOSED_AFTER:
        stage, updated = "closedlost" if number % 2 else "closedwon", opened + _CLOSED_AFTER
    return Deal(
        id=str(FIRST_DEAL + number),
        contacts=() if number % 45 == 7 else contacts,
        owner=OWNERS[number % len(OWNERS)][0],
        stage=stage,
        amount=None if number % 30 == 10 else 20_000 + 1_000 * (number * 7 % 40),
        made_at=opened,
        updated_at=updated,
        closes_at=opened + _CLOSED_AFTER,
    )
