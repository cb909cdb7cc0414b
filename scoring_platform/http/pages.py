"""Following pages without ever going round in circles.

Belongs here: the loop over pages and its guards. Does not belong here: how a vendor names its cursor.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from scoring_platform.errors import PermanentError

MAX_PAGES = 100_000
"""Pages after which a listing is taken for endless."""

P = TypeVar("P")
C = TypeVar("C")


def paginate(
    first: P,
    next_of: Callable[[P], C | None],
    *,
    fetch: Callable[[C], P],
    rows_of: Callable[[P], Sequence[Any]],
    where: str,
    max_pages: int = MAX_PAGES,
) -> Iterator[P]:
    """Yield ``first`` and every page after it.

    Args:
        first: The first page.
        next_of: The cursor of the page after a page; None at the end.
        fetch: Gets the page of a cursor.
        rows_of: The rows of a page as plain JSON, to notice a page that is served twice under another cursor.
        where: What is listed, for the message, such as ``klaviyo GET /api/events``.
        max_pages: Pages after which to give up.

    Raises:
        PermanentError: A cursor or a whole page came a second time, or there is no end.
    """
    cursors: set[str] = set()
    pages: set[bytes] = set()
    page = first
    for _ in range(max_pages):
        _remember_page(rows_of(page), pages, where=where)
        yield page
        cursor = next_of(page)
        if cursor is None:
            return
        _remember_cursor(str(cursor), cursors, where=where)
        page = fetch(cursor)
    msg = f"{where} has no end: stopped after {max_pages} pages"
    raise PermanentError(msg)


def _remember_cursor(cursor: str, seen: set[str], *, where: str) -> None:
    if cursor in seen:
        msg = f"{where} gave the same page cursor twice: reading on would never end"
        raise PermanentError(msg)
    seen.add(cursor)


def _remember_page(rows: Sequence[Any], seen: set[bytes], *, where: str) -> None:
    if not rows:
        return
    digest = hashlib.blake2b(json.dumps(rows, sort_keys=True).encode(), digest_size=16).digest()
    if digest in seen:
        msg = f"{where} gave the same page of {len(rows)} rows twice: reading on could miss or repeat rows"
        raise PermanentError(msg)
    seen.add(digest)
