"""The sandbox's write side as a running server, with a record of every request.

Belongs here: starting, stopping, recording. Does not belong here: what a test expects.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount

from scoring_platform.sandbox.clock import Clock
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.limits import Limits
from scoring_platform.sandbox.population import Population

READING = ("/batch/read", "/search")


@dataclass(frozen=True)
class Call:
    """One request as it arrived."""

    method: str
    path: str
    json: Any
    query: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Running:
    """A running server: where it is and what it was asked."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)

    @property
    def writes(self) -> list[Call]:
        """The calls that change something."""
        return [call for call in self.calls if call.method != "GET" and not call.path.endswith(READING)]


@lru_cache
def _population() -> Population:
    return Population()


def company(folder: Path, *, limits: Limits | None = None) -> Company:
    """A sandbox company; its population is made once for all tests."""
    folder.mkdir(parents=True, exist_ok=True)
    clock = Clock(folder / "clock.json")
    return Company(state_dir=folder, population=_population(), clock=clock, limits=limits or Limits())


@contextmanager
def serving(prefix: str, routes: Sequence[BaseRoute]) -> Iterator[Running]:
    """Serve ``routes`` under ``prefix`` on an ephemeral port until the block ends."""
    running = Running()

    async def record(request: Request, proceed: RequestResponseEndpoint) -> Response:
        body = await request.body()
        is_json = "json" in request.headers.get("Content-Type", "") and body
        sent = json.loads(body) if is_json else None
        running.calls.append(Call(request.method, request.url.path, sent, dict(request.query_params), body))
        return await proceed(request)

    app = Starlette(routes=[Mount(prefix, routes=list(routes))], middleware=[Middleware(BaseHTTPMiddleware, record)])
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    started, startup = threading.Event(), server.startup

    async def announced(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = announced  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(timeout=10)
        running.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}{prefix}"
        yield running
    finally:
        server.should_exit = True
        thread.join(timeout=10)
