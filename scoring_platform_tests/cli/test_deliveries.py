"""While a command receives, the sandbox's SendGrid pushes to it by itself."""

from __future__ import annotations

import json
import signal
import socket
import threading
from datetime import date
from pathlib import Path

import pytest

from scoring_platform.cli import deliveries
from scoring_platform.cli.deliveries import listening_port, pushed_mail
from scoring_platform.errors import TransientError
from scoring_platform.ledger.inbox import Inbox
from scoring_platform.settings import Settings
from scoring_platform_tests.end_to_end.platform import Platform
from scoring_platform_tests.http.loopback import reply, serving

OPENED = date(2025, 10, 4)
REAL = "https://api.sendgrid.com"


def platform(root: Path, endpoint: str = "sandbox", **receiver: object) -> Platform:
    """A home whose only source is SendGrid."""
    written = {"history_start": "2025-10-01", "sources": {"sendgrid": {"endpoint": endpoint}}, "webhooks": receiver}
    path = root / "scoring.yaml"
    path.write_text(json.dumps(written), encoding="utf-8")
    return Platform(root / "home", path)


def test_the_receiver_of_a_home_in_the_sandbox_is_pushed_to(tmp_path: Path) -> None:
    home = platform(tmp_path, port=0)
    home.set_clock(OPENED)
    running = home.start("webhooks")
    try:
        assert running.stdout is not None
        said = next(line for line in running.stdout if "delivered" in line)
        with home.ledger() as ledger:
            kept = Inbox(ledger).waiting("email", "sendgrid").count
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
    finally:
        running.kill()

    assert said == f"The sandbox's SendGrid delivered {kept:,} events; new ones follow every minute.\n"
    assert kept > 10
    assert (running.returncode, out) == (0, "Stopped; everything that was acknowledged is kept.\n")
    assert "rror" not in err


class FlakySandbox:
    """A sandbox that fails once and then delivers; it notes where to."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.twice = threading.Event()

    def __call__(self, _: Settings) -> FlakySandbox:
        return self

    def deliver_webhooks(self, vendor: str, url: str) -> int:
        self.told.append(f"{vendor} {url}")
        if len(self.told) == 1:
            msg = "the receiver was away"
            raise TransientError(msg)
        self.twice.set()
        return 1_234


def test_it_waits_for_the_receiver_and_tries_again_what_was_not_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flaky = FlakySandbox()
    monkeypatch.setattr(deliveries, "running_sandbox", flaky)
    monkeypatch.setattr(deliveries, "EVERY", 0.01)
    monkeypatch.setattr(deliveries, "_LOOK_EVERY", 0.01)
    with serving() as receiver:
        receiver.script([reply({}, 503), reply({}, 503), reply({"status": "ok"})])
        port = int(receiver.url.rsplit(":", 1)[1])
        with pushed_mail(platform(tmp_path).settings, host="0.0.0.0", port=port):
            assert flaky.twice.wait(10)
        looked = [seen.path for seen in receiver.seen]

    assert looked == ["/healthz"] * 3
    assert set(flaky.told) == {f"sendgrid {receiver.url}/webhooks/email/sendgrid"}
    said = capsys.readouterr()
    assert said.err == "The sandbox's SendGrid could not deliver: the receiver was away\n"
    assert said.out == "The sandbox's SendGrid delivered 1,234 events; new ones follow every minute.\n"


def test_both_vendors_of_the_sandbox_push_each_to_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flaky = FlakySandbox()
    monkeypatch.setattr(deliveries, "running_sandbox", flaky)
    survey = {"endpoint": "sandbox", "survey_id": "sandboxnps", "webhook": True}
    written = {"history_start": "2025-10-01", "sources": {"sendgrid": {"endpoint": "sandbox"}, "formbricks": survey}}
    path = tmp_path / "scoring.yaml"
    path.write_text(json.dumps(written), encoding="utf-8")
    with serving() as receiver:
        receiver.script([reply({"status": "ok"})])
        with pushed_mail(Platform(tmp_path / "home", path).settings, port=int(receiver.url.rsplit(":", 1)[1])):
            assert flaky.twice.wait(10)
    assert flaky.told == [
        f"sendgrid {receiver.url}/webhooks/email/sendgrid",
        f"formbricks {receiver.url}/webhooks/nps/formbricks",
    ]
    said = capsys.readouterr()
    assert said.err == "The sandbox's SendGrid could not deliver: the receiver was away\n"
    assert (
        said.out == "The sandbox's Formbricks delivered 1,234 answers of the last day; new ones follow every minute.\n"
    )


def test_a_receiver_on_another_address_is_not_pushed_to_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flaky = FlakySandbox()
    monkeypatch.setattr(deliveries, "running_sandbox", flaky)
    with pushed_mail(platform(tmp_path, host="192.0.2.1").settings):
        pass

    assert flaky.told == []
    assert "no e-mail events come while the receiver listens on 192.0.2.1" in capsys.readouterr().out


def test_the_real_sendgrid_pushes_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(deliveries, "Thread", None)  # none may be started
    with pushed_mail(platform(tmp_path, REAL).settings):
        pass

    assert capsys.readouterr().out == ""


def test_a_free_port_is_chosen_beforehand_only_where_the_sandbox_has_to_know_it(tmp_path: Path) -> None:
    sandbox = platform(tmp_path, port=0).settings
    real = platform(tmp_path, REAL, port=0).settings

    chosen = listening_port(sandbox, None)
    assert chosen
    with socket.create_server(("127.0.0.1", chosen)) as listener:
        assert listener.getsockname()[1] == chosen
    assert listening_port(sandbox, 8123) == 8123
    assert listening_port(real, None) is None
    assert listening_port(real, 0) == 0
