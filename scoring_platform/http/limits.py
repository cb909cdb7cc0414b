"""The client's own brake: a token bucket that keeps us under a vendor's known rate.

Belongs here: how many calls may go out per time. Does not belong here: what a vendor answers when it is still too much.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock


class RateLimit:
    """A token bucket: ``burst`` calls at once, refilled with ``calls`` per ``per`` seconds.

    Args:
        calls: Calls the vendor allows per period.
        per: Length of the period in seconds.
        burst: Calls that may go out at once; all of ``calls`` by default.
        clock: Seconds, never going back.
        sleep: How to wait.
    """

    def __init__(
        self,
        calls: float,
        per: float,
        *,
        burst: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if calls <= 0 or per <= 0:
            msg = f"A rate limit needs calls and seconds above 0, not {calls} per {per} s"
            raise ValueError(msg)
        self._rate = calls / per
        self._burst = max(1.0, calls if burst is None else burst)
        self._clock = clock
        self._sleep = sleep
        self._tokens = self._burst
        self._seen = clock()
        self._lock = Lock()

    def take(self) -> float:
        """Take one call, waiting for it when the bucket is empty; return the seconds waited."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._seen) * self._rate)
            self._seen = now
            self._tokens -= 1
            wait = max(0.0, -self._tokens / self._rate)
        if wait > 0:
            self._sleep(wait)
        return wait
