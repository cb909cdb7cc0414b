"""The token bucket, with a clock of its own."""

from __future__ import annotations

import pytest

from scoring_platform.http.limits import RateLimit


class Time:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_burst_goes_out_at_once_and_then_the_rate_holds() -> None:
    time = Time()
    limit = RateLimit(60, 60, burst=5, clock=time.clock, sleep=time.sleep)
    waits = [limit.take() for _ in range(8)]
    assert waits == pytest.approx([0, 0, 0, 0, 0, 1, 1, 1])


def test_an_idle_bucket_fills_up_to_its_burst_and_no_further() -> None:
    time = Time()
    limit = RateLimit(10, 10, burst=2, clock=time.clock, sleep=time.sleep)
    limit.take()
    time.now += 1000
    assert [limit.take() for _ in range(3)] == pytest.approx([0, 0, 1])


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        RateLimit(0, 60)
