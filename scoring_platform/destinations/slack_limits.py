"""Block Kit's limits, and cutting blocks down to them.

Belongs here: the numbers and the cutting, which says how much was cut. Does not belong here: what a message says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

MAX_TEXT = 4_000
MAX_BLOCKS = 50
MAX_HEADER = 150
MAX_SECTION = 3_000
MAX_FIELDS = 10
MAX_FIELD = 2_000
MAX_ELEMENTS = 10
MAX_ALT_TEXT = 2_000

_UNFINISHED = re.compile(r"(&[a-z]{0,4}|<[^>]*)$")


def clip(text: str, limit: int) -> str:
    """Cut ``text`` to ``limit`` characters, saying how many were cut; never inside ``&amp;`` or ``<link>``."""
    if len(text) <= limit:
        return text
    kept = limit - len(f" … (+{len(text)})")
    head = _UNFINISHED.sub("", text[:kept]).rstrip()
    return f"{head} … (+{len(text) - len(head)})"


def fit(blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return ``blocks`` within Slack's limits; what is left out is counted in its place."""
    fitted = [_fit_block(block) for block in blocks]
    if len(fitted) <= MAX_BLOCKS:
        return fitted
    left_out = len(fitted) - (MAX_BLOCKS - 1)
    return [*fitted[: MAX_BLOCKS - 1], {"type": "context", "elements": [_count(left_out)]}]


def _fit_block(block: Mapping[str, Any]) -> dict[str, Any]:
    fitted, kind = dict(block), block.get("type")
    if "text" in fitted:
        fitted["text"] = _fit_text(fitted["text"], MAX_HEADER if kind == "header" else MAX_SECTION)
    if "fields" in fitted:
        fields = [_fit_text(one, MAX_FIELD) for one in fitted["fields"]]
        fitted["fields"] = _fit_list(fields, MAX_FIELDS)
    if kind == "context" and "elements" in fitted:
        elements = [_fit_text(one, MAX_SECTION) for one in fitted["elements"]]
        fitted["elements"] = _fit_list(elements, MAX_ELEMENTS)
    if "alt_text" in fitted:
        fitted["alt_text"] = clip(str(fitted["alt_text"]), MAX_ALT_TEXT)
    return fitted


def _fit_text(item: Any, limit: int) -> Any:
    if not isinstance(item, Mapping) or not isinstance(item.get("text"), str):
        return item
    return {**item, "text": clip(item["text"], limit)}


def _fit_list(items: list[Any], limit: int) -> list[Any]:
    return items if len(items) <= limit else [*items[: limit - 1], _count(len(items) - limit + 1)]


def _count(left_out: int) -> dict[str, str]:
    return {"type": "mrkdwn", "text": f"… (+{left_out})"}
