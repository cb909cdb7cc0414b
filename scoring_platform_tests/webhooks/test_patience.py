"""Who takes a place at the receiver and sends no request: hung up on, and never a reason to take up memory."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from scoring_platform.ledger.inbox import Inbox
from scoring_platform.ledger.store import Ledger
from scoring_platform.webhooks.patience import Patience
from scoring_platform.webhooks.providers import open_providers
from scoring_platform.webhooks.receiver import build_app
from scoring_platform.webhooks.server import _configured, _Server
from scoring_platform_tests.webhooks.scenario import Desk, configured, form


@dataclass(eq=False)
class Cycle:
    """A request as uvicorn keeps it."""

    response_complete: bool = False


@dataclass(eq=False)
class Connection:
    """A connection as uvicorn keeps it."""

    cycle: Cycle | None = None


def test_who_sends_no_request_for_too_long_is_told_from_who_works() -> None:
    now = [0.0]
    patience = Patience(10, clock=lambda: now[0])
    silent, working, busy = Connection(), Connection(Cycle()), Connection(Cycle(response_complete=True))
    found = {}
    for second in range(30):
        now[0] = second
        if second % 5 == 0:
            busy.cycle = Cycle(response_complete=True)
        found[second] = patience.overdue([silent, working, busy])
    assert [second for second, overdue in found.items() if overdue] == list(range(11, 30))
    assert found[29] == [silent]


def test_after_an_answer_the_patience_begins_anew() -> None:
    now = [0.0]
    patience = Patience(10, clock=lambda: now[0])
    one = Connection()
    assert patience.overdue([one]) == []
    one.cycle, now[0] = Cycle(), 11
    assert patience.overdue([one]) == []
    one.cycle.response_complete, now[0] = True, 60
    assert patience.overdue([one]) == []
    now[0] = 71
    assert patience.overdue([one]) == [one]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Desk]:
    """A receiver served as in operation, but with little patience."""
    settings = configured(tmp_path)
    with Ledger(settings.ledger_url) as ledger, socket.create_server(("127.0.0.1", 0)) as listener:
        app = build_app(open_providers(settings), Inbox(ledger))
        server = _Server(_configured(app), head_seconds=0.5)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        host, port = listener.getsockname()
        try:
            with httpx.Client(base_url=f"http://{host}:{port}", trust_env=False, timeout=30) as http:
                yield Desk(http, ledger)
        finally:
            server.should_exit = True
            thread.join(timeout=10)


def connected(desk: Desk) -> socket.socket:
    parts = urlsplit(str(desk.http.base_url))
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


@pytest.mark.parametrize("beginning", [b"", b"POST /webhooks/events/website HTTP/1.1\r\nX-A: "])
def test_who_sends_no_whole_head_is_hung_up_on(receiver: Desk, beginning: bytes) -> None:
    with connected(receiver) as silent:
        silent.sendall(beginning)
        assert receiver.post(form()).status_code == 200
        assert silent.recv(1) == b""


def test_a_body_that_still_comes_after_the_refusal_does_not_hold_the_place(receiver: Desk) -> None:
    with connected(receiver) as slow:
        slow.sendall(b"POST /webhooks/events/nobody HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        answer = b"".join(iter(lambda: slow.recv(1_000), b""))
    assert b" 404 " in answer


def test_a_request_with_two_lengths_is_refused_and_nothing_behind_it_is_taken_for_another(receiver: Desk) -> None:
    hidden = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    lengths = b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(hidden))
    with connected(receiver) as two:
        two.sendall(b"POST /webhooks/events/website HTTP/1.1\r\nHost: x\r\n" + lengths + hidden)
        answer = b"".join(iter(lambda: two.recv(1_000), b""))
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.split()[1] == b"400"


def test_a_head_without_end_is_refused(receiver: Desk) -> None:
    with connected(receiver) as endless:
        endless.sendall(b"POST /webhooks/events/website HTTP/1.1\r\nHost: x\r\n")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            endless.sendall((b"X-A: %s\r\n" % (b"a" * 2_000)) * 20_000)
    assert receiver.post(form()).status_code == 200
