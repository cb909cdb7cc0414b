"""The file of a bulk operation, read line by line.

Belongs here: the download, whether it is whole, and joining lines with what they belong to. Does not belong here: how
the file comes to be (``shopify_bulk``), rows.

The file lies on another host than the shop, behind an address that is itself the permission: it is asked for without
any credential, and the address stands in no message. Neither the file nor its objects are ever held in memory.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import httpx

from scoring_platform.errors import PermanentError, TransientError
from scoring_platform.sources.graphql import Node
from scoring_platform.sources.shopify_bulk import Export

PARENT = "__parentId"

_ATTEMPTS = 5
_TIMEOUT = 60.0
_LONGEST_LINE = 16 * 1024 * 1024
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_LATER = frozenset({httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS})

_log = logging.getLogger(__name__)


class _BrokenError(Exception):
    """The download ended early or is damaged; asking again may help."""


def objects(export: Export, *, sleep: Callable[[float], None]) -> Iterator[Node]:
    """Yield every object of the file once; a download that breaks is taken up where it stopped.

    Raises:
        TransientError: The file could not be read to the end that the operation counted.
        PermanentError: The file is not there, or its address is not safe to ask.
    """
    if export.url is None:
        if export.objects:
            msg = f"shopify: a bulk operation counted {export.objects} objects and has no file"
            raise TransientError(msg)
        return
    read = roots = 0
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            for line in islice(_lines(export.url), read, None):
                node = _parsed(line)
                read, roots = read + 1, roots + (PARENT not in node)
                yield node
            _check_counts(export, read, roots=roots)
        except (httpx.RequestError, _BrokenError) as error:
            msg = f"shopify: the file of a bulk operation broke off after {read} of {export.objects} objects"
            if attempt == _ATTEMPTS:
                msg += "; if it stays so, set sources.shopify.bulk_from_days to 0"
                raise TransientError(msg) from error
            _log.warning("%s; it is asked for again", msg)
            sleep(2.0**attempt)
        else:
            return


def with_parents(nodes: Iterator[Node]) -> Iterator[tuple[Node, Node]]:
    """Yield every child as (parent, child), whichever of the two comes first in the file.

    Parents, and children that come before theirs, wait in a temporary file.

    Raises:
        PermanentError: A child's parent is not in the file.
    """
    with closing(_store()) as store:
        for node in nodes:
            if PARENT not in node:
                store.execute("INSERT OR REPLACE INTO parent VALUES (?, ?)", (node["id"], json.dumps(node)))
                continue
            found = store.execute("SELECT node FROM parent WHERE id = ?", (node[PARENT],)).fetchone()
            if found is None:
                store.execute("INSERT INTO waiting VALUES (?, ?)", (node[PARENT], json.dumps(node)))
            else:
                yield json.loads(found[0]), node
        yield from _late(store)


def _late(store: sqlite3.Connection) -> Iterator[tuple[Node, Node]]:
    joined = "SELECT parent.node, waiting.node FROM waiting LEFT JOIN parent USING (id)"
    for parent, child in store.execute(joined):
        if parent is None:
            msg = "shopify: the file of a bulk operation holds lines of orders that are not in it"
            raise PermanentError(msg)
        yield json.loads(parent), json.loads(child)


def _store() -> sqlite3.Connection:
    # Without a name SQLite keeps the data in a file of its own, which is gone with the process, however that ends.
    store = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    store.executescript(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8000; BEGIN;"
        "CREATE TABLE parent (id TEXT PRIMARY KEY, node TEXT) WITHOUT ROWID;"
        "CREATE TABLE waiting (id TEXT, node TEXT);"
    )
    return store


def _lines(url: str) -> Iterator[bytes]:
    """Yield the lines of the file; only a line feed ends one, since text may hold other line separators."""
    with _client(url) as client, client.stream("GET", url) as response:
        _check_answer(response)
        rest = b""
        for chunk in response.iter_bytes():
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                msg = f"shopify: a line of the file of a bulk operation is longer than {_LONGEST_LINE} bytes"
                raise PermanentError(msg)
            yield from filter(bytes.strip, whole)
        if rest.strip():
            yield rest


def _client(url: str) -> httpx.Client:
    address = httpx.URL(url)
    if address.scheme != "https" and not (address.scheme == "http" and address.host in _LOOPBACK):
        msg = f"shopify: the file of a bulk operation lies at {address.scheme}://{address.host}, which is not https"
        raise PermanentError(msg)
    headers = {"User-Agent": "scoring-platform"}
    return httpx.Client(headers=headers, timeout=_TIMEOUT, trust_env=address.host not in _LOOPBACK)


def _check_answer(response: httpx.Response) -> None:
    status = response.status_code
    if status == httpx.codes.OK:
        return
    msg = f"shopify answered {status} for the file of a bulk operation"
    if status in _LATER or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise _BrokenError(msg)
    raise PermanentError(msg)


def _check_counts(export: Export, read: int, *, roots: int) -> None:
    if read < export.objects or roots < export.roots:
        msg = f"{read} of {export.objects} objects, {roots} of {export.roots} of them roots"
        raise _BrokenError(msg)


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        node = json.loads(line)
    except ValueError:
        msg = "a line is no JSON"
        # Not chained: the parser's error holds the line.
        raise _BrokenError(msg) from None
    if not isinstance(node, dict):
        msg = "a line is no object"
        raise _BrokenError(msg)
    return node
