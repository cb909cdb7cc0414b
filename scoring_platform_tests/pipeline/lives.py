"""Random lives: people with identifiers of their own, and all that happens around them.

Many of them live in one history, for what a query costs hardly depends on its rows.

Belongs here: what happens, where and when. Does not belong here: how it is told (``histories``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform_tests.pipeline.histories import PAST_DAYS, TABLES, History, Record, Version

# Business zone, zone of the files' naive times, last day: clocks change shortly before it.
PLACES = (
    ("Europe/Berlin", "America/New_York", date(2026, 3, 31)),
    ("America/New_York", "Asia/Tokyo", date(2026, 3, 10)),
    ("America/Sao_Paulo", "UTC", date(2018, 11, 6)),
    ("Pacific/Auckland", "Europe/Berlin", date(2026, 4, 6)),
    ("Asia/Tokyo", "America/Sao_Paulo", date(2026, 3, 4)),
    ("Asia/Kolkata", "Pacific/Auckland", date(2026, 3, 2)),
    ("Europe/Berlin", "Europe/Berlin", date(2025, 10, 28)),
)
SINGLE_DAYS = 4
"""The last days, which are run one by one and in which most happens."""
REPORTING, KNOWN, UNKNOWN = "EUR", "USD", "XAU"
_GIVERS = {
    "raw_email_events": "klaviyo",
    "raw_web_activity": "ga4",
    "raw_support_tickets": "zendesk",
    "raw_crm_contacts": "crm",
}


def random_history(seed: int, *, people: int) -> History:
    """Return the lives of ``people`` random people."""
    chance = Random(seed)
    zone, files_zone, last = PLACES[seed % len(PLACES)]
    history = History(ZoneInfo(zone), ZoneInfo(files_zone), last, {}, seed)
    history.mornings = {day: _morning(history, day, chance) for day in history.days}
    for _ in range(people):
        _Life(history, Random(chance.random()), f"{chance.randrange(16**6):06x}").live()
    _calm(history, chance)
    return history


def _calm(history: History, chance: Random) -> None:
    """Let some tables fall silent before the single days: news of one table would hide what another's left stale."""
    since = history.mornings[history.last - timedelta(days=SINGLE_DAYS)]
    silent = {name for name in TABLES if chance.random() < 0.5}
    silent = silent - {"raw_order_items"} | ({"raw_order_items"} if "raw_orders" in silent else set())
    for record in history.records:
        if record.table in silent:
            record.versions = [version for version in record.versions if version.visible_at < since]
    history.records = [record for record in history.records if record.versions]


def _morning(history: History, day: date, chance: Random) -> datetime:
    midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=history.zone).astimezone(UTC)
    return midnight + (
        timedelta(hours=9) if day == history.last else timedelta(minutes=chance.choice([1, 20, 360, 360]))
    )


class _Life:
    """One person with accounts, addresses and devices, and everything that happens around them."""

    def __init__(self, history: History, chance: Random, name: str) -> None:
        self.history, self.chance, self.name = history, chance, name
        self.refs = [f"{letter}{name}" for letter in "rs"[: chance.randint(1, 2)]]
        self.emails = [f"{letter}{name}@example.com" for letter in "xyz"[: chance.randint(1, 3)]]
        self.devices = [f"{letter}{name}" for letter in "dg"[: chance.randint(1, 2)]]
        self.numbers = 0
        self.now = history.mornings[history.last]

    def live(self) -> None:
        """Let everything happen."""
        for ref in self.refs:
            if self.chance.random() < 0.7:
                self._account(ref)
        self._acquaintance()
        self._night()
        for happens, most in (
            (self._order, 6), (self._return, 1), (self._mail, 6), (self._ticket, 2), (self._visit, 8),
            (self._consent, 4), (self._event, 4), (self._contact, 1),
        ):  # fmt: skip
            for _ in range(self.chance.randint(0, most)):
                happens()
        self._household()

    # What happens

    def _account(self, ref: str) -> None:
        created = self.chance.choice([self._moment(), self._recent()])
        row = {"customer_ref": ref, "email": self._maybe(self._email()), "created_at": created}
        record = self._record("raw_customers", self._shop(), created, row)
        if self.chance.random() < 0.4:
            self._edit(record, self._later(created), email=self._maybe(self._email()))

    def _order(self) -> None:
        placed, source = self._moment(), self._shop()
        row = {
            "customer_ref": self._maybe(self._ref()),
            "email": self._maybe(self._email()),
            "status": self.chance.choice(["paid"] * 6 + ["pending", "cancelled", "test", "lost at sea"]),
            "currency": self.chance.choice([REPORTING] * 6 + [KNOWN] * 4 + [UNKNOWN]),
        }
        order = self._paid(source, placed, ahead=self.chance.choice([0, 0, 0, 100]), **row)
        number = order.versions[0].row["order_id"]
        line = {"order_id": number, "line_id": "1", "product_id": "p", "ordered_at": placed}
        known = order.versions[0].changed_at
        item = self._record("raw_order_items", source, known, {**line, "quantity": 1, "amount": self._amount()})
        for _ in range(self.chance.choice([0, 0, 1, 1, 2, 3])):
            at = self._later(order.versions[-1].changed_at)
            if self._edit(order, at, **self._changes(order.versions[-1].row)):
                placed = order.versions[-1].row["ordered_at"]
                self._edit(item, at, amount=self._amount(), ordered_at=placed)

    def _paid(self, source: str, placed: datetime, *, ahead: int = 0, **more: Any) -> Record:
        """Add a paid order; the clock of the till is some minutes ahead of that of the shop."""
        known = placed - timedelta(minutes=ahead)
        row = {
            "order_id": self._id("o"),
            "ordered_at": placed,
            "status": "paid",
            "currency": REPORTING,
            "total_amount": self._amount(),
            "refunded_amount": Decimal(0),
        }
        return self._record("raw_orders", source, known, {**row, **more})

    def _changes(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """What may become of an order."""
        total = row["total_amount"]
        moved = row["ordered_at"] + timedelta(hours=self.chance.choice([-30, -2, 2]))
        return self.chance.choice(
            [
                {"refunded_amount": total},
                {"refunded_amount": (total / 3).quantize(Decimal("0.01"))},
                {"status": "cancelled"},
                {"status": "paid"},
                {"total_amount": self._amount()},
                {"customer_ref": self._maybe(self._ref())},
                {"email": self._maybe(self._email())},
                {"ordered_at": self._clear(moved)},
            ]
        )

    def _return(self) -> None:
        at = self._moment()
        money = {"currency": self.chance.choice([REPORTING, KNOWN]), "total_amount": Decimal(0)}
        who = {"customer_ref": self._ref(), "email": self._maybe(self._email())}
        row = {"order_id": self._id("b"), "ordered_at": at, "status": "returned", "refunded_amount": self._amount()}
        self._record("raw_orders", self._shop(), at, {**row, **money, **who})

    def _mail(self) -> None:
        at = self._moment()
        kind = self.chance.choice(["sent", "delivered", "open", "open", "click", "bounce", "unsubscribe", "complaint"])
        row = {"event_id": self._id("m"), "email": self._email(), "kind": kind, "occurred_at": at}
        machine = self.chance.choice([None, True, False])
        self._record("raw_email_events", self._giver("raw_email_events"), self._heard(at), {**row, "machine": machine})

    def _ticket(self, email: str = "", at: datetime | None = None, *, heard: datetime | None = None) -> None:
        at = at or self._moment()
        row = {"ticket_id": self._id("t"), "email": email or self._email(), "created_at": at, "status": "open"}
        record = self._record("raw_support_tickets", "zendesk", heard or self._heard(at), {**row, "satisfaction": None})
        for rated in self.chance.choice([[], ["good"], ["bad"], ["bad", "good"]]):
            self._edit(record, self._later(record.versions[-1].changed_at), satisfaction=rated)

    def _acquaintance(self) -> None:
        """An account visits, somebody who writes agreed to be tracked: that they are one is heard, or unheard, late."""
        ref, email = f"q{self.name}", f"w{self.name}@example.com"
        days = self.chance.randint(SINGLE_DAYS + 5, PAST_DAYS - 5)
        first = self.now - timedelta(days=days, minutes=self.chance.randint(0, 999))

        def after(days: float) -> datetime:
            return self._clear(first + timedelta(days=days))

        self._paid("shopify", after(0), customer_ref=ref, email=None)
        self._consent(email, after(1), heard=self.chance.choice([after(1), self._recent()]))
        for place in range(2):
            self._visit(ref, after(2 + place))
        self._ticket(email, after(0.5), heard=self.chance.choice([after(0.5), self._recent()]))
        linked = self.chance.choice([after(0.7), after(0.7), after(3.5), self._recent()])
        order = self._paid("shopify", linked, customer_ref=ref, email=email)
        if self.chance.random() < 0.5:
            self._edit(order, self._recent(), email=self.chance.choice([None, self._email()]))

    def _household(self) -> None:
        """A device visits, an account agrees and refuses to be tracked; whose the device is, is known or heard late.

        Sometimes the account turns out to be one with somebody who decided too, or the device to be used by another.
        """
        ref, email, device = f"u{self.name}", f"v{self.name}@example.com", f"h{self.name}"
        first = self.now - timedelta(days=self.chance.randint(SINGLE_DAYS + 6, PAST_DAYS - 5), minutes=self.numbers)

        def after(days: float) -> datetime:
            return self._clear(first + timedelta(days=days))

        self._paid("shopify", after(0), customer_ref=ref, email=None)
        self._paid("shopify", after(0.5), customer_ref=None, email=email)
        decisions = [(ref, "granted", 1), (ref, "denied", 3), (email, self.chance.choice(["granted", "revoked"]), 2.5)]
        for who, status, day in decisions:
            heard = self.chance.choice([after(day), after(day), self._recent()])
            self._consent(who, after(day), heard=heard, status=status)
        for place in range(5):
            self._seen(after(place + 0.2), after(place + 0.3), customer_ref=None, client_id=device)
        recent = self._recent()
        linked, heard = self.chance.choice([(after(2), recent), (recent, recent), (after(2), after(2))])
        self._seen(linked, heard, customer_ref=ref, client_id=device)
        if self.chance.random() < 0.5:
            self._paid("shopify", self._recent(), customer_ref=ref, email=email)
        if self.chance.random() < 0.3:
            at, heard = sorted((self._recent(), self._recent()))
            self._seen(at, heard, customer_ref=self.refs[0], client_id=device)

    def _night(self) -> None:
        """The clock of a till is ahead: what it sells before midnight is an order of the next day."""
        midnight = datetime.combine(
            self._recent().astimezone(self.history.zone).date(), time(), tzinfo=self.history.zone
        )
        placed = self._clear(midnight.astimezone(UTC) + timedelta(minutes=self.chance.randint(0, 35)))
        self._paid("shopify", placed, ahead=100, customer_ref=self._ref())

    def _recent(self) -> datetime:
        return self._clear(self.now - timedelta(minutes=self.chance.randint(60, SINGLE_DAYS * 24 * 60)))

    def _visit(self, ref: str | None = None, at: datetime | None = None) -> None:
        at = at or self._moment()
        ref = ref or self._maybe(self._ref())
        device = self._device() if ref is None else self._maybe(self._device())
        self._seen(at, self._heard(at), customer_ref=ref, client_id=device)

    def _seen(self, at: datetime, known: datetime, **who: str | None) -> None:
        row = {"activity_on": at.astimezone(self.history.zone).date(), "campaign": self._id("k"), **who}
        record = self._record("raw_web_activity", "ga4", known, {**row, **self._visited()})
        if self.chance.random() < 0.3:
            self._edit(record, self._later(known), **self._visited())

    def _visited(self) -> dict[str, int]:
        numbers = {name: self.chance.randint(0, 9) for name in ("pageviews", "engaged_seconds", "conversions")}
        return {"sessions": self.chance.randint(1, 3), **numbers}

    def _consent(
        self, who: str = "", at: datetime | None = None, *, heard: datetime | None = None, status: str = ""
    ) -> None:
        at = at or self._moment()
        source = self._giver("raw_consents", other="webhooks")
        channel, purpose = self.chance.choice([("web", "tracking")] * 4 + [("email", "marketing")] * (not who))
        row = {
            "event_id": self._id("c"),
            "subject": who or self.chance.choice([self._ref(), self._email()]),
            "channel": channel,
            "purpose": purpose,
            "status": status or self.chance.choice(["granted"] * 4 + ["denied", "revoked"] * (not who)),
            "occurred_at": at,
        }
        self._record("raw_consents", source, heard or self._heard(at), row)

    def _event(self) -> None:
        at = self._moment()
        given = {"customer_ref": self._ref(), "email": self._email(), "client_id": self._device()}
        kept = self.chance.sample(sorted(given), k=self.chance.choice([1, 1, 2]))
        row = {"event_id": self._id("e"), "kind": "form", "occurred_at": at, **{name: given[name] for name in kept}}
        self._record("raw_events", self._giver("raw_events", other="webhooks"), self._heard(at), row)

    def _contact(self) -> None:
        created = self._moment()
        row = {"crm_id": f"k{self.name}", "email": self._email(), "created_at": self._maybe(created)}
        record = self._record("raw_crm_contacts", "crm", created, row)
        if self.chance.random() < 0.4:
            self._edit(record, self._later(created), email=self._email())

    # Where, who and when

    def _record(self, table: str, source: str, at: datetime, row: Mapping[str, Any]) -> Record:
        record = Record(source, table)
        self.history.records.append(record)
        self._edit(record, at, **row)
        if source == "files" and self.chance.random() < 0.05:
            record.gone_at = self._later(at)
        return record

    def _edit(self, record: Record, at: datetime, **changes: Any) -> bool:
        """Add a version; nothing happens after the last look, and no two things at one instant."""
        before = record.versions[-1] if record.versions else None
        if before is not None and (at <= before.changed_at or at >= self.now):
            return False
        delay = timedelta(minutes=self.chance.choice([0, 0, 5, 55]))
        row = {**(before.row if before else {}), **changes}
        if "updated_at" in contract_of(record.table).columns:
            row["updated_at"] = at
        record.versions.append(Version(at, at + delay, row))
        return True

    def _shop(self) -> str:
        return self.chance.choice(["shopify", "shopify", "files"])

    def _giver(self, table: str, *, other: str = "") -> str:
        return self.chance.choice([_GIVERS.get(table, "shopify"), "files", *([other] if other else [])])

    def _moment(self) -> datetime:
        """Return an instant, often near a midnight of the business zone and often within the last days."""
        history = self.history
        back = self.chance.choice([self.chance.randint(0, SINGLE_DAYS + 1), self.chance.randint(0, PAST_DAYS + 3)])
        day = datetime.combine(history.last - timedelta(days=back), time(), tzinfo=history.zone).astimezone(UTC)
        near = self.chance.choice([self.chance.randint(-90, 90), self.chance.randint(0, 24 * 60 - 1)])
        return self._clear(day + timedelta(minutes=near, seconds=self.chance.randint(0, 59)))

    def _heard(self, at: datetime) -> datetime:
        """Return when the vendor learns of something: mostly at once, sometimes days later."""
        return at if self.chance.random() < 0.75 else self._later(at)

    def _later(self, at: datetime) -> datetime:
        """Return a later instant: minutes, days or weeks on, near the end when it is known."""
        minutes = self.chance.choice([5, 45, 600, 1440, 2000, 9000, 30000])
        end = int((self.now - at).total_seconds() // 60)
        if end > 10 and self.chance.random() < 0.5:
            minutes = self.chance.randint(max(1, end - SINGLE_DAYS * 24 * 60), end - 1)
        return self._clear(at + timedelta(minutes=max(1, minutes)))

    def _clear(self, at: datetime) -> datetime:
        """Return an instant that a clock on the wall tells without doubt."""
        while at.astimezone(self.history.files_zone).replace(fold=0).astimezone(UTC) != at.astimezone(
            self.history.files_zone
        ).replace(fold=1).astimezone(UTC):
            at += timedelta(hours=1)
        return at

    def _id(self, letter: str) -> str:
        self.numbers += 1
        return f"{letter}{self.name}-{self.numbers}"

    def _ref(self) -> str:
        return self.chance.choice(self.refs)

    def _email(self) -> str:
        email = self.chance.choice(self.emails)
        return self.chance.choice([email, email, email.upper()])

    def _device(self) -> str:
        return self.chance.choice(self.devices)

    def _maybe(self, value: Any) -> Any:
        return self.chance.choice([value, value, None])

    def _amount(self) -> Decimal:
        return Decimal(self.chance.choice([0, 1999, 100001, self.chance.randint(1, 99999)])) / 100
