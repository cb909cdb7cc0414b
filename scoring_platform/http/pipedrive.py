"""Access to Pipedrive, shared by its source and its destination: credentials, limits, and what a refusal means.

Belongs here: credentials, the two limits, the price of a call, verdicts. Does not belong here: persons, deals, notes.

Pipedrive limits twice. A *burst* of calls per token in any two seconds (20 to 120 by plan, four times that with OAuth;
searches have a window of their own), told in ``x-ratelimit-*``. A *daily budget* of tokens that the whole company
shares, told in ``x-daily-ratelimit-token-*``: every call has a price. Both are kept before a call is made, because
calls that ignore a 429 end in a block, which comes as a 403 with a web page.
"""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Callable, Mapping
from threading import Lock, local
from typing import Any, Literal

import httpx

from scoring_platform.errors import BudgetExhaustedError
from scoring_platform.http.auth import HeaderAuth, Token, TokenAuth, refused_grant, request_token
from scoring_platform.http.client import OK, Answer, ApiClient
from scoring_platform.http.limits import Memory, OwnMemory, State, Window
from scoring_platform.http.verdict import Verdict, is_html, retry_after, vendor_words

Credentials = Literal["api_token", "oauth"]

GET_ONE, LIST, SEARCH, WRITE = 1, 10, 20, 5
"""Tokens a call of API v2 costs."""

OLD_GET, OLD_LIST, OLD_WRITE = 2, 20, 10
"""Tokens a call of API v1 costs: notes and users."""

WINDOW_SECONDS = 2.0
SMALLEST_BURST, SEARCH_BURST = 20, 10
"""Calls per window until Pipedrive has told ours."""

BLOCKED_SECONDS = 30.0
OAUTH_HOST = "https://oauth.pipedrive.com"
PAGE_SIZE = 500

_DAY = "day"
_TOLD_EVERY = 1.0
_FRESH_SECONDS = 60.0
"""For so long a process believes what another one was told of the day's tokens."""

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Burst(Window):
    """No more than ``calls`` in any ``per`` seconds, as long as their number holds that Pipedrive tells.

    Args:
        calls: Calls per window until told otherwise.
        per: Length of the window in seconds.
        details: As ``Window`` takes them.
    """

    def __init__(self, calls: int, per: float = WINDOW_SECONDS, **details: Any) -> None:
        super().__init__(calls, per, **details)

    def note(self, headers: Mapping[str, str], *, refused: bool = False) -> None:
        """Learn from an answer; a ``refused`` call tells for how long nobody is to call."""
        told = {name: _number(headers.get(f"x-ratelimit-{name}")) for name in ("limit", "remaining", "reset")}
        self.learn(calls=told["limit"], remaining=told["remaining"], wait=told["reset"] if refused else None)


class Budget:
    """The tokens the company has left today, as far as Pipedrive has told.

    Args:
        reserve: Tokens that are left to others.
        memory: Where it is kept what was told, to share it with others.
    """

    def __init__(self, reserve: int = 0, memory: Memory | None = None) -> None:
        self._reserve = reserve
        self._memory = memory or OwnMemory()
        self._lock = Lock()
        self._mine = local()
        self._on_their_way = 0
        self._told_at = -math.inf
        self.left: int | None = None
        self.limit: int | None = None

    def note(self, headers: Mapping[str, str]) -> None:
        """Learn from the answer to this thread's call; now and then Pipedrive does not tell."""
        left, limit = (_number(headers.get(f"x-daily-ratelimit-token-{name}")) for name in ("remaining", "limit"))
        with self._lock:
            self._arrive()
            self.limit = limit or self.limit
            if left is not None:
                # What other threads have asked for meanwhile may not be in it yet.
                self.left = left - self._on_their_way
                self._tell()

    def spend(self, cost: int) -> None:
        """Count a call before it is made.

        Raises:
            BudgetExhaustedError: It would take more than may be taken.
        """
        with self._lock:
            self._arrive()
            if self.left is None:
                self.left = self._memory.change(_DAY, _lately)
            if self.left is None:
                return
            if self.left - cost < self._reserve:
                raise BudgetExhaustedError(self._spent(self.left))
            self.left -= cost
            self._on_their_way += cost
            self._mine.cost = cost

    def _arrive(self) -> None:
        """The last call of this thread is no longer on its way."""
        self._on_their_way -= getattr(self._mine, "cost", 0)
        self._mine.cost = 0

    def _spent(self, left: int) -> str:
        kept = f", and {self._reserve} are kept for others" if self._reserve else ""
        return (
            f"pipedrive has {max(left, 0)} tokens left of today's{kept}. "
            "The daily allowance is used up; run again after its reset, at midnight of Pipedrive's server"
        )

    def _tell(self) -> None:
        """Let others know, now and then: answers to their own calls tell them too."""
        now = time.monotonic()
        if now - self._told_at >= _TOLD_EVERY or (self.left or 0) - self._reserve < OLD_LIST:
            self._told_at = now
            self._memory.change(_DAY, lambda state, at: state.update({"left": self.left, "at": at}))


def _lately(state: State, now: float) -> int | None:
    """Return the tokens that were left a moment ago; what is older may be of yesterday, and a call tells anew."""
    return state["left"] if 0 <= now - state.get("at", -math.inf) < _FRESH_SECONDS else None


class PipedriveApi:
    """Calls one Pipedrive company within its limits."""

    def __init__(
        self,
        endpoint: str,
        credential: Callable[[str], str],
        *,
        auth: Credentials = "api_token",
        oauth_endpoint: str | None = None,
        timeout: float = 30.0,
        attempts: int = 5,
        reserve: int = 0,
        memory: Memory | None = None,
    ) -> None:
        """Use the company at ``endpoint``; ``credential`` is asked with the first call.

        Args:
            endpoint: Where the API answers.
            credential: Gives ``api_token``, or the three secrets of an OAuth app.
            auth: Which of the two.
            oauth_endpoint: Where access tokens are given out.
            timeout: Seconds to wait for an answer.
            attempts: Tries per call.
            reserve: Tokens of the day that are left to others.
            memory: Where limits are counted, to share them with others.
        """
        self.budget = Budget(reserve, memory)
        self._burst = Burst(SMALLEST_BURST, memory=memory)
        self._searching = Burst(SEARCH_BURST, name="searches", memory=memory)
        signed, secrets = _auth(auth, credential, oauth_endpoint or _token_host(endpoint))

        def client(rate: Burst) -> ApiClient:
            return ApiClient(
                "pipedrive",
                endpoint,
                auth=signed,
                timeout=timeout,
                attempts=attempts,
                rate=rate,
                classify=self._judge,
                secrets=secrets,
            )

        self._client, self._search_client = client(self._burst), client(self._searching)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._search_client.close()

    def __enter__(self) -> PipedriveApi:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        cost: int,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        idempotent: bool = True,
        ok: frozenset[int] = OK,
        check: Callable[[Answer], None] | None = None,
    ) -> Answer:
        """Make one call for ``cost`` tokens; see ``ApiClient.request``.

        Raises:
            BudgetExhaustedError: The day's tokens do not suffice; no call was made.
        """
        self.budget.spend(cost)
        client = self._search_client if path.endswith("/search") else self._client
        return client.request(method, path, json=json, params=params, idempotent=idempotent, ok=ok, check=check)

    def _judge(self, response: httpx.Response) -> Verdict | None:
        self.budget.note(response.headers)
        burst = self._searching if response.request.url.path.endswith("/search") else self._burst
        burst.note(response.headers, refused=response.status_code == httpx.codes.TOO_MANY_REQUESTS)
        return classify(response)


def classify(response: httpx.Response) -> Verdict | None:
    """Judge Pipedrive's own answers: two kinds of 429, the block that follows ignored ones, an unpaid account."""
    status = response.status_code
    if status == httpx.codes.TOO_MANY_REQUESTS:
        if _is_spent(response):
            return Verdict("exhausted")
        reset = _number(response.headers.get("x-ratelimit-reset"))
        return Verdict("throttled", wait=max(retry_after(response) or 0.0, reset or 0.0, WINDOW_SECONDS))
    if status == httpx.codes.FORBIDDEN and is_html(response):
        return Verdict("throttled", wait=BLOCKED_SECONDS, words="calls are blocked for a while, there were too many")
    if status == httpx.codes.PAYMENT_REQUIRED:
        return Verdict("credential")
    return None


def _is_spent(response: httpx.Response) -> bool:
    left = _number(response.headers.get("x-daily-ratelimit-token-remaining"))
    # A rest that is smaller than the call's price is refused like none at all.
    if left is not None and left < OLD_LIST and response.headers.get("x-ratelimit-remaining") != "0":
        return True
    words = vendor_words(response).lower()
    return left == 0 or "daily" in words or "budget" in words


def _auth(kind: Credentials, credential: Callable[[str], str], host: str) -> tuple[httpx.Auth, tuple[str, ...]]:
    if kind == "api_token":
        return HeaderAuth(lambda: credential("api_token"), "x-api-token", scheme=""), ("api_token",)
    secrets = ("client_id", "client_secret", "refresh_token")

    def issue() -> Token:
        pair = f"{credential('client_id')}:{credential('client_secret')}".encode()
        basic = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        grant = {"grant_type": "refresh_token", "refresh_token": credential("refresh_token")}
        with ApiClient("pipedrive", host, headers=basic, classify=refused_grant, secrets=secrets) as client:
            return request_token(client, "/oauth/token", grant)

    return TokenAuth(issue), secrets


def _token_host(endpoint: str) -> str:
    return endpoint if httpx.URL(endpoint).host in _LOOPBACK else OAUTH_HOST


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(float(text))
    except (ValueError, OverflowError):
        return None
