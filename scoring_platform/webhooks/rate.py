"""How many requests are let in.

Belongs here: a token bucket that says how long to wait. Does not belong here: our own brake towards vendors
(``http.limits``), which waits itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Allowance:
    """``per_minute`` requests at once, refilled evenly; used by one thread.

    Args:
        per_minute: Requests.
        clock: Seconds, never going back.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = float(per_minute)
        self._per_second = per_minute / 60
        self._clock = clock
        self._left = self._most
        self._seen = clock()

    def take(self) -> float:
        """Take one and return 0, or return the seconds until there is one again."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._seen) * self._per_second)
        self._seen = now
        if self._left < 1:
            return (1 - self._left) / self._per_second
        self._left -= 1
        return 0.0
