"""A real HTTP server on loopback whose answers a test decides.

Belongs here: the server and what it saw. Does not belong here: any vendor.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(self.body.decode()).items()}


class Hang:
    """An answer that never comes."""


class Reset:
    """An answer whose connection breaks in the middle of its body."""


Reply = Response | Hang | Reset
Answering = Callable[[Seen], Reply]


@dataclass
class Loopback:
    """The running server: set ``answer``, then look at ``seen``."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    answer: Answering = lambda _: Response(status_code=501)

    def script(self, replies: Sequence[Reply]) -> None:
        """Answer with ``replies`` in turn; the last one for ever."""
        queue = list(replies)

        def answer(_: Seen) -> Reply:
            return queue.pop(0) if len(queue) > 1 else queue[0]

        self.seen.clear()
        self.answer = answer


def reply(body: Any, status: int = 200, *, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return JSONResponse(body, status, headers=headers)


def page(text: str, status: int = 200, kind: str = "text/html") -> Response:
    """An answer that is no JSON."""
    return Response(text, status, media_type=kind)


@contextmanager
def serving() -> Iterator[Loopback]:
    """Run the server on an ephemeral port until the block ends."""
    loopback = Loopback()
    released: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def endpoint(request: Request) -> Response:
        seen = Seen(
            request.method, request.url.path, dict(request.query_params), dict(request.headers), await request.body()
        )
        loopback.seen.append(seen)
        decided = loopback.answer(seen)
        if isinstance(decided, Reset):
            return StreamingResponse(_breaking(), headers={"content-length": "100"})
        if not isinstance(decided, Hang):
            return decided
        event = asyncio.Event()
        released.append((asyncio.get_running_loop(), event))
        await event.wait()
        return Response(status_code=500)

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    app = Starlette(routes=[Route("/{path:path}", endpoint, methods=methods)])
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="critical", lifespan="off", date_header=False, server_header=False
    )
    server = uvicorn.Server(config)
    started = threading.Event()
    startup = server.startup

    async def announced(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = announced  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(timeout=10)
        port = server.servers[0].sockets[0].getsockname()[1]
        loopback.url = f"http://127.0.0.1:{port}"
        yield loopback
    finally:
        for loop, event in released:
            loop.call_soon_threadsafe(event.set)
        server.should_exit = True
        thread.join(timeout=10)


async def _breaking() -> Any:
    yield b'{"half": '
    msg = "the connection breaks on purpose"
    raise ConnectionResetError(msg)
