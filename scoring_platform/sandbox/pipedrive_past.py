"""What happened in the sandbox's Pipedrive beside the platform: persons, their owners, organizations and deals.

Belongs here: what a person or a deal is at a moment, computed from its number. Does not belong here: what clients
wrote (``pipedrive_store``), the wording of answers (``pipedrive``, ``pipedrive_sales``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from scoring_platform.sandbox.days import DAY, HOUR, MINUTE, opens_at, seconds

FIRST_PERSON, FIRST_ORGANIZATION = 1_001, 3_001
USERS = ((71_001, "Sales East"), (71_002, "Sales West"), (71_003, "Sales Online"))
LABELS = ((1, "Cold lead"), (2, "Warm lead"), (3, "Customer"))
STAGES = ((1, "Qualified"), (2, "Contact made"), (3, "Proposal made"), (4, "Negotiations started"))

_CUSTOMER = 3
_SEEDED_AT = seconds(datetime(2025, 9, 1, 9, tzinfo=UTC))
_BETWEEN_DEALS = 35 * DAY
_BETWEEN_EDITS = 30 * DAY
_STAGE_AFTER = (0, 2 * DAY, 5 * DAY, 9 * DAY)
_CLOSED_AFTER = 12 * DAY
_PER_PERSON = 1_000
_IN_ORGANIZATION = 4


@dataclass(frozen=True)
class PastPerson:
    """A person as salespeople have left it."""

    id: int
    email: str
    owner: int
    organization: int | None
    label: int | None
    marketing: str
    added_at: int
    updated_at: int


@dataclass(frozen=True)
class Organization:
    """An organization: the persons of one come one after the other."""

    id: int
    owner: int
    added_at: int


@dataclass(frozen=True)
class Deal:
    """A deal in one of its states."""

    id: int
    person: int
    organization: int | None
    owner: int
    stage: int
    status: str
    value: int
    added_at: int
    updated_at: int
    closed_at: int | None


def past_persons(addresses: Sequence[str], now: int) -> Iterator[PastPerson]:
    """Yield the persons with these addresses as they are at ``now``."""
    for number in range(len(addresses)):
        person = past_person(FIRST_PERSON + number, addresses, now)
        if person is not None:
            yield person


def past_organizations(count: int, now: int) -> Iterator[Organization]:
    """Yield the organizations of the first ``count`` persons that there are at ``now``."""
    for number in range(0, count, _IN_ORGANIZATION):
        organization = past_organization(FIRST_ORGANIZATION + number // _IN_ORGANIZATION, count, now)
        if organization is not None:
            yield organization


def past_organization(key: int, count: int, now: int) -> Organization | None:
    """Return the organization with this id; None before it is added, and where there is none."""
    first = (key - FIRST_ORGANIZATION) * _IN_ORGANIZATION
    added = _added(first)
    if not 0 <= first < count or added > now:
        return None
    return Organization(key, USERS[first % len(USERS)][0], added)


def past_deals(count: int, now: int) -> Iterator[Deal]:
    """Yield the deals of the first ``count`` persons as they are at ``now``."""
    for number in range(0, count, 2):
        yield from _deals(number, now)


def past_deal(key: int, count: int, now: int) -> Deal | None:
    """Return the deal with this id as it is at ``now``; None where there is none."""
    number = (key - 1) // _PER_PERSON
    known = _deals(number, now) if 0 <= number < count and number % 2 == 0 else ()
    return next((deal for deal in known if deal.id == key), None)


def past_person(key: int, addresses: Sequence[str], now: int) -> PastPerson | None:
    """Return the person with this id as it is at ``now``; None before it is added, and where there is none."""
    number = key - FIRST_PERSON
    added = _added(number)
    if not 0 <= number < len(addresses) or added > now:
        return None
    deals = list(_deals(number, now)) if number % 2 == 0 else []
    edits = (now - _edits_begin(number)) // _BETWEEN_EDITS + 1 if number % 2 and now >= _edits_begin(number) else 0
    changes = [added, *(deal.added_at for deal in deals), *(deal.closed_at for deal in deals if deal.closed_at)]
    if edits:
        changes.append(_edits_begin(number) + (edits - 1) * _BETWEEN_EDITS)
    left = opens_at(60) + number * HOUR if number % 25 == 12 else None
    if left is not None and left <= now:
        changes.append(left)
    gone = number % 25 == 7 or (left is not None and left <= now)
    won = any(deal.status == "won" for deal in deals)
    return PastPerson(
        id=FIRST_PERSON + number,
        email=addresses[number],
        owner=USERS[(number + edits) % len(USERS)][0],
        organization=_organization_of(number),
        label=_CUSTOMER if won else (1 + number // 2 % 2 if number % 3 else None),
        marketing="unsubscribed" if gone else ("no_consent" if number % 4 == 0 else "subscribed"),
        added_at=added,
        updated_at=max(changes),
    )


def _added(number: int) -> int:
    return _SEEDED_AT + 37 * MINUTE * number


def _organization_of(number: int) -> int | None:
    """Return whose person this is; one of five is nobody's."""
    return None if number % 5 == 3 else FIRST_ORGANIZATION + number // _IN_ORGANIZATION


def _edits_begin(number: int) -> int:
    return opens_at(number * 7 % 30) + 10 * HOUR + number * MINUTE


def _deals(number: int, now: int) -> Iterator[Deal]:
    opened = opens_at(number * 11 % 35) + 9 * HOUR + number * 53 % 480 * MINUTE
    place = 0
    while opened <= now:
        age = now - opened
        stage = max(index for index, after in enumerate(_STAGE_AFTER) if after <= age)
        closed = opened + _CLOSED_AFTER if age >= _CLOSED_AFTER else None
        ending = "lost" if (number // 2 + place) % 3 == 0 else "won"
        yield Deal(
            id=number * _PER_PERSON + place + 1,
            person=FIRST_PERSON + number,
            organization=_organization_of(number),
            owner=USERS[number % len(USERS)][0],
            stage=STAGES[stage][0],
            status="open" if closed is None else ending,
            value=10_000 + 1_000 * (number * (place + 3) % 37),
            added_at=opened,
            updated_at=opened + _STAGE_AFTER[stage] if closed is None else closed,
            closed_at=closed,
        )
        opened, place = opened + _BETWEEN_DEALS, place + 1
