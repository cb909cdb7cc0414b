"""Pipedrive's limits are kept before it has to refuse, and its refusals are told apart."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.errors import BudgetExhaustedError
from scoring_platform.http.pipedrive import BLOCKED_SECONDS, Budget, Burst, classify
from scoring_platform.sandbox.pipedrive_account import RollingWindow


@dataclass
class Clock:
    """Seconds that pass only when somebody waits or works."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def answer(status: int = 429, body: str = "{}", kind: str = "application/json", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, text=body, headers={"content-type": kind, **named})


@settings(max_examples=60, deadline=None)
@given(calls=st.integers(1, 40), works=st.lists(st.floats(0, 0.8), min_size=1, max_size=120), late=st.floats(0, 0.15))
def test_no_call_ever_meets_a_full_window(calls: int, works: list[float], late: float) -> None:
    clock = Clock()
    burst, window = Burst(calls, clock=clock, sleep=clock.sleep), RollingWindow(calls)
    for number, work in enumerate(works):
        burst.take()
        # Every other call takes longer on its way.
        clock.sleep(late if number % 2 == 0 else 0.0)
        window.clock = clock
        assert window.take()
        burst.note({})
        clock.sleep(work)


def test_a_whole_window_goes_out_at_once_and_the_next_after_its_end() -> None:
    clock = Clock()
    burst = Burst(20, clock=clock, sleep=clock.sleep)
    assert sum(burst.take() for _ in range(20)) == 0
    assert burst.take() == pytest.approx(2.02)


def test_the_window_is_as_wide_as_pipedrive_says() -> None:
    clock = Clock()
    burst = Burst(20, clock=clock, sleep=clock.sleep)
    burst.take()
    burst.note({"x-ratelimit-limit": "80", "x-ratelimit-remaining": "79", "x-ratelimit-reset": "2"})
    assert sum(burst.take() for _ in range(79)) == 0


def test_a_window_that_others_used_up_is_waited_for() -> None:
    clock = Clock()
    burst = Burst(20, clock=clock, sleep=clock.sleep)
    burst.note({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2"})
    assert burst.take() == pytest.approx(2.02)


def test_after_a_refusal_nobody_calls_for_as_long_as_pipedrive_says() -> None:
    clock = Clock()
    burst = Burst(20, clock=clock, sleep=clock.sleep)
    burst.note({"x-ratelimit-remaining": "12", "x-ratelimit-reset": "10"}, refused=True)
    assert burst.take() == pytest.approx(10.0)


def test_no_call_is_made_that_the_budget_cannot_pay() -> None:
    budget = Budget(reserve=100)
    budget.spend(20)
    budget.note({"x-daily-ratelimit-token-remaining": "115", "x-daily-ratelimit-token-limit": "30000"})
    budget.note({})
    budget.spend(10)
    with pytest.raises(BudgetExhaustedError, match="105 tokens left of today's, and 100 are kept for others"):
        budget.spend(10)
    assert budget.limit == 30_000


@pytest.mark.parametrize(
    ("given", "kind", "wait"),
    [
        (answer(x_ratelimit_reset="10", x_ratelimit_remaining="0"), "throttled", 10.0),
        (answer(retry_after="7", x_ratelimit_reset="2"), "throttled", 7.0),
        (answer(), "throttled", 2.0),
        (answer(x_daily_ratelimit_token_remaining="0", retry_after="9000"), "exhausted", None),
        (answer(x_daily_ratelimit_token_remaining="3"), "exhausted", None),
        (answer(x_daily_ratelimit_token_remaining="3", x_ratelimit_remaining="0"), "throttled", 2.0),
        (answer(body='{"error": "Daily API token budget exceeded"}'), "exhausted", None),
        (answer(403, "<html>no</html>", "text/html"), "throttled", BLOCKED_SECONDS),
        (answer(402), "credential", None),
    ],
)
def test_each_refusal_has_its_consequence(given: httpx.Response, kind: str, wait: float | None) -> None:
    verdict = classify(given)
    assert verdict is not None
    assert (verdict.kind, verdict.wait) == (kind, wait)


@pytest.mark.parametrize("given", [answer(200), answer(403, '{"success":false}'), answer(500), answer(400)])
def test_other_answers_follow_the_common_rules(given: httpx.Response) -> None:
    assert classify(given) is None
