"""The token bucket and the window that slides, with a clock of their own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.http.limits import OwnMemory, RateLimit, Window
from scoring_platform.sandbox.limits import RollingWindow


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


def test_two_clients_of_one_memory_share_its_window_and_what_either_was_told() -> None:
    time = Time()
    memory = OwnMemory(time.clock)
    one, other = (Window(9, 10.0, memory=memory, sleep=time.sleep) for _ in range(2))
    one.learn(calls=4, per=10.0)
    assert [limit.take() for limit in (one, other, one, other)] == [0] * 4
    assert other.take() == pytest.approx(10.1)


def test_windows_of_other_names_do_not_count_each_others_calls() -> None:
    time = Time()
    memory = OwnMemory(time.clock)
    calls, searches = (Window(1, 10.0, name=name, memory=memory, sleep=time.sleep) for name in ("calls", "searches"))
    assert [calls.take(), searches.take()] == [0, 0]


@pytest.mark.parametrize("calls", [3, 1_000])
@pytest.mark.parametrize("jump", [-86_400.0, -5.0, 86_400.0])
def test_a_clock_that_is_set_keeps_nobody_waiting_for_longer_than_a_window(jump: float, calls: int) -> None:
    time = Time()
    time.now = 1_000_000.0
    limit = Window(calls, 10.0, clock=time.clock, sleep=time.sleep)
    for _ in range(calls):
        limit.take()
    time.now += jump
    assert limit.take() <= 10.4


def test_no_pause_is_longer_than_a_minute_even_when_the_clock_was_set_back() -> None:
    time = Time()
    time.now = 1_000_000.0
    limit = Window(3, 10.0, clock=time.clock, sleep=time.sleep)
    limit.learn(wait=30.0)
    time.now -= 86_400
    assert limit.take() <= 60.0


@settings(max_examples=60, deadline=None)
@given(
    calls=st.integers(1, 400),
    ways=st.lists(st.tuples(st.floats(0.05, 0.3), st.floats(0.05, 0.3)), min_size=20, max_size=60),
)
def test_no_vendor_ever_counts_more_however_long_calls_and_answers_are_on_their_way(
    calls: int, ways: list[tuple[float, float]]
) -> None:
    time = Time()
    calls = min(calls, len(ways) // 2)
    limit, theirs = Window(calls, 2.0, clock=time.clock, sleep=time.sleep), RollingWindow(calls, 2.0, time.clock)
    # The quickest way there and back is met early, as it is among very many calls.
    for there, back in [(0.05, 0.05)] * 10 + ways:
        limit.take()
        time.now += there
        assert theirs.take()
        time.now += back
        limit.learn()


def test_the_way_of_a_call_takes_nothing_off_the_rate() -> None:
    time = Time()
    limit = Window(20, 2.0, clock=time.clock, sleep=time.sleep)
    began = []
    for _ in range(200):
        limit.take()
        began.append(time.now)
        time.now += 0.09
        limit.learn()
    assert 180 / (began[-1] - began[19]) >= 0.95 * 20 / 2.0
