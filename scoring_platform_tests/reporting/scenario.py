"""Named days for the report's tests: an ordinary one, a first one, an empty one, one without sources, a crowded one."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from zoneinfo import ZoneInfo

from scoring_platform.reporting.charts import Charts, draw_charts
from scoring_platform.reporting.data import (
    CrmOutcome,
    DailySales,
    EmailEngagement,
    Headline,
    Language,
    Links,
    Movement,
    Mover,
    Nps,
    RejectReason,
    ReportData,
    RfmCell,
    Sales,
    ScoreBin,
    SegmentRow,
    TableQuality,
)
from scoring_platform.reporting.words import Edition

NO_PICTURES: Charts = {}
"""For tests of words and structure, which need not wait for drawing."""
AS_OF = date(2026, 11, 20)
LABELS = {
    "vip": ("VIP", "VIP"),
    "loyal": ("ロイヤル", "Loyal"),
    "at_risk": ("アットリスク", "At risk"),
    "prospect": ("見込み", "Prospect"),
}
REPORT = "https://reports.example.jp/2026-11-20/index.html"


def ordinary(language: Language = "ja", currency: str = "JPY") -> ReportData:
    """A day with everything: sources, a day before, movements, one failed CRM write, rows set aside."""
    rows = (("vip", 120, 118), ("loyal", 900, 905), ("at_risk", 880, 880), ("prospect", 500, 491))
    column = 0 if language == "ja" else 1
    return ReportData(
        as_of=AS_OF,
        company="Example Store",
        language=language,
        currency=currency,
        config_version="7f3a91c2",
        model_version="2026-11-a",
        generated_at=datetime(2026, 11, 21, 6, 4, tzinfo=ZoneInfo("Asia/Tokyo")),
        headline=Headline(2400, 1431, Decimal("1234567.4"), 128, 45.62, 0.062),
        headline_before=Headline(2394, 1433, Decimal(1000000), 130, 45.41, 0.054),
        last_28d=Sales(Decimal("15338708.00"), 2420),
        previous_28d=Sales(Decimal(16000000), 2400),
        segments=tuple(
            SegmentRow(code, LABELS[code][column], now, before, Decimal(now * 1000), 50.04)
            for code, now, before in rows
        ),
        movements=(
            Movement("loyal", "vip", 3, Decimal(90000)),
            Movement("vip", "at_risk", 1, Decimal(876000)),
            Movement("loyal", "at_risk", 4, Decimal(124000)),
        ),
        rfm=tuple(RfmCell(r, f, r * 10 + f, 3.25) for r in range(1, 6) for f in range(1, 6)),
        score_bins=tuple(ScoreBin(low, low + 5, low + 3, low + 2) for low in range(0, 100, 5)),
        risers=(Mover("c1", "t***@example.jp", 41.2, 68.9, "loyal", "own_events"),),
        fallers=(Mover("c2", "y***@example.com", 72.5, 49.1, "at_risk", "ageing"),),
        daily=tuple(
            DailySales(AS_OF - timedelta(days=89 - i), Decimal(400000 + i * 777), 60 + i % 9) for i in range(90)
        ),
        nps=Nps(86, 51, 33),
        engagement=EmailEngagement(18240, 6893, 812),
        crm=(CrmOutcome("hubspot", 183, 179, retry=1, dead=2, held=1),),
        quality=(
            TableQuality("raw_orders", "shopify", 128, 3, "warn", (RejectReason("currency: no rate", 3),)),
            TableQuality("raw_support_tickets", "zendesk", 0, 0, "empty"),
            TableQuality("raw_events", None, None, 0, "not_configured"),
        ),
        links=Links(assets_base="https://dagster.example.jp/assets/", report=REPORT),
    )


def first_day(language: Language = "ja") -> ReportData:
    """The first day of a lake: nothing to compare with."""
    data = ordinary(language)
    return replace(
        data,
        headline_before=None,
        previous_28d=None,
        movements=None,
        segments=tuple(replace(row, customers_before=None) for row in data.segments),
        score_bins=tuple(replace(each, customers_before=None) for each in data.score_bins),
        risers=(),
        fallers=(),
        daily=(data.daily or ())[-1:],
    )


def empty_day(language: Language = "ja") -> ReportData:
    """Every source is configured and nobody has come yet."""
    data = ordinary(language)
    nothing = Headline(0, 0, Decimal(0), 0, None, None)
    none_sold = Sales(Decimal(0), 0)
    return replace(
        data,
        headline=nothing,
        headline_before=nothing,
        last_28d=none_sold,
        previous_28d=none_sold,
        segments=tuple(SegmentRow(row.code, row.label, 0, 0, Decimal(0), None) for row in data.segments),
        movements=(),
        rfm=(),
        score_bins=(),
        risers=(),
        fallers=(),
        daily=(),
        nps=Nps(0, 0, 0),
        engagement=EmailEngagement(0, 0, 0),
        crm=(CrmOutcome("hubspot", 0, 0),),
        quality=(),
    )


def no_sources(language: Language = "ja") -> ReportData:
    """Customers from a CRM alone: no orders, no e-mail, no NPS, nothing written back."""
    return replace(
        ordinary(language),
        headline=Headline(12, None, None, None, 20.0, None),
        headline_before=Headline(11, None, None, None, 20.0, None),
        last_28d=None,
        previous_28d=None,
        daily=None,
        nps=None,
        engagement=None,
        crm=(),
        rfm=(),
    )


def crowded(language: Language = "en") -> ReportData:
    """Far more segments, movements, movers and problems than any shop has, with long labels."""
    data = ordinary(language)
    codes = [f"segment_{index:02d}" for index in range(40)]
    label = "とても長いセグメント名 & a very long label " * 3
    pairs = [(a, b) for a in codes for b in codes if a != b][:400]
    return replace(
        data,
        segments=tuple(SegmentRow(code, f"{label}{code}", 9_999_999, 1, Decimal(10**12), 99.9) for code in codes),
        movements=tuple(Movement(a, b, 12_345, Decimal(10**10)) for a, b in pairs),
        risers=tuple(Mover(f"r{i}", f"r{i}***@example.com", 1, 99, codes[0], "merges") for i in range(50)),
        quality=tuple(TableQuality(f"raw_{i}", "files", 10, 5, "warn") for i in range(60)),
        crm=tuple(CrmOutcome(f"crm{i}", 9, 0, dead=9) for i in range(8)),
    )


EDITIONS: dict[str, ReportData] = {
    "ordinary-ja": ordinary("ja"),
    "ordinary-en": ordinary("en", "USD"),
    "first-ja": first_day("ja"),
    "empty-en": empty_day("en"),
    "no_sources-ja": no_sources("ja"),
    "crowded-en": crowded("en"),
}


@cache
def pictures(edition: str) -> Charts:
    """The pictures of one of ``EDITIONS``, drawn once for all tests of a process."""
    return draw_charts(Edition.of(EDITIONS[edition]))
