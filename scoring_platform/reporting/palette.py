"""Colours of the report, the same in charts, page and mail.

Belongs here: colour values and who wears which. Blue is gain and orange is loss, told apart by every kind of colour
vision; text colours keep a contrast of at least 4.5 on white and on the background. Does not belong here: drawing.
"""

from __future__ import annotations

from collections.abc import Sequence

from scoring_platform.reporting.data import SegmentRow

INK = "#1c2733"
MUTED = "#566373"
LINE = "#dfe4ea"
FAINT = "#eef1f5"
PAPER = "#ffffff"
BACKGROUND = "#f5f6f8"
ACCENT = "#1d5f8f"
GAIN = "#1d6fa5"
LOSS = "#b34a12"
SOFT = "#b9d3e6"

_SEGMENTS = {
    "vip": "#0b4a75",
    "loyal": "#2679ae",
    "promising": "#6aaed6",
    "new": "#7cc0b4",
    "needs_attention": "#e3bd68",
    "at_risk": "#e0924a",
    "cant_lose": "#c0561d",
    "dormant": "#a8a29e",
    "lost": "#716b68",
    "prospect": "#c3ccd6",
}
_OTHERS = ("#0072b2", "#e69f00", "#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#8c7b2f", "#5f5f7a")


def segment_colours(segments: Sequence[SegmentRow]) -> dict[str, str]:
    """Return the colour of each segment code; unknown codes take the next free one in order."""
    unknown = [row.code for row in segments if row.colour is None and row.code not in _SEGMENTS]
    spare = {code: _OTHERS[index % len(_OTHERS)] for index, code in enumerate(unknown)}
    return {row.code: row.colour or _SEGMENTS.get(row.code) or spare[row.code] for row in segments}


def between(start: str, end: str, share: float) -> str:
    """Mix two colours; 0 is ``start``, 1 is ``end``."""
    pairs = ((int(start[i : i + 2], 16), int(end[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def contrast(first: str, second: str) -> float:
    """Return the WCAG contrast ratio of two colours (1-21)."""
    bright, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
