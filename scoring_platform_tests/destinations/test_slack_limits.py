"""Cutting blocks: always within Slack's limits, never inside an entity, always with the right count."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.destinations.slack_limits import MAX_BLOCKS, MAX_ELEMENTS, MAX_FIELDS, MAX_HEADER, clip, fit


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=0, max_size=400), st.integers(min_value=40, max_value=200))
def test_a_clipped_text_fits_and_counts_what_is_missing(text: str, limit: int) -> None:
    cut = clip(text, limit)
    assert len(cut) <= limit
    if len(text) > limit:
        head, _, count = cut.rpartition(" … (+")
        assert text.startswith(head)
        assert len(head) + int(count.rstrip(")")) == len(text)
    else:
        assert cut == text


@given(st.integers(min_value=0, max_value=20))
def test_no_entity_or_link_is_cut_in_two(shift: int) -> None:
    cut = clip("x" * shift + "&amp;&lt;<https://example.com/a|b>" * 30, 100)
    whole = re.sub(r"&(amp|lt|gt);|<[^<>]*>", "", cut)
    assert "&" not in whole
    assert "<" not in whole


def test_lists_within_blocks_are_cut_with_a_count() -> None:
    item = {"type": "mrkdwn", "text": "x"}
    blocks: list[dict[str, Any]] = [
        {"type": "section", "fields": [item] * 14},
        {"type": "context", "elements": [item] * 25},
        {"type": "header", "text": {"type": "plain_text", "text": "h" * 500}},
        {"type": "divider"},
    ]
    section, context, header, divider = fit(blocks)
    assert len(section["fields"]) == MAX_FIELDS
    assert section["fields"][-1]["text"] == "… (+5)"
    assert len(context["elements"]) == MAX_ELEMENTS
    assert context["elements"][-1]["text"] == "… (+16)"
    assert len(header["text"]["text"]) <= MAX_HEADER
    assert divider == {"type": "divider"}
    assert len(blocks[0]["fields"]) == 14


def test_blocks_within_the_limits_stay_as_they_are() -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "fine"}}] * MAX_BLOCKS
    assert fit(blocks) == blocks
