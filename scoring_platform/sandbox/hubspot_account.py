"""The sandbox CRM's account: its token and its allowance.

Belongs here: who may ask how often. Does not belong here: what a write does (``hubspot_objects``), addresses and the
shape of answers (``hubspot``), validation (``hubspot_rules``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from scoring_platform.sandbox.hubspot_objects import CALLED, Objects
from scoring_platform.sandbox.hubspot_past import pasts
from scoring_platform.sandbox.hubspot_rules import RefusedError, error_body
from scoring_platform.sandbox.hubspot_store import Kind
from scoring_platform.sandbox.limits import RollingWindow

if TYPE_CHECKING:
    from scoring_platform.sandbox.company import Company

WINDOW_SECONDS = 10.0
DAILY_LIMIT = 1_000_000

Handler = Callable[["Account", Request], Awaitable[Response]]


class Account:
    """One CRM account: its records, its token and its allowance."""

    def __init__(self, company: Company, *, multi_status: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.company = company
        self.multi_status = multi_status
        known = pasts(company.population, company.crm_seed())
        self.objects: Mapping[Kind, Objects] = {kind: Objects(company, kind, known) for kind in CALLED}
        self._token = company.credentials["hubspot"]["token"]
        self._window = RollingWindow(company.limits.hubspot_per_ten_seconds, WINDOW_SECONDS, clock)
        self._searches = RollingWindow(company.limits.hubspot_searches_per_second, 1.0, clock)
        self._used_today = 0

    def guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that checks the token and the allowance, and words refusals."""

        async def endpoint(request: Request) -> Response:
            if request.headers.get("Authorization") != f"Bearer {self._token}":
                message = "Authentication credentials not found or invalid."
                return JSONResponse(error_body("INVALID_AUTHENTICATION", message), 401)
            if not self._window.take():
                return self._limited()
            self._used_today += 1
            try:
                response = await handler(self, request)
            except RefusedError as refused:
                response = JSONResponse(refused.body(), refused.status)
            except json.JSONDecodeError:
                response = JSONResponse(error_body("VALIDATION_ERROR", "Invalid input JSON"), 400)
            # HubSpot's searches say nothing about the allowance.
            if not request.url.path.endswith("/search"):
                response.headers.update(self._allowance())
            return response

        return endpoint

    def may_search(self) -> bool:
        """Count one search; False when there were too many in this second."""
        return self._searches.take()

    def _limited(self) -> Response:
        message = "You have reached your ten_secondly_rolling limit."
        body = error_body("RATE_LIMITS", message, errorType="RATE_LIMIT", policyName="TEN_SECONDLY_ROLLING")
        wait = str(max(1, round(self._window.reset_seconds)))
        return JSONResponse(body, 429, headers={"Retry-After": wait, **self._allowance()})

    def _allowance(self) -> dict[str, str]:
        return {
            "X-HubSpot-RateLimit-Daily": str(DAILY_LIMIT),
            "X-HubSpot-RateLimit-Daily-Remaining": str(DAILY_LIMIT - self._used_today),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(int(WINDOW_SECONDS * 1000)),
            "X-HubSpot-RateLimit-Max": str(self.company.limits.hubspot_per_ten_seconds),
            "X-HubSpot-RateLimit-Remaining": str(self._window.remaining),
        }
