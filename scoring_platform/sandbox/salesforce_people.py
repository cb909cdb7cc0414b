"""What the sales people of the sandbox company keep in Salesforce by themselves: contacts, accounts and deals.

Belongs here: which customers are in the CRM, who owns them, how their deals go. Does not belong here: what clients
write (``salesforce_store``), how it is asked for.

Every fourth customer with an address is a contact, every third of those has a deal. All follows from the population:
the same clock gives the same records.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scoring_platform.sandbox.days import DAY, HOUR, NEVER, date_of, day_of
from scoring_platform.sandbox.people import Person
from scoring_platform.sandbox.population import Books

OWNERS = {1: "Sales Kanto", 2: "Sales Kansai", 3: "Sales Online"}
"""Users by their number."""

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_STAGES = ("Prospecting", "Proposal/Price Quote", "Negotiation/Review")


@dataclass(frozen=True)
class Change:
    """What a record holds from an instant on: only the fields that change."""

    at: int
    sobject: str
    id: str
    values: dict[str, Any]


def record_id(prefix: str, number: int) -> str:
    """Return the 18 characters of a record id: prefix, number, and the part that makes it safe where case is lost."""
    short = f"{prefix}SB{number:010d}"
    blocks = (short[start : start + 5] for start in range(0, 15, 5))
    return short + "".join(_DIGITS[sum(1 << place for place, c in enumerate(block) if c.isupper())] for block in blocks)


def contact_id(index: int) -> str:
    """Return the contact of the customer with this index."""
    return record_id("003", index)


def changes(books: Books, now: int) -> Iterator[Change]:
    """Yield everything the sales people did up to ``now``, in no order."""
    stopped = {
        version.thing.person.index: version.thing.marketing_at
        for version in books.accounts.at(now)
        if version.thing.marketing == "UNSUBSCRIBED"
    }
    for who in books.people:
        if who.index % 4 == 1 and who.email and who.twin_of is None:
            happened = [*_contact(who, stopped.get(who.index)), *(_deal(who) if who.index % 12 == 1 else ())]
            yield from (change for change in happened if change.at <= now)


def _contact(who: Person, stopped_at: int | None) -> Iterator[Change]:
    made, owner = who.arrived_at + 2 * HOUR, record_id("005", 1 + who.index % len(OWNERS))
    account = record_id("001", who.index // 8)
    yield Change(made, "Account", account, {"Name": f"Household {who.index // 8}", "OwnerId": owner})
    values = {
        "AccountId": account,
        "LastName": f"Customer {who.index}",
        "Email": who.email,
        "OwnerId": owner,
        "HasOptedOutOfEmail": False,
        "Lifecycle_Stage__c": "Lead",
    }
    yield Change(made, "Contact", contact_id(who.index), values)
    if who.purchases:
        bought = max(who.purchases[0], made) + 5 * HOUR
        yield Change(bought, "Contact", contact_id(who.index), {"Lifecycle_Stage__c": "Customer"})
    if stopped_at is not None and stopped_at < NEVER:
        yield Change(max(stopped_at, made) + HOUR, "Contact", contact_id(who.index), {"HasOptedOutOfEmail": True})


def _deal(who: Person) -> Iterator[Change]:
    made, deal = who.arrived_at + DAY, record_id("006", who.index)
    closes = made + (6 + who.index % 9) * DAY
    values = {
        "Name": f"Subscription {who.index}",
        "ContactId": contact_id(who.index),
        "AccountId": record_id("001", who.index // 8),
        "OwnerId": record_id("005", 1 + who.index % len(OWNERS)),
        "Amount": float(1_000 * round(who.mean_spend / 100)),
        "CloseDate": date_of(day_of(closes)).isoformat(),
        "IsClosed": False,
        "IsWon": False,
    }
    for place, stage in enumerate(_STAGES):
        yield Change(
            made + place * 2 * DAY, "Opportunity", deal, {**(values if place == 0 else {}), "StageName": stage}
        )
    won = who.index % 24 == 1
    ended = {"StageName": "Closed Won" if won else "Closed Lost", "IsClosed": True, "IsWon": won}
    yield Change(closes, "Opportunity", deal, ended)
