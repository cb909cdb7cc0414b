"""The sandbox CRM's account: its store, its token, its allowance, and the carrying out of one write.

Belongs here: what a write does to the contacts, and who may ask how often. Does not belong here: addresses and
the shape of answers (``hubspot``), validation (``hubspot_rules``), storage (``hubspot_store``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from scoring_platform.sandbox.days import moment
from scoring_platform.sandbox.hubspot_past import Past, as_of, pasts
from scoring_platform.sandbox.hubspot_rules import RefusedError, check_values, error_body, standard_definitions
from scoring_platform.sandbox.hubspot_store import FIRST_ID, Contact, ContactStore, ValueTakenError, iso
from scoring_platform.sandbox.limits import RollingWindow

if TYPE_CHECKING:
    from scoring_platform.sandbox.company import Company

DATABASE = "hubspot.db"
WINDOW_SECONDS = 10.0
DAILY_LIMIT = 1_000_000
NOT_FOUND = "Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid."

_READ_AT_ONCE = 500

Handler = Callable[["Account", Request], Awaitable[Response]]


class Account:
    """One CRM account: its store, its token and its allowance."""

    def __init__(self, company: Company, *, multi_status: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.company = company
        self.multi_status = multi_status
        self.store = ContactStore(company.state_dir / DATABASE)
        self._token = company.credentials["hubspot"]["token"]
        self._window = RollingWindow(company.limits.hubspot_per_ten_seconds, WINDOW_SECONDS, clock)
        self._searches = RollingWindow(company.limits.hubspot_searches_per_second, 1.0, clock)
        self._used_today = 0
        self._seed()

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

    @cached_property
    def pasts(self) -> tuple[Past, ...]:
        """The contacts that were there before the platform, in order of their ids."""
        return pasts(self.company.population, self.company.crm_seed())

    def seen(self, contact: Contact) -> Contact:
        """Return a stored contact as it is now, with what sales people have done since."""
        number = int(contact.id) - FIRST_ID
        return as_of(contact, self.pasts[number], self.company.clock.instant()) if number < len(self.pasts) else contact

    def listed(self, *, after: int = 0, limit: int | None = None) -> list[Contact]:
        """Return up to ``limit`` contacts with an id above ``after``; what is still to come is not there."""
        return list(islice(self._made(after), limit))

    def may_search(self) -> bool:
        """Count one search; False when there were too many in this second."""
        return self._searches.take()

    def write(self, operation: str, item: Mapping[str, Any]) -> tuple[Contact, bool]:
        """Carry out one input; return the contact and whether it is new.

        Raises:
            RefusedError: The input is refused; nothing was changed.
        """
        known = self.store.definitions()
        unique = [name for name, one in known.items() if one["hasUniqueValue"] and name != "hs_object_id"]
        values = check_values(item.get("properties"), known)
        contact, id_property = None, item.get("idProperty")
        if operation != "create":
            contact = self.locate(item, id_property, known)
            if contact is None and operation == "update":
                raise RefusedError(404, "OBJECT_NOT_FOUND", NOT_FOUND)
        try:
            if contact is not None:
                return self.store.update(contact, values, unique=unique, now=self.company.now()), False
            if operation == "upsert" and id_property:
                values = {**values, **check_values({id_property: item["id"]}, known)}
            return self.store.insert(values, unique=unique, now=self.company.now()), True
        except ValueTakenError as taken:
            message = f"Contact already exists. Existing ID: {taken.contact_id}"
            raise RefusedError(409, "CONFLICT", message, code="CONFLICT", prop=taken.name) from taken

    def locate(
        self, item: Mapping[str, Any], id_property: str | None, known: Mapping[str, Mapping[str, Any]]
    ) -> Contact | None:
        """Return the contact an input names.

        Raises:
            RefusedError: The input names nothing, or by a property that is not unique.
        """
        identifier = item.get("id")
        if not isinstance(identifier, str) or not identifier:
            raise RefusedError(400, "VALIDATION_ERROR", "Invalid input JSON: some required fields were not set: [id]")
        if not id_property or id_property == "hs_object_id":
            return self.store.get(identifier)
        if not known.get(id_property, {}).get("hasUniqueValue"):
            raise RefusedError(400, "VALIDATION_ERROR", f"{id_property} is not a unique property of CONTACT")
        return self.store.find(id_property, identifier)

    def _seed(self) -> None:
        if not self.store.is_empty():
            return
        with self.store.transaction():
            for definition in standard_definitions():
                self.store.define(definition)
            for past in self.pasts:
                self.store.insert(past.first, unique=["email"], now=moment(past.made_at))

    def _made(self, after: int) -> Iterator[Contact]:
        now = iso(self.company.now())
        while page := self.store.page(after=after, limit=_READ_AT_ONCE):
            yield from (self.seen(contact) for contact in page if contact.created_at <= now)
            after = int(page[-1].id)

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
