"""Reading an answer to its end, but not for ever and not whatever its size.

Belongs here: how large and how slow an answer may be. Does not belong here: what it says (``verdict``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx

from scoring_platform.errors import PermanentError

MOST_BYTES = 256 << 20
"""Bytes of one answer, unpacked: far more than the largest page of any vendor, and no danger to a small machine."""

MOST_SECONDS = 600.0
"""Seconds for one answer. The timeout bounds each wait; this bounds a server that sends a byte now and then."""

_OF_THE_WIRE = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class EndlessAnswerError(httpx.ReadTimeout):
    """Parts of the answer kept coming, but not its end."""


def read_whole(response: httpx.Response, *, system: str, longest: float | None = None) -> httpx.Response:
    """Return ``response`` with its body read and unpacked.

    Raises:
        PermanentError: It is larger than ``MOST_BYTES``.
        EndlessAnswerError: It takes longer than ``longest`` seconds, by default ``MOST_SECONDS``.
        httpx.RequestError: The connection broke.
    """
    try:
        body = b"".join(_bounded(response, system, longest=longest))
    finally:
        response.close()
    headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in _OF_THE_WIRE]
    return httpx.Response(response.status_code, headers=headers, content=body, request=response.request)


def _bounded(response: httpx.Response, system: str, *, longest: float | None) -> Iterator[bytes]:
    longest = MOST_SECONDS if longest is None else longest
    end, size = time.monotonic() + longest, 0
    for part in response.iter_bytes():
        size += len(part)
        if size > MOST_BYTES:
            msg = f"{system} gave an answer of more than {MOST_BYTES >> 20} MB: ask for smaller pages (page_size)"
            raise PermanentError(msg)
        if time.monotonic() > end:
            msg = f"sent one answer for more than {longest:g} s"
            raise EndlessAnswerError(msg, request=response.request)
        yield part
