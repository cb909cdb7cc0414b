"""kill -9 at random while answers pour in: each is in nps_responses exactly once, in its latest revision."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from scoring_platform_tests.end_to_end.platform import REPOSITORY, TOKYO, Platform

PATIENCE_SECONDS = 600.0
SECRET = "a-secret-of-the-survey-tool"
PATH = "/webhooks/nps/survey"
CLIENTS = 6
YESTERDAY = datetime.now(UTC).astimezone(TOKYO).date() - timedelta(days=1)

Body = dict[str, Any]


@dataclass(frozen=True)
class Wave:
    """What is posted, in this order, and what must come of it: score and comment by answer."""

    posts: list[bytes]
    expected: dict[str, tuple[int, str | None]]
    states: int


def wave(answers: int, seed: int) -> Wave:
    """Answers of yesterday: one in five revised, the revision before or after it; one post in ten repeated."""
    rng = Random(seed)
    posts: list[Body] = []
    expected: dict[str, tuple[int, str | None]] = {}
    for number in range(answers):
        score = rng.randrange(11)
        first = _state(number, score=score, comment=None, minute=0)
        states = (
            [first, _state(number, score=(score + 1) % 11, comment="後から", minute=9)] if number % 5 == 0 else [first]
        )
        posts += states
        expected[f"import-{number}"] = (states[-1]["nps_score"], states[-1].get("comment"))
    states_in_all = len(posts)
    posts += rng.sample(posts, len(posts) // 10)
    rng.shuffle(posts)
    return Wave([json.dumps(post).encode() for post in posts], expected, states_in_all)


def _state(number: int, *, score: int, comment: str | None, minute: int) -> Body:
    at = f"{YESTERDAY}T12:00:00+09:00"
    return {
        "id": f"import-{number}",
        "email": f"k{number}@example.jp",
        "nps_score": score,
        "comment": comment,
        "answered_at": at,
        "updated_at": at.replace("12:00:00", f"12:{minute:02}:00"),
    }


@dataclass
class Receiver:
    """A receiver on one port that is killed and started again."""

    platform: Platform
    port: int
    process: subprocess.Popen[bytes] | None = None
    kills: int = 0

    def start(self) -> None:
        command = [sys.executable, "-m", "scoring_platform.webhooks.server", "--port", str(self.port)]
        environment = {"PATH": os.environ["PATH"], **self.platform.environment}
        self.process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.kills += 1


@dataclass
class Clients:
    """Senders that post until they are acknowledged, as survey tools do."""

    port: int
    posts: Sequence[bytes]
    done: int = 0
    failed: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self, first: int) -> None:
        connection: http.client.HTTPConnection | None = None
        for body in self.posts[first::CLIENTS]:
            while True:
                try:
                    connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                    status = _post(connection, body)
                except (OSError, http.client.HTTPException):
                    connection = None
                    time.sleep(0.02)
                    continue
                if status == 200:
                    break
                if status != 503:
                    self.failed.append(status)
                    return
            with self.lock:
                self.done += 1


def _post(connection: http.client.HTTPConnection, body: bytes) -> int:
    at = str(int(time.time()))
    signature = hmac.new(SECRET.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Timestamp": at, "X-Signature": signature}
    connection.request("POST", PATH, body=body, headers=headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def survey_home(root: Path) -> Platform:
    """A home whose only source is a survey tool that posts."""
    written = {
        "history_start": YESTERDAY.isoformat(),
        "time_zone": "Asia/Tokyo",
        "sources": {"nps": {"providers": {"survey": {}}}},
        "webhooks": {"requests_per_minute": 1_000_000},
    }
    path = root / "scoring.yaml"
    path.write_text(json.dumps(written), encoding="utf-8")
    return Platform(root / "home", path, {"SCORING_SURVEY_WEBHOOK_SECRET": SECRET})


def pour(platform: Platform, given: Wave, *, kills: int, runs: int, rng: Random) -> tuple[int, int]:
    """Post everything while the receiver and runs are killed; return how many of each were."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    receiver, clients = Receiver(platform, port), Clients(port, given.posts)
    receiver.start()
    senders = [threading.Thread(target=clients.work, args=(first,)) for first in range(CLIENTS)]
    killed_runs: list[bool] = []
    runner = threading.Thread(target=_runs, args=(platform, runs, rng.randrange(2**30), killed_runs))
    try:
        for thread in (*senders, runner):
            thread.start()
        for number in range(1, kills + 1):
            # After a share of the posts, at any moment of what is going on then.
            _wait(clients, len(given.posts) * number // (kills + 1))
            time.sleep(rng.random() * 0.05)
            receiver.kill()
            receiver.start()
        for thread in (*senders, runner):
            thread.join(PATIENCE_SECONDS)
    finally:
        receiver.kill()
    assert (clients.failed, clients.done) == ([], len(given.posts))
    return receiver.kills - 1, sum(killed_runs)


def _wait(clients: Clients, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while clients.done < count and not clients.failed and time.monotonic() < deadline:
        time.sleep(0.002)


def _runs(platform: Platform, runs: int, seed: int, killed: list[bool]) -> None:
    rng = Random(seed)
    for _ in range(runs):
        process = platform.start("run", "--date", YESTERDAY.isoformat())
        try:
            process.communicate(timeout=3 + rng.random() * 9)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            killed.append(True)


def judge(platform: Platform, given: Wave, day: date) -> None:
    rows = platform.rows("nps_responses", day)
    times = Counter(row["response_id"] for row in rows)
    found = {row["response_id"].removeprefix("survey:"): (row["nps_score"], row["raw_text"]) for row in rows}

    assert max(times.values()) == 1
    assert found.keys() == given.expected.keys(), "none is lost, none made up"
    assert found == given.expected, "each in its latest revision"


def test_answers_survive_kills_and_each_is_there_once_in_its_latest_revision(tmp_path: Path) -> None:
    platform, given = survey_home(tmp_path), wave(1_000, seed=1)
    killed, _ = pour(platform, given, kills=2, runs=0, rng=Random(2))
    done = platform.make([YESTERDAY], "raw_nps_responses", "customer_identities", "nps_responses")

    assert killed == 2
    assert done.success
    judge(platform, given, YESTERDAY)


@pytest.mark.drill
@pytest.mark.timeout(1_800)
def test_twenty_thousand_answers_survive_kills_of_receiver_and_runs(tmp_path: Path) -> None:
    platform, given = survey_home(tmp_path), wave(20_000, seed=3)
    killed, runs = pour(platform, given, kills=20, runs=8, rng=Random(4))
    last = platform.start("run", "--date", YESTERDAY.isoformat())
    out, err = last.communicate(timeout=PATIENCE_SECONDS)

    assert last.returncode == 0, out + err
    assert killed == 20
    assert runs >= 4, "runs that were killed in the midst of their work"
    judge(platform, given, YESTERDAY)
