"""Chart of a backtest: what was forecast and what happened, by decile.

Belongs here: how deciles are drawn. Does not belong here: their figures (``fitting.backtest``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scoring_platform.reporting.canvas import Canvas, Chart
from scoring_platform.reporting.palette import ACCENT, INK, LINE, MUTED

_TICKS = 4


def calibration_chart(deciles: Sequence[Mapping[str, float]], *, title: str, share: bool) -> Chart:
    """Return forecast against outcome with its 95 % interval; on the diagonal the forecast was right.

    Args:
        deciles: n, forecast, actual, low and high of each.
        title: What was forecast, in up to 60 characters.
        share: Whether the values are shares of 1, else amounts.
    """
    canvas = Canvas(340, "en")
    axes = canvas.panel(64, 34, 424, height=250)
    most = 1.0 if share else max(max(one["forecast"], one["high"]) for one in deciles) * 1.05 or 1.0
    axes.set(xlim=(0, most), ylim=(0, most))
    axes.plot([0, most], [0, most], color=LINE, linewidth=1)
    for one in deciles:
        axes.plot([one["forecast"]] * 2, [max(one["low"], 0), one["high"]], color=ACCENT, linewidth=1.4)
        axes.plot(one["forecast"], one["actual"], marker="o", color=ACCENT, markersize=5)
    for step in range(_TICKS + 1):
        value = most * step / _TICKS
        canvas.rule(axes, value)
        said = f"{value:.0%}" if share else f"{value:,.0f}"
        canvas.write(axes, -most * 0.015, value, text=said, align="right", colour=MUTED, small=True)
        canvas.write(axes, value, -most * 0.05, text=said, align="center", colour=MUTED, small=True)
    canvas.write(axes, -most * 0.14, most * 1.09, text=title, colour=INK)
    canvas.write(axes, 0, -most * 0.15, text="to the right: forecast; upwards: what happened", colour=MUTED, small=True)
    return canvas.chart(_in_words(deciles, title, share=share))


def _in_words(deciles: Sequence[Mapping[str, float]], title: str, *, share: bool) -> str:
    inside = sum(one["low"] <= one["forecast"] <= one["high"] for one in deciles)
    least, most = deciles[0], deciles[-1]

    def said(value: float) -> str:
        return f"{value:.0%}" if share else f"{value:,.0f}"

    return (
        f"{title}: the forecast was within the interval of what happened in {inside} of {len(deciles)} deciles; "
        f"lowest {said(least['forecast'])} forecast, {said(least['actual'])} happened; "
        f"highest {said(most['forecast'])} forecast, {said(most['actual'])} happened"
    )
