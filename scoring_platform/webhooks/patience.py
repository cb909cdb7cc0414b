"""How long a connection may be open without sending a request.

Belongs here: telling who has been waited for too long. Does not belong here: closing (``server``), and the body of a
request, which has a limit of its own (``receiver``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any


class Patience:
    """Watches the connections of a server; without it, strangers who send nothing could take all its places.

    Args:
        seconds: How long the head of a request may take, from the opening or from the answer before it.
        clock: Seconds, never going back.
    """

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since: dict[Any, tuple[Any, float]] = {}

    def overdue(self, connections: Collection[Any]) -> list[Any]:
        """Return those of uvicorn's ``connections`` that have sent no whole head for too long; asked regularly."""
        now = self._clock()
        waiting = [one for one in connections if one.cycle is None or one.cycle.response_complete]
        self._since = {one: self._last(one, now) for one in waiting}
        return [one for one, (_, since) in self._since.items() if now - since > self._seconds]

    def _last(self, connection: Any, now: float) -> tuple[Any, float]:
        """The connection's last request and since when nothing came after it."""
        cycle, since = self._since.get(connection, (None, now))
        return (cycle, since) if cycle is connection.cycle else (connection.cycle, now)
