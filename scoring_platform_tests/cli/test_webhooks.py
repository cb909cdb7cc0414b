"""The commands that receive webhooks: what they say, how they start and how they end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from scoring_platform.cli import services
from scoring_platform.ledger.inbox import DeadLetter, Inbox, Post
from scoring_platform_tests.end_to_end.platform import Platform
from scoring_platform_tests.webhooks.scenario import SECRET, WEBSITE, configured, signed


def platform(root: Path, **environment: str) -> Platform:
    """A home whose only source is the website."""
    public = {"public_url": "https://hooks.example.jp/"}
    settings = configured(root, receiver=public)
    return Platform(settings.home, settings.loaded.path, environment)


def test_it_says_what_to_configure_receives_and_ends_on_an_interrupt(tmp_path: Path) -> None:
    home = platform(tmp_path, SCORING_WEBSITE_WEBHOOK_SECRET=SECRET)
    running = home.start("webhooks", "--port", "0")
    try:
        assert running.stdout is not None
        first, second = running.stdout.readline(), running.stdout.readline()
        url = first.split()[2]
        assert second.strip() == f"events from website: https://hooks.example.jp{WEBSITE}"
        body = b'{"id": "1", "kind": "form", "occurred_at": "2026-03-02"}'
        assert httpx.post(f"{url}{WEBSITE}", content=body, headers=signed(body), trust_env=False).status_code == 200
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
    finally:
        running.kill()
    assert (running.returncode, out, err) == (0, "Stopped; everything that was acknowledged is kept.\n", "")


@pytest.mark.parametrize("command", [("webhooks", "--port", "0"), ("up",)])
def test_without_a_secret_nothing_starts(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = platform(tmp_path).command(*command)

    assert done.code == 1
    assert "set SCORING_WEBSITE_WEBHOOK_SECRET" in done.err
    assert "Dagster UI" not in done.out


def test_dead_letters_are_shown_masked_and_as_json_whole(tmp_path: Path) -> None:
    home = platform(tmp_path)
    assert home.command("webhooks", "--dead-letters").out == "no dead letters\n"
    letter = DeadLetter("an event is not an object", '["taro@example.jp",\n "x"]')
    with home.ledger() as ledger:
        at = datetime(2026, 11, 20, tzinfo=UTC)
        Inbox(ledger).store([Post("events", "website", dead=[letter])], clock=lambda: at)

    assert home.command("webhooks", "--dead-letters").out.splitlines() == [
        "2026-11-20T00:00:00+00:00 events/website: an event is not an object",
        '    ["t***@***.jp", "x"]',
        "the latest 1 dead letters, newest first",
    ]
    (whole,) = json.loads(home.command("webhooks", "--dead-letters", "--json").out)
    assert whole["body"] == letter.body


def child(code: str) -> services.Child:
    return subprocess.Popen([sys.executable, "-c", code])


WAITS = "import time; time.sleep(60)"


@pytest.mark.parametrize(("ends", "code"), [("raise SystemExit(3)", 1), ("pass", 0)])
def test_the_end_of_one_service_stops_the_other_and_a_failure_is_named(
    ends: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    waiting, ended = child(WAITS), child(ends)
    try:
        assert services._until_one_ends({"Dagster": waiting, "the webhook receiver": ended}) == code
    finally:
        signal.signal(signal.SIGTERM, before)
        waiting.kill()
    assert waiting.poll() is not None
    said = capsys.readouterr().err
    named = "Error: the webhook receiver ended by itself (exit code 3); everything was stopped\n"
    assert said == (named if code else "")
