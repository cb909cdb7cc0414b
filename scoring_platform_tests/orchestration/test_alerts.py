"""One message per problem and window, and one when it is over, whatever Slack does in between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from scoring_platform.destinations.slack import Slack
from scoring_platform.errors import TransientError
from scoring_platform.ledger.store import Ledger
from scoring_platform.orchestration.alerts import Evaluated, tell
from scoring_platform.orchestration.checks import INERT, TOLD_BEFORE
from scoring_platform.settings import Settings, load_settings

NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)


class RecordingSlack(Slack):
    """Keeps what it is told, or is down."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9/slack", lambda: "unused")
        self.said: list[str] = []
        self.down = False

    def post(self, channel: str, text: str, blocks: Sequence[Any] = (), **_: Any) -> str:
        if self.down:
            msg = "slack is down"
            raise TransientError(msg)
        self.said.append(f"{channel} {text}")
        return str(len(self.said))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({}, home=tmp_path)


def evaluated(*, passed: bool, day: str | None = "2026-11-20", error: bool = True, name: str = "contract") -> Evaluated:
    severity = dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("customer_scores"),
        check_name=name,
        passed=passed,
        metadata={},
        severity=severity,
        description=f"about {day}",
        partition=day,
    )
    return Evaluated("run", evaluation)


def test_the_same_problem_is_told_again_only_after_its_window(ledger: Ledger, settings: Settings) -> None:
    slack = RecordingSlack()
    window = timedelta(minutes=settings.config.alerts.window_minutes)
    for now in (NOW, NOW + window / 2, NOW + window):
        tell([evaluated(passed=False)], settings=settings, ledger=ledger, slack=slack, now=now)

    assert len(slack.said) == 2
    assert all(words.startswith("C0ONCALL ") for words in slack.said)
    assert "customer_scores" in slack.said[0]


def test_the_end_of_a_problem_is_told_once_even_when_slack_was_down_then(ledger: Ledger, settings: Settings) -> None:
    slack = RecordingSlack()
    tell([evaluated(passed=False)], settings=settings, ledger=ledger, slack=slack, now=NOW)
    slack.down = True
    with pytest.raises(TransientError):
        tell([evaluated(passed=True)], settings=settings, ledger=ledger, slack=slack, now=NOW)
    slack.down = False

    counts = [tell([evaluated(passed=True)], settings=settings, ledger=ledger, slack=slack, now=NOW) for _ in range(2)]

    assert [one["resolved"] for one in counts] == [1, 0]
    assert [words.startswith("C0ONCALL ✅") for words in slack.said] == [False, True]


def test_a_problem_nobody_could_be_told_of_is_told_later(ledger: Ledger, settings: Settings) -> None:
    slack = RecordingSlack()
    slack.down = True
    with pytest.raises(TransientError):
        tell([evaluated(passed=False)], settings=settings, ledger=ledger, slack=slack, now=NOW)
    slack.down = False

    assert tell([evaluated(passed=False)], settings=settings, ledger=ledger, slack=slack, now=NOW)["sent"] == 1


def test_many_days_of_one_problem_are_one_message_about_the_worst(ledger: Ledger, settings: Settings) -> None:
    slack = RecordingSlack()
    days = [
        evaluated(passed=False, day="2026-11-18"),
        evaluated(passed=False, day="2026-11-19", error=False),
        evaluated(passed=True, day="2026-11-20"),
    ]

    counts = tell(days, settings=settings, ledger=ledger, slack=slack, now=NOW)

    assert counts == {"sent": 1, "suppressed": 1, "resolved": 0}
    assert "about 2026-11-18" in slack.said[0]


def test_other_problems_are_not_held_back_and_passing_checks_are_silent(ledger: Ledger, settings: Settings) -> None:
    slack = RecordingSlack()
    found = [
        evaluated(passed=False),
        evaluated(passed=False, name="history_complete"),
        evaluated(passed=True, name="x"),
    ]

    assert tell(found, settings=settings, ledger=ledger, slack=slack, now=NOW)["sent"] == 2


def refused(*, told: bool, passed: bool = False, inert: bool = False) -> Evaluated:
    """A check that fails every day over the same rows, as the run that looks at it says."""
    metadata: dict[str, Any] = {TOLD_BEFORE: True} if told else {}
    metadata |= {INERT: "a past day"} if inert else {}
    one = evaluated(passed=passed, error=False, name="all_acknowledged")
    described = dg.AssetCheckEvaluation(
        asset_key=one.evaluation.asset_key,
        check_name=one.evaluation.check_name,
        passed=passed,
        metadata=metadata,
        severity=one.evaluation.severity,
        description="2 dead",
        partition=one.evaluation.partition,
    )
    return Evaluated("run", described)


def test_the_same_refused_rows_call_nobody_twice_and_new_ones_do(ledger: Ledger, settings: Settings) -> None:
    slack = RecordingSlack()
    for hour, told in enumerate([False, True, True, False]):
        now = NOW + timedelta(hours=hour)
        tell([refused(told=told)], settings=settings, ledger=ledger, slack=slack, now=now)

    assert len(slack.said) == 2


def test_refused_rows_nobody_was_told_of_are_told_later(ledger: Ledger, settings: Settings) -> None:
    slack = RecordingSlack()

    assert tell([refused(told=True)], settings=settings, ledger=ledger, slack=slack, now=NOW)["sent"] == 1


def test_a_run_that_may_not_send_ends_no_problem(ledger: Ledger, settings: Settings) -> None:
    slack = RecordingSlack()
    tell([refused(told=False)], settings=settings, ledger=ledger, slack=slack, now=NOW)
    for hour, inert in enumerate([True, False], start=1):
        one = refused(told=False, passed=True, inert=inert)
        tell([one], settings=settings, ledger=ledger, slack=slack, now=NOW + timedelta(hours=hour))
        assert len(slack.said) == hour, "only the run that looked says that it is over"
