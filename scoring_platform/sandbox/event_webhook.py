"""SendGrid's signed event webhook: pushes what happened to whoever listens.

Belongs here: batches and signatures. Does not belong here: the wording of events (``sendgrid``), repeats and what has
been delivered to which address (``pushing``).

The signature is ECDSA on P-256 over the timestamp and the raw body; the key pair is made per home. The timestamp is
the wall clock's, whatever moment the company lives in: receivers refuse old ones.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from scoring_platform.sandbox.credentials import webhook_key
from scoring_platform.sandbox.newsletters import is_automated
from scoring_platform.sandbox.pushing import Batch, Push
from scoring_platform.sandbox.sendgrid import worded
from scoring_platform.sandbox.timeline import START, Position

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"
MOST_EVENTS = 500
"""Events in one request."""

_MAILS = MOST_EVENTS // 2
"""Mail events of ours in one request: each becomes at most two."""


def sign(key: ec.EllipticCurvePrivateKey, timestamp: str, *, body: bytes) -> str:
    """Return the signature of a request, in base64."""
    return base64.b64encode(key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()


class EventWebhook(Push):
    """Delivers the company's events in batches."""

    vendor = "sendgrid"
    file = "webhooks.json"

    def batches(self, after: Position | None) -> Iterator[Batch]:
        """Give the events of our mails; see ``Push.batches``."""
        now = self.company.instant()
        books = self.company.population.books
        happened = [one for one in books.mail.page(now, after=after or START) if is_automated(one.thing)]
        for start in range(0, len(happened), _MAILS):
            part = happened[start : start + _MAILS]
            events = [told for version in part for told in worded(version.thing, books.people)]
            yield part[-1].position, json.dumps(events).encode(), len(events)

    def headers(self, body: bytes) -> dict[str, str]:
        """Sign time and body; see ``Push.headers``."""
        timestamp = str(int(time.time()))
        signature = sign(webhook_key(self.company.state_dir), timestamp, body=body)
        return {"Content-Type": "application/json", SIGNATURE: signature, TIMESTAMP: timestamp}
