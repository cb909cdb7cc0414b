"""The message in Slack: five numbers, the movement, the problems, one link.

Belongs here: which parts the summary has. Does not belong here: limits and shapes (``blocks``), sending.
"""

from __future__ import annotations

from scoring_platform.reporting.blocks import (
    MAX_MESSAGE_TEXT,
    SlackMessage,
    bullets,
    button,
    clipped,
    context,
    escape,
    fields,
    header,
    section,
)
from scoring_platform.reporting.data import Movement, ReportData
from scoring_platform.reporting.story import Notice, movement_direction, sentences, watch_list
from scoring_platform.reporting.tiles import Tile, main_tiles
from scoring_platform.reporting.words import Edition

MAX_MOVEMENTS = 6
_MARKS = {1: "↑", -1: "↓", 0: "→"}


def render_slack(data: ReportData) -> SlackMessage:
    """Return the summary of one report."""
    edition = Edition.of(data)
    title = f"{data.company} {edition.formats.day(data.as_of)}"
    parts = [
        header(title),
        fields([_number(tile) for tile in main_tiles(edition)]),
        section(_movement_text(edition)),
        section(_notice_text(edition)),
        *button(edition.say("open_report"), data.links.report),
        context(escape(edition.say("generated", instant=edition.formats.instant(data.generated_at)))),
    ]
    text = clipped(escape(f"{title} {sentences(edition)[0]}"), MAX_MESSAGE_TEXT)
    return SlackMessage(text=text, blocks=parts)


def _number(tile: Tile) -> str:
    change = f"\n{tile.change.arrow} {tile.change.text} {tile.change.versus}" if tile.change else ""
    return f"*{escape(tile.label)}*\n{escape(tile.text + change)}"


def _movement_text(edition: Edition) -> str:
    lead = escape(sentences(edition)[2])
    movements = sorted(edition.data.movements or (), key=lambda row: (-row.customers, row.from_code, row.to_code))
    lines = bullets((_movement_line(edition, row) for row in movements), limit=MAX_MOVEMENTS, rest=_rest(edition))
    return f"*{escape(edition.say('head.movements'))}*\n{lead}" + (f"\n{lines}" if lines else "")


def _movement_line(edition: Edition, row: Movement) -> str:
    route = f"{edition.segment(row.from_code)} → {edition.segment(row.to_code)}"
    people = edition.say("people", row.customers, count=edition.formats.integer(row.customers))
    mark = _MARKS[movement_direction(edition.data, row)]
    return escape(f"{mark} {route}{edition.say('colon')}{people} ({edition.formats.money(row.value_at_stake)})")


def _notice_text(edition: Edition) -> str:
    watch = watch_list(edition)
    lines = "\n".join(f"• {_notice_line(edition, notice)}" for notice in watch.shown)
    if watch.left_out:
        lines += "\n" + _rest(edition).format(count=watch.left_out)
    return f"*{escape(edition.say('head.watch'))}*\n{lines or escape(edition.say('watch.none'))}"


def _notice_line(edition: Edition, notice: Notice) -> str:
    return f"*{escape(edition.say(f'level.{notice.level}'))}* {escape(notice.text)}"


def _rest(edition: Edition) -> str:
    return edition.say("and_more", count="{count}")
