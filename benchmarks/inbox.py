"""Measures the webhook receiver: ``python -m benchmarks.inbox --answers 20000``.

The receiver runs as a process of its own, on one core where the system lets us say so. Clients post NPS answers to it
over connections they keep open, one signed answer per request, some of them twice, and count those it acknowledged:
an answer of 200 means on disk. At the end the inbox must hold every distinct answer once.

Belongs here: the clients, what must come out, printing. Does not belong here: the receiver (``webhooks``).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import func, select

from benchmarks.apart import MIB
from scoring_platform.ledger.schema import INBOX
from scoring_platform.ledger.store import Ledger

LEAST_PER_SECOND = 1_000
PATH = "/webhooks/nps/survey"
SECRET = "a-secret-of-the-survey-tool"  # noqa: S105 - made up
DUPLICATES = 10
"""One answer in so many is posted a second time."""

CONFIGURATION = """
time_zone: Asia/Tokyo
history_start: 2026-01-01
sources:
  nps: {providers: {survey: {}}}
webhooks: {requests_per_minute: 100000000}
"""


def request_of(number: int) -> bytes:
    """Return the whole request with the answer ``number``, signed now."""
    body = json.dumps(
        {
            "id": f"r{number}",
            "email": f"k{number}@example.jp",
            "nps_score": number % 11,
            "comment": "配送が早くて助かりました。",
            "answered_at": "2026-06-30T10:00:00+09:00",
            "updated_at": "2026-06-30T10:05:00+09:00",
            "product": "beans",
        }
    ).encode()
    at = str(int(time.time()))
    signature = hmac.new(SECRET.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nX-Timestamp: {at}\r\nX-Signature: {signature}\r\n\r\n"
    )
    return head.encode() + body


def post_all(port: int, requests: Sequence[bytes]) -> list[float]:
    """Post over one connection, one after the other, and return how long each answer took in seconds.

    Raises:
        RuntimeError: One was not acknowledged.
    """
    took = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for request in requests:
            started = time.perf_counter()
            connection.sendall(request)
            answer = connection.recv(65_536)
            while not answer.endswith(b"}") and (part := connection.recv(65_536)):  # the body may come after the head
                answer += part
            took.append(time.perf_counter() - started)
            if not answer.startswith(b"HTTP/1.1 200"):
                msg = f"the receiver answered {answer[:200]!r}"
                raise RuntimeError(msg)
    return took


@contextmanager
def receiving(home: Path) -> Iterator[tuple[int, int]]:
    """Run the receiver of ``home`` on one core; give its port and its process."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "SCORING_HOME": str(home),
        "SCORING_CONFIG": str(home / "scoring.yaml"),
        "SCORING_SURVEY_WEBHOOK_SECRET": SECRET,
    }
    command = [sys.executable, "-m", "scoring_platform.webhooks.server", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:  # noqa: S603 - ours
        try:
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(running.pid, {min(os.sched_getaffinity(0))})
            said = running.stdout.readline() if running.stdout else ""
            found = re.search(r"http://127\.0\.0\.1:(\d+)", said)
            if found is None:
                msg = f"the receiver did not start: {said}"
                raise RuntimeError(msg)
            yield int(found[1]), running.pid
        finally:
            running.terminate()


@click.command(help=__doc__)
@click.option("--answers", default=20_000, show_default=True, type=click.IntRange(100), help="Distinct answers")
@click.option("--clients", default=32, show_default=True, type=click.IntRange(1, 200), help="Connections at once")
def main(answers: int, clients: int) -> None:
    """Start a receiver, post, print how many answers became durable in a second."""
    numbers = [*range(answers), *range(0, answers, DUPLICATES)]
    requests = [request_of(number) for number in numbers]
    with tempfile.TemporaryDirectory(prefix="scoring-bench-") as folder:
        home = Path(folder)
        (home / "scoring.yaml").write_text(CONFIGURATION, encoding="utf-8")
        with receiving(home) as (port, process), ThreadPoolExecutor(clients) as pool:
            started = time.perf_counter()
            parts = list(pool.map(lambda first: post_all(port, requests[first::clients]), range(clients)))
            seconds = time.perf_counter() - started
            peak = _peak(process)
        kept = _kept(home)
    _tell(len(requests), seconds, [one for part in parts for one in part], kept=kept, peak=peak)
    if kept != answers:
        msg = f"{answers:,} distinct answers were acknowledged, but {kept:,} are in the inbox"
        raise click.ClickException(msg)


def _kept(home: Path) -> int:
    with Ledger(f"sqlite:///{home / 'ledger.db'}") as ledger, ledger.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(INBOX)).scalar_one())


def _peak(process: int) -> int:
    status = Path(f"/proc/{process}/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text("utf-8")) if status.exists() else None
    return int(found[1]) * 1024 if found else 0


def _tell(posted: int, seconds: float, took: Sequence[float], *, kept: int, peak: int) -> None:
    ordered = sorted(took)
    median, slow = ordered[len(ordered) // 2] * 1_000, ordered[int(len(ordered) * 0.99)] * 1_000
    print(f"{posted:,} requests with {kept:,} distinct answers in {seconds:.1f} s, all acknowledged and on disk")
    print(f"  {posted / seconds:,.0f} durable answers/s (at least {LEAST_PER_SECOND:,} are wanted on one core)")
    print(f"  an answer took {median:.0f} ms in the middle, {slow:.0f} ms in 99 of 100; peak {peak / MIB:,.0f} MiB")


if __name__ == "__main__":
    main()
