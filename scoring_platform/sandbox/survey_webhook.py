"""Formbricks' webhook: tells of every new and changed response, signed as Standard Webhooks has it.

Belongs here: its body and its signature. Does not belong here: the wording of a response (``formbricks``), repeats and
order (``pushing``).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

from scoring_platform.sandbox.days import DAY
from scoring_platform.sandbox.formbricks import response_of
from scoring_platform.sandbox.population import Books
from scoring_platform.sandbox.pushing import Batch, Push
from scoring_platform.sandbox.survey import Response
from scoring_platform.sandbox.timeline import Position, Version


class SurveyWebhook(Push):
    """Delivers responses one by one. An address that is new is told of the last day: nobody had asked before."""

    vendor = "formbricks"
    file = "survey_webhooks.json"

    def batches(self, after: Position | None) -> Iterator[Batch]:
        """Give one delivery per change; see ``Push.batches``."""
        now = self.company.instant()
        books = self.company.population.books
        for version in books.responses.page(now, after=after or (now - DAY, -1)):
            yield version.position, json.dumps(_delivery(books, version)).encode(), 1

    def headers(self, body: bytes) -> dict[str, str]:
        """Sign id, time and body; see ``Push.headers``."""
        message, at = f"msg_{hashlib.sha256(body).hexdigest()[:24]}", str(int(time.time()))
        secret = self.company.credentials[self.vendor]["webhook_secret"].removeprefix("whsec_")
        signed = f"{message}.{at}.".encode() + body
        signature = base64.b64encode(hmac.new(base64.b64decode(secret), signed, hashlib.sha256).digest()).decode()
        named = {"webhook-id": message, "webhook-timestamp": at, "webhook-signature": f"v1,{signature}"}
        return {"Content-Type": "application/json", **named}


def _delivery(books: Books, version: Version[Response]) -> dict[str, Any]:
    event = "responseFinished" if version.thing.finished else "responseCreated"
    return {"webhookId": "sandboxwebhook", "event": event, "data": response_of(books, version)}
