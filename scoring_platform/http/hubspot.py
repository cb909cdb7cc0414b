"""Access to HubSpot, shared by its source and its destination: the token, the limits, what a refusal means.

Belongs here: the client with HubSpot's rules. Does not belong here: contacts, deals, properties.

HubSpot allows an app 100 to 250 calls in any ten seconds, by plan, and tells in ``X-HubSpot-RateLimit-Max``,
``-Interval-Milliseconds`` and ``-Remaining`` how many; searches have a limit of their own and tell nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping

import httpx

from scoring_platform.http.auth import HeaderAuth
from scoring_platform.http.client import ApiClient
from scoring_platform.http.limits import RateLimit
from scoring_platform.http.verdict import Verdict, body_of, retry_after

CALLS_PER_WINDOW = 100
"""Calls until HubSpot has told how many; the smallest plan's."""

WINDOW_SECONDS = 10.0
SEARCHES_PER_SECOND = 4
"""One less than an account has: searches are counted for all its apps together."""

LOCKED_SECONDS = 2.0

_LOCKED = 423
_MIGRATING = 477
_LONGER = 1.02
"""Our window against theirs, whose edges we do not see."""


class Allowance(RateLimit):
    """No more than so many calls in any window of time, as many as HubSpot's answers say.

    A window that slides, because HubSpot's does: a bucket that is refilled would let twice as many through at first.

    Args:
        calls: Calls per window until an answer tells.
        per: Length of the window in seconds until an answer tells.
        clock: Seconds, never going back.
        sleep: How to wait.
    """

    def __init__(
        self,
        calls: int = CALLS_PER_WINDOW,
        per: float = WINDOW_SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(calls, per, clock=clock, sleep=sleep)
        self._calls = calls
        self._window = per * _LONGER
        self._counted: deque[float] = deque()

    def take(self) -> float:
        """Take one call, waiting until the window has room for it; return the seconds waited."""
        with self._lock:
            now = self._clock()
            self._forget(now)
            full = len(self._counted) >= self._calls
            begins = max(now, self._counted[-self._calls] + self._window) if full else now
            self._counted.append(begins)
        wait = begins - now
        if wait > 0:
            self._sleep(wait)
        return wait

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take over what an answer says about the allowance; what others used of it counts as ours."""
        with self._lock:
            now = self._clock()
            if self._counted:
                # HubSpot counted the call before it answered: from now on it is surely in a past moment of theirs.
                self._counted[-1] = max(self._counted[-1], now)
            calls, millis = _number(headers, "Max"), _number(headers, "Interval-Milliseconds")
            self._calls = calls or self._calls
            self._window = millis / 1000 * _LONGER if millis else self._window
            remaining = _number(headers, "Remaining")
            if remaining is not None:
                self._forget(now)
                others = self._calls - len(self._counted) - remaining
                self._counted.extend([max(now, *list(self._counted)[-1:])] * others)

    def _forget(self, now: float) -> None:
        while self._counted and self._counted[0] <= now - self._window:
            self._counted.popleft()


def connect(
    endpoint: str,
    token: Callable[[], str],
    *,
    timeout: float = 30.0,
    attempts: int = 5,
    allowance: Allowance | None = None,
) -> ApiClient:
    """Return a client for HubSpot at ``endpoint`` that keeps its limits; ``token`` is asked for with the first call."""
    rate = allowance or Allowance()

    def judged(response: httpx.Response) -> Verdict | None:
        rate.learn(response.headers)
        return classify(response)

    return ApiClient(
        "hubspot",
        endpoint,
        auth=HeaderAuth(token),
        timeout=timeout,
        attempts=attempts,
        rate=rate,
        classify=judged,
        secrets=("token",),
    )


def classify(response: httpx.Response) -> Verdict | None:
    """Judge HubSpot's own answers: three kinds of 429, and locks that only need a pause."""
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        body = body_of(response)
        told = f"{body.get('policyName')} {body.get('message')}".upper() if isinstance(body, dict) else ""
        if "DAILY" in told:
            return Verdict("exhausted")
        wait = retry_after(response)
        usual = 1.0 if "SECONDLY" in told and "TEN" not in told else WINDOW_SECONDS
        return Verdict("throttled", wait=usual if wait is None else wait)
    if response.status_code in (_LOCKED, _MIGRATING):
        return Verdict("throttled", wait=max(LOCKED_SECONDS, retry_after(response) or 0.0))
    return None


def _number(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(f"X-HubSpot-RateLimit-{name}", "").strip()
    return int(value) if value.isascii() and value.isdigit() else None
