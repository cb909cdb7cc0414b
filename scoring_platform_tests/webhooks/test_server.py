"""The receiver as a process: killed, refused, and told where to listen."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from scoring_platform.errors import ConfigurationError
from scoring_platform.ledger.schema import INBOX
from scoring_platform.ledger.store import Ledger
from scoring_platform.settings import Settings, load_settings
from scoring_platform.webhooks.providers import open_providers
from scoring_platform.webhooks.server import serve
from scoring_platform_tests.webhooks.scenario import SECRET, WEBSITE, configured, signed


@contextmanager
def process(settings: Settings, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The receiver in a process of its own, and its address."""
    environment = {
        "PATH": os.environ["PATH"],
        "SCORING_HOME": str(settings.home),
        "SCORING_CONFIG": str(settings.loaded.path),
        "SCORING_WEBSITE_WEBHOOK_SECRET": SECRET,
    }
    command = [sys.executable, "-m", "scoring_platform.webhooks.server", "--port", "0", *arguments]
    running = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert running.stdout is not None
    try:
        said = [running.stdout.readline() for _ in range(2)]
        assert said[1].strip().endswith(WEBSITE), said
        yield running, said[1].split()[-1].removesuffix(WEBSITE)
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


def post(http: httpx.Client, number: int) -> httpx.Response:
    body = f'{{"id": "f{number}", "kind": "form", "occurred_at": "2026-03-02"}}'.encode()
    return http.post(WEBSITE, content=body, headers=signed(body))


def test_what_was_acknowledged_survives_a_kill_in_the_middle_of_everything(tmp_path: Path) -> None:
    settings = configured(tmp_path, receiver={"requests_per_minute": 100_000})
    acknowledged: list[str] = []
    enough = threading.Event()

    def send(first: int) -> None:
        with httpx.Client(base_url=url, trust_env=False) as http:
            for number in range(first, first + 5_000):
                try:
                    answer = post(http, number)
                except httpx.TransportError:
                    return
                assert answer.status_code == 200
                acknowledged.append(f"f{number}")
                if len(acknowledged) >= 60:
                    enough.set()

    with process(settings) as (running, url):
        senders = [threading.Thread(target=send, args=(first,)) for first in range(0, 20_000, 5_000)]
        for sender in senders:
            sender.start()
        assert enough.wait(30)
        running.send_signal(signal.SIGKILL)
        for sender in senders:
            sender.join(30)

    with Ledger(settings.ledger_url) as ledger, ledger.reading() as connection:
        kept = set(connection.execute(select(INBOX.c.key)).scalars())
    assert len(acknowledged) >= 60
    assert set(acknowledged) <= kept


def test_an_interrupt_ends_it_quietly(tmp_path: Path) -> None:
    with process(configured(tmp_path)) as (running, url), httpx.Client(base_url=url, trust_env=False) as http:
        assert http.get("/healthz").json()["status"] == "ok"
        assert post(http, 1).status_code == 200
        http.close()
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    with process(configured(tmp_path), "--parent-pid", "1") as (running, _):
        assert running.wait(20) == 0


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "website is configured in .* but its credential is missing: set SCORING_WEBSITE_WEBHOOK_SECRET"),
        ({"SCORING_WEBSITE_WEBHOOK_SECRET": "tiny-one"}, "SCORING_WEBSITE_WEBHOOK_SECRET is shorter than 16"),
        (
            {"SCORING_WEBSITE_WEBHOOK_SECRET": SECRET, "SCORING_WEBSITE_WEBHOOK_SECRET_PREVIOUS": "older"},
            "SCORING_WEBSITE_WEBHOOK_SECRET_PREVIOUS is shorter than 16",
        ),
    ],
)
def test_without_a_good_secret_it_does_not_start(tmp_path: Path, environment: dict[str, str], words: str) -> None:
    path = configured(tmp_path).loaded.path
    settings = load_settings(environment, home=tmp_path / "home", config_path=path)

    with pytest.raises(ConfigurationError, match=words) as caught:
        serve(settings, port=0)
    assert not any(secret in str(caught.value) for secret in environment.values())


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            serve(configured(tmp_path), port=port)


def test_limits_of_somebody_who_sends_nothing_are_a_mistake(tmp_path: Path) -> None:
    settings = configured(tmp_path, receiver={"providers": {"sendgrid": {"max_body_bytes": 10_000}}})

    with pytest.raises(ConfigurationError, match="sendgrid sends nothing; known: website"):
        open_providers(settings)


def test_a_key_is_never_shown(tmp_path: Path) -> None:
    assert SECRET not in repr(open_providers(configured(tmp_path)))


SECTIONS: list[tuple[dict[str, Any], str]] = [
    ({"timestamp_header": None}, "{body}"),
    ({}, "{timestamp}.{body}"),
    ({"id_header": "X-Id", "signed": "{id}.{timestamp}.{body}"}, "{id}.{timestamp}.{body}"),
]


@pytest.mark.parametrize(("section", "template"), SECTIONS)
def test_what_is_signed_follows_from_the_headers(tmp_path: Path, section: dict[str, Any], template: str) -> None:
    settings = configured(tmp_path, {"providers": {"website": section}})
    assert settings.config.sources.webhooks.providers["website"].template == template


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"signed": "{body}"}, "timestamp_header is given but not signed"),
        ({"id_header": "X-Id"}, "id_header is given but not signed"),
        ({"timestamp_header": None, "signed": "{timestamp}.{body}"}, "there is no timestamp_header"),
        ({"signed": "{timestamp}"}, "must name {body} once"),
        ({"signed": "{timestamp}{body}{secret}"}, "must name {body} once"),
        ({"algorithm": "md5"}, "sha256"),
        ({"header": "X Signature"}, "header"),
    ],
)
def test_a_way_of_signing_that_proves_nothing_is_refused(tmp_path: Path, section: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configured(tmp_path, {"providers": {"website": section}})
    assert words in str(caught.value)


def test_a_provider_needs_a_name_that_fits_a_variable_and_an_address(tmp_path: Path) -> None:
    wrong: list[dict[str, Any]] = [{"Web-Site": {}}, {"a/b": {}}, {}]
    for providers in wrong:
        with pytest.raises(ConfigurationError, match="providers"):
            configured(tmp_path, {"providers": providers})
