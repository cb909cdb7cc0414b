"""Finding, starting and stopping the sandbox of a home, with the real process."""

from __future__ import annotations

import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import stamina

from scoring_platform.errors import ConfigurationError, TransientError
from scoring_platform.sandbox import connection
from scoring_platform.sandbox.credentials import service_account
from scoring_platform.sandbox.server import serve

_LAUNCHER = """
import sys, time
from pathlib import Path
from scoring_platform.sandbox import connection
running = connection.start(Path(sys.argv[1]))
print(running.endpoint.pid, flush=True)
time.sleep(60)
"""


def _until(holds: Callable[[], bool]) -> None:
    for attempt in stamina.retry_context(on=AssertionError, attempts=None, timeout=10, wait_initial=0.05, wait_max=0.2):
        with attempt:
            assert holds()


def test_a_home_without_a_server_has_none(tmp_path: Path) -> None:
    assert connection.find(tmp_path) is None
    folder = tmp_path / "sandbox"
    folder.mkdir()
    (folder / "endpoint.json").write_text('{"http": "http://127.0.0.1:9", "smtp_port": 9, "pid": 1}', encoding="utf-8")
    assert connection.find(tmp_path) is None


def test_a_server_is_started_found_shared_and_stopped(tmp_path: Path) -> None:
    with connection.ensure(tmp_path) as endpoint:
        assert connection.find(tmp_path) == endpoint
        with connection.ensure(tmp_path) as same:
            assert same == endpoint
        assert endpoint.answers()
        assert serve(tmp_path) == connection.ALREADY_RUNNING
        endpoint.set_clock(datetime(2026, 1, 5, 21, tzinfo=UTC))
        _ask_everything(endpoint)
        endpoint.forget_requests()
        assert endpoint.requests() == []
    assert connection.find(tmp_path) is None
    assert not (tmp_path / "sandbox" / "endpoint.json").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"sandbox"}


def _ask_everything(endpoint: connection.Endpoint) -> None:
    with httpx.Client(trust_env=False) as http:
        assert http.get(f"{endpoint.http}/healthz").json()["now"] == "2026-01-05T21:00:00Z"
        assert http.get(f"{endpoint.url('zendesk')}/api/v2/users/me").status_code == 401
        endpoint.add_fault("/zendesk", "status", status=500)
        assert http.get(f"{endpoint.url('zendesk')}/api/v2/users/me").status_code == 500
        endpoint.add_fault("/zendesk", "status", status=500)
        endpoint.clear_faults()
        assert http.get(f"{endpoint.url('zendesk')}/api/v2/users/me").status_code == 401
    assert [row["count"] for row in endpoint.requests()] == [3]
    with smtplib.SMTP("127.0.0.1", endpoint.smtp_port, timeout=5) as mail:
        assert mail.noop()[0] == 250


def test_the_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    launcher = subprocess.Popen([sys.executable, "-c", _LAUNCHER, str(tmp_path)], stdout=subprocess.PIPE)
    assert launcher.stdout is not None
    with launcher.stdout:
        assert int(launcher.stdout.readline()) > 0
        endpoint = connection.find(tmp_path)
        assert endpoint is not None
        os.kill(launcher.pid, signal.SIGKILL)
        launcher.wait(10)
    _until(lambda: connection.find(tmp_path) is None)
    _until(lambda: not (tmp_path / "sandbox" / "endpoint.json").exists())


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "sandbox"
    folder.mkdir()
    (folder / "clock.json").write_text('{"now": "not a time"}', encoding="utf-8")
    with pytest.raises(TransientError, match=r"exit code 1.*(?s:.*)not a time"):
        connection.start(tmp_path)


def test_credentials_are_known_and_the_service_account_is_made_once(tmp_path: Path) -> None:
    assert connection.credential(tmp_path, "klaviyo", "api_key") == connection.CREDENTIALS["klaviyo"]["api_key"]
    account = connection.credential(tmp_path, "ga4", "service_account")
    assert account == connection.credential(tmp_path, "ga4", "service_account") == service_account(tmp_path / "sandbox")
    assert (tmp_path / "sandbox" / "ga4_service_account.json").stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigurationError, match=r"no credential shopify\.password"):
        connection.credential(tmp_path, "shopify", "password")
