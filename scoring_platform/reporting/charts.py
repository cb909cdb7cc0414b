"""All pictures of one report.

Belongs here: which charts there are. Does not belong here: how they are drawn (``bars``, ``distributions``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scoring_platform.reporting.bars import movements_chart, nps_chart, segments_chart
from scoring_platform.reporting.canvas import Chart
from scoring_platform.reporting.data import Section
from scoring_platform.reporting.distributions import rfm_chart, sales_chart, scores_chart
from scoring_platform.reporting.words import Edition

Charts = Mapping[Section, Chart]

_DRAWERS: Mapping[Section, Callable[[Edition], Chart | None]] = {
    "sales": sales_chart,
    "segments": segments_chart,
    "movements": movements_chart,
    "rfm": rfm_chart,
    "scores": scores_chart,
    "nps": nps_chart,
}


def draw_charts(edition: Edition) -> Charts:
    """Draw every chart there are figures for; a section without figures is absent, and its text says so."""
    drawn = {section: draw(edition) for section, draw in _DRAWERS.items()}
    return {section: chart for section, chart in drawn.items() if chart is not None}
