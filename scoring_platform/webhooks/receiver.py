"""The receiver: ``POST /webhooks/<kind>/<provider>`` into the inbox, and ``GET /healthz``.

Belongs here: the order in which a request is examined, and what is answered. Does not belong here: signatures, JSON,
what an event is, SQL (a module each), and the process that serves (``server``).

An answer 200 means: on disk. Nothing of a request that is not signed is kept, and no log line has anything of a body.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from scoring_platform.errors import PermanentError, TransientError
from scoring_platform.ledger.inbox import DeadLetter, Inbox, Post, Stored
from scoring_platform.webhooks.health import Health
from scoring_platform.webhooks.payload import parse, readable
from scoring_platform.webhooks.providers import Provider
from scoring_platform.webhooks.rate import Allowance
from scoring_platform.webhooks.signatures import Moment
from scoring_platform.webhooks.writer import Writer

COMMIT_SECONDS = 20.0
"""How long a request waits for its commit; afterwards the sender is asked to come again, which does no harm."""

_BODY_SECONDS = 30.0
_COME_AGAIN_SECONDS = 30
_LETTER_CHARACTERS = 65_536
_REFUSALS_TOLD_PER_MINUTE = 1

_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Desk:
    """A provider with what is counted about it."""

    provider: Provider
    allowance: Allowance
    tellings: Allowance

    @classmethod
    def of(cls, provider: Provider, clock: Callable[[], float]) -> Desk:
        """Open a desk."""
        allowance = Allowance(provider.requests_per_minute, clock=clock)
        return cls(provider, allowance, Allowance(_REFUSALS_TOLD_PER_MINUTE, clock=clock))


@dataclass(frozen=True)
class Receiver:
    """Takes requests and has them written.

    Attributes:
        desks: Desk by kind and provider.
        writer: Who writes.
        clock: What signed times are compared with.
        body_seconds: How long a body may take to arrive.
    """

    desks: dict[tuple[str, str], Desk]
    writer: Writer
    clock: Callable[[], datetime] = _now
    body_seconds: float = field(default=_BODY_SECONDS)

    async def receive(self, request: Request) -> Response:
        """Examine one request and answer it."""
        _check_length(request)
        desk = self.desks.get((request.path_params["kind"], request.path_params["provider"]))
        if desk is None:
            raise HTTPException(404, "no such provider is configured")
        if request.method == "HEAD":  # some vendors look whether the address is there before they use it
            return Response()
        _check_type(request)
        body = await self._body(request, desk.provider.max_body_bytes)
        self._check_signature(desk, body, request)
        wait = desk.allowance.take()
        if wait:
            raise HTTPException(429, "too many requests", {"Retry-After": str(math.ceil(wait))})
        # Reading a large body takes a while: other requests go on meanwhile.
        post = await asyncio.to_thread(post_of, desk.provider, body, dict(request.headers))
        stored = await self._stored(post)
        refused = bool(post.dead) and not post.events
        said = {"accepted": stored.accepted, "duplicates": stored.duplicates, "rejected": len(post.dead)}
        return JSONResponse(said | {"error": post.dead[0].reason} if refused else said, 400 if refused else 200)

    async def _body(self, request: Request, most: int) -> bytes:
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and (len(announced) > len(str(most)) or int(announced) > most):
            raise HTTPException(413, f"the body is larger than {most} bytes")
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.body_seconds):
                async for part in request.stream():
                    size += len(part)
                    if size > most:
                        raise HTTPException(413, f"the body is larger than {most} bytes")
                    parts.append(part)
        except TimeoutError as error:
            raise HTTPException(408, "the body took too long") from error
        return b"".join(parts)

    def _check_signature(self, desk: Desk, body: bytes, request: Request) -> None:
        provider = desk.provider
        at = Moment(self.clock().timestamp(), provider.tolerance_seconds)
        if provider.scheme.accepts(body, request.headers, keys=provider.keys, at=at):
            return
        if not desk.tellings.take():
            _log.warning("%s: a request was refused: its signature or its signed time is not good", provider.path)
        raise HTTPException(401, "unauthorized")

    async def _stored(self, post: Post) -> Stored:
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self.writer.submit(post)), COMMIT_SECONDS)
        except (TransientError, TimeoutError) as error:
            raise HTTPException(503, "come again later", {"Retry-After": str(_COME_AGAIN_SECONDS)}) from error


def post_of(provider: Provider, body: bytes, headers: dict[str, str]) -> Post:
    """Return what a signed request brought; what makes no sense as a whole is one dead letter."""
    try:
        split = provider.split(parse(body), headers)
    except PermanentError as error:
        _log.warning("%s: a signed request was set aside: %s", provider.path, error)
        return Post(
            provider.kind, provider.name, dead=[DeadLetter(str(error), readable(body, most=_LETTER_CHARACTERS))]
        )
    if split.dead:
        _log.warning("%s: %d of a request's events were set aside", provider.path, len(split.dead))
    return Post(provider.kind, provider.name, split.events, split.dead)


def build_app(
    providers: Sequence[Provider],
    inbox: Inbox,
    *,
    health: Health | None = None,
    clock: Callable[[], datetime] = _now,
    ticks: Callable[[], float] = time.monotonic,
    body_seconds: float = _BODY_SECONDS,
) -> Starlette:
    """Return the application.

    Args:
        providers: Who may post.
        inbox: Where events go.
        health: How ``/healthz`` examines; by default without knowing what runs have read.
        clock: What signed times are compared with.
        ticks: Seconds, never going back, for the limits.
        body_seconds: How long a body may take to arrive.
    """
    writer = Writer(inbox)
    desks = {(provider.kind, provider.name): Desk.of(provider, ticks) for provider in providers}
    receiver = Receiver(desks, writer, clock, body_seconds)
    examined = health or Health(inbox, providers)

    async def healthz(_: Request) -> Response:
        return await examined.answer(writer)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        writer.close()

    app = Starlette(
        routes=[
            Route("/webhooks/{kind}/{provider}", receiver.receive, methods=["POST", "HEAD"]),
            Route("/healthz", healthz, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _refusal, ClientDisconnect: _nobody_there},
        lifespan=lifespan,
    )
    # A sender does not follow redirects, and where one leads would be the sender's to say, in its Host header.
    app.router.redirect_slashes = False
    return app


def _check_length(request: Request) -> None:
    # A proxy may have gone by the one and we by the other: nobody knows where this request ends.
    if {"content-length", "transfer-encoding"} <= set(request.headers):
        raise HTTPException(400, "send either Content-Length or Transfer-Encoding", {"Connection": "close"})


def _check_type(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HTTPException(415, "send application/json")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HTTPException(415, "send the body as it is signed, not compressed")


async def _refusal(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _nobody_there(_: Request, error: Exception) -> Response:
    return Response(status_code=400)
