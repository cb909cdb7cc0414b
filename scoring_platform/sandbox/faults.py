"""Trouble made on purpose, and the count of what clients asked.

Belongs here: which requests go wrong, in which way, and the middleware that does it. Does not belong here: a vendor's
regular refusals (wrong credential, spent allowance), which its own module gives, and how a good answer is spoilt
(``spoiling``).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scoring_platform.sandbox.spoiling import SPOILING, captured, replay, send_spoilt

KINDS = (
    "status",
    "html",
    "timeout",
    "reset",
    "malformed",
    "repeat_page",
    "throttle",
    "exhausted",
    "empty",
    "error_body",
    "redirect",
    "page_loop",
    *SPOILING,
)

_HOLD_SECONDS = 60.0
_THROTTLED: dict[str, dict[str, Any]] = {
    "mailchimp": {"title": "TooManyRequests", "status": 429, "detail": "You have exceeded the limit of connections."},
    "sendgrid": {"errors": [{"message": "too many requests", "field": None, "help": None}]},
}
"""Words for "too much" of vendors that simply say so with 429."""

_CONCURRENT = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
_THROTTLED_OTHERWISE: dict[str, tuple[int, Any]] = {
    "salesforce": (403, [{"message": _CONCURRENT, "errorCode": "REQUEST_LIMIT_EXCEEDED"}])
}
"""Status and words of vendors that say it in another way."""

_READING_POSTS = (
    "/graphql.json",
    "/admin/oauth/access_token",
    "/oauth/tokens",
    "/token",
    ":runReport",
    "/index.php",
    "/batch/read",
    "/search",
    "/api/auth.test",
    "/api/api.test",
)


@dataclass(frozen=True)
class Fault:
    """One kind of trouble for the next matching requests.

    Attributes:
        path_prefix: Requests whose path begins so are hit.
        kind: One of ``KINDS``.
        times: How many requests are hit.
        status: HTTP status of ``status`` and ``html``.
        retry_after: Value of the ``Retry-After`` header, if one is to be sent: seconds, or an HTTP date.
        skip: How many matching requests go well before the first is hit.
        location: Where ``redirect`` sends the client.
    """

    path_prefix: str
    kind: str
    times: int = 1
    status: int = 503
    retry_after: float | str | None = None
    skip: int = 0
    location: str = ""

    def __post_init__(self) -> None:
        """Refuse what the middleware could not carry out."""
        if self.kind not in KINDS:
            msg = f"unknown fault kind {self.kind!r}; use one of {', '.join(KINDS)}"
            raise ValueError(msg)


@dataclass
class Faults:
    """The pending faults and the requests seen so far."""

    _pending: list[Fault] = field(default_factory=list)
    _seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    _pages: dict[str, tuple[Message, bytes]] = field(default_factory=dict)
    _loops: dict[str, tuple[Message, bytes]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def add(self, fault: Fault) -> None:
        """Let the next matching requests go wrong; the oldest matching fault goes first."""
        with self._lock:
            self._pending.append(fault)

    def clear(self) -> None:
        """Forget all pending faults."""
        with self._lock:
            self._pending.clear()
            self._loops.clear()

    def take(self, path: str) -> Fault | None:
        """Return the fault that hits a request to ``path`` and count it as done."""
        with self._lock:
            for index, fault in enumerate(self._pending):
                if not path.startswith(fault.path_prefix):
                    continue
                if fault.skip == 0:
                    return self._use(index, fault)
                self._pending[index] = replace(fault, skip=fault.skip - 1)
        return None

    def count(self, method: str, path: str) -> None:
        """Note one request."""
        with self._lock:
            self._seen[method, path] += 1

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests seen, one row per method and path."""
        with self._lock:
            seen = sorted(self._seen.items(), key=lambda item: (item[0][1], item[0][0]))
        return [
            {"vendor": path.split("/")[1], "method": method, "path": path, "writes": writes(method, path), "count": n}
            for (method, path), n in seen
        ]

    def forget_requests(self) -> None:
        """Start counting anew."""
        with self._lock:
            self._seen.clear()

    def keep_page(self, path: str, head: Message, *, body: bytes) -> None:
        """Remember the last good answer of ``path`` in case it is to be repeated."""
        self._pages[path] = (head, body)

    def last_page(self, path: str) -> tuple[Message, bytes] | None:
        """Return the last good answer of ``path``."""
        return self._pages.get(path)

    def keep_loop(self, path: str, head: Message, *, body: bytes) -> None:
        """Remember the answer that ``path`` gives for ever."""
        self._loops[path] = (head, body)

    def loop(self, path: str) -> tuple[Message, bytes] | None:
        """Return the answer that ``path`` gives for ever, once it is known."""
        return self._loops.get(path)

    def _use(self, index: int, fault: Fault) -> Fault:
        if fault.times > 1:
            self._pending[index] = replace(fault, times=fault.times - 1)
        else:
            del self._pending[index]
        return fault


def writes(method: str, path: str) -> bool:
    """Whether such a request changes something at the vendor."""
    return method not in {"GET", "HEAD"} and not path.endswith(_READING_POSTS)


class FaultMiddleware:
    """Counts every vendor request and lets the planned ones go wrong."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        """Stand in front of ``app``."""
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or path.startswith("/_sandbox") or path == "/healthz":
            await self._app(scope, receive, send)
            return
        self._faults.count(scope["method"], path)
        fault = self._faults.take(path)
        if fault is None:
            await self._pass_on(path, scope, receive, send)
        else:
            await self._fail(fault, scope, receive, send)

    async def _pass_on(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        parts: list[Message] = []

        async def remember(message: Message) -> None:
            parts.append(message)
            await send(message)

        await self._app(scope, receive, remember)
        if parts and parts[0].get("status") == 200:
            self._faults.keep_page(path, parts[0], body=b"".join(part.get("body", b"") for part in parts[1:]))

    async def _fail(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if fault.kind == "timeout":
            await _hold(receive)
        elif fault.kind == "reset":
            # A body shorter than announced makes the server drop the connection half way through the answer.
            await _start(send, 200, {"content-type": "application/json", "content-length": "4096"})
            await send({"type": "http.response.body", "body": b'{"data":', "more_body": True})
        elif fault.kind == "repeat_page":
            await self._repeat(path, send)
        elif fault.kind == "page_loop":
            await self._loop(scope, receive, send)
        elif fault.kind == "redirect":
            await _start(send, 302, {"location": fault.location, "content-length": "0"})
            await send({"type": "http.response.body", "body": b""})
        elif fault.kind in SPOILING:
            await send_spoilt(fault.kind, *await captured(self._app, scope, receive), send=send)
        else:
            status, kind, body = _answer(fault, path)
            await _respond(send, status, kind, body, retry_after=fault.retry_after)

    async def _repeat(self, path: str, send: Send) -> None:
        page = self._faults.last_page(path)
        if page is None:
            await _respond(send, 503, "application/json", b'{"error":"no page to repeat yet"}')
            return
        await replay(*page, send=send)

    async def _loop(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        page = self._faults.loop(path)
        if page is None:
            page = await captured(self._app, scope, receive)
            self._faults.keep_loop(path, page[0], body=page[1])
        await replay(*page, send=send)


async def _hold(receive: Receive) -> None:
    async def until_gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    try:
        await asyncio.wait_for(until_gone(), _HOLD_SECONDS)
    except TimeoutError:
        return


def _answer(fault: Fault, path: str) -> tuple[int, str, bytes]:
    if fault.kind == "html":
        return fault.status, "text/html", b"<html><body><h1>Service unavailable</h1></body></html>"
    if fault.kind == "malformed":
        return 200, "application/json", b'{"data": [{"id": '
    if fault.kind == "empty":
        return 200, "application/json", b""
    wordings = {"throttle": _throttled, "exhausted": _exhausted, "error_body": _error_body}
    if fault.kind in wordings:
        status, body = wordings[fault.kind](path)
        return status, "application/json", json.dumps(body).encode()
    text = {"error": {"code": fault.status, "message": "made to fail"}}
    return fault.status, "application/json", json.dumps(text).encode()


def _throttled(path: str) -> tuple[int, Any]:
    vendor = path.split("/")[1]
    if vendor == "shopify" and path.endswith("/graphql.json"):
        throttle: dict[str, Any] = {"maximumAvailable": 2000.0, "currentlyAvailable": 0, "restoreRate": 100.0}
        cost = {"requestedQueryCost": 10, "actualQueryCost": None, "throttleStatus": throttle}
        error: dict[str, Any] = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
        return 200, {"errors": [error], "extensions": {"cost": cost}}
    if vendor == "ga4":
        error = {"code": 429, "message": "Exhausted concurrent requests quota.", "status": "RESOURCE_EXHAUSTED"}
        return 429, {"error": error}
    if vendor == "klaviyo":
        return 429, {"errors": [{"id": "throttled", "code": "throttled", "title": "Request was throttled."}]}
    if vendor == "hubspot":
        message = "You have reached your ten_secondly_rolling limit."
        return 429, {
            "status": "error",
            "message": message,
            "errorType": "RATE_LIMIT",
            "policyName": "TEN_SECONDLY_ROLLING",
        }
    if vendor == "slack":
        return 429, {"ok": False, "error": "ratelimited"}
    if vendor == "pipedrive":
        return 429, {"success": False, "error": "request over limit", "code": "ERR_TOO_MANY_REQUESTS"}
    if vendor == "intercom":
        refusal = {"code": "rate_limit_exceeded", "message": "Rate limit exceeded"}
        return 429, {"type": "error.list", "request_id": None, "errors": [refusal]}
    usual = {"error": "APIRateLimitExceeded", "description": "Number of allowed API requests exceeded"}
    return _THROTTLED_OTHERWISE.get(vendor) or (429, _THROTTLED.get(vendor, usual))


def _exhausted(path: str) -> tuple[int, Any]:
    """Word a spent daily allowance, for the vendors that have one."""
    vendor = path.split("/")[1]
    if vendor == "ga4":
        words = "Exhausted property tokens per day. These quota tokens will return in under 24 hours."
        return 429, {"error": {"code": 429, "message": words, "status": "RESOURCE_EXHAUSTED"}}
    if vendor == "hubspot":
        words = "You have reached your daily limit."
        return 429, {"status": "error", "message": words, "errorType": "RATE_LIMIT", "policyName": "DAILY"}
    if vendor == "salesforce":
        return 403, [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    if vendor == "pipedrive":
        return 429, {"success": False, "error": "Daily API token budget exceeded", "code": "ERR_TOO_MANY_REQUESTS"}
    return 429, {"error": "DailyLimitExceeded", "message": "The daily limit is used up."}


def _error_body(path: str) -> tuple[int, dict[str, Any]]:
    """Word an error that comes as a success."""
    vendor = path.split("/")[1]
    if vendor == "shopify":
        error = {"message": "Field 'x' doesn't exist", "extensions": {"code": "undefinedField"}}
        return 200, {"errors": [error]}
    if vendor == "slack":
        return 200, {"ok": False, "error": "fatal_error"}
    return 200, {"result": "error", "message": "made to fail", "error": {"code": 500, "message": "made to fail"}}


async def _respond(
    send: Send, status: int, content_type: str, body: bytes, *, retry_after: float | str | None = None
) -> None:
    headers = {"content-type": content_type, "content-length": str(len(body))}
    if retry_after is not None:
        headers["retry-after"] = retry_after if isinstance(retry_after, str) else f"{retry_after:g}"
    await _start(send, status, headers)
    await send({"type": "http.response.body", "body": body})


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
