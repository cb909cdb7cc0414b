"""The page: one self-contained file, two minutes at the top, detail below.

Belongs here: what the page template is given. Does not belong here: figures, charts, wording.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from scoring_platform.reporting.canvas import Chart
from scoring_platform.reporting.charts import Charts, draw_charts
from scoring_platform.reporting.data import ReportData, Section
from scoring_platform.reporting.distributions import MEAN_DAYS
from scoring_platform.reporting.render import render
from scoring_platform.reporting.story import MIN_NPS_ANSWERS, inert_text, sentences, watch_list
from scoring_platform.reporting.tables import (
    Grid,
    crm_grid,
    engagement_grid,
    movement_grid,
    mover_grid,
    quality_grid,
    rfm_grid,
    sales_grid,
    score_grid,
    segment_grid,
)
from scoring_platform.reporting.tiles import tiles
from scoring_platform.reporting.words import Edition

MAX_PAGE_BYTES = 1_000_000


@dataclass(frozen=True)
class Picture:
    """A chart as an address inside the page."""

    source: str
    alt: str
    width: int
    height: int


def render_page(data: ReportData, charts: Charts | None = None) -> str:
    """Return the report as one HTML document without scripts or outside references.

    Args:
        data: The figures.
        charts: Pictures already drawn by :func:`~scoring_platform.reporting.charts.draw_charts`, to draw them once
            for page and mail.
    """
    edition = Edition.of(data)
    drawn = draw_charts(edition) if charts is None else charts
    return render(
        "page.html",
        edition,
        tiles=tiles(edition),
        sentences=sentences(edition),
        watch=watch_list(edition),
        pictures={section: _picture(chart) for section, chart in drawn.items()},
        grids=_grids(edition),
        nps_line=nps_line(edition),
        mean_days=MEAN_DAYS,
        inert=[inert_text(edition, outcome) for outcome in data.crm if outcome.inert_reason],
    )


def nps_line(edition: Edition) -> str | None:
    """Say the NPS with its number of answers; None without a source or without answers."""
    nps = edition.data.nps
    if nps is None or nps.score is None:
        return None
    score = edition.formats.decimal(nps.score)
    line = edition.say("nps.line", nps.n, score=score, count=edition.formats.integer(nps.n))
    return line if nps.n >= MIN_NPS_ANSWERS else f"{line}{edition.say('list_stop')} {edition.say('nps.few')}"


def _picture(chart: Chart) -> Picture:
    source = "data:image/png;base64," + b64encode(chart.png).decode("ascii")
    return Picture(source=source, alt=chart.alt, width=chart.width, height=chart.height)


def _grids(edition: Edition) -> Mapping[Section | str, Grid | None]:
    data = edition.data
    return {
        "segments": segment_grid(edition),
        "movements": movement_grid(edition),
        "rfm": rfm_grid(edition),
        "scores": score_grid(edition),
        "sales": sales_grid(edition),
        "risers": mover_grid(edition, data.risers, caption=edition.say("head.risers")),
        "fallers": mover_grid(edition, data.fallers, caption=edition.say("head.fallers")),
        "engagement": engagement_grid(edition),
        "crm": crm_grid(edition),
        "quality": quality_grid(edition),
    }
