"""Reads the figures of a day for the report.

Belongs here: queries over published tables, and their names and masks. Does not belong here: how they look
(``reporting``).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.contracts.masking import mask_email, mask_text
from scoring_platform.ingest.quarantine import quarantine_table
from scoring_platform.pipeline.activation import run_permission
from scoring_platform.pipeline.models import next_cut_offs, version_name, versions_for
from scoring_platform.pipeline.step import Step, span
from scoring_platform.reporting.data import (
    CrmOutcome,
    DailySales,
    EmailEngagement,
    Headline,
    Links,
    Movement,
    Mover,
    NextCutOffs,
    Nps,
    RejectReason,
    ReportData,
    RfmCell,
    Sales,
    ScoreBin,
    SegmentRow,
    TableQuality,
)

_BIN_WIDTH = 10
_RECENT_DAYS = 28
_TREND_DAYS = 90
NO_CURRENCY = "XXX"
"""ISO 4217's code for "no currency": nothing was ever ordered."""


def report_data(step: Step) -> ReportData:
    """Return everything the report of the run's day says."""
    day = step.last
    config = step.config
    before = day - timedelta(days=1)
    has_before = step.lake.version_id("customer_scores", before) is not None
    daily = _daily_sales(step)
    return ReportData(
        as_of=day,
        company=config.company.name,
        language=config.report.language,
        currency=_currency(step),
        config_version=step.settings.config_version,
        model_version=version_name(versions_for(step, [day])[day]),
        generated_at=step.now.astimezone(ZoneInfo(config.time_zone)),
        headline=_headline(step, day, daily),
        headline_before=_headline(step, before, daily) if has_before else None,
        last_28d=_sales(daily, day - timedelta(days=_RECENT_DAYS - 1), day),
        previous_28d=_sales_before(step, daily),
        segments=_segments(step, before if has_before else None),
        movements=_movements(step) if has_before else None,
        rfm=_rfm(step),
        score_bins=_score_bins(step, before if has_before else None),
        risers=_movers(step, rising=True) if has_before else (),
        fallers=_movers(step, rising=False) if has_before else (),
        daily=tuple(daily[d] for d in sorted(daily) if d > day - timedelta(days=_TREND_DAYS)) or None,
        nps=_nps(step),
        engagement=_engagement(step),
        crm=_crm(step),
        quality=_quality(step),
        next_cut_offs=_next_cut_offs(step),
        links=Links(assets_base=f"{config.report.dagster_url.rstrip('/')}/assets"),
    )


def _next_cut_offs(step: Step) -> NextCutOffs | None:
    coming = next_cut_offs(step)
    if coming is None:
        return None
    moved = coming.moved
    return NextCutOffs(coming.since, coming.buyers, moved["recency_days"], moved["frequency"], moved["monetary"])


def _currency(step: Step) -> str:
    if step.config.currency.reporting:
        return step.config.currency.reporting
    orders = step.read("raw_orders", step.lake.days("raw_orders", last=step.last)[-_TREND_DAYS:])
    seen = orders.currency.topk(1).to_pandas()["currency"].to_list()
    return seen[0] if seen else NO_CURRENCY


def _daily_sales(step: Step) -> dict[date, DailySales]:
    """All orders count here, also those without a customer."""
    if "raw_orders" not in step.settings.raw_tables:
        return {}
    first = max(step.config.history_start, step.last - timedelta(days=_TREND_DAYS - 1))
    orders = step.everything("raw_orders", first=first, last=step.last)
    counted = orders.filter(orders.status.isin(["paid", "returned"]))
    paid = counted.status == "paid"
    grouped = counted.group_by("as_of").aggregate(
        revenue=(
            counted.total_amount_reporting.sum(where=paid).fill_null(0) - counted.refunded_amount_reporting.sum()
        ).cast("decimal(18, 4)"),
        orders=paid.sum(),
    )
    found = {_day(row["as_of"]): row for row in grouped.to_pyarrow().to_pylist()}
    return {
        day: DailySales(
            day, found[day]["revenue"] if day in found else Decimal(0), int(found[day]["orders"]) if day in found else 0
        )
        for day in span(first, step.last)
    }


def _headline(step: Step, day: date, daily: dict[date, DailySales]) -> Headline:
    scores = step.read("customer_scores", [day])
    profiles = step.read("customer_profiles", [day])
    figures = scores.aggregate(n=scores.count(), mean=scores.total_score.cast("float64").mean())
    totals = figures.to_pyarrow().to_pylist()[0]
    buyers = int(profiles.filter(profiles.order_days_365d > 0).count().execute())
    sold = daily.get(day)
    return Headline(
        customers=int(totals["n"]),
        buyers_365d=buyers if daily else None,
        revenue=sold.revenue if sold else None,
        orders=sold.orders if sold else None,
        mean_score=totals["mean"],
        anonymous_share=_anonymous_share(step, day),
    )


def _anonymous_share(step: Step, day: date) -> float | None:
    orders = step.read("raw_orders", [day])
    paid = orders.filter(orders.status == "paid")
    nobody = paid.customer_ref.isnull() & paid.email.isnull()
    row = paid.aggregate(n=paid.count(), nobody=nobody.sum()).to_pyarrow().to_pylist()[0]
    return int(row["nobody"] or 0) / int(row["n"]) if row["n"] else None


def _sales(daily: dict[date, DailySales], first: date, last: date) -> Sales | None:
    days = [daily[day] for day in span(first, last) if day in daily]
    return Sales(sum((d.revenue for d in days), Decimal(0)), sum(d.orders for d in days)) if days else None


def _sales_before(step: Step, daily: dict[date, DailySales]) -> Sales | None:
    first = step.last - timedelta(days=2 * _RECENT_DAYS - 1)
    if first < step.config.history_start:
        return None
    return _sales(daily, first, step.last - timedelta(days=_RECENT_DAYS))


def _segments(step: Step, before: date | None) -> tuple[SegmentRow, ...]:
    """In the order of the labels: from the most to the least engaged."""
    rows = {row["segment"]: row for row in _segment_totals(step, step.last)}
    earlier = {row["segment"]: row["n"] for row in _segment_totals(step, before)} if before else None
    language = step.config.report.language
    found = []
    for code, label in step.config.segments.labels.items():
        if code not in step.config.segments.codes:
            continue
        row = rows.get(code)
        found.append(
            SegmentRow(
                code=code,
                label=getattr(label, language),
                customers=int(row["n"]) if row else 0,
                customers_before=None if earlier is None else int(earlier.get(code, 0)),
                net_spend_365d=row["spend"] if row else Decimal(0),
                mean_score=row["mean"] if row else None,
                colour=label.color,
            )
        )
    return tuple(found)


def _segment_totals(step: Step, day: date | None) -> list[dict[str, Any]]:
    if day is None:
        return []
    segments = step.read("customer_segments", [day]).select("customer_id", "segment")
    scores = step.read("customer_scores", [day]).select("customer_id", "monetary", "total_score")
    joined = segments.join(scores, "customer_id")
    grouped = joined.group_by("segment").aggregate(
        n=joined.count(),
        spend=joined.monetary.sum().cast("decimal(18, 4)"),
        mean=joined.total_score.cast("float64").mean(),
    )
    rows: list[dict[str, Any]] = grouped.to_pyarrow().to_pylist()
    return rows


def _movements(step: Step) -> tuple[Movement, ...]:
    moved = step.read("segment_transitions", step.days)
    grouped = moved.group_by(["from_segment", "to_segment"]).aggregate(
        n=moved.count(), value=moved.value_at_stake.sum().cast("decimal(18, 4)")
    )
    rows = grouped.order_by(ibis.desc("n"), "from_segment", "to_segment").to_pyarrow().to_pylist()
    return tuple(Movement(row["from_segment"], row["to_segment"], int(row["n"]), row["value"]) for row in rows)


def _rfm(step: Step) -> tuple[RfmCell, ...]:
    scores = step.read("customer_scores", step.days)
    bought = scores.filter(scores.r.notnull())
    grouped = bought.group_by(["r", "f"]).aggregate(n=bought.count(), m=bought.m.mean())
    rows = grouped.order_by("r", "f").to_pyarrow().to_pylist()
    return tuple(RfmCell(int(row["r"]), int(row["f"]), int(row["n"]), row["m"]) for row in rows)


def _score_bins(step: Step, before: date | None) -> tuple[ScoreBin, ...]:
    now = _binned(step, step.last)
    earlier = _binned(step, before) if before else None
    return tuple(
        ScoreBin(low, low + _BIN_WIDTH, now.get(low, 0), None if earlier is None else earlier.get(low, 0))
        for low in range(0, 100, _BIN_WIDTH)
    )


def _binned(step: Step, day: date) -> dict[int, int]:
    scores = step.read("customer_scores", [day])
    bin_start = (scores.total_score.cast("float64") / _BIN_WIDTH).floor().cast("int64") * _BIN_WIDTH
    low = ibis.least(bin_start, 100 - _BIN_WIDTH)
    rows = scores.group_by(low=low).aggregate(n=scores.count()).to_pyarrow().to_pylist()
    return {int(row["low"]): int(row["n"]) for row in rows}


def _movers(step: Step, *, rising: bool) -> tuple[Mover, ...]:
    now = step.read("customer_scores", step.days).select("customer_id", after="total_score")
    before = step.read("customer_scores", [step.last - timedelta(days=1)]).select("customer_id", before="total_score")
    names = step.read("customer_profiles", step.days).select("customer_id", "email")
    segments = step.read("customer_segments", step.days).select("customer_id", "segment")
    joined = now.join(before, "customer_id").join(names, "customer_id").join(segments, "customer_id")
    change = joined.after - joined.before
    moved = joined.filter(change > 0 if rising else change < 0)
    gain = moved.after - moved.before
    ordered = moved.order_by(ibis.desc(gain) if rising else gain, "customer_id")
    rows = ordered.limit(step.config.report.movers).to_pyarrow().to_pylist()
    return tuple(
        Mover(
            customer_id=row["customer_id"],
            label=f"{row['customer_id']} ({mask_email(row['email'])})" if row["email"] else row["customer_id"],
            before=float(row["before"]),
            after=float(row["after"]),
            segment=row["segment"],
        )
        for row in rows
    )


def _nps(step: Step) -> Nps | None:
    if "raw_nps_responses" not in step.settings.raw_tables:
        return None
    answers = step.read("nps_responses", step.days)
    recent = answers.filter(
        (answers.survey_date > ibis.literal(step.last - timedelta(days=_TREND_DAYS))) & answers.nps_segment.notnull()
    )
    counts = {
        row["nps_segment"]: int(row["n"])
        for row in recent.group_by("nps_segment").aggregate(n=recent.count()).to_pyarrow().to_pylist()
    }
    return Nps(counts.get("promoter", 0), counts.get("passive", 0), counts.get("detractor", 0))


def _engagement(step: Step) -> EmailEngagement | None:
    if "raw_email_events" not in step.settings.raw_tables:
        return None
    first = step.last - timedelta(days=_RECENT_DAYS - 1)
    activity = step.everything("customer_activity", first=first, last=step.last)
    row = (
        activity.aggregate(
            sent=activity.email_sent.sum(), opens=activity.email_opens.sum(), clicks=activity.email_clicks.sum()
        )
        .to_pyarrow()
        .to_pylist()[0]
    )
    return EmailEngagement(*(int(row[name] or 0) for name in ("sent", "opens", "clicks")))


def _crm(step: Step) -> tuple[CrmOutcome, ...]:
    sync = step.read("crm_sync", step.days)
    counts = sync.group_by(["crm", "status"]).aggregate(n=sync.count()).to_pyarrow().to_pylist()
    allowed = run_permission(step)
    found = []
    for crm in step.settings.crms:
        by_status = {row["status"]: int(row["n"]) for row in counts if row["crm"] == crm}
        found.append(
            CrmOutcome(
                crm=crm,
                # Who is not in the CRM is no row of it.
                planned=sum(count for status, count in by_status.items() if status != "absent"),
                inert_reason=allowed.reason or None,
                **{name: by_status.get(name, 0) for name in ("acknowledged", "retry", "dead", "unknown", "held")},
            )
        )
    return tuple(found)


def _quality(step: Step) -> tuple[TableQuality, ...]:
    found: list[TableQuality] = []
    for name, gives in step.settings.sources_in_use.items():
        found.extend(_table_quality(step, source=name, table=table) for table in sorted(gives))
    return tuple(sorted(found, key=lambda row: (row.table, row.source or "")))


def _table_quality(step: Step, *, source: str, table: str) -> TableQuality:
    contract = contract_of(table)
    rows = step.read(table, step.days)
    count = int(rows.filter(rows.source == source).count().execute())
    store = quarantine_table(contract)
    aside: ir.Table = step.engine.read(store, step.days)
    aside = aside.filter(aside.source == source)
    grouped = aside.group_by("reason").aggregate(n=aside.count())
    reasons = tuple(
        RejectReason(mask_text(row["reason"]), int(row["n"]))
        for row in grouped.order_by(ibis.desc("n"), "reason").to_pyarrow().to_pylist()
    )
    bad = sum(reason.rows for reason in reasons)
    quiet = not count and not _gave_lately(step, table, source)
    state = "warn" if bad else ("ok" if count else "none_yet" if quiet else "empty")
    return TableQuality(table, source, count, bad, state, reasons)  # type: ignore[arg-type]


def _gave_lately(step: Step, table: str, source: str) -> bool:
    """Whether a source gave rows in the weeks before: one that waits to be told something may never be told."""
    lately = step.everything(table, first=step.last - timedelta(days=_RECENT_DAYS), last=step.last)
    return bool(lately.filter(lately.source == source).limit(1).count().execute())


def _day(value: datetime | date) -> date:
    return value.date() if isinstance(value, datetime) else value
