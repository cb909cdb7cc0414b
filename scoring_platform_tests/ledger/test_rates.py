"""One account's limits, shared by all who call it, whichever process they are."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from scoring_platform.errors import BudgetExhaustedError
from scoring_platform.http.hubspot import Allowance
from scoring_platform.http.limits import Window
from scoring_platform.http.pipedrive import Budget
from scoring_platform.ledger.rates import Rates
from scoring_platform.ledger.schema import RATES
from scoring_platform.ledger.store import Ledger

ACCOUNT = "hubspot https://api.hubapi.com"


@dataclass
class Time:
    """Seconds that pass only when somebody waits."""

    now: float = 1_790_000_000.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_what_one_takes_another_does_not_have(ledger: Ledger, url: str) -> None:
    time = Time()
    with Ledger(url) as other:
        limits = [
            Window(10, 10.0, memory=Rates(one, ACCOUNT, clock=time.clock), sleep=time.sleep) for one in (ledger, other)
        ]
        assert sum(limits[number % 2].take() for number in range(10)) == 0
        assert limits[0].take() == pytest.approx(10.1, abs=0.01)


def test_what_the_answers_told_one_holds_for_another(ledger: Ledger) -> None:
    time = Time()
    first, second = (Allowance(memory=Rates(ledger, ACCOUNT, clock=time.clock), sleep=time.sleep) for _ in range(2))
    first.note({"X-HubSpot-RateLimit-Max": "5", "X-HubSpot-RateLimit-Remaining": "2"})
    assert [second.take() for _ in range(3)] == pytest.approx([0, 0, 10.1], abs=0.01)


def test_another_address_is_another_account(ledger: Ledger) -> None:
    time = Time()
    for account in (ACCOUNT, "hubspot http://127.0.0.1:1/hubspot"):
        assert Window(1, 10.0, memory=Rates(ledger, account, clock=time.clock), sleep=time.sleep).take() == 0


def test_tokens_of_the_day_are_known_to_others_for_a_minute(ledger: Ledger) -> None:
    time = Time()
    told, other, later = (Budget(0, Rates(ledger, "pipedrive", clock=time.clock)) for _ in range(3))
    told.spend(5)
    told.note({"x-daily-ratelimit-token-remaining": "3"})
    with pytest.raises(BudgetExhaustedError):
        other.spend(5)
    # Since then midnight may have been: one call tells.
    time.now += 61
    later.spend(5)


def test_accounts_that_nobody_calls_any_more_are_forgotten(ledger: Ledger) -> None:
    Rates(ledger, "gone").change("calls", lambda state, now: None)
    with ledger.writing() as connection:
        connection.execute(update(RATES).values(changed_at=datetime.now(UTC) - timedelta(days=2)))
    Rates(ledger, ACCOUNT).change("calls", lambda state, now: None)
    with ledger.reading() as connection:
        assert connection.execute(select(RATES.c.name)).scalars().all() == [f"{ACCOUNT} calls"]


TAKING = """
import os, signal, sys
from scoring_platform.http.limits import Window
from scoring_platform.ledger.rates import Rates
from scoring_platform.ledger.store import Ledger
limit = Window(30, 1.0, memory=Rates(Ledger(sys.argv[1]), "account"))
for _ in range(int(sys.argv[2])):
    limit.take()
    print(limit._mine.call[0], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_processes_together_never_exceed_a_limit_even_when_they_are_killed(url: str) -> None:
    Ledger(url).open().close()
    processes = [
        subprocess.Popen([sys.executable, "-c", TAKING, url, "30"], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    taken = sorted(float(line) for one in processes for line in one.communicate(timeout=60)[0].splitlines())
    assert len(taken) == 90
    assert all(later - earlier >= 1.0 for earlier, later in zip(taken, taken[30:], strict=False))
    # The next one finds the window of those who are gone, and waits no longer than that.
    last = Window(30, 1.0, memory=Rates(Ledger(url), "account"))
    assert last.take() <= 1.1
