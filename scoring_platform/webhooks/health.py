"""Whether the receiver does its work: can the inbox be written, and how long do events wait for a run.

Belongs here: examining and wording ``/healthz``. Does not belong here: alerts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from scoring_platform.ledger.inbox import Inbox, Waiting, read_through
from scoring_platform.webhooks.providers import Provider
from scoring_platform.webhooks.writer import FAILURES, Writer

_FRESH_SECONDS = 2.0
_PATIENCE_SECONDS = 5.0


@dataclass
class Health:
    """Examines at most every two seconds, whoever asks how often.

    Attributes:
        inbox: What is examined.
        providers: Whose events are counted.
        gives: Raw tables by source, to know up to when runs have read it.
        clock: Now.
    """

    inbox: Inbox
    providers: Sequence[Provider]
    gives: Mapping[str, frozenset[str]] = field(default_factory=dict)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _found: dict[str, Any] = field(default_factory=dict)
    _at: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def answer(self, writer: Writer) -> Response:
        """Say how it is: 200 when events can be taken, 503 when not."""
        async with self._lock:
            if time.monotonic() - self._at > _FRESH_SECONDS:
                self._found, self._at = await self._examined(writer), time.monotonic()
        return JSONResponse(self._found, 200 if self._found["status"] == "ok" else 503)

    async def _examined(self, writer: Writer) -> dict[str, Any]:
        try:
            await asyncio.wait_for(asyncio.wrap_future(writer.prove_writable()), _PATIENCE_SECONDS)
            waiting = await asyncio.wait_for(asyncio.to_thread(self._waiting), _PATIENCE_SECONDS)
        except (*FAILURES, TimeoutError) as error:
            return {"status": "failing", "inbox": f"cannot be written ({type(error).__name__})"}
        oldest = min((one.oldest for one in waiting.values() if one.oldest), default=None)
        return {
            "status": "ok",
            "inbox": "can be written",
            "waiting": sum(one.count for one in waiting.values()),
            "oldest_waiting_seconds": self._age(oldest),
            "providers": {
                path: {"waiting": one.count, "oldest_waiting_seconds": self._age(one.oldest)}
                for path, one in waiting.items()
            },
        }

    def _waiting(self) -> dict[str, Waiting]:
        ledger = self.inbox.ledger
        read = {name: read_through(ledger, name, tables) for name, tables in self.gives.items()}
        return {
            f"{provider.kind}/{provider.name}": self.inbox.waiting(
                provider.kind, provider.name, since=read.get(provider.source)
            )
            for provider in self.providers
        }

    def _age(self, instant: datetime | None) -> int | None:
        return None if instant is None else max(0, int((self.clock() - instant).total_seconds()))
