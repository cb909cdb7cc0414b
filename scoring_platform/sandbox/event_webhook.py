"""SendGrid's signed event webhook: pushes what happened to whoever listens.

Belongs here: batches, signatures, repeats, and what has been delivered to which address. Does not belong here: the
wording of events (``sendgrid``), and receiving them, which is the platform's part.

The signature is ECDSA on P-256 over the timestamp and the raw body; the key pair is made per home. The timestamp is
the wall clock's, whatever moment the company lives in: receivers refuse old ones.
"""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.credentials import webhook_key
from scoring_platform.sandbox.newsletters import is_automated
from scoring_platform.sandbox.sendgrid import worded
from scoring_platform.sandbox.state import write_atomically
from scoring_platform.sandbox.timeline import START, Position

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"
MOST_EVENTS = 500
"""Events in one request."""

_FILE = "webhooks.json"
_VENDOR = "sendgrid"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_MAILS = MOST_EVENTS // 2
"""Mail events of ours in one request: each becomes at most two."""

_ATTEMPTS = 4
_LONGEST_PAUSE = 5.0
_SECONDS = 30.0
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

Batch = tuple[Position, list[dict[str, Any]]]


class UndeliveredError(Exception):
    """The receiver did not take a batch; the text says how it answered."""


def sign(key: ec.EllipticCurvePrivateKey, timestamp: str, *, body: bytes) -> str:
    """Return the signature of a request, in base64."""
    return base64.b64encode(key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()


def is_loopback(url: str) -> bool:
    """Whether an address is plain HTTP on this machine; nothing of the sandbox may leave it."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK


@dataclass
class EventWebhook:
    """Delivers the company's events and remembers, across restarts, how far each address has got.

    Attributes:
        company: Whose events.
        pause: How to wait before a repeat.
    """

    company: Company
    pause: Callable[[float], None] = time.sleep
    _lock: Lock = field(default_factory=Lock)

    def deliver(self, url: str) -> int:
        """Send what happened since the last delivery to ``url``; return how many events that were.

        Raises:
            UndeliveredError: The receiver refused a batch again and again; what it took before is not sent again.
        """
        delivered = 0
        with self._lock, httpx.Client(trust_env=False, timeout=_SECONDS, verify=_NO_CERTIFICATES) as client:
            for position, events in self._batches(self._reached(url)):
                self._post(client, url, body=json.dumps(events).encode())
                self._remember(url, position)
                delivered += len(events)
        return delivered

    def _batches(self, after: Position) -> Iterator[Batch]:
        now = self.company.instant()
        books = self.company.population.books
        happened = [version for version in books.mail.page(now, after=after) if is_automated(version.thing)]
        for start in range(0, len(happened), _MAILS):
            part = happened[start : start + _MAILS]
            yield part[-1].position, [told for version in part for told in worded(version.thing, books.people)]

    def _post(self, client: httpx.Client, url: str, *, body: bytes) -> None:
        said = ""
        for attempt in range(1, _ATTEMPTS + 1):
            wait = 0.2 * attempt
            try:
                answer = client.post(url, content=body, headers=self._headers(body))
            except httpx.HTTPError as error:
                said = f"no answer ({type(error).__name__})"
            else:
                if answer.is_success:
                    return
                said = str(answer.status_code)
                wait = _asked_wait(answer) or wait
            if attempt < _ATTEMPTS:
                self.pause(min(wait, _LONGEST_PAUSE))
        msg = f"{url} did not take the events: {said}, {_ATTEMPTS} times"
        raise UndeliveredError(msg)

    def _headers(self, body: bytes) -> dict[str, str]:
        timestamp = str(int(time.time()))
        signature = sign(webhook_key(self.company.state_dir), timestamp, body=body)
        return {"Content-Type": "application/json", SIGNATURE: signature, TIMESTAMP: timestamp}

    def _reached(self, url: str) -> Position:
        number = self._known().get(_VENDOR, {}).get(url)
        return START if number is None else (int(number[0]), int(number[1]))

    def _remember(self, url: str, position: Position) -> None:
        known = self._known()
        known.setdefault(_VENDOR, {})[url] = list(position)
        write_atomically(self.company.state_dir / _FILE, json.dumps(known))

    def _known(self) -> dict[str, dict[str, list[int]]]:
        path = self.company.state_dir / _FILE
        if not path.exists():
            return {}
        known: dict[str, dict[str, list[int]]] = json.loads(path.read_text(encoding="utf-8"))
        return known


def _asked_wait(answer: httpx.Response) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else None
