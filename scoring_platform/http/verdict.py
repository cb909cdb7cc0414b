"""What an answer means: judged by its consequence, not by its number alone.

Belongs here: verdicts, the rules every vendor shares, waits a server asks for, and the vendor's words made fit for a
message. Does not belong here: sending, waiting, or the rules of one vendor (its module passes a ``classify``).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import httpx

MAX_WORDS = 300
"""Characters of the vendor's own words that a message may quote."""

Kind = Literal["ok", "throttled", "exhausted", "transient", "permanent", "credential"]

_EMAIL = re.compile(r"[^\s@\"'<>(),;:]+@[^\s@\"'<>(),;:]+")
_WORD_KEYS = ("message", "error_description", "description", "detail", "title", "error", "code")


@dataclass(frozen=True)
class Verdict:
    """The consequence of one answer.

    Attributes:
        kind: ``ok`` use it; ``throttled`` it was not carried out, wait and repeat; ``exhausted`` the daily allowance is
            gone; ``transient`` may work later; ``permanent`` will fail again; ``credential`` a person must act.
        wait: Seconds the vendor wants us to wait, when it says so.
        words: The vendor's reason; taken from the body when left out.
    """

    kind: Kind
    wait: float | None = None
    words: str | None = None


def default_verdict(response: httpx.Response, ok: frozenset[int]) -> Verdict:
    """Judge by status code, the way most vendors mean it."""
    status = response.status_code
    if status in ok:
        return Verdict("ok")
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return Verdict("throttled", wait=retry_after(response))
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return Verdict("credential")
    if status >= httpx.codes.INTERNAL_SERVER_ERROR or status in (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY):
        return Verdict("transient", wait=retry_after(response))
    return Verdict("permanent")


def retry_after(response: httpx.Response) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, or None; understands seconds and HTTP dates."""
    value = response.headers.get("Retry-After", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(value, response)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def body_of(response: httpx.Response) -> Any:
    """Return the parsed JSON body, or None when it is not JSON."""
    try:
        return response.json()
    except ValueError:
        return None


def vendor_words(response: httpx.Response) -> str:
    """Return the vendor's reason on one line, at most 300 characters, e-mail addresses masked."""
    body = body_of(response)
    if body is not None:
        return fit_words(reasons_in(body))
    return "" if is_html(response) else fit_words(response.text)


def reasons_in(body: Any) -> str:
    """Return the reasons that a JSON body names, whatever its shape."""
    return "; ".join(dict.fromkeys(_reasons(body, depth=4)))


def fit_words(words: str) -> str:
    """Put ``words`` on one line of at most 300 characters without e-mail addresses."""
    line = _EMAIL.sub("…@…", " ".join(words.split()))
    return line if len(line) <= MAX_WORDS else line[: MAX_WORDS - 1] + "…"


def is_html(response: httpx.Response) -> bool:
    """Whether the answer is a web page."""
    return "html" in response.headers.get("Content-Type", "") or response.text.lstrip()[:1] == "<"


def _seconds_until(date: str, response: httpx.Response) -> float | None:
    try:
        until = parsedate_to_datetime(date)
    except ValueError:
        return None
    # The server's own clock, when it tells it, so that a difference between the two clocks does not matter.
    try:
        now = parsedate_to_datetime(response.headers.get("Date", ""))
    except ValueError:
        now = datetime.now(UTC)
    return max(0.0, (_aware(until) - _aware(now)).total_seconds())


def _aware(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _reasons(body: Any, *, depth: int) -> list[str]:
    if isinstance(body, str):
        return [body]
    if depth == 0:
        return []
    if isinstance(body, list):
        return [reason for item in body[:5] for reason in _reasons(item, depth=depth - 1)]
    if not isinstance(body, dict):
        return []
    inner = [body[key] for key in ("errors", "error", "details") if isinstance(body.get(key), list | dict)]
    own = [body[key] for key in _WORD_KEYS if isinstance(body.get(key), str)]
    return own + [reason for item in inner for reason in _reasons(item, depth=depth - 1)]
