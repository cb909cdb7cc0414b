"""Bar charts of the report: segments, movements, NPS.

Belongs here: how these figures are drawn. Does not belong here: tables and wording.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from scoring_platform.reporting.canvas import WIDTH, Align, Canvas, Chart, shortened
from scoring_platform.reporting.data import Movement, Nps, SegmentRow
from scoring_platform.reporting.palette import GAIN, INK, LINE, LOSS, MUTED, PAPER, SOFT, contrast, segment_colours
from scoring_platform.reporting.story import movement_direction
from scoring_platform.reporting.words import Edition

ROW = 28
HEADER = 30
LABEL_WIDTH = 118
MAX_BARS = 12
_BAR = 0.56


def segments_chart(edition: Edition) -> Chart | None:
    """Return customers (with the day before) and spend per segment; None when all are and were empty."""
    rows = edition.data.segments
    if not any(row.customers or row.customers_before for row in rows):
        return None
    height = len(rows) * ROW
    canvas = Canvas(HEADER + height + 6, edition.data.language)
    _segment_labels(canvas, rows, height)
    _segment_counts(canvas, edition, height)
    _segment_spend(canvas, edition, height)
    largest = max(rows, key=lambda row: row.customers)
    count = edition.formats.integer(largest.customers)
    return canvas.chart(edition.say("alt.segments", label=largest.label, count=count))


def _segment_labels(canvas: Canvas, rows: Sequence[SegmentRow], height: int) -> None:
    labels = canvas.panel(0, HEADER, LABEL_WIDTH, height=height)
    labels.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    for index, row in enumerate(rows):
        canvas.write(labels, 0, index, text=shortened(row.label, 17))


def _segment_counts(canvas: Canvas, edition: Edition, height: int) -> None:
    rows, colours = edition.data.segments, segment_colours(edition.data.segments)
    width = 150
    counts = canvas.panel(LABEL_WIDTH + 4, HEADER, width, height=height)
    top = max([1, *(row.customers for row in rows), *(row.customers_before or 0 for row in rows)])
    counts.set(xlim=(0, top), ylim=(len(rows) - 0.5, -0.5))
    canvas.write(counts, 0, -0.95, text=edition.say("col.customers"), colour=MUTED, small=True)
    for index, row in enumerate(rows):
        counts.barh(index, row.customers, height=_BAR, color=colours[row.code])
        if row.customers_before is not None:
            counts.plot([row.customers_before] * 2, [index - 0.4, index + 0.4], color=INK, linewidth=1.1, clip_on=False)
        end = max(row.customers, row.customers_before or 0) + top * 6 / width
        canvas.write(counts, end, index, text=edition.formats.integer(row.customers))


def _segment_spend(canvas: Canvas, edition: Edition, height: int) -> None:
    rows, colours = edition.data.segments, segment_colours(edition.data.segments)
    left, width = 336, 110
    spend = canvas.panel(left, HEADER, width, height=height)
    top = max([1.0, *(float(row.net_spend_365d) for row in rows)])
    spend.set(xlim=(0, top), ylim=(len(rows) - 0.5, -0.5))
    canvas.write(spend, 0, -0.95, text=edition.say("chart.spend"), colour=MUTED, small=True)
    for index, row in enumerate(rows):
        value = float(row.net_spend_365d)
        spend.barh(index, max(value, 0), height=_BAR, color=colours[row.code])
        text = edition.formats.money_short(row.net_spend_365d)
        canvas.write(spend, max(value, 0) + top * 6 / width, index, text=text)


def movements_chart(edition: Edition) -> Chart | None:
    """Return movements as bars, up to the right and down to the left; None when nobody moved."""
    rows = sorted(edition.data.movements or (), key=lambda row: -row.customers)
    if not rows:
        return None
    shown = sorted(rows[:MAX_BARS], key=lambda row: (-movement_direction(edition.data, row), -row.customers))
    left_out = len(rows) - len(shown)
    canvas = Canvas((len(shown) + bool(left_out)) * ROW + 8, edition.data.language)
    _movement_labels(canvas, edition, shown, left_out=left_out)
    _movement_bars(canvas, edition, shown)
    alt = edition.say(
        "alt.movements",
        origin=edition.segment(rows[0].from_code),
        target=edition.segment(rows[0].to_code),
        count=edition.formats.integer(rows[0].customers),
    )
    return canvas.chart(alt)


def _movement_labels(canvas: Canvas, edition: Edition, rows: Sequence[Movement], *, left_out: int) -> None:
    labels = canvas.panel(0, 4, 250, height=len(rows) * ROW)
    labels.set(xlim=(0, 250), ylim=(len(rows) - 0.5, -0.5))
    for index, row in enumerate(rows):
        canvas.write(labels, 112, index, text=shortened(edition.segment(row.from_code), 16), align="right")
        canvas.write(labels, 124, index, text="→", align="center", colour=MUTED)
        canvas.write(labels, 136, index, text=shortened(edition.segment(row.to_code), 16))
    if left_out:
        rest = edition.say("and_more", count=edition.formats.integer(left_out))
        canvas.write(labels, 136, len(rows), text=rest, colour=MUTED)


def _movement_bars(canvas: Canvas, edition: Edition, rows: Sequence[Movement]) -> None:
    left, width = 290, 190
    bars = canvas.panel(left, 4, width, height=len(rows) * ROW)
    top = max(row.customers for row in rows)
    directions = [movement_direction(edition.data, row) for row in rows]
    least, most = (-top if min(directions) < 0 else 0), (top if max(directions) >= 0 else 0)
    bars.set(xlim=(least, most), ylim=(len(rows) - 0.5, -0.5))
    pixel = (most - least) / width
    for index, (row, direction) in enumerate(zip(rows, directions, strict=True)):
        length = -row.customers if direction < 0 else row.customers
        bars.barh(index, length, height=_BAR, color={1: GAIN, -1: LOSS, 0: SOFT}[direction])
        side: Align = "right" if direction < 0 else "left"
        end = length + (-6 if direction < 0 else 6) * pixel
        canvas.write(bars, end, index, text=edition.formats.integer(row.customers), align=side)
    bars.axvline(0, color=MUTED, linewidth=0.9)


def nps_chart(edition: Edition) -> Chart | None:
    """Return the shares of promoters, passives and detractors in one bar; None without answers."""
    nps = edition.data.nps
    if nps is None or not nps.n:
        return None
    canvas = Canvas(72, edition.data.language)
    bar = canvas.panel(0, 0, WIDTH, height=72)
    bar.set(xlim=(0, nps.n), ylim=(72, 0))
    start = 0
    for key, count, colour in _nps_parts(nps):
        bar.barh(20, count, left=start, height=32, color=colour, edgecolor=PAPER, linewidth=1.5)
        _nps_label(canvas, bar, edition, key=key, count=count, start=start, colour=colour)
        start += count
    counts = {name: edition.formats.integer(count) for name, count, _ in _nps_parts(nps)}
    return canvas.chart(edition.say("alt.nps", **counts))


def _nps_parts(nps: Nps) -> tuple[tuple[str, int, str], ...]:
    return (("detractors", nps.detractors, LOSS), ("passives", nps.passives, LINE), ("promoters", nps.promoters, GAIN))


def _nps_label(canvas: Canvas, bar: Axes, edition: Edition, *, key: str, count: int, start: int, colour: str) -> None:
    share, middle = count / max(bar.get_xlim()[1], 1), start + count / 2
    if share >= 0.08:
        ink = max((INK, PAPER), key=lambda each: contrast(each, colour))
        canvas.write(bar, middle, 20, text=edition.formats.percent(share), align="center", colour=ink, small=True)
    if share >= 0.14:
        text = f"{edition.say(f'nps.{key}')} {edition.formats.integer(count)}"
        canvas.write(bar, middle, 54, text=text, align="center", colour=MUTED, small=True)
