"""The page: self-contained, readable by everyone, honest about what is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import pytest

from scoring_platform.reporting import palette
from scoring_platform.reporting.data import CrmOutcome, Links, Mover, SegmentRow
from scoring_platform.reporting.html import MAX_PAGE_BYTES, render_page
from scoring_platform_tests.reporting.page_reader import read
from scoring_platform_tests.reporting.scenario import (
    EDITIONS,
    NO_PICTURES,
    empty_day,
    first_day,
    no_sources,
    ordinary,
    pictures,
)

ATTACK = "<script>alert('x')</script>"


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_page_is_self_contained_and_accessible(edition: str) -> None:
    html = render_page(EDITIONS[edition], pictures(edition))
    page = read(html)
    assert len(html.encode()) < MAX_PAGE_BYTES
    assert page.all("html") == [{"lang": EDITIONS[edition].language}]
    assert not page.all("script")
    assert not page.all("link")
    assert "url(" not in html
    assert all((image["src"] or "").startswith("data:image/png;base64,") for image in page.all("img"))
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("h1")) == 1
    assert {each.get("scope") for each in page.all("th")} <= {"col", "row"}


def test_every_link_inside_the_page_has_its_target() -> None:
    page = read(render_page(ordinary(), NO_PICTURES))
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    inside = {(link["href"] or "")[1:] for link in page.all("a") if (link["href"] or "").startswith("#")}
    labelled = {attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes}
    assert inside
    assert inside | labelled <= ids


def test_figures_without_a_picture_are_shown_as_their_table() -> None:
    page = read(render_page(ordinary("en"), NO_PICTURES))
    assert not page.all("img")
    assert not page.all("details")
    assert all(
        each in page.text for each in ("R5 F5 55 3.3", "Thursday, 19 November 2026 ¥468,376", "Loyal VIP 3 ¥90,000")
    )


def test_links_to_dagster_follow_the_assets_and_disappear_without_an_address() -> None:
    hrefs = {link["href"] for link in read(render_page(ordinary(), NO_PICTURES)).all("a")}
    assert "https://dagster.example.jp/assets/customer_segments" in hrefs
    assert "https://dagster.example.jp/assets/raw_orders" in hrefs
    without = read(render_page(replace(ordinary(), links=Links()))).all("a")
    assert all((link["href"] or "").startswith("#") for link in without)


def test_text_from_outside_stays_text() -> None:
    data = ordinary()
    attacked = replace(
        data,
        company=ATTACK,
        segments=(SegmentRow("vip", ATTACK, 1, 1, Decimal(0), None), *data.segments[1:]),
        risers=(Mover("c1", ATTACK, 1.0, 2.0, "vip", ATTACK),),
        crm=(CrmOutcome(ATTACK, 1, 0, dead=1, inert_reason=ATTACK),),
    )
    html = render_page(attacked, NO_PICTURES)
    assert ATTACK in read(html).text
    assert not read(html).all("script")
    assert "<script" not in html


def test_a_missing_source_is_said_in_every_section_it_touches() -> None:
    text = read(render_page(no_sources("en"), NO_PICTURES)).text
    assert text.count("No source is configured for this, so there is nothing to count.") == 3
    assert "No CRM is configured, so nothing is written." in text
    assert text.count("No source ") >= 6 + 3


def test_a_first_day_says_so_and_shows_no_change() -> None:
    text = read(render_page(first_day("en"), NO_PICTURES)).text
    assert "This is the first day." in text
    assert text.count("nothing to compare yet") == 8
    assert "vs. the day before" not in text


def test_an_empty_day_is_told_calmly() -> None:
    text = read(render_page(empty_day("en"), NO_PICTURES)).text
    assert "Nothing needs your attention." in text
    assert "There are no answers in this period." in text
    assert text.count("There is no data for this day.") == 4
    assert "Nobody." in text


def test_few_nps_answers_are_called_a_hint() -> None:
    data = ordinary("en")
    assert data.nps is not None
    few = replace(data, nps=replace(data.nps, promoters=3, passives=0, detractors=1))
    assert (
        "NPS 50.0 from 4 answers. Few answers: take the figure as a hint only."
        in read(render_page(few, NO_PICTURES)).text
    )


def test_text_colours_keep_a_contrast_of_four_and_a_half() -> None:
    css = re.search(r"<style>(.*?)</style>", render_page(empty_day(), NO_PICTURES), re.DOTALL)
    assert css is not None
    inks = set(re.findall(r"[{; ]color: (#[0-9a-f]{3,6})\b", css[1])) - {"#fff", "#8a3609", "#174f79"}
    assert {palette.INK, palette.MUTED, palette.ACCENT} <= inks
    for ink in inks:
        assert palette.contrast(ink, palette.PAPER) >= 4.5, ink
        assert palette.contrast(ink, palette.BACKGROUND) >= 4.5, ink
    pairs = (("#8a3609", "#fbeadd"), ("#174f79", "#e1eef7"), (palette.PAPER, palette.LOSS))
    assert all(palette.contrast(*pair) >= 4.5 for pair in pairs)
