"""Access to HubSpot, shared by its source and its destination: the token, the limits, what a refusal means.

Belongs here: the client with HubSpot's rules. Does not belong here: contacts, deals, properties.

HubSpot allows an app 100 to 250 calls in any ten seconds, by plan, and tells in ``X-HubSpot-RateLimit-Max``,
``-Interval-Milliseconds`` and ``-Remaining`` how many; searches have a limit of their own and tell nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx

from scoring_platform.http.auth import HeaderAuth
from scoring_platform.http.client import ApiClient
from scoring_platform.http.limits import Memory, Window
from scoring_platform.http.verdict import Verdict, body_of, retry_after

CALLS_PER_WINDOW = 100
"""Calls until HubSpot has told how many; the smallest plan's."""

WINDOW_SECONDS = 10.0
SEARCHES_PER_SECOND = 4
"""One less than an account has: searches are counted for all its apps together."""

LOCKED_SECONDS = 2.0

_LOCKED = 423
_MIGRATING = 477


class Allowance(Window):
    """No more than so many calls in any window of time, as many as HubSpot's answers say.

    Args:
        calls: Calls per window until an answer tells.
        per: Length of the window in seconds until an answer tells.
        details: As ``Window`` takes them.
    """

    def __init__(self, calls: int = CALLS_PER_WINDOW, per: float = WINDOW_SECONDS, **details: Any) -> None:
        super().__init__(calls, per, **details)

    def note(self, headers: Mapping[str, str]) -> None:
        """Learn from an answer."""
        millis = _number(headers, "Interval-Milliseconds")
        self.learn(
            calls=_number(headers, "Max"),
            per=millis / 1000 if millis else None,
            remaining=_number(headers, "Remaining"),
        )


def connect(
    endpoint: str,
    token: Callable[[], str],
    *,
    timeout: float = 30.0,
    attempts: int = 5,
    allowance: Allowance | None = None,
    memory: Memory | None = None,
) -> ApiClient:
    """Return a client for HubSpot at ``endpoint`` that keeps its limits; ``token`` is asked for with the first call.

    Args:
        endpoint: Where the API answers.
        token: Gives the token of a private app.
        timeout: Seconds to wait for an answer.
        attempts: Tries per call.
        allowance: Our own brake.
        memory: Where it counts by default, to share it with others.
    """
    rate = allowance or Allowance(memory=memory)

    def judged(response: httpx.Response) -> Verdict | None:
        rate.note(response.headers)
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
