"""Page, mail and message show the same figures."""

from __future__ import annotations

import pytest

from scoring_platform.reporting.data import Language
from scoring_platform.reporting.email_body import render_email
from scoring_platform.reporting.html import render_page
from scoring_platform.reporting.slack_blocks import render_slack
from scoring_platform.reporting.story import sentences, watch_list
from scoring_platform.reporting.tiles import main_tiles, tiles
from scoring_platform.reporting.words import Edition
from scoring_platform_tests.reporting.page_reader import read
from scoring_platform_tests.reporting.scenario import NO_PICTURES, ordinary
from scoring_platform_tests.reporting.test_slack_blocks import written


@pytest.mark.parametrize(("language", "currency"), [("ja", "JPY"), ("en", "USD")])
def test_every_figure_sentence_and_problem_is_the_same_everywhere(language: Language, currency: str) -> None:
    data = ordinary(language, currency)
    edition = Edition.of(data)
    mail = render_email(data, NO_PICTURES)
    readings = [read(render_page(data, NO_PICTURES)).text, read(mail.html).text, mail.text]
    for tile in tiles(edition):
        assert tile.change is not None
        assert all(each in text for text in readings for each in (tile.label, tile.text, tile.change.text))
    for said in (*sentences(edition), *(notice.text for notice in watch_list(edition).shown)):
        assert all(said in text for text in readings)
    message = written(render_slack(data))
    for tile in main_tiles(edition):
        assert tile.change is not None
        assert f"*{tile.label}*\n{tile.text}\n{tile.change.arrow} {tile.change.text}" in message
    assert all(notice.text in message for notice in watch_list(edition).shown)


def test_segments_are_the_same_on_the_page_and_in_the_mail() -> None:
    data = ordinary("en")
    page, mail = read(render_page(data, NO_PICTURES)).text, render_email(data, NO_PICTURES)
    for row in data.segments:
        assert row.label in page
        assert f"- {row.label} | Customers {row.customers:,}" in mail.text
        assert f"{row.customers:,}" in page
        assert f"{row.customers:,}" in read(mail.html).text
