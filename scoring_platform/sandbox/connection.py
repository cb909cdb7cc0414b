"""The platform's way to the sandbox: find the server of a home, or start one.

Belongs here: the endpoint file, starting and stopping the server as a child, the control endpoints. Does not belong
here: the server itself, which runs in its own process.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from scoring_platform.errors import TransientError
from scoring_platform.sandbox.credentials import CREDENTIALS, credential
from scoring_platform.sandbox.state import state_folder

__all__ = ["CREDENTIALS", "Endpoint", "Running", "credential", "ensure", "find", "start"]

ALREADY_RUNNING = 3
"""Exit code of a server that found another one at work for the same home."""

START_SECONDS = 60.0
STOP_SECONDS = 10.0

_ANSWER_SECONDS = 1.0
_CONTROL_SECONDS = 30.0
_DELIVERY_SECONDS = 600.0
_LOOK_EVERY = 0.05
_LOG_TAIL = 2_000
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody: the sandbox speaks plain HTTP on loopback, and loading real certificates takes longer than a call."""


@dataclass(frozen=True)
class Endpoint:
    """A server that answers.

    Attributes:
        http: Address of the server.
        smtp_port: Port of its mail server on loopback.
        pid: Its process.
    """

    http: str
    smtp_port: int
    pid: int

    def url(self, system: str) -> str:
        """Return the base address of a vendor, such as ``http://127.0.0.1:PORT/shopify``."""
        return f"{self.http}/{system}"

    def set_clock(self, moment: datetime | None) -> None:
        """Stop the company's clock at ``moment``; ``None`` gives it back to the wall clock."""
        text = None if moment is None else moment.astimezone(UTC).isoformat()
        self._control("POST", "clock", body={"now": text})

    def add_fault(
        self,
        path_prefix: str,
        kind: str,
        *,
        times: int = 1,
        status: int = 503,
        retry_after: float | None = None,
    ) -> None:
        """Let the next requests under ``path_prefix`` go wrong; the kinds are in ``faults.KINDS``."""
        fault = {"path_prefix": path_prefix, "kind": kind, "times": times, "status": status}
        self._control("POST", "faults", body={**fault, "retry_after": retry_after})

    def clear_faults(self) -> None:
        """Forget all faults still to come."""
        self._control("DELETE", "faults")

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests counted so far: vendor, method, path, writes, count."""
        counted: list[dict[str, Any]] = self._control("GET", "requests").json()["requests"]
        return counted

    def forget_requests(self) -> None:
        """Start counting requests anew."""
        self._control("DELETE", "requests")

    def deliver_webhooks(self, vendor: str, url: str) -> int:
        """Let ``vendor`` send what happened since its last delivery to ``url`` on loopback; return how many events.

        Raises:
            TransientError: The receiver does not take them.
        """
        body = {"vendor": vendor, "url": url}
        answer = self._control("POST", "webhooks", body=body, seconds=_DELIVERY_SECONDS)
        return int(answer.json()["delivered"])

    def answers(self) -> bool:
        """Whether this very server answers within a second; another one may have got its port since."""
        try:
            answer = _call("GET", f"{self.http}/healthz", seconds=_ANSWER_SECONDS)
            return bool(answer.is_success and answer.json()["pid"] == self.pid)
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False

    def _control(
        self, method: str, name: str, *, body: dict[str, Any] | None = None, seconds: float = _CONTROL_SECONDS
    ) -> httpx.Response:
        try:
            answer = _call(method, f"{self.http}/_sandbox/{name}", body=body, seconds=seconds)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            msg = f"the sandbox at {self.http} did not take {method} /_sandbox/{name}: {error}"
            raise TransientError(msg) from error
        return answer


@dataclass(frozen=True)
class Running:
    """A server this process started."""

    endpoint: Endpoint
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """Stop the server and wait until it is gone."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def find(home: Path) -> Endpoint | None:
    """Return the server of ``home`` if one answers."""
    endpoint = _announced(home)
    return endpoint if endpoint is not None and endpoint.answers() else None


def start(home: Path, *, orders: int = 0) -> Running:
    """Start a server for ``home`` that ends with this process, and wait until it answers.

    Args:
        home: SCORING_HOME.
        orders: How many orders the shop has beside the company's own.

    Raises:
        TransientError: It ended or did not answer in time; the message has the end of its log.
    """
    log = state_folder(home) / "server.log"
    command = [sys.executable, "-m", "scoring_platform.sandbox.server"]
    command += ["--home", str(home), "--parent-pid", str(os.getpid()), "--orders", str(orders)]
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    endpoint = _awaited(home, process)
    if endpoint is not None:
        return Running(endpoint, process)
    ended = process.poll()
    process.kill()
    process.wait()
    why = f"did not answer within {START_SECONDS:.0f} s" if ended is None else f"ended with exit code {ended}"
    tail = log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:].strip()
    msg = f"the sandbox of {home} {why}; the end of {log}:\n{tail or '(empty)'}"
    raise TransientError(msg)


@contextmanager
def ensure(home: Path) -> Iterator[Endpoint]:
    """Give the server of ``home``: the one that answers, or a new one that is stopped at the end."""
    found = find(home)
    if found is not None:
        yield found
        return
    running = start(home)
    try:
        yield running.endpoint
    finally:
        running.stop()


def _awaited(home: Path, process: subprocess.Popen[bytes]) -> Endpoint | None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        ended = process.poll()
        endpoint = find(home)
        # Two processes may start a server at once: the second server ends, and the first one serves both.
        if endpoint is not None or ended not in (None, ALREADY_RUNNING):
            return endpoint
        time.sleep(_LOOK_EVERY)
    return None


def _announced(home: Path) -> Endpoint | None:
    path = home / "sandbox" / "endpoint.json"
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        return Endpoint(http=str(read["http"]), smtp_port=int(read["smtp_port"]), pid=int(read["pid"]))
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _call(method: str, url: str, *, body: dict[str, Any] | None = None, seconds: float) -> httpx.Response:
    # A proxy of the environment must not stand between us and our own machine.
    with httpx.Client(trust_env=False, timeout=seconds, verify=_NO_CERTIFICATES) as client:
        return client.request(method, url, json=body)
