"""Turns at a lease: the urgent first, nobody for ever, and no lease that ends while it is used."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from scoring_platform.ledger import turns
from scoring_platform.ledger.leases import acquire_lease, lease_holder
from scoring_platform.ledger.store import Ledger
from scoring_platform.ledger.turns import turn

NAME = "crm:hubspot"


def waiting(ledger: Ledger, done: list[str], **who: int) -> list[threading.Thread]:
    """Let each wait for its turn, begun in this order, and note when it had it."""

    def wait(holder: str, rank: int) -> None:
        with turn(ledger, NAME, holder=holder, rank=rank):
            done.append(holder)

    threads = [threading.Thread(target=wait, args=(holder, rank)) for holder, rank in who.items()]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    return threads


def in_order(ledger: Ledger, **who: int) -> list[str]:
    """Return in which order they had their turn, all having waited while another held the lease."""
    done: list[str] = []
    with turn(ledger, NAME, holder="first"):
        threads = waiting(ledger, done, **who)
    for thread in threads:
        thread.join(timeout=10)
    return done


def test_of_those_who_wait_nps_is_next_and_equals_come_in_the_order_they_came(ledger: Ledger) -> None:
    assert in_order(ledger, scores=1, also_scores=1, nps=0) == ["nps", "scores", "also_scores"]


def test_who_has_waited_long_enough_goes_before_the_more_urgent(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PATIENCE", timedelta(seconds=0.05))
    assert in_order(ledger, scores=1, nps=0) == ["scores", "nps"]


def test_a_lease_is_kept_for_as_long_as_its_holder_works(ledger: Ledger) -> None:
    lease = timedelta(seconds=0.3)
    with turn(ledger, NAME, holder="slow", lease=lease):
        time.sleep(0.8)
        assert not acquire_lease(ledger, NAME, holder="other", ttl=lease, now=datetime.now(UTC))
    assert acquire_lease(ledger, NAME, holder="other", ttl=lease, now=datetime.now(UTC))


def test_a_lease_is_given_back_when_its_holder_fails(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), turn(ledger, NAME, holder="one"):
        raise ZeroDivisionError
    assert lease_holder(ledger, NAME, now=datetime.now(UTC)) is None


def test_a_clock_that_was_set_back_frees_leases_and_forgets_who_waited(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(days=1)

    monkeypatch.setattr(turns, "datetime", Tomorrow)
    assert turns._taken(ledger, NAME, "killed", 0, turns.LEASE)
    assert not turns._taken(ledger, NAME, "waits", 0, turns.LEASE)
    monkeypatch.undo()
    with turn(ledger, NAME, holder="one", rank=1, sleep=never):
        pass


def never(seconds: float) -> None:
    msg = f"waited for {seconds} s"
    raise AssertionError(msg)


KILLED = """
import os, signal, sys, threading
from datetime import timedelta
from scoring_platform.ledger.store import Ledger
from scoring_platform.ledger.turns import turn
ledger = Ledger(sys.argv[1])
threading.Timer(float(sys.argv[2]), os.kill, (os.getpid(), signal.SIGKILL)).start()
with turn(ledger, "crm:hubspot", holder="killed", lease=timedelta(seconds=0.5)):
    threading.Event().wait()
"""


def _killed(url: str, after: float) -> Callable[[], int]:
    return subprocess.Popen([sys.executable, "-c", KILLED, url, str(after)]).wait


def test_who_is_killed_at_work_holds_nobody_up_for_longer_than_the_lease(url: str, ledger: Ledger) -> None:
    assert _killed(url, 0.3)() == -9
    began = time.monotonic()
    with turn(ledger, NAME, holder="next", lease=timedelta(seconds=0.5)):
        assert time.monotonic() - began < 2


def test_who_is_killed_while_waiting_is_soon_forgotten(
    url: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_SHOWN", timedelta(seconds=0.3))
    with turn(ledger, NAME, holder="first"):
        assert not turns._taken(ledger, NAME, "killed", 0, turns.LEASE)
    began = time.monotonic()
    with turn(ledger, NAME, holder="scores", rank=1):
        assert time.monotonic() - began < 2


def test_who_waits_behind_a_run_that_was_killed_says_for_how_long(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(turns, "_QUIET_SECONDS", 0.1)
    now = datetime.now(UTC)
    assert acquire_lease(ledger, NAME, holder="killed", ttl=timedelta(seconds=0.6), now=now)
    with turn(ledger, NAME, holder="next", lease=timedelta(seconds=0.6)):
        assert datetime.now(UTC) >= now + timedelta(seconds=0.6)

    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"waiting for another run that uses {NAME}")
    assert said.endswith("this one goes on in 1 s at most")


def test_a_short_wait_says_nothing(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    assert in_order(ledger, scores=1) == ["scores"]
    assert caplog.records == []
