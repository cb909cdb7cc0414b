"""Good answers, spoilt on their way to the client.

Belongs here: taking a vendor's answer and handing it on cut, slow or in another order. Does not belong here: which
requests are hit (``faults``), and answers that are made up.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SPOILING = ("truncated", "slow", "shuffle")
"""Kinds of trouble that begin with the vendor's good answer: cut in half, in many small pieces, rows turned round."""

_PIECE = 256
_ROWS_KEYS_DEPTH = 4


async def captured(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    """Return the head and the body that ``app`` answers."""
    parts: list[Message] = []

    async def keep(message: Message) -> None:
        parts.append(message)

    await app(scope, receive, keep)
    return parts[0], b"".join(part.get("body", b"") for part in parts[1:])


async def replay(head: Message, body: bytes, *, send: Send) -> None:
    """Send a captured answer."""
    await send(head)
    await send({"type": "http.response.body", "body": body})


async def send_spoilt(kind: str, head: Message, body: bytes, *, send: Send) -> None:
    """Send a captured answer spoilt in the way of ``kind``."""
    if kind == "slow":
        await _dribble(head, body, send=send)
        return
    spoilt = body[: len(body) // 2] if kind == "truncated" else turned_round(body)
    await replay(_with_length(head, len(spoilt)), spoilt, send=send)


def turned_round(body: bytes) -> bytes:
    """Return a JSON answer with its rows, the longest list of objects, from last to first."""
    try:
        read = json.loads(body)
    except ValueError:
        return body
    max(_lists(read, depth=_ROWS_KEYS_DEPTH), key=len, default=[]).reverse()
    return json.dumps(read).encode()


def _lists(value: Any, *, depth: int) -> list[list[Any]]:
    """Return the lists of objects in ``value`` that stand in no other list."""
    if isinstance(value, list):
        return [value] if value and all(isinstance(item, dict) for item in value) else []
    if depth == 0 or not isinstance(value, dict):
        return []
    return [found for inner in value.values() for found in _lists(inner, depth=depth - 1)]


async def _dribble(head: Message, body: bytes, *, send: Send) -> None:
    await send(head)
    for start in range(0, len(body), _PIECE):
        await send({"type": "http.response.body", "body": body[start : start + _PIECE], "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b""})


def _with_length(head: Message, length: int) -> Message:
    kept = [(name, value) for name, value in head["headers"] if name != b"content-length"]
    return {**head, "headers": [*kept, (b"content-length", str(length).encode())]}
