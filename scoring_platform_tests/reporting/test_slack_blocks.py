"""The message in Slack: within the limits, safe, complete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from slack_sdk.models.blocks import Block

from scoring_platform.reporting import blocks
from scoring_platform.reporting.data import Language, Links, ReportData, SegmentRow
from scoring_platform.reporting.slack_blocks import MAX_MOVEMENTS, render_slack
from scoring_platform_tests.reporting.scenario import REPORT, crowded, empty_day, first_day, no_sources, ordinary


def assert_slack_would_take(message: blocks.SlackMessage) -> None:
    assert 0 < len(message.text) <= blocks.MAX_MESSAGE_TEXT
    assert 0 < len(message.blocks) <= blocks.MAX_BLOCKS
    for block in message.blocks:
        parsed = Block.parse(block)
        assert parsed is not None
        parsed.validate_json()
        assert all(0 < len(text) <= limit for text, limit in _texts(block))


def _texts(block: dict[str, Any]) -> list[tuple[str, int]]:
    limit = blocks.MAX_HEADER if block["type"] == "header" else blocks.MAX_SECTION_TEXT
    own = [(block["text"]["text"], limit)] if "text" in block else []
    return [*own, *((each["text"], blocks.MAX_FIELD_TEXT) for each in block.get("fields", ()))]


def written(message: blocks.SlackMessage) -> str:
    return "\n".join(text for block in message.blocks for text, _ in _texts(block))


@pytest.mark.parametrize("day", [ordinary, first_day, empty_day, no_sources, crowded])
@pytest.mark.parametrize("language", ["ja", "en"])
def test_slack_would_take_the_message(day: Callable[[Language], ReportData], language: Language) -> None:
    assert_slack_would_take(render_slack(day(language)))


def test_the_five_numbers_come_with_their_changes() -> None:
    texts = [each["text"] for each in render_slack(ordinary("en")).blocks[1]["fields"]]
    assert texts == [
        "*Revenue*\n¥1,234,567\n↑ +23.5% vs. the day before",
        "*Orders*\n128\n↓ −2 vs. the day before",
        "*Customers*\n2,400\n↑ +6 vs. the day before",
        "*Buyers, 365 days*\n1,431\n↓ −2 vs. the day before",
        "*Mean score*\n45.6\n↑ +0.2 vs. the day before",
    ]


def test_movements_are_listed_by_size_and_the_rest_is_counted() -> None:
    text = written(render_slack(ordinary("en")))
    assert "• ↓ Loyal → At risk: 4 customers (¥124,000)\n• ↑ Loyal → VIP: 3 customers (¥90,000)" in text
    assert f"and {400 - MAX_MOVEMENTS} more" in written(render_slack(crowded("en")))


def test_problems_past_the_limit_are_counted() -> None:
    assert "and 65 more" in written(render_slack(crowded("en")))


def test_labels_cannot_mention_or_link() -> None:
    data = ordinary()
    attack = "<!channel> & <https://example.com|here>"
    message = render_slack(
        replace(data, segments=(SegmentRow("vip", attack, 1, 1, Decimal(0), None), *data.segments[1:]))
    )
    assert "<" not in written(message)
    assert "&lt;!channel&gt; &amp; &lt;https://example.com|here&gt;" in written(message)


def test_the_link_is_a_button_and_absent_without_an_address() -> None:
    kinds = [block["type"] for block in render_slack(ordinary()).blocks]
    assert kinds == ["header", "section", "section", "section", "actions", "context"]
    assert render_slack(ordinary()).blocks[4]["elements"][0]["url"] == REPORT
    for report in (None, "https://example.jp/" + "x" * blocks.MAX_BUTTON_URL):
        without = render_slack(replace(ordinary(), links=Links(report=report)))
        assert "actions" not in {block["type"] for block in without.blocks}


def test_missing_sources_are_named() -> None:
    fields = [each["text"] for each in render_slack(no_sources("en")).blocks[1]["fields"]]
    assert fields[:2] == ["*Revenue*\nNo source", "*Orders*\nNo source"]


@pytest.mark.parametrize("limit", range(1, 12))
def test_cutting_never_leaves_half_an_escaped_character(limit: int) -> None:
    cut = blocks.clipped("a&lt;b&amp;c", limit)
    assert len(cut) <= limit
    assert blocks.clipped("a&lt;b&amp;c", 12) == "a&lt;b&amp;c"
    assert cut.removesuffix("…") in {"", "a", "a&lt;", "a&lt;b"}
