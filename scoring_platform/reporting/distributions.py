"""Charts of distributions and time: RFM grid, scores, revenue.

Belongs here: how these figures are drawn. Does not belong here: tables and wording.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from matplotlib.axes import Axes

from scoring_platform.reporting.canvas import Align, Canvas, Chart
from scoring_platform.reporting.data import DailySales, RfmCell, ScoreBin
from scoring_platform.reporting.palette import ACCENT, FAINT, INK, MUTED, PAPER, SOFT, between, contrast
from scoring_platform.reporting.words import Edition

BANDS = 5
MEAN_DAYS = 7
# A young shop's few days keep the width of days instead of filling the sheet.
MIN_DAY_SLOTS = 28
_CELL_LIGHT, _CELL_DARK = "#e3eef6", "#0b4a75"


def rfm_chart(edition: Edition) -> Chart | None:
    """Return the recency by frequency grid with customers and mean M; None without buyers."""
    cells = [cell for cell in edition.data.rfm if cell.customers]
    if not cells:
        return None
    canvas = Canvas(300, edition.data.language)
    grid = canvas.panel(36, 0, 480, height=270)
    grid.set(xlim=(0.5, BANDS + 0.5), ylim=(0.5, BANDS + 0.5))
    fullest = max(cells, key=lambda cell: cell.customers)
    known = {(cell.r, cell.f): cell for cell in cells}
    for r in range(1, BANDS + 1):
        for f in range(1, BANDS + 1):
            _rfm_cell(canvas, grid, edition, r=r, f=f, cell=known.get((r, f)), top=fullest.customers)
    for band in range(1, BANDS + 1):
        canvas.write(grid, 0.36, band, text=f"R{band}", align="center", colour=MUTED)
        canvas.write(grid, band, 0.28, text=f"F{band}", align="center", colour=MUTED)
    count = edition.formats.integer(fullest.customers)
    return canvas.chart(edition.say("alt.rfm", r=str(fullest.r), f=str(fullest.f), count=count))


def _rfm_cell(canvas: Canvas, grid: Axes, edition: Edition, *, r: int, f: int, cell: RfmCell | None, top: int) -> None:
    # The square root keeps sparse cells visible beside one very full one.
    colour = between(_CELL_LIGHT, _CELL_DARK, sqrt(cell.customers / top)) if cell else FAINT
    grid.barh(r, 1, left=f - 0.5, height=1, color=colour, edgecolor=PAPER, linewidth=2)
    if cell is None:
        return
    ink = max((INK, PAPER), key=lambda each: contrast(each, colour))
    canvas.write(grid, f, r + 0.13, text=edition.formats.integer(cell.customers), align="center", colour=ink)
    if cell.mean_m is not None:
        text = f"M {edition.formats.decimal(cell.mean_m)}"
        canvas.write(grid, f, r - 0.22, text=text, align="center", colour=ink, small=True)


def scores_chart(edition: Edition) -> Chart | None:
    """Return the distribution of the total score with the day before as a line; None without customers."""
    bins = edition.data.score_bins
    if not any(each.customers or each.customers_before for each in bins):
        return None
    canvas = Canvas(300, edition.data.language)
    axes = canvas.panel(44, 24, 460, height=246)
    top = max(max(each.customers, each.customers_before or 0) for each in bins)
    axes.set(xlim=(bins[0].low, bins[-1].high), ylim=(0, top * 1.05))
    _count_axis(canvas, axes, edition, top=top)
    for each in bins:
        width = each.high - each.low
        axes.bar(each.low + width / 2, each.customers, width=width * 0.86, color=SOFT)
    _score_line(axes, bins)
    _score_axis(canvas, axes, edition, top=top)
    return canvas.chart(_score_alt(edition, bins))


def _score_line(axes: Axes, bins: Sequence[ScoreBin]) -> None:
    if any(each.customers_before is None for each in bins):
        return
    edges = [each.low for each in bins] + [bins[-1].high]
    axes.stairs([each.customers_before or 0 for each in bins], edges, color=ACCENT, linewidth=1.3, baseline=None)


def _score_axis(canvas: Canvas, axes: Axes, edition: Edition, *, top: int) -> None:
    low, high = axes.get_xlim()
    for step in range(BANDS + 1):
        value = low + (high - low) * step / BANDS
        canvas.write(
            axes, value, -top * 0.06, text=edition.formats.decimal(value, 0), align="center", colour=MUTED, small=True
        )
    mean = edition.data.headline.mean_score
    if mean is not None:
        axes.axvline(mean, color=INK, linewidth=1, linestyle=(0, (3, 2)))
        text = edition.say("chart.mean", value=edition.formats.decimal(mean))
        canvas.write(axes, mean, top * 1.11, text=text, align="center", small=True)


def _score_alt(edition: Edition, bins: Sequence[ScoreBin]) -> str:
    fullest = max(bins, key=lambda each: each.customers)
    return edition.say(
        "alt.scores",
        low=edition.formats.decimal(fullest.low, 0),
        high=edition.formats.decimal(fullest.high, 0),
        count=edition.formats.integer(fullest.customers),
    )


def _count_axis(canvas: Canvas, axes: Axes, edition: Edition, *, top: int) -> None:
    for value in _round_steps(top):
        canvas.rule(axes, value)
        text = edition.formats.integer(int(value))
        canvas.write(axes, _left_of(axes), value, text=text, align="right", colour=MUTED, small=True)


def _left_of(axes: Axes) -> float:
    low, high = axes.get_xlim()
    return low - (high - low) * 0.015


def _round_steps(top: float) -> list[float]:
    """Return two to four round numbers from 0 to ``top``."""
    step = 1.0
    while top / step >= 4:
        step *= 2.5 if f"{step:.0f}"[0] == "2" else 2
    return [step * index for index in range(int(top / step) + 1)]


def sales_chart(edition: Edition) -> Chart | None:
    """Return daily revenue with its 7-day mean above daily orders; None without a day."""
    days = edition.data.daily
    if not days:
        return None
    canvas = Canvas(300, edition.data.language)
    _revenue_panel(canvas, edition, days)
    _orders_panel(canvas, edition, days)
    formats = edition.formats
    start, end = formats.day_short(days[0].day), formats.day_short(days[-1].day)
    return canvas.chart(edition.say("alt.sales", start=start, end=end, revenue=formats.money(days[-1].revenue)))


def _revenue_panel(canvas: Canvas, edition: Edition, days: Sequence[DailySales]) -> None:
    values = [float(each.revenue) for each in days]
    axes = canvas.panel(62, 26, 452, height=160)
    top = max([1.0, *values])
    axes.set(xlim=_day_range(len(days)), ylim=(min([0.0, *values]), top * 1.03))
    _panel_title(canvas, axes, edition.say("col.revenue"))
    for value in _round_steps(top):
        canvas.rule(axes, value)
        text = edition.formats.money_short(value)
        canvas.write(axes, _left_of(axes), value, text=text, align="right", colour=MUTED, small=True)
    axes.bar(range(len(days)), values, width=0.8, color=_last_stands_out(len(days)))
    if len(days) > MEAN_DAYS:
        axes.plot(range(MEAN_DAYS - 1, len(days)), _trailing_means(values), color=INK, linewidth=1.6)


def _orders_panel(canvas: Canvas, edition: Edition, days: Sequence[DailySales]) -> None:
    axes = canvas.panel(62, 222, 452, height=52)
    top = max([1, *(each.orders for each in days)])
    axes.set(xlim=_day_range(len(days)), ylim=(0, top * 1.03))
    _panel_title(canvas, axes, edition.say("col.orders"))
    for value in (0, top):
        canvas.rule(axes, value)
        text = edition.formats.integer(value)
        canvas.write(axes, _left_of(axes), value, text=text, align="right", colour=MUTED, small=True)
    axes.bar(range(len(days)), [each.orders for each in days], width=0.8, color=_last_stands_out(len(days)))
    for index in _labelled_days(len(days)):
        text = edition.formats.day_short(days[index].day)
        align: Align = "right" if index == len(days) - 1 else "left" if index == 0 else "center"
        canvas.write(axes, index, -top * 0.3, text=text, align=align, colour=MUTED, small=True)


def _labelled_days(count: int) -> list[int]:
    """Return the days with a date below: the last, and the first and the middle where there is room."""
    return sorted({0, (count - 1) // 2, count - 1}) if count >= MIN_DAY_SLOTS else [count - 1]


def _panel_title(canvas: Canvas, axes: Axes, text: str) -> None:
    high = axes.get_ylim()[1]
    pixel = high / (axes.get_position().height * canvas.height)
    canvas.write(axes, axes.get_xlim()[0], high + 12 * pixel, text=text, colour=MUTED, small=True)


def _day_range(count: int) -> tuple[float, float]:
    return count - max(count, MIN_DAY_SLOTS) - 0.8, count - 0.2


def _last_stands_out(count: int) -> list[str]:
    return [SOFT] * (count - 1) + [ACCENT]


def _trailing_means(values: Sequence[float]) -> list[float]:
    return [sum(values[end - MEAN_DAYS : end]) / MEAN_DAYS for end in range(MEAN_DAYS, len(values) + 1)]
