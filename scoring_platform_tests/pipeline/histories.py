"""Histories of a company, and the sources that tell of them as vendors do.

A history is a set of records; each has versions, and each version an instant at which it came about and one at which
the vendor shows it. Sources give pages out of order, rows twice, an older version beside a newer one, rows nobody asked
for.

Belongs here: what a history is, and how it is told. Does not belong here: what happens (``lives``), what ought to
follow from it (``reference``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.pipeline.step import span
from scoring_platform.sources.protocol import Page, Window

PAST_DAYS = 40
TABLES = (
    "raw_orders", "raw_order_items", "raw_customers", "raw_email_events", "raw_web_activity", "raw_support_tickets",
    "raw_events", "raw_consents", "raw_crm_contacts",
)  # fmt: skip
FILE_TABLES = ("raw_orders", "raw_order_items", "raw_customers", "raw_email_events", "raw_events", "raw_consents")
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


def sources_of(history: History) -> Sequence[Api]:
    """Return the vendors of a history, in a fixed order."""
    names = sorted({record.source for record in history.records} - {"files"})
    return [Api(name, history) for name in names]
