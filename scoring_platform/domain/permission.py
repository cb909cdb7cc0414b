"""Which day may send: only the newest, and only while it is fresh.

Belongs here: the rule. Does not belong here: consent of a customer, what is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True)
class Permission:
    """Whether a run may send; ``reason`` is empty when it may: range, not_newest or too_old."""

    reason: str = ""

    @property
    def granted(self) -> bool:
        """Whether the run may send."""
        return not self.reason


def permission(days: list[date], *, newest: date | None, today: date, max_age_days: int, released: bool) -> Permission:
    """Return whether a run of ``days`` may send.

    Args:
        days: Days of the run.
        newest: Greatest published day of customer_segments, those of the run included.
        today: The current day.
        max_age_days: A day older than this sends nothing.
        released: The day was released by name.
    """
    if len(days) > 1:
        return Permission("range")
    if released:
        return Permission()
    if newest is not None and newest > days[0]:
        return Permission("not_newest")
    if days[0] < today - timedelta(days=max_age_days):
        return Permission("too_old")
    return Permission()
