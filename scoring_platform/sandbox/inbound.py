"""Reading requests and wording plain answers, the same for every sandbox vendor.

Belongs here: bodies as form or JSON, bearer tokens. Does not belong here: a vendor's own error shapes.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request


async def fields(request: Request) -> dict[str, Any]:
    """Return the body, sent as JSON or as a form, as a dict; empty when it is neither."""
    body = await request.body()
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(body.decode()))
    try:
        read = json.loads(body)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def bearer(request: Request) -> str:
    """Return the bearer token of a request; empty when there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def vendor_base(request: Request) -> str:
    """Return the address a vendor is mounted at, without a slash at the end."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"


def whole_number(text: str | None, default: int, *, least: int, most: int) -> int | None:
    """Return a number from a query string, ``default`` when absent, None when it is no number in [least, most]."""
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        return None
    return int(text)
