"""How much the sandbox's vendors let a client ask.

Belongs here: the buckets and windows behind the vendors' rate limits. Does not belong here: how a vendor words a
refusal.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock


@dataclass(frozen=True)
class Limits:
    """Allowances, more generous than the vendors' smallest plans so that a first load is quick; and the way there.

    Attributes:
        seconds_away: How long a call and its answer are on their way, half of it each; on loopback they take no time.
    """

    seconds_away: float = 0.0
    shopify_bucket: float = 60_000.0
    shopify_restore_per_second: float = 2_000.0
    shopify_query_cost: int = 1_000
    shopify_bulk_looks: int = 0
    woocommerce_per_minute: int = 60_000
    klaviyo_per_minute: int = 3_500
    mailchimp_connections: int = 10
    sendgrid_per_minute: int = 600
    zendesk_per_minute: int = 600
    intercom_per_ten_seconds: int = 1_600
    formbricks_per_minute: int = 600
    hubspot_per_ten_seconds: int = 6_000
    hubspot_searches_per_second: int = 200
    hubspot_search_results: int = 10_000
    hubspot_index_seconds: int = 0
    pipedrive_per_two_seconds: int = 480
    pipedrive_searches_per_two_seconds: int = 200
    pipedrive_tokens_per_day: int = 10_000_000
    salesforce_per_day: int = 1_000_000
    salesforce_query_page: int = 2_000
    salesforce_bulk_looks: int = 0


@dataclass
class LeakyBucket:
    """Points that are spent at once and come back steadily."""

    size: float
    restore_per_second: float
    clock: Callable[[], float] = time.monotonic
    _available: float = field(init=False)
    _seen_at: float = field(init=False)
    _lock: Lock = field(init=False, default_factory=Lock)

    def __post_init__(self) -> None:
        """Start full."""
        self._available = self.size
        self._seen_at = self.clock()

    def take(self, points: float) -> bool:
        """Spend ``points`` if they are there."""
        with self._lock:
            self._restore()
            if points > self._available:
                return False
            self._available -= points
            return True

    def give_back(self, points: float) -> None:
        """Return points that were reserved but not used."""
        with self._lock:
            self._restore()
            self._available = min(self.size, self._available + points)

    def drain(self) -> None:
        """Leave the bucket empty."""
        with self._lock:
            self._restore()
            self._available = 0.0

    @property
    def available(self) -> float:
        """Points that could be spent now."""
        with self._lock:
            self._restore()
            return self._available

    def _restore(self) -> None:
        now = self.clock()
        self._available = min(self.size, self._available + (now - self._seen_at) * self.restore_per_second)
        self._seen_at = now


@dataclass
class RollingWindow:
    """A number of requests in any stretch of time of one length."""

    requests: int
    window_seconds: float
    clock: Callable[[], float] = time.monotonic
    _taken: deque[float] = field(init=False, default_factory=deque)
    _lock: Lock = field(init=False, default_factory=Lock)

    def take(self) -> bool:
        """Count one request; False when there were too many of late."""
        with self._lock:
            now = self._roll()
            if len(self._taken) >= self.requests:
                return False
            self._taken.append(now)
            return True

    @property
    def remaining(self) -> int:
        """Requests that could be made now."""
        with self._lock:
            self._roll()
            return self.requests - len(self._taken)

    @property
    def reset_seconds(self) -> float:
        """Seconds until there is room for a request."""
        with self._lock:
            now = self._roll()
            return self._taken[0] + self.window_seconds - now if len(self._taken) >= self.requests else 0.0

    def _roll(self) -> float:
        now = self.clock()
        while self._taken and self._taken[0] <= now - self.window_seconds:
            self._taken.popleft()
        return now


@dataclass
class FixedWindow:
    """A number of requests per window of time."""

    requests: int
    window_seconds: float
    clock: Callable[[], float] = time.monotonic
    _used: int = field(init=False, default=0)
    _started_at: float = field(init=False)
    _lock: Lock = field(init=False, default_factory=Lock)

    def __post_init__(self) -> None:
        """Open the first window."""
        self._started_at = self.clock()

    def take(self) -> bool:
        """Count one request; False when the window is used up."""
        with self._lock:
            self._roll()
            if self._used >= self.requests:
                return False
            self._used += 1
            return True

    @property
    def remaining(self) -> int:
        """Requests left in this window."""
        with self._lock:
            self._roll()
            return self.requests - self._used

    @property
    def reset_seconds(self) -> float:
        """Seconds until the next window."""
        with self._lock:
            self._roll()
            return self._started_at + self.window_seconds - self.clock()

    def _roll(self) -> None:
        now = self.clock()
        if now >= self._started_at + self.window_seconds:
            self._started_at, self._used = now, 0
