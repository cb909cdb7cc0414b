"""The mail: the same numbers as the page, for readers who do not click.

Belongs here: subject, HTML part, text part and inline pictures. Does not belong here: addresses, sending.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scoring_platform.reporting.charts import Charts, draw_charts
from scoring_platform.reporting.data import ReportData, Section
from scoring_platform.reporting.html import nps_line
from scoring_platform.reporting.render import render
from scoring_platform.reporting.story import sentences, watch_list
from scoring_platform.reporting.tables import Grid, crm_grid, engagement_grid, mover_grid, segment_grid
from scoring_platform.reporting.tiles import tiles
from scoring_platform.reporting.words import Edition

GMAIL_CLIP_BYTES = 102 * 1024
MAX_MOVERS = 5
_CHARTS: tuple[Section, ...] = ("segments", "movements", "sales")


@dataclass(frozen=True)
class EmailBody:
    """A mail without addresses. ``images`` are PNG bytes by content-id, as the HTML part refers to them."""

    subject: str
    html: str
    text: str
    images: Mapping[str, bytes]


def render_email(data: ReportData, charts: Charts | None = None) -> EmailBody:
    """Return the mail of one report; ``charts`` are those of the page when they are already drawn."""
    edition = Edition.of(data)
    drawn = draw_charts(edition) if charts is None else charts
    shown = {section: drawn[section] for section in _CHARTS if section in drawn}
    crm = crm_grid(edition)
    values = {
        "tiles": tiles(edition),
        "sentences": sentences(edition),
        "watch": watch_list(edition),
        "pictures": {section: (content_id(section, data), chart) for section, chart in shown.items()},
        "segments": segment_grid(edition).only(0, 1, 2, 4),
        "movers": _movers(edition),
        "nps_line": nps_line(edition),
        "engagement": engagement_grid(edition),
        "crm": crm.transposed() if crm else None,
    }
    return EmailBody(
        subject=_one_line(edition.say("subject", company=data.company, day=edition.formats.day(data.as_of))),
        html=render("email.html", edition, **values),
        text=render("email.txt", edition, **values),
        images={content_id(section, data): chart.png for section, chart in shown.items()},
    )


def content_id(section: Section, data: ReportData) -> str:
    """Name one inline picture of one day, without the angle brackets of the header."""
    return f"{section}-{data.as_of:%Y%m%d}@report"


def _movers(edition: Edition) -> tuple[Grid, ...]:
    sides = (("head.risers", edition.data.risers), ("head.fallers", edition.data.fallers))
    grids = (mover_grid(edition, movers[:MAX_MOVERS], caption=edition.say(name)) for name, movers in sides)
    return tuple(grid for grid in grids if grid.rows)


def _one_line(text: str) -> str:
    # A line break in a header would start another header.
    return " ".join(text.split())
