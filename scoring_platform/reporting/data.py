"""What the report is made from: plain figures of one day, already computed, named and masked.

Belongs here: the frozen dataclasses a caller fills from the tables of ``contracts/derived.py``. Does not belong here:
queries, formulas of the domain, wording. Money is ``Decimal`` in the reporting currency, shares are 0-1, scores 0-100.
``None`` always means "there is no source for this" or "there is no day before"; it is never written as 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from scoring_platform.errors import ConfigurationError, ContractError

Language = Literal["ja", "en"]
Section = Literal["segments", "movements", "rfm", "scores", "movers", "sales", "nps", "engagement", "crm", "quality"]
QualityState = Literal["ok", "warn", "empty", "none_yet", "not_configured"]

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_ASSETS: Mapping[str, str] = {
    "segments": "customer_segments",
    "movements": "segment_transitions",
    "rfm": "customer_scores",
    "scores": "customer_scores",
    "movers": "customer_scores",
    "sales": "customer_activity",
    "nps": "nps_responses",
    "engagement": "raw_email_events",
    "crm": "crm_sync",
}


def _require_finite(owner: str, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not math.isfinite(value):
            msg = f"{owner}.{name} is {value}; pass a finite number, or None when there is none"
            raise ContractError(msg)


def _require_web_address(owner: str, address: str | None) -> None:
    if address is not None and not address.startswith(("https://", "http://")):
        msg = f"{owner} must start with https:// or http://; other links are refused in a report"
        raise ConfigurationError(msg)


@dataclass(frozen=True)
class Headline:
    """The key figures at the end of one day.

    ``revenue`` and ``orders`` are of that day alone, all orders included; they and the buyers are None without a
    source of orders. ``mean_score`` is None without customers, ``anonymous_share`` (orders without a customer, 0-1)
    is None without orders.
    """

    customers: int
    buyers_365d: int | None
    revenue: Decimal | None
    orders: int | None
    mean_score: float | None
    anonymous_share: float | None

    def __post_init__(self) -> None:
        """Refuse NaN and infinity."""
        _require_finite("Headline", mean_score=self.mean_score, anonymous_share=self.anonymous_share)


@dataclass(frozen=True)
class Sales:
    """Revenue and orders of a period (28 days)."""

    revenue: Decimal
    orders: int


@dataclass(frozen=True)
class DailySales:
    """Revenue and orders of one day."""

    day: date
    revenue: Decimal
    orders: int


@dataclass(frozen=True)
class SegmentRow:
    """One segment at the end of the day.

    ``customers_before`` is None on a first day; ``mean_score`` is None when nobody is in it; ``colour`` (#rrggbb)
    overrides the palette. The label is in the language of the report.
    """

    code: str
    label: str
    customers: int
    customers_before: int | None
    net_spend_365d: Decimal
    mean_score: float | None
    colour: str | None = None

    def __post_init__(self) -> None:
        """Refuse a colour that is not a plain hexadecimal one, and NaN."""
        _require_finite("SegmentRow", mean_score=self.mean_score)
        if self.colour is not None and not _COLOUR.fullmatch(self.colour):
            msg = f"segment {self.code}: colour {self.colour!r} is not of the form #rrggbb"
            raise ConfigurationError(msg)


@dataclass(frozen=True)
class Movement:
    """Customers who went from one segment to another on this day (``segment_transitions``, counted)."""

    from_code: str
    to_code: str
    customers: int
    value_at_stake: Decimal


@dataclass(frozen=True)
class RfmCell:
    """Customers with recency band ``r`` and frequency band ``f`` (1-5, 5 is best) and their mean monetary band."""

    r: int
    f: int
    customers: int
    mean_m: float | None


@dataclass(frozen=True)
class ScoreBin:
    """Customers whose total score is in [low, high); the last bin includes its upper end."""

    low: float
    high: float
    customers: int
    customers_before: int | None


@dataclass(frozen=True)
class Mover:
    """A customer whose total score moved much.

    ``label`` is what a person may see, masked by the caller (such as ``t***@example.jp``). ``cause`` is the column of
    ``score_changes`` with the largest part of the move.
    """

    customer_id: str
    label: str
    before: float
    after: float
    segment: str
    cause: str | None = None

    def __post_init__(self) -> None:
        """Refuse NaN and infinity."""
        _require_finite("Mover", before=self.before, after=self.after)


@dataclass(frozen=True)
class Nps:
    """Scored NPS answers of the last 90 days."""

    promoters: int
    passives: int
    detractors: int

    @property
    def n(self) -> int:
        """Scored answers."""
        return self.promoters + self.passives + self.detractors

    @property
    def score(self) -> float | None:
        """Share of promoters less share of detractors, times 100; None without answers."""
        return (self.promoters - self.detractors) * 100 / self.n if self.n else None


@dataclass(frozen=True)
class EmailEngagement:
    """Marketing e-mails of the last 28 days; opens and clicks by people."""

    sent: int
    opens: int
    clicks: int


@dataclass(frozen=True)
class CrmOutcome:
    """What became of the writes to one CRM (``crm_sync``, counted).

    ``inert_reason`` says why nothing was sent: not_newest, too_old, range, or a sentence of the caller.
    """

    crm: str
    planned: int
    acknowledged: int
    retry: int = 0
    dead: int = 0
    unknown: int = 0
    held: int = 0
    inert_reason: str | None = None


@dataclass(frozen=True)
class RejectReason:
    """Why rows were set aside, and how many."""

    reason: str
    rows: int


@dataclass(frozen=True)
class TableQuality:
    """One raw table of one source: rows taken, rows set aside. ``source`` and ``rows`` are None when not configured."""

    table: str
    source: str | None
    rows: int | None
    quarantined: int
    state: QualityState
    reasons: tuple[RejectReason, ...] = ()


@dataclass(frozen=True)
class NextCutOffs:
    """What the cut-offs of the next month will move.

    Attributes:
        since: First day they are in force.
        buyers: Buyers of the window.
        recency: How many of them will be in another recency band.
        frequency: The same of frequency.
        monetary: The same of spend.
    """

    since: date
    buyers: int
    recency: int
    frequency: int
    monetary: int


@dataclass(frozen=True)
class Links:
    """Where a reader can go on; every part is optional.

    ``assets_base`` is the address to which an asset's name is added (``https://dagster.example.jp/assets``);
    ``report`` is the page itself, for the mail and the message; ``sections`` overrides single sections.
    """

    assets_base: str | None = None
    report: str | None = None
    sections: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse addresses a browser would run instead of open."""
        _require_web_address("links.assets_base", self.assets_base)
        _require_web_address("links.report", self.report)
        for name, address in self.sections.items():
            _require_web_address(f"links.sections[{name}]", address)

    def asset(self, table: str) -> str | None:
        """Address of one asset, or None."""
        return f"{self.assets_base.rstrip('/')}/{table}" if self.assets_base else None

    def section(self, section: Section) -> str | None:
        """Address behind one section of the report, or None."""
        asset = _ASSETS.get(section)
        return self.sections.get(section) or (self.asset(asset) if asset else None)


@dataclass(frozen=True)
class ReportData:
    """Everything one morning report says.

    Attributes:
        as_of: The day the report is about.
        company: Name in the heading.
        language: Language of the report; labels of segments are in it already.
        currency: ISO 4217 code of the reporting currency.
        config_version: ``customer_scores.config_version``.
        model_version: ``customer_scores.model_version``.
        generated_at: When the figures were read, in the business time zone (with offset).
        headline: Figures of the day.
        headline_before: The same of the day before; None on the first day.
        last_28d: Sales of the 28 days up to the day; None without a source of orders.
        previous_28d: Sales of the 28 days before those; None when the history does not reach back.
        segments: Every segment, from the most to the least engaged; a movement towards the front is "up".
        movements: Movements of the day; None on a first day, empty when nobody moved.
        rfm: Cells of the r x f grid that have customers.
        score_bins: Distribution of the total score, in ascending order.
        risers: Largest gains of total score, largest first.
        fallers: Largest losses, largest first.
        daily: Up to 90 days of sales, ascending; None without a source of orders.
        nps: None when no source of NPS answers is configured.
        engagement: None when no source of e-mail events is configured.
        crm: One outcome per configured CRM; empty when none is.
        quality: One row per raw table and source.
        next_cut_offs: On the last day of a month, what those of the next will move.
        links: Where to go on.
    """

    as_of: date
    company: str
    language: Language
    currency: str
    config_version: str
    model_version: str
    generated_at: datetime
    headline: Headline
    headline_before: Headline | None
    last_28d: Sales | None
    previous_28d: Sales | None
    segments: tuple[SegmentRow, ...]
    movements: tuple[Movement, ...] | None
    rfm: tuple[RfmCell, ...]
    score_bins: tuple[ScoreBin, ...]
    risers: tuple[Mover, ...]
    fallers: tuple[Mover, ...]
    daily: tuple[DailySales, ...] | None
    nps: Nps | None
    engagement: EmailEngagement | None
    crm: tuple[CrmOutcome, ...]
    quality: tuple[TableQuality, ...]
    next_cut_offs: NextCutOffs | None = None
    links: Links = Links()

    def __post_init__(self) -> None:
        """Refuse a currency that is no ISO code and an instant without an offset."""
        if not _CURRENCY.fullmatch(self.currency):
            msg = f"currency {self.currency!r} is no ISO 4217 code such as JPY; set currency.reporting in scoring.yaml"
            raise ConfigurationError(msg)
        if self.generated_at.tzinfo is None:
            msg = "ReportData.generated_at has no offset; pass it in the business time zone"
            raise ContractError(msg)
