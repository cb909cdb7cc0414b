"""Pictures: there when there is something to show, small, sharp, described."""

from __future__ import annotations

import warnings
from dataclasses import replace
from decimal import Decimal
from io import BytesIO

import matplotlib as mpl
import pytest
from PIL import Image

from scoring_platform.reporting.bars import MAX_BARS, ROW, movements_chart
from scoring_platform.reporting.canvas import SCALE, shortened
from scoring_platform.reporting.charts import draw_charts
from scoring_platform.reporting.data import DailySales, Movement, Nps, SegmentRow
from scoring_platform.reporting.palette import contrast, segment_colours
from scoring_platform.reporting.words import Edition
from scoring_platform_tests.reporting.scenario import (
    AS_OF,
    crowded,
    no_sources,
    ordinary,
    pictures,
)

MAX_CHART_BYTES = 60_000
EVERY = {"sales", "segments", "movements", "rfm", "scores", "nps"}


@pytest.mark.parametrize(
    ("edition", "expected"),
    [
        ("ordinary-ja", EVERY),
        ("ordinary-en", EVERY),
        ("first-ja", EVERY - {"movements"}),
        ("empty-en", set[str]()),
        ("no_sources-ja", EVERY - {"sales", "rfm", "nps"}),
        ("crowded-en", EVERY),
    ],
)
def test_a_chart_is_drawn_where_there_are_figures_and_only_there(edition: str, expected: set[str]) -> None:
    charts = pictures(edition)
    assert set(charts) == expected
    for chart in charts.values():
        picture = Image.open(BytesIO(chart.png))
        assert picture.size == (chart.width * SCALE, chart.height * SCALE)
        assert chart.alt


def test_charts_of_a_usual_day_are_small() -> None:
    sizes = {section: len(chart.png) for section, chart in pictures("ordinary-ja").items()}
    assert max(sizes.values()) < MAX_CHART_BYTES
    # Ten segments in full colour would pass the limit; a palette keeps them far below it.
    assert {Image.open(BytesIO(chart.png)).mode for chart in pictures("ordinary-ja").values()} == {"P"}


def test_movements_past_the_limit_are_counted_in_one_more_row() -> None:
    data = ordinary()
    rows = tuple(Movement("loyal", "vip", 1, Decimal(0)) for _ in range(MAX_BARS + 1))
    exact = movements_chart(Edition.of(replace(data, movements=rows[:MAX_BARS])))
    more = movements_chart(Edition.of(replace(data, movements=rows)))
    assert exact is not None
    assert more is not None
    assert more.height == exact.height + ROW


def test_dollar_signs_in_a_label_are_no_formula() -> None:
    data = ordinary("en", "USD")
    broken_formula = SegmentRow("vip", r"$\frac$", 1, 1, Decimal(5), None)
    alone = replace(data, segments=(broken_formula,), movements=(), rfm=(), score_bins=(), daily=(), nps=None)
    assert set(draw_charts(Edition.of(alone))) == {"segments"}


def test_the_same_figures_give_the_same_bytes_and_a_changed_figure_changes_its_chart_alone() -> None:
    before = pictures("ordinary-ja")
    after = draw_charts(Edition.of(replace(ordinary(), nps=Nps(10, 20, 70))))
    assert {name for name in before if before[name].png != after[name].png} == {"nps"}


def test_one_row_of_everything_can_be_drawn() -> None:
    data = ordinary()
    one = replace(
        data,
        segments=data.segments[:1],
        movements=(Movement("gone", "vip", 1, Decimal(0)),),
        rfm=data.rfm[:1],
        score_bins=data.score_bins[:1],
        daily=(DailySales(AS_OF, Decimal("-5.5"), 0),),
        nps=Nps(0, 0, 1),
    )
    with warnings.catch_warnings():
        # A glyph missing from the fonts is a warning of matplotlib, and so is an axis without a length.
        warnings.simplefilter("error")
        assert set(draw_charts(Edition.of(one))) == EVERY


def test_the_description_names_the_largest_figure() -> None:
    charts = pictures("ordinary-ja")
    assert charts["segments"].alt.endswith("最も多いのはロイヤルの900人。")
    assert charts["movements"].alt.endswith("最も多いのはロイヤルからアットリスクへの4人。")
    assert charts["rfm"].alt.endswith("最も多いのはR5・F5の55人。")
    assert charts["nps"].alt == "NPSの内訳。推奨者86、中立者51、批判者33。"


def test_drawing_leaves_no_figure_open_and_the_backend_alone() -> None:
    backend = mpl.rcParams["backend"]
    draw_charts(Edition.of(no_sources()))
    pyplot = __import__("matplotlib.pyplot").pyplot
    assert pyplot.get_fignums() == []
    assert mpl.rcParams["backend"] == backend


def test_long_labels_are_cut_by_the_width_they_take() -> None:
    assert shortened("ロイヤル", 8) == "ロイヤル"
    assert shortened("ロイヤルカスタマー", 8) == "ロイヤル…"
    assert shortened("Needs attention", 8) == "Needs at…"


def test_segments_have_distinct_colours_and_a_configured_one_wins() -> None:
    rows = crowded().segments[:8]
    assert len(set(segment_colours(rows).values())) == 8
    assert segment_colours((replace(rows[0], colour="#123456"),)) == {"segment_00": "#123456"}


def test_contrast_is_that_of_the_accessibility_guideline() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
