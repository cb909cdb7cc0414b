"""Which day may send: only the newest, and only while it is new."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from scoring_platform.domain.permission import permission

D = date(2026, 3, 10)


def asked(*, days: int = 1, newest: int | None = 0, today: int = 1, released: bool = False) -> str:
    """Why a run of D may not send; ``newest`` and ``today`` count from D."""
    allowed = permission(
        [D + timedelta(days=n) for n in range(days)],
        newest=None if newest is None else D + timedelta(days=newest),
        today=D + timedelta(days=today),
        max_age_days=2,
        released=released,
    )
    assert allowed.granted == (not allowed.reason)
    return allowed.reason


@pytest.mark.parametrize(("newest", "today"), [(0, 1), (0, 0), (0, 2), (None, 1), (-3, 1)])
def test_the_newest_day_may_send_while_it_is_fresh(newest: int | None, today: int) -> None:
    assert asked(newest=newest, today=today) == ""


def test_a_day_older_than_the_limit_is_inert() -> None:
    assert asked(today=3) == "too_old"


def test_a_day_before_the_newest_is_inert() -> None:
    assert asked(newest=1) == "not_newest"


@pytest.mark.parametrize(("newest", "today"), [(5, 1), (0, 99), (5, 99)])
def test_a_day_released_by_name_may_send(newest: int, today: int) -> None:
    assert asked(newest=newest, today=today, released=True) == ""


def test_a_range_never_sends_even_released() -> None:
    assert asked(days=2, newest=1) == "range"
    assert asked(days=2, newest=1, released=True) == "range"
