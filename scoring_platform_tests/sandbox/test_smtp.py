"""The sandbox mail server keeps mails across restarts and refuses what bounces."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage
from pathlib import Path

import pytest

from scoring_platform.sandbox import smtp
from scoring_platform.sandbox.outbox import mails
from scoring_platform_tests.destinations.running import company


def send(port: int, subject: str, recipient: str = "team@example.jp") -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "scoring@example.jp", recipient
    message.set_content("本文")
    with smtplib.SMTP("127.0.0.1", port, "localhost", timeout=5) as session:
        session.send_message(message)


def test_mails_are_kept_in_order_across_a_restart(tmp_path: Path) -> None:
    for subjects in (["一通目", "二通目"], ["三通目"]):
        server = smtp.start(company(tmp_path))
        for subject in subjects:
            send(server.port, subject)
        server.stop()
    assert [mail["Subject"] for mail in mails(tmp_path)] == ["一通目", "二通目", "三通目"]
    assert mails(tmp_path)[0].get_content().strip() == "本文"


def test_an_address_that_bounces_is_refused(tmp_path: Path) -> None:
    server = smtp.start(company(tmp_path))
    try:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
            send(server.port, "lost", "Bounce@example.jp")
    finally:
        server.stop()
    assert caught.value.recipients["Bounce@example.jp"][0] == 550
    assert mails(tmp_path) == []


def test_a_stopped_server_can_be_stopped_again_and_frees_its_port(tmp_path: Path) -> None:
    server = smtp.start(company(tmp_path))
    server.stop()
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        send(server.port, "nobody there")
