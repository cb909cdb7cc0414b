"""Slack: a message is posted once or said to be in doubt, and what Slack refuses is told in our words."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scoring_platform.destinations.slack import Slack
from scoring_platform.destinations.slack_limits import MAX_BLOCKS
from scoring_platform.errors import CredentialError, OutcomeUnknownError, PermanentError, SourceError, TransientError
from scoring_platform.sandbox import slack as sandbox
from scoring_platform.sandbox.outbox import messages
from scoring_platform_tests.destinations.running import Running, company, serving
from scoring_platform_tests.http.loopback import Hang, Loopback, Reset, page, reply

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
CHANNEL = "C0SCORING"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Running]:
    with serving("/slack", sandbox.routes(company(tmp_path))) as running:
        yield running


def slack(url: str, *, token: str = "xoxb-sandbox", waited: list[float] | None = None, timeout: int = 5) -> Slack:
    sleep: Callable[[float], None] = waited.append if waited is not None else (lambda _: None)
    return Slack(url, lambda: token, timeout=timeout, sleep=sleep)


def test_a_message_arrives_with_text_and_blocks_and_can_be_answered(workspace: Running, tmp_path: Path) -> None:
    client = slack(workspace.url)
    blocks = [{"type": "header", "text": {"type": "plain_text", "text": "11月20日のスコア"}}]
    ts = client.post(CHANNEL, "スコアリング完了", blocks)
    client.post(CHANNEL, "詳細", thread_ts=ts)
    first, second = messages(tmp_path)
    assert (first["ts"], first["text"], first["blocks"]) == (ts, "スコアリング完了", blocks)
    assert second["thread_ts"] == ts


def test_blocks_beyond_the_limits_are_cut_and_accepted(workspace: Running, tmp_path: Path) -> None:
    long = {"type": "section", "text": {"type": "mrkdwn", "text": "あ" * 5_000}}
    slack(workspace.url).post(CHANNEL, "x" * 9_000, [long] * 60)
    [posted] = messages(tmp_path)
    assert len(posted["blocks"]) == MAX_BLOCKS
    assert posted["blocks"][-1]["elements"][0]["text"] == "… (+11)"


def test_a_picture_is_shared_in_the_thread_byte_by_byte(workspace: Running, tmp_path: Path) -> None:
    client = slack(workspace.url)
    ts = client.post(CHANNEL, "report")
    file_id = client.upload(CHANNEL, PNG, filename="segments.png", title="Segments", alt_text="Bars", thread_ts=ts)
    [shared] = messages(tmp_path)[1]["files"]
    assert (shared["id"], shared["title"], shared["alt_txt"]) == (file_id, "Segments", "Bars")
    assert Path(shared["path"]).read_bytes() == PNG
    assert messages(tmp_path)[1]["thread_ts"] == ts


@pytest.mark.parametrize(
    ("channel", "advice"), [("nowhere", "destinations.slack.channel"), ("C0ARCHIVED", "channel that is in use")]
)
def test_a_wrong_channel_is_permanent_and_says_what_to_set(workspace: Running, channel: str, advice: str) -> None:
    with pytest.raises(PermanentError, match=advice):
        slack(workspace.url).post(channel, "hello")


def test_a_refused_token_is_a_credential_error(workspace: Running) -> None:
    with pytest.raises(CredentialError, match="SCORING_SLACK_TOKEN"):
        slack(workspace.url, token="xoxb-other").probe()


def test_the_probe_says_who_answers(workspace: Running) -> None:
    assert slack(workspace.url).probe() == "slack answers as scoring in Sandbox Coffee"


def test_a_throttled_message_is_posted_after_the_wait_slack_asked_for(scripted: Loopback) -> None:
    throttled = reply({"ok": False, "error": "ratelimited"}, 429, headers={"Retry-After": "7"})
    scripted.script([throttled, reply({"ok": True, "ts": "1.2"})])
    waited: list[float] = []
    assert slack(scripted.url, waited=waited).post(CHANNEL, "hello") == "1.2"
    assert waited == [7.0]


def test_a_wait_that_is_too_long_ends_the_call_without_waiting(scripted: Loopback) -> None:
    scripted.script([reply({"ok": False, "error": "ratelimited"}, 429, headers={"Retry-After": "3600"})])
    waited: list[float] = []
    with pytest.raises(TransientError) as caught:
        slack(scripted.url, waited=waited).post(CHANNEL, "hello")
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert waited == []


@pytest.mark.parametrize(
    "answer", [Hang(), Reset(), reply({"ok": False, "error": "fatal_error"}), reply({"ok": False}, 503)]
)
def test_a_post_without_a_clear_answer_is_in_doubt_and_not_repeated(scripted: Loopback, answer: object) -> None:
    scripted.script([answer])  # type: ignore[list-item]
    with pytest.raises(OutcomeUnknownError):
        slack(scripted.url, timeout=1).post(CHANNEL, "hello")
    assert len(scripted.seen) == 1


def test_an_unreachable_slack_is_certain_not_to_have_the_message() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        waited: list[float] = []
        with pytest.raises(TransientError) as caught:
            slack(url, waited=waited).post(CHANNEL, "hello")
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert len(waited) == 2


def test_a_web_page_instead_of_json_is_one_of_our_errors(scripted: Loopback) -> None:
    scripted.script([page("<html>maintenance</html>")])
    with pytest.raises(SourceError):
        slack(scripted.url).post(CHANNEL, "hello")
