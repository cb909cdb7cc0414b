"""What a caller may not hand to the report."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest

from scoring_platform.errors import ConfigurationError, ContractError
from scoring_platform.reporting.data import Headline, Links, Mover, Nps, SegmentRow
from scoring_platform_tests.reporting.scenario import ordinary


def test_a_missing_number_is_none_and_never_nan() -> None:
    with pytest.raises(ContractError, match=r"Headline\.mean_score is nan"):
        Headline(1, None, None, None, float("nan"), None)
    with pytest.raises(ContractError, match=r"Mover\.after"):
        Mover("c1", "t***@example.jp", 1.0, float("inf"), "vip")


@pytest.mark.parametrize("colour", ["red", "#12345", "#123456;background:url(https://example.com)"])
def test_a_colour_that_could_carry_more_css_is_refused(colour: str) -> None:
    with pytest.raises(ConfigurationError, match="#rrggbb"):
        SegmentRow("vip", "VIP", 1, 1, Decimal(0), None, colour)


def test_a_link_that_a_browser_would_run_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"links\.report"):
        Links(report="javascript:alert(1)")
    with pytest.raises(ConfigurationError, match=r"links\.sections\[crm\]"):
        Links(sections={"crm": "data:text/html,x"})


def test_a_section_links_to_its_asset_unless_it_is_told_otherwise() -> None:
    links = Links(assets_base="https://dagster.example.jp/assets/", sections={"crm": "https://crm.example.jp"})
    assert links.section("segments") == "https://dagster.example.jp/assets/customer_segments"
    assert links.section("crm") == "https://crm.example.jp"
    assert links.section("quality") is None
    assert Links().section("segments") is None


def test_the_currency_is_an_iso_code_and_the_instant_has_an_offset() -> None:
    with pytest.raises(ConfigurationError, match=r"currency\.reporting"):
        replace(ordinary(), currency="yen")
    with pytest.raises(ContractError, match="generated_at"):
        replace(ordinary(), generated_at=datetime(2026, 11, 21, 6, 0))  # noqa: DTZ001 - what is refused here


def test_nps_is_promoters_less_detractors_in_percent_and_none_without_answers() -> None:
    assert Nps(50, 30, 20).score == 30.0
    assert Nps(0, 0, 0).score is None
