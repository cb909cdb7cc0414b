"""What happened in three sentences, and what deserves a look.

Belongs here: choosing what is said from the figures, with the thresholds for saying it. Does not belong here: markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from scoring_platform.reporting.data import CrmOutcome, Movement, ReportData, Section
from scoring_platform.reporting.formats import rounded
from scoring_platform.reporting.tiles import relative_change, sign
from scoring_platform.reporting.words import Edition

Level = Literal["bad", "warn", "good"]

MAX_NOTICES = 5
REVENUE_DROP = Decimal("-0.10")
ANONYMOUS_SHARE = 0.20
MIN_NPS_ANSWERS = 30
_DIRECTIONS = {1: "up", -1: "down", 0: "flat"}
_LEVELS: tuple[Level, ...] = ("bad", "warn", "good")


@dataclass(frozen=True)
class Notice:
    """One thing to look at, and the section that has the detail."""

    level: Level
    text: str
    section: Section


@dataclass(frozen=True)
class WatchList:
    """The most urgent notices, and how many more there are."""

    shown: tuple[Notice, ...]
    left_out: int


def sentences(edition: Edition) -> tuple[str, str, str]:
    """Return what happened to sales, to customers and scores, and between segments."""
    return _sales_sentence(edition), _score_sentence(edition), _movement_sentence(edition)


def watch_list(edition: Edition) -> WatchList:
    """Return what to look at, the most urgent first, ``MAX_NOTICES`` of them."""
    found = [*_crm_notices(edition), *_movement_notices(edition), *_figure_notices(edition), *_quality_notices(edition)]
    ordered = sorted(found, key=lambda notice: _LEVELS.index(notice.level))
    return WatchList(tuple(ordered[:MAX_NOTICES]), left_out=max(len(ordered) - MAX_NOTICES, 0))


def movement_direction(data: ReportData, movement: Movement) -> int:
    """Return 1 towards a better segment, -1 towards a worse one, 0 when one of them is not in the report."""
    ranks = {row.code: rank for rank, row in enumerate(data.segments)}
    if movement.from_code not in ranks or movement.to_code not in ranks:
        return 0
    return sign(ranks[movement.from_code] - ranks[movement.to_code])


def _sales_sentence(edition: Edition) -> str:
    data, formats = edition.data, edition.formats
    if data.headline.revenue is None or data.headline.orders is None:
        return edition.say("story.sales_absent")
    before = data.headline_before.revenue if data.headline_before else None
    change = relative_change(data.headline.revenue, before) if before is not None else None
    key = "story.sales" if change is None else f"story.sales_{_DIRECTIONS[sign(change)]}"
    first = edition.say(
        key,
        data.headline.orders,
        day=formats.day_of_week(data.as_of),
        revenue=formats.money(data.headline.revenue),
        orders=formats.integer(data.headline.orders),
        change=formats.percent(abs(change or Decimal(0))),
    )
    return _joined(edition, first, _window_sentence(edition))


def _window_sentence(edition: Edition) -> str:
    change = _window_change(edition.data)
    if change is None:
        return ""
    return edition.say(f"story.window_{_DIRECTIONS[sign(change)]}", change=edition.formats.percent(abs(change)))


def _window_change(data: ReportData) -> Decimal | None:
    if data.last_28d is None or data.previous_28d is None:
        return None
    return relative_change(data.last_28d.revenue, data.previous_28d.revenue)


def _score_sentence(edition: Edition) -> str:
    now, before, formats = edition.data.headline, edition.data.headline_before, edition.formats
    if now.mean_score is None:
        return edition.say("story.no_customers")
    key, change = "story.score", Decimal(0)
    if before is not None and before.mean_score is not None:
        change = rounded(now.mean_score, 1) - rounded(before.mean_score, 1)
        key = f"story.score_{_DIRECTIONS[sign(change)]}"
    return edition.say(
        key,
        now.customers,
        customers=formats.integer(now.customers),
        score=formats.decimal(now.mean_score),
        change=formats.decimal(abs(change)),
    )


def _movement_sentence(edition: Edition) -> str:
    movements = edition.data.movements
    if movements is None:
        return edition.say("story.first_movement")
    if not movements:
        return edition.say("story.nobody_moved")
    formats = edition.formats
    ups, downs = _split(edition.data)
    total = _people(movements)
    counts = {"count": total, "up": _people(ups), "down": _people(downs)}
    first = edition.say("story.moved", total, **{name: formats.integer(count) for name, count in counts.items()})
    if not downs:
        return first
    value = sum((movement.value_at_stake for movement in downs), Decimal(0))
    return _joined(edition, first, edition.say("story.moved_value", value=formats.money(value)))


def _joined(edition: Edition, first: str, second: str) -> str:
    return (first + ("" if edition.data.language == "ja" else " ") + second).rstrip()


def _split(data: ReportData) -> tuple[list[Movement], list[Movement]]:
    movements = data.movements or ()
    ups = [movement for movement in movements if movement_direction(data, movement) > 0]
    downs = [movement for movement in movements if movement_direction(data, movement) < 0]
    return ups, downs


def _people(movements: Iterable[Movement]) -> int:
    return sum(movement.customers for movement in movements)


def _crm_notices(edition: Edition) -> Iterator[Notice]:
    for outcome in edition.data.crm:
        if outcome.dead:
            count = edition.formats.integer(outcome.dead)
            yield Notice("bad", edition.say("watch.crm_dead", outcome.dead, crm=outcome.crm, count=count), "crm")
        if outcome.inert_reason:
            yield Notice("warn", inert_text(edition, outcome), "crm")


def inert_text(edition: Edition, outcome: CrmOutcome) -> str:
    """Say why nothing was written to a CRM."""
    reason = edition.words.name("inert", outcome.inert_reason or "")
    return edition.say("watch.crm_inert", crm=outcome.crm, reason=reason)


def _movement_notices(edition: Edition) -> Iterator[Notice]:
    ups, downs = _split(edition.data)
    if downs:
        yield _movement_notice(edition, "warn", "watch.loss", max(downs, key=lambda each: each.value_at_stake))
    if ups:
        yield _movement_notice(edition, "good", "watch.gain", max(ups, key=lambda each: each.customers))


def _movement_notice(edition: Edition, level: Level, key: str, movement: Movement) -> Notice:
    text = edition.say(
        key,
        movement.customers,
        origin=edition.segment(movement.from_code),
        target=edition.segment(movement.to_code),
        count=edition.formats.integer(movement.customers),
        value=edition.formats.money(movement.value_at_stake),
    )
    return Notice(level, text, "movements")


def _figure_notices(edition: Edition) -> Iterator[Notice]:
    data, formats = edition.data, edition.formats
    change = _window_change(data)
    if change is not None and change <= REVENUE_DROP:
        yield Notice("warn", edition.say("watch.revenue", change=formats.percent(abs(change))), "sales")
    if data.next_cut_offs is not None:
        moved = {name: getattr(data.next_cut_offs, name) for name in ("buyers", "recency", "frequency", "monetary")}
        counts = {name: formats.integer(count) for name, count in moved.items()}
        day = formats.day_of_week(data.next_cut_offs.since)
        yield Notice("warn", edition.say("watch.cut_offs", day=day, **counts), "rfm")
    share = data.headline.anonymous_share
    if share is not None and share >= ANONYMOUS_SHARE:
        yield Notice("warn", edition.say("watch.anonymous", share=formats.percent(share)), "sales")
    nps = data.nps
    if nps is not None and nps.n >= MIN_NPS_ANSWERS and nps.score is not None and nps.score < 0:
        counts = {"promoters": formats.integer(nps.promoters), "detractors": formats.integer(nps.detractors)}
        yield Notice("warn", edition.say("watch.nps", score=formats.decimal(nps.score), **counts), "nps")


def _quality_notices(edition: Edition) -> Iterator[Notice]:
    for row in edition.data.quality:
        names = {"table": edition.words.name("table", row.table), "source": row.source or ""}
        if row.state == "empty":
            yield Notice("warn", edition.say("watch.empty", **names), "quality")
        elif row.quarantined:
            count = edition.formats.integer(row.quarantined)
            yield Notice("warn", edition.say("watch.quarantined", row.quarantined, count=count, **names), "quality")
