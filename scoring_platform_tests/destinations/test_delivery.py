"""Once: never twice after an answer, at most one repeat after a crash, without limit after a refusal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scoring_platform.destinations.delivery import Delivered, Sending, deliver_once
from scoring_platform.destinations.slack import Slack
from scoring_platform.errors import OutcomeUnknownError, PermanentError, TransientError
from scoring_platform.ledger.deliveries import read_delivery
from scoring_platform.ledger.store import Ledger
from scoring_platform.sandbox import slack as sandbox
from scoring_platform.sandbox.outbox import messages
from scoring_platform_tests.destinations.running import Running, company, serving

KEY = "report:2026-11-20:slack"
NOW = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


class Recorder:
    """A channel that records what it is asked to send, then does as told."""

    def __init__(self, *outcomes: str | Exception) -> None:
        self.sent: list[Sending] = []
        self._outcomes = list(outcomes)

    def __call__(self, sending: Sending) -> str:
        self.sent.append(sending)
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def deliver(ledger: Ledger, send: Recorder) -> Delivered:
    return deliver_once(ledger, KEY, send, kind="slack", now=lambda: NOW)


def test_a_message_is_sent_once_however_often_it_is_asked_for(ledger: Ledger) -> None:
    send = Recorder("17.1", "17.2")
    assert deliver(ledger, send) == Delivered("sent", "17.1", 1)
    assert deliver(ledger, send) == Delivered("already_sent", "17.1", 1)
    assert send.sent == [Sending(KEY, 1)]


def test_a_refusal_does_not_use_up_the_repeat(ledger: Ledger) -> None:
    send = Recorder(TransientError("down"), TransientError("down"), PermanentError("no channel"), "17.1")
    for error in (TransientError, TransientError, PermanentError):
        with pytest.raises(error):
            deliver(ledger, send)
        assert read_delivery(ledger, KEY) is None
    assert deliver(ledger, send) == Delivered("sent", "17.1", 1)


def test_an_unknown_outcome_is_repeated_once_and_then_given_up(ledger: Ledger) -> None:
    send = Recorder(OutcomeUnknownError("lost"), OutcomeUnknownError("lost"), "17.1")
    for _ in range(2):
        with pytest.raises(OutcomeUnknownError):
            deliver(ledger, send)
    assert deliver(ledger, send) == Delivered("given_up", None, 2)
    assert send.sent == [Sending(KEY, 1), Sending(KEY, 2)]


def test_a_refused_repeat_can_be_tried_again(ledger: Ledger) -> None:
    send = Recorder(OutcomeUnknownError("lost"), TransientError("down"), "17.1")
    for error in (OutcomeUnknownError, TransientError):
        with pytest.raises(error):
            deliver(ledger, send)
    assert deliver(ledger, send) == Delivered("sent", "17.1", 2)


DIES_AFTER_POSTING = """
import os, signal, sys
from datetime import UTC, datetime
from scoring_platform.destinations.delivery import deliver_once
from scoring_platform.destinations.slack import Slack
from scoring_platform.ledger.store import Ledger

def send(sending):
    Slack(sys.argv[2], lambda: "xoxb-sandbox").post("C0SCORING", f"report {sending.key}")
    os.kill(os.getpid(), signal.SIGKILL)

deliver_once(Ledger(sys.argv[1]), "report:2026-11-20:slack", send, kind="slack", now=lambda: datetime.now(UTC))
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Running]:
    with serving("/slack", sandbox.routes(company(tmp_path))) as running:
        yield running


def test_a_process_killed_between_sending_and_sent_causes_at_most_one_repeat(
    workspace: Running, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    for _ in range(3):
        subprocess.run([sys.executable, "-c", DIES_AFTER_POSTING, url, workspace.url], check=False, timeout=30)
    posted = messages(tmp_path)
    assert [one["text"] for one in posted] == [f"report {KEY}"] * 2
    with Ledger(url) as ledger:
        assert deliver(ledger, Recorder("17.1")) == Delivered("given_up", None, 2)


def test_after_one_kill_the_next_run_delivers_and_later_ones_stay_silent(workspace: Running, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    subprocess.run([sys.executable, "-c", DIES_AFTER_POSTING, url, workspace.url], check=False, timeout=30)
    slack = Slack(workspace.url, lambda: "xoxb-sandbox")
    with Ledger(url) as ledger:
        for expected in ("sent", "already_sent", "already_sent"):
            done = deliver_once(
                ledger, KEY, lambda sending: slack.post("C0SCORING", sending.key), kind="slack", now=lambda: NOW
            )
            assert done.status == expected
    assert len(messages(tmp_path)) == 2
