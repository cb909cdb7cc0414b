"""The chart of a backtest: a picture whose words say how the forecast did."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from scoring_platform.reporting.calibration import calibration_chart

RIGHT = {"n": 100, "forecast": 0.2, "actual": 0.22, "low": 0.15, "high": 0.31}
WRONG = {"n": 100, "forecast": 0.9, "actual": 0.5, "low": 0.4, "high": 0.6}


def test_the_words_count_the_deciles_in_which_the_forecast_held() -> None:
    chart = calibration_chart([RIGHT, WRONG], title="bought within 90 days", share=True)

    assert "in 1 of 2 deciles" in chart.alt
    assert "highest 90% forecast, 50% happened" in chart.alt
    assert Image.open(BytesIO(chart.png)).size == (2 * chart.width, 2 * chart.height)


def test_amounts_are_drawn_on_their_own_scale_even_where_all_are_nothing() -> None:
    nothing = {"n": 30, "forecast": 0.0, "actual": 0.0, "low": 0.0, "high": 0.0}
    worth = {"n": 30, "forecast": 12_000.0, "actual": 9_000.0, "low": 8_000.0, "high": 10_000.0}

    assert (
        "highest 12,000 forecast, 9,000 happened" in calibration_chart([nothing, worth], title="CLV", share=False).alt
    )
    assert calibration_chart([nothing], title="CLV", share=False).png
