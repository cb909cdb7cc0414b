"""HubSpot's allowance is used as far as the account has one and never further, and its refusals are told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from scoring_platform.http.client import ApiClient
from scoring_platform.http.hubspot import LOCKED_SECONDS, WINDOW_SECONDS, Allowance, classify, connect
from scoring_platform.sandbox import hubspot as sandbox
from scoring_platform.sandbox.limits import Limits, RollingWindow
from scoring_platform_tests.destinations.running import company, serving

TRAVEL = 0.004
"""Seconds that pass between any two looks at the clock."""


@dataclass
class Time:
    """Seconds that pass only when somebody waits or works."""

    now: float = 1_000.0
    work: float = 0.0

    def clock(self) -> float:
        self.now += self.work
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@contextmanager
def account(folder: Path, time: Time, limit: int) -> Iterator[tuple[ApiClient, list[int]]]:
    """A client of a sandbox that allows so many calls in ten seconds of ``time``, and the statuses it gets."""
    statuses: list[int] = []
    limited = company(folder, limits=Limits(hubspot_per_ten_seconds=limit))
    with serving("/hubspot", sandbox.routes(limited, clock=time.clock)) as running:
        client = connect(running.url, lambda: "pat-sandbox", allowance=Allowance(clock=time.clock, sleep=time.sleep))
        client._http.event_hooks["response"] = [lambda response: statuses.append(response.status_code)]
        with client:
            yield client, statuses


def ask(client: ApiClient) -> None:
    client.request("GET", "/crm/v3/objects/contacts", params={"limit": "1"})


@pytest.mark.parametrize("limit", [50, 190, 250])
def test_an_account_is_used_within_a_tenth_of_its_limit_and_never_beyond_it(tmp_path: Path, limit: int) -> None:
    time = Time(work=TRAVEL)
    with account(tmp_path, time, limit) as (client, statuses):
        ended = []
        for _ in range(3 * limit):
            ask(client)
            ended.append(time.now)

    assert statuses == [200] * (3 * limit)
    # The first window's calls go out at once; from then on as many as the limit in any window.
    assert 2 * limit / (ended[-1] - ended[limit - 1]) >= 0.9 * limit / WINDOW_SECONDS


def test_what_others_use_of_the_same_account_is_left_to_them(tmp_path: Path) -> None:
    time = Time(work=TRAVEL)
    with account(tmp_path, time, 190) as (client, statuses):
        with httpx.Client(headers={"Authorization": "Bearer pat-sandbox"}, trust_env=False) as other:
            for _ in range(120):
                other.get(f"{client._base}/crm/v3/objects/contacts?limit=1")
        for _ in range(200):
            ask(client)

    assert set(statuses) == {200}


@pytest.mark.parametrize("calls", [1, 7, 100])
def test_no_window_of_theirs_ever_holds_more_calls_however_long_each_is_on_its_way(calls: int) -> None:
    time = Time()
    allowance, window = Allowance(calls, 10.0, clock=time.clock, sleep=time.sleep), RollingWindow(calls, 10.0)
    window.clock = lambda: time.now
    for number in range(4 * calls):
        allowance.take()
        time.now += 0.3 if number % calls == 0 else 0.0
        assert window.take()
        time.now += 0.01
        allowance.note({})


def test_the_window_is_as_long_as_hubspot_says() -> None:
    time = Time()
    allowance = Allowance(clock=time.clock, sleep=time.sleep)
    allowance.take()
    allowance.note({"X-HubSpot-RateLimit-Max": "4", "X-HubSpot-RateLimit-Interval-Milliseconds": "1000"})
    assert [allowance.take() for _ in range(4)] == pytest.approx([0, 0, 0, 1.01])


@pytest.mark.parametrize("value", ["", "many", "-5", "0", "١٩"])
def test_a_header_that_makes_no_sense_changes_nothing(value: str) -> None:
    time = Time()
    allowance = Allowance(3, 10.0, clock=time.clock, sleep=time.sleep)
    allowance.note({"X-HubSpot-RateLimit-Max": value, "X-HubSpot-RateLimit-Interval-Milliseconds": value})
    assert [allowance.take() for _ in range(4)] == pytest.approx([0, 0, 0, 10.1])


@pytest.mark.parametrize(
    ("status", "policy", "headers", "kind", "wait"),
    [
        (429, "TEN_SECONDLY_ROLLING", {}, "throttled", WINDOW_SECONDS),
        (429, "TEN_SECONDLY_ROLLING", {"Retry-After": "3"}, "throttled", 3.0),
        (429, "SECONDLY", {}, "throttled", 1.0),
        (429, "DAILY", {}, "exhausted", None),
        (423, "", {}, "throttled", LOCKED_SECONDS),
        (477, "", {"Retry-After": "7"}, "throttled", 7.0),
    ],
)
def test_a_pause_is_as_long_as_what_was_used_up(
    status: int, policy: str, headers: dict[str, str], kind: str, wait: float | None
) -> None:
    verdict = classify(httpx.Response(status, json={"policyName": policy}, headers=headers))
    assert verdict is not None
    assert (verdict.kind, verdict.wait) == (kind, wait)


def test_what_is_no_matter_of_limits_is_judged_like_anywhere() -> None:
    judged: Callable[[int], object] = lambda status: classify(httpx.Response(status, json={}))  # noqa: E731
    assert [judged(status) for status in (200, 207, 401, 500)] == [None] * 4
