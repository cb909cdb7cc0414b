"""Random histories of a company, and the sources that tell of them as vendors do.

A history is a set of records; each has versions, and each version an instant at which it came about and one at which
the vendor shows it. Sources give pages out of order, rows twice, an older version beside a newer one, rows nobody asked
for. Many people with identifiers of their own live in one history, for what a query costs hardly depends on its rows.

Belongs here: what happens, and how it is told. Does not belong here: what ought to follow from it (``reference``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.pipeline.step import span
from scoring_platform.sources.protocol import Page, Window

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
PAST_DAYS = 40
SINGLE_DAYS = 5
TABLES = (
    "raw_orders", "raw_order_items", "raw_customers", "raw_email_events", "raw_web_activity", "raw_support_tickets",
    "raw_events", "raw_consents", "raw_crm_contacts",
)  # fmt: skip
FILE_TABLES = ("raw_orders", "raw_order_items", "raw_customers", "raw_email_events", "raw_events", "raw_consents")
REPORTING, KNOWN, UNKNOWN = "EUR", "USD", "XAU"
_GIVERS = {
    "raw_email_events": "klaviyo",
    "raw_web_activity": "ga4",
    "raw_support_tickets": "zendesk",
    "raw_crm_contacts": "crm",
}
_OFFSETS = (UTC, ZoneInfo("Asia/Tokyo"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata"))


@dataclass(frozen=True)
class Version:
    """A record as it was from ``changed_at`` on; the vendor shows it from ``visible_at`` on."""

    changed_at: datetime
    visible_at: datetime
    row: Mapping[str, Any]


@dataclass
class Record:
    """One record of one system. A file forgets it at ``gone_at``."""

    source: str
    table: str
    versions: list[Version] = field(default_factory=list)
    gone_at: datetime | None = None

    def at(self, instant: datetime) -> Version | None:
        """Return the version that its system shows just before ``instant``."""
        if self.gone_at is not None and self.gone_at < instant:
            return None
        shown = [version for version in self.versions if version.visible_at < instant]
        return shown[-1] if shown else None


@dataclass
class History:
    """What happened, where, and when the platform looks at it.

    Attributes:
        zone: Business time zone.
        files_zone: Zone in which the files write times without an offset.
        last: The last day.
        mornings: When the run of each day takes place.
        seed: Decides how it is told.
        records: What happened.
    """

    zone: ZoneInfo
    files_zone: ZoneInfo
    last: date
    mornings: Mapping[date, datetime]
    seed: int
    records: list[Record] = field(default_factory=list)

    @property
    def first(self) -> date:
        """The first day that is loaded."""
        return self.last - timedelta(days=PAST_DAYS)

    @property
    def days(self) -> list[date]:
        """Every day that is loaded."""
        return span(self.first, self.last)

    @property
    def rates(self) -> dict[str, Decimal]:
        """Rate of the known currency by month."""
        months = sorted({day.strftime("%Y-%m") for day in self.days})
        return {month: Decimal("0.9137") + Decimal("0.1013") * place for place, month in enumerate(months)}

    def final(self, table: str) -> list[tuple[str, Mapping[str, Any]]]:
        """Return what each system shows of a table when the last run looks: source and row."""
        shown = [(record.source, record.at(self.mornings[self.last])) for record in self.records_of(table)]
        return [(source, version.row) for source, version in shown if version is not None]

    def records_of(self, table: str) -> list[Record]:
        """Return the records of one table."""
        return [record for record in self.records if record.table == table]


@dataclass(frozen=True)
class ApiSettings:
    """What the section of such a source promises."""

    gives: frozenset[str]
    whole: frozenset[str] = frozenset()
    cadence: str = "daily"


@dataclass(frozen=True)
class Api:
    """A vendor that gives the present state of what changed within a window, and is sloppy where vendors are."""

    name: str
    history: History

    @property
    def settings(self) -> ApiSettings:
        """Its section."""
        return ApiSettings(frozenset({record.table for record in self.history.records if record.source == self.name}))

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Give pages in no order."""
        chance = Random(f"{self.history.seed} {self.name} {table} {window}")
        versioned = contract_of(table).version_column is not None
        rows: list[Mapping[str, Any]] = []
        for record in self.history.records_of(table):
            shown = record.at(window.until) if record.source == self.name else None
            if shown is None:
                continue
            older = [one.row for one in record.versions if one.changed_at < shown.changed_at] if versioned else []
            asked = window.since <= shown.changed_at < window.until
            if asked or (not versioned and chance.random() < 0.03):
                rows.extend([shown.row] * chance.choice([1, 1, 1, 1, 2]))
            if older and chance.random() < (0.3 if asked else 0.03):  # changed while being read, or a stale replica
                rows.append(chance.choice(older))
        chance.shuffle(rows)
        for start in range(0, len(rows), 40):
            yield [_spoken(row, chance) for row in rows[start : start + 40]]

    def probe(self) -> str:
        return "open"


def _spoken(row: Mapping[str, Any], chance: Random) -> dict[str, Any]:
    """Write instants as vendors do: with Z or with the offset of any place."""
    return {name: _told(value, chance) if isinstance(value, datetime) else value for name, value in row.items()}


def _told(instant: datetime, chance: Random) -> str:
    text = instant.astimezone(chance.choice(_OFFSETS)).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def file_rows(history: History, table: str, now: datetime) -> list[dict[str, Any]]:
    """Return what the export of ``now`` holds: times without an offset, sometimes an older version of a row too."""
    chance = Random(f"{history.seed} {table} {now}")
    versioned = contract_of(table).version_column is not None
    rows: list[Mapping[str, Any]] = []
    for record in history.records_of(table):
        shown = record.at(now) if record.source == "files" else None
        if shown is not None:
            older = [one.row for one in record.versions if one.changed_at < shown.changed_at] if versioned else []
            rows += [shown.row, *chance.sample(older, k=min(len(older), chance.choice([0, 0, 1])))]
    chance.shuffle(rows)
    columns = contract_of(table).given_columns
    return [{name: _naive(row.get(name), history.files_zone) for name in columns} for row in rows]


def _naive(value: Any, zone: ZoneInfo) -> Any:
    return value.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else value


def random_history(seed: int, *, people: int) -> History:
    """Return the lives of ``people`` random people."""
    chance = Random(seed)
    zone, files_zone, last = PLACES[seed % len(PLACES)]
    history = History(ZoneInfo(zone), ZoneInfo(files_zone), last, {}, seed)
    history.mornings = {day: _morning(history, day, chance) for day in history.days}
    for _ in range(people):
        _Life(history, Random(chance.random()), f"{chance.randrange(16**6):06x}").live()
    return history


def _morning(history: History, day: date, chance: Random) -> datetime:
    midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=history.zone).astimezone(UTC)
    return midnight + (timedelta(hours=9) if day == history.last else timedelta(minutes=chance.choice([1, 20, 360])))


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
        if self.chance.random() < 0.5:
            self._acquaintance()
        for happens, most in (
            (self._order, 6), (self._return, 1), (self._mail, 6), (self._ticket, 2), (self._visit, 8),
            (self._consent, 4), (self._event, 4), (self._contact, 1),
        ):  # fmt: skip
            for _ in range(self.chance.randint(0, most)):
                happens()

    # What happens

    def _account(self, ref: str) -> None:
        created = self._moment()
        row = {"customer_ref": ref, "email": self._maybe(self._email()), "created_at": created}
        record = self._record("raw_customers", self._shop(), created, row)
        if self.chance.random() < 0.4:
            self._edit(record, self._later(created), email=self._maybe(self._email()))

    def _order(self) -> None:
        placed, source = self._moment(), self._shop()
        row = {
            "status": self.chance.choice(["paid"] * 6 + ["pending", "cancelled", "test", "lost at sea"]),
            "currency": self.chance.choice([REPORTING] * 6 + [KNOWN] * 4 + [UNKNOWN]),
        }
        order = self._paid(source, placed, customer_ref=self._maybe(self._ref()), email=self._maybe(self._email()), **row)
        number = order.versions[0].row["order_id"]
        line = {"order_id": number, "line_id": "1", "product_id": "p", "ordered_at": placed}
        known = order.versions[0].changed_at
        item = self._record("raw_order_items", source, known, {**line, "quantity": 1, "amount": self._amount()})
        for _ in range(self.chance.choice([0, 0, 1, 1, 2, 3])):
            at = self._later(order.versions[-1].changed_at)
            if self._edit(order, at, **self._changes(order.versions[-1].row)):
                placed = order.versions[-1].row["ordered_at"]
                self._edit(item, at, amount=self._amount(), ordered_at=placed)

    def _paid(self, source: str, placed: datetime, **more: Any) -> Record:
        """Add an order; sometimes the clock of the till is ahead of that of the shop."""
        known = placed - timedelta(minutes=self.chance.choice([0] * 3 + [100]))
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

    def _ticket(self, email: str = "", at: datetime | None = None) -> None:
        at = at or self._moment()
        row = {"ticket_id": self._id("t"), "email": email or self._email(), "created_at": at, "status": "open"}
        record = self._record("raw_support_tickets", "zendesk", self._heard(at), {**row, "satisfaction": None})
        for rated in self.chance.choice([[], ["good"], ["bad"], ["bad", "good"]]):
            self._edit(record, self._later(record.versions[-1].changed_at), satisfaction=rated)

    def _acquaintance(self) -> None:
        """An account visits; somebody who writes agreed to be tracked; that they are one is heard, or unheard, late."""
        ref, email = self._ref(), self._email()
        self._ticket(email, self._recent(2 * SINGLE_DAYS))
        self._consent(email, self._recent(2 * SINGLE_DAYS))
        for _ in range(3):
            self._visit(ref, self._recent())
        placed = self._recent()
        order = self._paid("shopify", placed, customer_ref=ref, email=self._maybe(email))
        at = self._later(order.versions[-1].changed_at)
        self._edit(order, at, email=self.chance.choice([email, None, self._email()]))

    def _recent(self, days: int = SINGLE_DAYS) -> datetime:
        return self._clear(self.now - timedelta(minutes=self.chance.randint(60, days * 24 * 60)))

    def _visit(self, ref: str | None = None, at: datetime | None = None) -> None:
        at = at or self._moment()
        ref = ref or self._maybe(self._ref())
        row = {
            "activity_on": at.astimezone(self.history.zone).date(),
            "customer_ref": ref,
            "client_id": self._device() if ref is None else self._maybe(self._device()),
            "campaign": self._id("k"),
        }
        known = self._heard(at)
        record = self._record("raw_web_activity", "ga4", known, {**row, **self._visited()})
        if self.chance.random() < 0.3:
            self._edit(record, self._later(known), **self._visited())

    def _visited(self) -> dict[str, int]:
        numbers = {name: self.chance.randint(0, 9) for name in ("pageviews", "engaged_seconds", "conversions")}
        return {"sessions": self.chance.randint(1, 3), **numbers}

    def _consent(self, who: str = "", at: datetime | None = None) -> None:
        at = at or self._moment()
        source = self._giver("raw_consents", other="webhooks")
        channel, purpose = self.chance.choice([("web", "tracking")] * 4 + [("email", "marketing")])
        row = {
            "event_id": self._id("c"),
            "subject": who or self.chance.choice([self._ref(), self._email()]),
            "channel": channel,
            "purpose": purpose,
            "status": self.chance.choice(["granted"] * 4 + ["denied", "revoked"]),
            "occurred_at": at,
        }
        self._record("raw_consents", source, self._heard(at), row)

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
        while (
            at.astimezone(self.history.files_zone).replace(fold=0).astimezone(UTC)
            != at.astimezone(self.history.files_zone).replace(fold=1).astimezone(UTC)
        ):
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


def sources_of(history: History) -> Sequence[Api]:
    """Return the vendors of a history, in a fixed order."""
    names = sorted({record.source for record in history.records} - {"files"})
    return [Api(name, history) for name in names]
