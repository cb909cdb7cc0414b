"""The sandbox workspace says no the way Slack does, and keeps what it accepted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from scoring_platform.sandbox import slack
from scoring_platform.sandbox.outbox import messages
from scoring_platform_tests.destinations.running import company, serving


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer xoxb-sandbox"}
    with (
        serving("/slack", slack.routes(company(tmp_path))) as running,
        httpx.Client(base_url=f"{running.url}/api", headers=headers, trust_env=False) as opened,
    ):
        yield opened


def post(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer = client.post("/chat.postMessage", json={"channel": "C0SCORING", "text": "hello", **fields})
    assert answer.status_code == 200
    return dict(answer.json())


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"channel": "nowhere"}, "channel_not_found"),
        ({"channel": "C0ARCHIVED"}, "is_archived"),
        ({"text": ""}, "no_text"),
        ({"blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"blocks": [{"type": "header", "text": {"type": "plain_text", "text": "h" * 151}}]}, "invalid_blocks"),
        ({"blocks": [{"type": "section", "fields": [{"type": "mrkdwn", "text": "f"}] * 11}]}, "invalid_blocks"),
    ],
)
def test_a_refusal_is_a_200_that_says_no(
    client: httpx.Client, tmp_path: Path, fields: dict[str, Any], error: str
) -> None:
    answer = post(client, **fields)
    assert (answer["ok"], answer["error"]) == (False, error)
    assert messages(tmp_path) == []


def test_a_missing_and_a_wrong_token_are_told_apart(client: httpx.Client) -> None:
    wrong = client.post("/auth.test", headers={"Authorization": "Bearer other"}).json()
    client.headers.pop("Authorization")
    missing = client.post("/auth.test").json()
    assert (wrong["error"], missing["error"]) == ("invalid_auth", "not_authed")
    assert client.post("/api.test").json()["ok"] is True


def test_an_edited_message_is_read_as_edited_and_stays_one(client: httpx.Client, tmp_path: Path) -> None:
    first, second = post(client, text="one"), post(client, text="two")
    assert first["ts"] != second["ts"]
    edit = {"channel": "C0SCORING", "ts": first["ts"], "text": "edited"}
    assert client.post("/chat.update", json=edit).json()["ok"] is True
    assert [one["text"] for one in messages(tmp_path)] == ["edited", "two"]
    assert client.post("/chat.update", json={**edit, "ts": "1.1"}).json()["error"] == "message_not_found"


def test_a_burst_is_answered_with_429_and_a_wait(client: httpx.Client) -> None:
    answers = [client.post("/chat.postMessage", json={"channel": "C0", "text": "x"}) for _ in range(60)]
    limited = [one for one in answers if one.status_code == 429]
    assert limited
    assert limited[0].headers["Retry-After"] == "1"


def test_an_upload_of_the_wrong_length_is_not_shared(client: httpx.Client, tmp_path: Path) -> None:
    address = client.get("/files.getUploadURLExternal", params={"filename": "a.png", "length": "10"}).json()
    client.post(address["upload_url"], content=b"12345")
    done = client.post(
        "/files.completeUploadExternal", json={"files": [{"id": address["file_id"]}], "channel_id": "C0SCORING"}
    )
    assert done.json()["error"] == "file_upload_size_mismatch"
    assert messages(tmp_path) == []
