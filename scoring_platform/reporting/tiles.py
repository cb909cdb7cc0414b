"""The headline figures with their changes, as the page, the mail and the message all show them.

Belongs here: value, change, arrow and tone of each tile. Does not belong here: markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from scoring_platform.reporting.formats import Formats, rounded
from scoring_platform.reporting.words import Edition

Tone = Literal["good", "bad", "neutral"]

# Triangles are avoided: in Japanese accounts a filled triangle before a number means minus.
_ARROWS = {1: "↑", -1: "↓", 0: "→"}
MAIN_TILES = ("revenue", "orders", "customers", "buyers", "mean_score")


@dataclass(frozen=True)
class Change:
    """A difference in words: ``text`` has its sign, ``arrow`` its direction, ``tone`` whether that is welcome."""

    text: str
    arrow: str
    tone: Tone
    versus: str


@dataclass(frozen=True)
class Tile:
    """One key figure.

    ``text`` is the figure, or why there is none when ``present`` is False: a missing source is never a 0. ``change`` is
    None when there is nothing to compare with.
    """

    key: str
    label: str
    text: str
    present: bool
    change: Change | None


def sign(value: float | Decimal) -> int:
    """Return -1, 0 or 1."""
    return (value > 0) - (value < 0)


def relative_change(now: Decimal, before: Decimal) -> Decimal | None:
    """Return now / before - 1 to a tenth of a percent; None when there was nothing before."""
    return rounded((now - before) / before, 3) if before > 0 else None


def tiles(edition: Edition) -> tuple[Tile, ...]:
    """Return the eight tiles in reading order."""
    return (*_sales_tiles(edition), *_customer_tiles(edition))


def main_tiles(edition: Edition) -> tuple[Tile, ...]:
    """Return the five numbers of the message."""
    by_key = {tile.key: tile for tile in tiles(edition)}
    return tuple(by_key[key] for key in MAIN_TILES)


def _sales_tiles(edition: Edition) -> tuple[Tile, ...]:
    now, before = edition.data.headline, edition.data.headline_before
    window, earlier = edition.data.last_28d, edition.data.previous_28d
    return (
        _money_tile(edition, "revenue", now.revenue, before.revenue if before else None),
        _count_tile(edition, "orders", now.orders, before.orders if before else None),
        _money_tile(
            edition,
            "revenue_28d",
            window.revenue if window else None,
            earlier.revenue if earlier else None,
            versus="window",
        ),
        _count_tile(
            edition,
            "orders_28d",
            window.orders if window else None,
            earlier.orders if earlier else None,
            versus="window",
        ),
    )


def _customer_tiles(edition: Edition) -> tuple[Tile, ...]:
    now, before = edition.data.headline, edition.data.headline_before
    return (
        _count_tile(edition, "customers", now.customers, before.customers if before else None),
        _count_tile(edition, "buyers", now.buyers_365d, before.buyers_365d if before else None),
        _score_tile(edition, now.mean_score, before.mean_score if before else None),
        _share_tile(edition, now.anonymous_share, before.anonymous_share if before else None),
    )


def _tile(edition: Edition, key: str, text: str, change: Change | None) -> Tile:
    return Tile(key=key, label=edition.say(f"tile.{key}"), text=text, present=True, change=change)


def _absent(edition: Edition, key: str, why: str = "no_source") -> Tile:
    return Tile(key=key, label=edition.say(f"tile.{key}"), text=edition.say(why), present=False, change=None)


def _change(edition: Edition, text: str, direction: int, *, versus: str = "before", judged: bool = True) -> Change:
    tone: Tone = "neutral" if not judged or direction == 0 else "good" if direction > 0 else "bad"
    signed = edition.formats.signed(text, direction)
    return Change(text=signed, arrow=_ARROWS[direction], tone=tone, versus=edition.say(f"versus.{versus}"))


def _money_tile(
    edition: Edition, key: str, now: Decimal | None, before: Decimal | None, *, versus: str = "before"
) -> Tile:
    if now is None:
        return _absent(edition, key)
    value = edition.formats.money(now)
    if before is None:
        return _tile(edition, key, value, None)
    relative = relative_change(now, before)
    if relative is None:
        text, direction = edition.formats.money(abs(now - before)), sign(now - before)
    else:
        text, direction = edition.formats.percent(abs(relative)), sign(relative)
    return _tile(edition, key, value, _change(edition, text, direction, versus=versus))


def _count_tile(edition: Edition, key: str, now: int | None, before: int | None, *, versus: str = "before") -> Tile:
    if now is None:
        return _absent(edition, key)
    change = None
    if before is not None:
        difference = now - before
        change = _change(edition, edition.formats.integer(abs(difference)), sign(difference), versus=versus)
    return _tile(edition, key, edition.formats.integer(now), change)


def _score_tile(edition: Edition, now: float | None, before: float | None) -> Tile:
    formats: Formats = edition.formats
    if now is None:
        return _absent(edition, "mean_score", "not_applicable")
    value = edition.say("unit.points", value=formats.decimal(now))
    if before is None:
        return _tile(edition, "mean_score", value, None)
    # The difference of what is shown, so that the reader's own subtraction agrees.
    difference = rounded(now, 1) - rounded(before, 1)
    return _tile(edition, "mean_score", value, _change(edition, formats.decimal(abs(difference)), sign(difference)))


def _share_tile(edition: Edition, now: float | None, before: float | None) -> Tile:
    if now is None:
        return _absent(edition, "anonymous", "no_source" if edition.data.headline.orders is None else "not_applicable")
    value = edition.formats.percent(now)
    if before is None:
        return _tile(edition, "anonymous", value, None)
    difference = rounded(now * 100, 1) - rounded(before * 100, 1)
    text = edition.say("unit.share_points", value=edition.formats.decimal(abs(difference)))
    return _tile(edition, "anonymous", value, _change(edition, text, sign(difference), judged=False))
