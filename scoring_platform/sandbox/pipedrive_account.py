"""The sandbox's Pipedrive account: who may ask, how often, and at what price.

Belongs here: credentials, the burst windows, the daily budget, the block of clients that ignore both, and the persons
as they are now. Does not belong here: addresses and the shape of answers (``pipedrive``), validation
(``pipedrive_rules``).
"""

from __future__ import annotations

import base64
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from scoring_platform.sandbox.days import iso_z
from scoring_platform.sandbox.inbound import bearer, fields
from scoring_platform.sandbox.pipedrive_past import FIRST_PERSON, PastPerson, past_person, past_persons
from scoring_platform.sandbox.pipedrive_rules import RefusedError, error_body, own_fields
from scoring_platform.sandbox.pipedrive_store import DATABASE, Item, PipedriveStore

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
            "scope": "base contacts:full contact-fields:full deals:read users:read",
            "api_domain": f"{request.url.scheme}://{request.url.netloc}",
        })  # fmt: skip

    @cached_property
    def addresses(self) -> tuple[str, ...]:
        """The persons who were there before anybody wrote."""
        return self.company.crm_seed()

    def fields(self) -> dict[str, Item]:
        """Return the custom fields by key."""
        return self.store.fields()

    def all_fields(self) -> list[Item]:
        """Return Pipedrive's own fields and the custom ones."""
        return [*own_fields(), *self.fields().values()]

    def persons(self) -> Iterator[Item]:
        """Yield all persons as they are now."""
        now, written = self.company.clock.instant(), self.store.persons()
        for past in past_persons(self.addresses, now):
            item = _merged(past, written.pop(past.id, {}))
            if not item["is_deleted"]:
                yield item
        for key, item in written.items():
            if not item.get("is_deleted"):
                yield {**_BARE, **item, "id": key}

    def person(self, person_id: int) -> Item:
        """Return one person as it is now.

        Raises:
            RefusedError: There is none.
        """
        written, number = self.store.person(person_id), person_id - FIRST_PERSON
        item: Item = {**_BARE, **written, "id": person_id} if written else {"is_deleted": True}
        if 0 <= number < len(self.addresses):
            past = past_person(number, self.addresses[number], self.company.clock.instant())
            item = item if past is None else _merged(past, written)
        if item["is_deleted"]:
            raise RefusedError(404, "Person not found", code="ERR_NOT_FOUND")
        return item

    def write(self, changes: Item, *, person_id: int | None = None) -> Item:
        """Store changes of a person, a new one without an id; return the person as it then is."""
        now = iso_z(self.company.clock.instant())
        before = {} if person_id is None else self.store.person(person_id)
        values = {**before.get("custom_fields", {}), **changes.get("custom_fields", {})}
        item = {**before, **changes, "custom_fields": values, "update_time": now}
        if person_id is None:
            item = {"add_time": now, **item}
        return self.person(self.store.keep_person(item, person_id))

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


_BARE: Item = {"owner_id": 71_001, "label_ids": [], "marketing_status": "no_consent", "is_deleted": False}


def _merged(past: PastPerson, written: Item) -> Item:
    """Return a person of before as salespeople and clients have left it."""
    item: Item = {
        "id": past.id,
        "name": past.email,
        "owner_id": past.owner,
        "add_time": iso_z(past.added_at),
        "emails": [{"value": past.email, "primary": True, "label": "work"}],
        "label_ids": [] if past.label is None else [past.label],
        "marketing_status": past.marketing,
        "custom_fields": {},
        "is_deleted": False,
    }
    update = max(iso_z(past.updated_at), str(written.get("update_time") or ""))
    return {**item, **written, "id": past.id, "update_time": update}
