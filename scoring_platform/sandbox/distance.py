"""How far away the sandbox's vendors are: on loopback a call would take no time at all.

Belongs here: the time a call is on its way. Does not belong here: calls that never arrive (``faults``).
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Distance:
    """Lets a call arrive, and its answer go, half of ``seconds`` later."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        """Stand in front of ``app``."""
        self._app = app
        self._half = seconds / 2

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry one request."""
        if scope["type"] != "http" or not self._half or scope["path"].startswith("/_sandbox"):
            await self._app(scope, receive, send)
            return

        async def carried(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(self._half)
            await send(message)

        await asyncio.sleep(self._half)
        await self._app(scope, receive, carried)
