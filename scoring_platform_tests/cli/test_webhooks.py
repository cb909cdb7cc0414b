"""The commands that receive webhooks: what they say, how they start and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
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


def test_nothing_a_stranger_sent_can_steer_the_terminal(tmp_path: Path) -> None:
    home = platform(tmp_path)
    sent = "\x1b]0;owned\x07\x9b31m\u202egnp.exe\u2066\u200b\x7f"
    with home.ledger() as ledger:
        Inbox(ledger).store([Post("events", "website", dead=[DeadLetter("an event is not an object", f"漢字 {sent}")])])

    masked = home.command("webhooks", "--dead-letters").out
    whole = home.command("webhooks", "--dead-letters", "--json").out

    assert [said for said in (masked, whole) if any(one in said for one in set(sent) - set("]0;owned31mgnp.exe"))] == []
    assert "    漢字 \\u001b]0;owned\\u0007\\u009b31m\\u202egnp.exe\\u2066\\u200b\\u007f\n" in masked
    assert json.loads(whole)[0]["body"] == f"漢字 {sent}"


@pytest.fixture
def signals() -> Iterator[None]:
    """Give the process its handlers back."""
    told = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(one) for one in told]
    yield
    for one, handler in zip(told, before, strict=True):
        signal.signal(one, handler)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize(("ends", "code"), [("raise SystemExit(3)", 1), ("pass", 0)])
def test_the_end_of_one_service_stops_the_other_and_a_failure_is_named(
    tmp_path: Path, ends: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    written = f"pathlib.Path({str(tmp_path / 'pid')!r})"
    waits = f"import os, pathlib, time; {written}.write_text(str(os.getpid())); time.sleep(60)"
    once_it_waits = f"import pathlib, time\nwhile not {written}.exists(): time.sleep(0.01)\n"
    commands = {"Dagster": python(waits), "the webhook receiver": python(once_it_waits + ends)}
    assert services._run(commands, meanwhile=nullcontext()) == code
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    said = capsys.readouterr().err
    named = "Error: the webhook receiver ended by itself (exit code 3); everything was stopped\n"
    assert said == (named if code else "")


@pytest.mark.usefixtures("signals")
def test_who_asked_to_outlive_the_terminal_does() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert services._run({"Dagster": python("pass")}, meanwhile=nullcontext()) == 0
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


# Whoever starts the tests in the background may have signals ignored, and what is ignored is inherited.
RUNS = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from contextlib import nullcontext
from scoring_platform.cli import services
sys.exit(services._run({"Dagster": [sys.executable, "-c", sys.argv[1]]}, meanwhile=nullcontext()))
"""
SLOW_IMPORT = "import time; print('reads its modules', flush=True); time.sleep(60)"


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_service_that_is_still_starting_is_stopped_without_a_word(told: signal.Signals) -> None:
    running = subprocess.Popen(
        [*python(RUNS), SLOW_IMPORT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == "reads its modules\n"
        os.killpg(running.pid, told)  # as a terminal does
        out, err = running.communicate(timeout=20)
    finally:
        running.kill()
    assert (running.returncode, out, err) == (0, "", "")
