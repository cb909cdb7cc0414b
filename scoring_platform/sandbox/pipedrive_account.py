"""The sandbox's Pipedrive account: who may ask, how often, and at what price.

Belongs here: credentials, the burst windows, the daily budget, the block of clients that ignore both. Does not belong
here: addresses and the shape of answers (``pipedrive``), what records are (``pipedrive_records``), validation
(``pipedrive_rules``).
"""

from __future__ import annotations

import base64
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from scoring_platform.sandbox.inbound import bearer, fields
from scoring_platform.sandbox.pipedrive_records import Records
from scoring_platform.sandbox.pipedrive_rules import RefusedError, error_body
from scoring_platform.sandbox.pipedrive_store import DATABASE, PipedriveStore

if TYPE_CHECKING:
    from scoring_platform.sandbox.company import Company

WINDOW_SECONDS = 2.0
PENALTY_SECONDS = 10
MOST_IGNORED = 10
"""Refused calls in a row after which a client is blocked."""

_TOKEN_SECONDS = 3_599

Handler = Callable[["PipedriveAccount", Request], Awaitable[Response]]


@dataclass
class RollingWindow:
    """A number of calls in any ``WINDOW_SECONDS``."""

    calls: int
    clock: Callable[[], float] = time.monotonic
    _taken: deque[float] = field(default_factory=deque)

    def take(self) -> bool:
        """Count one call; False when there were too many just before."""
        now = self.clock()
        while self._taken and self._taken[0] <= now - WINDOW_SECONDS:
            self._taken.popleft()
        if len(self._taken) >= self.calls:
            return False
        self._taken.append(now)
        return True

    @property
    def remaining(self) -> int:
        """Calls that may follow at once."""
        return self.calls - len(self._taken)


class PipedriveAccount:
    """One company: its store, its credentials and its allowances."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.store = PipedriveStore(company.state_dir / DATABASE)
        self.records = Records(company, self.store)
        self._secrets = company.credentials["pipedrive"]
        limits = company.limits
        self._window = RollingWindow(limits.pipedrive_per_two_seconds)
        self._searching = RollingWindow(limits.pipedrive_searches_per_two_seconds)
        self._budget = limits.pipedrive_tokens_per_day
        self._day: date | None = None
        self._used = 0
        self._ignored = 0

    def guarded(self, handler: Handler, cost: int) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that checks the credential and both limits, and words refusals."""

        async def endpoint(request: Request) -> Response:
            if not self._may_enter(request):
                body = error_body(401, "unauthorized access", code="ERR_UNAUTHORIZED")
                return JSONResponse(body, 401)
            window = self._searching if request.url.path.endswith("/search") else self._window
            refused = self._too_much(window, cost)
            if refused is not None:
                return refused
            self._ignored = 0
            self._used += cost
            try:
                response = await handler(self, request)
            except RefusedError as error:
                response = JSONResponse(error.body(), error.status)
            except json.JSONDecodeError:
                response = JSONResponse(error_body(400, "Invalid JSON", code="ERR_BAD_REQUEST"), 400)
            response.headers.update(self._allowance(window))
            return response

        return endpoint

    async def token(self, request: Request) -> Response:
        """Trade a refresh token for an access token."""
        asked = await fields(request)
        pair = f"{self._secrets['client_id']}:{self._secrets['client_secret']}"
        basic = f"Basic {base64.b64encode(pair.encode()).decode()}"
        if request.headers.get("authorization") != basic:
            return JSONResponse({"error": "invalid_client", "message": "Client authentication failed"}, 401)
        wanted = ("refresh_token", self._secrets["refresh_token"])
        if (asked.get("grant_type"), asked.get("refresh_token")) != wanted:
            return JSONResponse({"error": "invalid_grant", "message": "Invalid grant: refresh token is invalid"}, 400)
        token = self.company.tokens.issue("pipedrive", lifetime_seconds=_TOKEN_SECONDS)
        return JSONResponse({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": _TOKEN_SECONDS,
            "refresh_token": self._secrets["refresh_token"],
            "scope": "base contacts:full contact-fields:full deals:full deal-fields:full users:read",
            "api_domain": f"{request.url.scheme}://{request.url.netloc}",
        })  # fmt: skip

    def _may_enter(self, request: Request) -> bool:
        if self.company.tokens.accepts("pipedrive", bearer(request)):
            return True
        return request.headers.get("x-api-token") == self._secrets["api_token"]

    def _too_much(self, window: RollingWindow, cost: int) -> Response | None:
        today = self.company.now().date()
        if today != self._day:
            self._day, self._used = today, 0
        if self._ignored >= MOST_IGNORED:
            self._ignored = 0
            return HTMLResponse("<html><body><h1>Access denied</h1></body></html>", 403)
        if self._budget - self._used < cost:
            self._ignored += 1
            body = error_body(429, "Daily API token budget exceeded", code="ERR_TOO_MANY_REQUESTS")
            headers = {**self._allowance(window), "retry-after": "3600", "x-daily-ratelimit-token-remaining": "0"}
            return JSONResponse(body, 429, headers=headers)
        if not window.take():
            self._ignored += 1
            body = error_body(429, "request over limit", code="ERR_TOO_MANY_REQUESTS")
            headers = {**self._allowance(window), "x-ratelimit-reset": str(PENALTY_SECONDS)}
            return JSONResponse(body, 429, headers=headers)
        return None

    def _allowance(self, window: RollingWindow) -> dict[str, str]:
        return {
            "x-ratelimit-limit": str(window.calls),
            "x-ratelimit-remaining": str(window.remaining),
            "x-ratelimit-reset": f"{WINDOW_SECONDS:.0f}",
            "x-daily-ratelimit-token-limit": str(self._budget),
            "x-daily-ratelimit-token-remaining": str(self._budget - self._used),
        }
