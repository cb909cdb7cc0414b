"""How the company's vendors push to whoever listens: in order, again and again when refused, each thing once.

Belongs here: deliveries, repeats, how far each address has got, across restarts. Does not belong here: what a vendor
sends and how it signs (``event_webhook``, ``survey_webhook``), receiving, which is the platform's part.
"""

from __future__ import annotations

import json
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import ClassVar
from urllib.parse import urlsplit

import httpx

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.state import write_atomically
from scoring_platform.sandbox.timeline import Position

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_ATTEMPTS = 4
_LONGEST_PAUSE = 5.0
_SECONDS = 30.0
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

Batch = tuple[Position, bytes, int]
"""Where a request ends in the order of changes, its body, and how many events it has."""


class UndeliveredError(Exception):
    """The receiver did not take a batch; the text says how it answered."""


def is_loopback(url: str) -> bool:
    """Whether an address is plain HTTP on this machine; nothing of the sandbox may leave it."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK


@dataclass
class Push(ABC):
    """Delivers what happened at the company and remembers, across restarts, how far each address has got.

    Attributes:
        company: Whose events.
        pause: How to wait before a repeat.
    """

    company: Company
    pause: Callable[[float], None] = time.sleep
    _lock: Lock = field(default_factory=Lock)

    vendor: ClassVar[str]
    file: ClassVar[str]

    def deliver(self, url: str) -> int:
        """Send what happened since the last delivery to ``url``; return how many events that were.

        Raises:
            UndeliveredError: The receiver refused a batch again and again; what it took before is not sent again.
        """
        delivered = 0
        with self._lock, httpx.Client(trust_env=False, timeout=_SECONDS, verify=_NO_CERTIFICATES) as client:
            for position, body, events in self.batches(self._reached(url)):
                self._post(client, url, body=body)
                self._remember(url, position)
                delivered += events
        return delivered

    @abstractmethod
    def batches(self, after: Position | None) -> Iterator[Batch]:
        """Give what happened after a position; None for an address that is new."""

    @abstractmethod
    def headers(self, body: bytes) -> dict[str, str]:
        """Sign a body."""

    def _post(self, client: httpx.Client, url: str, *, body: bytes) -> None:
        said = ""
        for attempt in range(1, _ATTEMPTS + 1):
            wait = 0.2 * attempt
            try:
                answer = client.post(url, content=body, headers=self.headers(body))
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

    def _reached(self, url: str) -> Position | None:
        number = self._known().get(self.vendor, {}).get(url)
        return None if number is None else (int(number[0]), int(number[1]))

    def _remember(self, url: str, position: Position) -> None:
        known = self._known()
        known.setdefault(self.vendor, {})[url] = list(position)
        write_atomically(self.company.state_dir / self.file, json.dumps(known))

    def _known(self) -> dict[str, dict[str, list[int]]]:
        path = self.company.state_dir / self.file
        if not path.exists():
            return {}
        known: dict[str, dict[str, list[int]]] = json.loads(path.read_text(encoding="utf-8"))
        return known


def _asked_wait(answer: httpx.Response) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else None
