"""Shopify's bulk operations: a query that the shop runs by itself and answers with one file.

Belongs here: starting an operation, waiting for it within bounds, and what its end means. Does not belong here: the
file (``shopify_file``), the queries, rows.

Nothing is kept between runs: when the process dies, the next run starts a new operation.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scoring_platform.errors import CredentialError, PermanentError, SourceError, TransientError
from scoring_platform.http.client import ApiClient
from scoring_platform.sources import graphql
from scoring_platform.sources import shopify_queries as queries

_OPERATIONS = 2
"""Operations that are started when the shop fails inside."""

_FIRST_WAIT = 1.0
_BUSY = frozenset({"OPERATION_IN_PROGRESS", "LIMIT_REACHED"})
_UNFINISHED = frozenset({"CREATED", "RUNNING", "CANCELING"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Export:
    """The result of an operation.

    Attributes:
        url: Where the file is; None when there is nothing in it.
        objects: Lines of the file.
        roots: Those of them that belong to no other.
    """

    url: str | None
    objects: int
    roots: int


class Patience:
    """Waits that grow, up to a total.

    Args:
        seconds: How long to wait altogether.
        longest: Longest single wait.
        clock: Seconds, never going back.
        sleep: How to wait.
    """

    def __init__(
        self,
        seconds: float,
        *,
        longest: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.seconds = seconds
        self.sleep = sleep
        self._longest = longest
        self._clock = clock
        self._end = clock() + seconds
        self._next = _FIRST_WAIT

    def wait(self) -> bool:
        """Wait a little longer than the last time; False, without waiting, when the time is up."""
        if self._clock() >= self._end:
            return False
        self.sleep(min(self._next, self._longest))
        self._next *= 2
        return True


def export(client: ApiClient, path: str, query: str, *, patience: Patience) -> Export:
    """Have the shop run ``query`` and return where its result lies.

    Raises:
        CredentialError: A scope is missing.
        PermanentError: The shop does not accept the query.
        TransientError: It failed inside, was cancelled, or took longer than ``patience``.
    """
    for _ in range(_OPERATIONS):
        state = _ended(client, path, _started(client, path, query, patience=patience), patience=patience)
        if state["status"] == "COMPLETED":
            return Export(state["url"], int(state["objectCount"]), int(state["rootObjectCount"]))
        if state["errorCode"] == "ACCESS_DENIED":
            msg = "shopify denies access to what a bulk operation asks for. Give the app behind "
            msg += "SCORING_SHOPIFY_CLIENT_ID the missing scope, or set sources.shopify.bulk_from_days to 0"
            raise CredentialError(msg)
        if state["status"] != "FAILED":
            break
        # What is at partialDataUrl is never used: nobody could tell what is missing.
        _log.warning("shopify: a bulk operation failed (%s)", state["errorCode"])
    why = f"{state['status']}" + (f", {state['errorCode']}" if state["errorCode"] else "")
    msg = f"shopify did not finish a bulk operation ({why}); run again, or set sources.shopify.bulk_from_days to 0"
    raise TransientError(msg)


def _started(client: ApiClient, path: str, query: str, *, patience: Patience) -> str:
    while True:
        answer = graphql.run(client, path, queries.RUN_BULK, {"query": query})["bulkOperationRunQuery"]
        errors = answer["userErrors"]
        if not errors:
            return str(answer["bulkOperation"]["id"])
        words = "; ".join(str(error["message"]) for error in errors)
        if not {error["code"] for error in errors} <= _BUSY:
            msg = f"shopify refused a bulk operation: {words}"
            raise PermanentError(msg)
        if not patience.wait():
            msg = f"shopify was still busy with other bulk operations after {patience.seconds:g} s: {words}"
            raise TransientError(msg)
        _log.info("shopify: waiting for other bulk operations to end")


def _ended(client: ApiClient, path: str, operation: str, *, patience: Patience) -> dict[str, Any]:
    while True:
        state: dict[str, Any] = graphql.run(client, path, queries.BULK_STATE, {"id": operation})["bulkOperation"]
        if state["status"] not in _UNFINISHED:
            return state
        if not patience.wait():
            _cancel(client, path, operation)
            msg = f"shopify was still working on a bulk operation after {patience.seconds:g} s and "
            msg += f"{state['objectCount']} objects; it is cancelled. Raise sources.shopify.bulk_wait_minutes"
            raise TransientError(msg)
        _log.info("shopify: a bulk operation has %s objects so far", state["objectCount"])


def _cancel(client: ApiClient, path: str, operation: str) -> None:
    """Free the place of an operation nobody waits for any more; left running it does no other harm."""
    try:
        graphql.run(client, path, queries.CANCEL_BULK, {"id": operation})
    except SourceError as error:
        _log.warning("shopify: a bulk operation could not be cancelled: %s", error)
