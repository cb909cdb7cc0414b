"""A sheet to draw a chart on: one unit is one CSS pixel, text has Japanese glyphs, the result is a small PNG.

Belongs here: the figure, its panels and its text. Does not belong here: what a chart shows (``bars``,
``distributions``).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Importing registers IPAexGothic with matplotlib; the package ships no type information.
from matplotlib_fontja.matplotlib_fontja import FONT_NAME  # type: ignore[import-untyped]
from PIL import Image

from scoring_platform.reporting.data import Language
from scoring_platform.reporting.palette import INK, LINE, PAPER

WIDTH = 520
SCALE = 2
PALETTE_SIZE = 64
# matplotlib's unit of text is a point; with 72 pixels to the inch a point is a pixel.
_PIXELS_PER_INCH = 72
_FONTS: dict[Language, list[str]] = {"ja": [FONT_NAME, "DejaVu Sans"], "en": ["DejaVu Sans", FONT_NAME]}
_TEXT_SIZES: dict[Language, float] = {"ja": 13, "en": 11.5}

Align = Literal["left", "center", "right"]


@dataclass(frozen=True)
class Chart:
    """A picture, what it says in words, and its size in CSS pixels."""

    png: bytes
    alt: str
    width: int
    height: int


class Canvas:
    """A white sheet of ``WIDTH`` by ``height`` pixels; panels are placed from its top left corner."""

    def __init__(self, height: int, language: Language) -> None:
        """Open an empty sheet."""
        self.height = height
        self.language = language
        size = (WIDTH / _PIXELS_PER_INCH, height / _PIXELS_PER_INCH)
        self._figure = Figure(figsize=size, dpi=_PIXELS_PER_INCH * SCALE, facecolor=PAPER)
        FigureCanvasAgg(self._figure)

    def panel(self, left: float, top: float, width: float, *, height: float) -> Axes:
        """Return bare axes for the given rectangle."""
        bottom = self.height - top - height
        axes = self._figure.add_axes((left / WIDTH, bottom / self.height, width / WIDTH, height / self.height))
        axes.set_facecolor("none")
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xticks([])
        axes.set_yticks([])
        return axes

    def write(
        self, axes: Axes, x: float, y: float, *, text: str, align: Align = "left", colour: str = INK,
        small: bool = False, vertical: Literal["center", "top", "bottom"] = "center",
    ) -> None:  # fmt: skip
        """Write ``text`` at data coordinates of ``axes``."""
        size = _TEXT_SIZES[self.language] - (1.5 if small else 0)
        # Without parse_math=False two dollar signs would start a formula.
        axes.text(
            x, y, text, ha=align, va=vertical, color=colour, fontsize=size, clip_on=False,
            family=_FONTS[self.language], parse_math=False,
        )  # fmt: skip

    def rule(self, axes: Axes, y: float) -> None:
        """Draw a thin horizontal grid line."""
        axes.axhline(y, color=LINE, linewidth=0.8, zorder=0)

    def chart(self, alt: str) -> Chart:
        """Finish the sheet."""
        drawn = BytesIO()
        self._figure.savefig(drawn, format="png", dpi=_PIXELS_PER_INCH * SCALE, pil_kwargs={"compress_level": 1})
        picture = Image.open(drawn).convert("RGB")
        buffer = BytesIO()
        # A palette halves the file; the few flat colours of a chart do not need more.
        picture.quantize(PALETTE_SIZE, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
        return Chart(png=buffer.getvalue(), alt=alt, width=WIDTH, height=self.height)


def shortened(text: str, cells: int) -> str:
    """Cut ``text`` to a width in half-width cells (a Japanese character takes two), ending in an ellipsis."""
    kept, used = "", 0
    for character in text:
        used += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used > cells:
            return kept.rstrip() + "…"
        kept += character
    return kept
