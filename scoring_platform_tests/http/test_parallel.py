"""Calls that go out at once: no more than allowed, and what an error stops."""

from __future__ import annotations

from threading import Barrier, Lock, get_ident

import pytest

from scoring_platform.http.parallel import together


def test_so_many_are_under_way_at_once() -> None:
    meet = Barrier(4, timeout=5)
    together(lambda _: meet.wait(), range(8), most=4)


def test_never_more_are_under_way() -> None:
    lock, under_way, most = Lock(), [0], [0]

    def work(_: int) -> None:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        with lock:
            under_way[0] -= 1

    together(work, range(200), most=3)
    assert most[0] <= 3


def test_after_an_error_nothing_more_is_begun_and_the_first_one_is_raised() -> None:
    done: list[int] = []

    def work(number: int) -> None:
        done.append(number)
        if number == 2:
            raise LookupError(number)

    with pytest.raises(LookupError, match="2"):
        together(work, range(50), most=1)
    assert done == [0, 1, 2]


def test_one_alone_needs_no_thread() -> None:
    used: list[int] = []
    together(lambda _: used.append(get_ident()), ["one"], most=8)
    together(lambda _: used.append(0), [], most=8)
    assert used == [get_ident()]
