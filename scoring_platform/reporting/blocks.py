"""Parts of a Slack message, within Slack's limits.

Belongs here: Block Kit shapes, limits, escaping and cutting. Does not belong here: what a message says, sending.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

MAX_BLOCKS = 50
MAX_HEADER = 150
MAX_SECTION_TEXT = 3000
MAX_FIELDS = 10
MAX_FIELD_TEXT = 2000
MAX_CONTEXT_TEXT = 2000
MAX_BUTTON_TEXT = 75
MAX_BUTTON_URL = 3000
MAX_MESSAGE_TEXT = 4000

Block = dict[str, Any]


@dataclass(frozen=True)
class SlackMessage:
    """The blocks and the text shown where blocks are not (notifications, search)."""

    text: str
    blocks: list[Block]


def escape(text: str) -> str:
    """Make ``text`` safe in mrkdwn: no mention, no link, no entity of its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def clipped(text: str, limit: int) -> str:
    """Cut ``text`` to ``limit`` characters, the last being an ellipsis; an escaped character is not cut in two."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    start = kept.rfind("&", -len("&amp;"))
    return (kept[:start] if start >= 0 and ";" not in kept[start:] else kept) + "…"


def header(text: str) -> Block:
    """Return a header of plain text."""
    return {"type": "header", "text": {"type": "plain_text", "text": clipped(text, MAX_HEADER), "emoji": False}}


def section(mrkdwn: str) -> Block:
    """Return a paragraph; ``mrkdwn`` is escaped already."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": clipped(mrkdwn, MAX_SECTION_TEXT)}}


def fields(texts: Sequence[str]) -> Block:
    """Return short texts in two columns; they are escaped already."""
    shown = [{"type": "mrkdwn", "text": clipped(text, MAX_FIELD_TEXT)} for text in texts[:MAX_FIELDS]]
    return {"type": "section", "fields": shown}


def context(mrkdwn: str) -> Block:
    """Return a small grey line."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": clipped(mrkdwn, MAX_CONTEXT_TEXT)}]}


def button(label: str, url: str | None) -> list[Block]:
    """Return a link button, or nothing without an address Slack would take."""
    if not url or len(url) > MAX_BUTTON_URL:
        return []
    text = {"type": "plain_text", "text": clipped(label, MAX_BUTTON_TEXT), "emoji": False}
    return [{"type": "actions", "elements": [{"type": "button", "text": text, "url": url}]}]


def bullets(lines: Iterable[str], *, limit: int, rest: str) -> str:
    """Return lines as a list of at most ``limit``; ``rest`` with ``{count}`` says how many are left out."""
    every = list(lines)
    shown = [f"• {line}" for line in every[:limit]]
    left = len(every) - len(shown)
    return "\n".join([*shown, rest.format(count=left)] if left else shown)
