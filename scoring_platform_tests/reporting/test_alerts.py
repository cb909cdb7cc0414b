"""The alert of a failed check."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from scoring_platform.reporting.alerts import FailedCheck, render_alert
from scoring_platform.reporting.data import Language
from scoring_platform_tests.reporting.test_slack_blocks import assert_slack_would_take, written

FAILED = FailedCheck(
    severity="error",
    table="customer_scores",
    day=date(2026, 11, 20),
    check="total_score_in_range",
    description="total_score is above 100 in 7 rows",
    sample_keys=tuple(f"c{i}***" for i in range(7)),
    failed_rows=7,
    blocked=("score_changes", "customer_segments"),
    run_url="https://dagster.example.jp/runs/1",
    command="scoring-platform run --date 2026-11-20",
)


@pytest.mark.parametrize("language", ["ja", "en"])
def test_an_alert_says_what_where_and_how_to_mend_it(language: Language) -> None:
    message = render_alert(FAILED, language)
    assert_slack_would_take(message)
    text = written(message)
    for part in ("customer_scores", "total_score_in_range", "above 100 in 7 rows", "`customer_segments`"):
        assert part in text
    assert "```scoring-platform run --date 2026-11-20```" in text
    assert message.blocks[-1]["elements"][0]["url"] == FAILED.run_url
    assert "customer_scores" in message.text


def test_at_most_five_keys_are_shown_and_all_rows_are_counted() -> None:
    text = written(render_alert(FAILED, "en"))
    assert "Examples of 7 rows" in text
    assert "`c4***`" in text
    assert "c5***" not in text


def test_a_warning_without_day_samples_run_or_command_is_short() -> None:
    bare = FailedCheck("warn", "nps_live", None, "fresh", "No answer for a day")
    message = render_alert(bare, "en")
    assert_slack_would_take(message)
    assert [block["type"] for block in message.blocks] == ["header", "section", "section", "context"]
    assert message.blocks[0]["text"]["text"] == "A data check warns: nps_live"
    assert message.blocks[-1]["elements"][0]["text"] == "Nothing downstream is blocked."


def test_hostile_and_endless_text_is_escaped_and_cut() -> None:
    hostile = "<!here> `x` ``` & " * 2000
    message = render_alert(
        replace(
            FAILED,
            table=hostile,
            check=hostile,
            description=hostile,
            sample_keys=(hostile,) * 9,
            blocked=(hostile,) * 90,
            command=hostile,
        ),
        "ja",
    )
    assert_slack_would_take(message)
    # A header is plain text, where Slack reads no mention.
    assert "<" not in written(replace(message, blocks=message.blocks[1:]))
    assert "ほか78件" in written(message)
    command = next(block for block in message.blocks if "対処コマンド" in str(block))
    assert command["text"]["text"].endswith("```")
    assert command["text"]["text"].count("```") == 2
