"""Shopify's GraphQL endpoint: what its answers mean, and how pages are sized and followed.

Belongs here: throttling, errors in the body, cursors. Does not belong here: the queries and the rows made from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx

from scoring_platform.errors import CredentialError, PermanentError, TransientError
from scoring_platform.http.client import Answer, ApiClient
from scoring_platform.http.pages import paginate
from scoring_platform.http.verdict import Verdict, body_of, fit_words

Node = Mapping[str, Any]


class TooCostlyError(PermanentError):
    """The query asks for more points than one query may cost; a smaller page helps."""


@dataclass(frozen=True)
class Connection:
    """A connection of the root to read to its end.

    Attributes:
        field: Field of the root, such as ``orders``.
        query: Document with the variables ``$n``, ``$after`` and ``$q``.
        search: The search expression, variable ``$q``.
        size: Nodes per page.
    """

    field: str
    query: str
    search: str
    size: int


def classify(response: httpx.Response) -> Verdict | None:
    """Recognise throttling, which comes as a 200 with THROTTLED in the body, and say how long the bucket needs."""
    if response.status_code not in (httpx.codes.OK, httpx.codes.TOO_MANY_REQUESTS):
        return None
    body = body_of(response)
    if not isinstance(body, dict) or "THROTTLED" not in _codes(body):
        return None
    requested, available, restore, maximum = _cost(body)
    if requested > maximum:
        # No wait is ever long enough; ``check`` turns it into TooCostlyError.
        return None
    return Verdict("throttled", wait=max(0.0, requested - available) / restore, words="Throttled")


def check(answer: Answer) -> None:
    """Raise when the body holds errors: a 200 is not success."""
    body = answer.json
    if not isinstance(body, dict) or not (body.get("errors") or isinstance(body.get("data"), dict)):
        msg = "shopify answered neither data nor errors"
        raise PermanentError(msg)
    if not body.get("errors"):
        return
    codes, words = _codes(body), fit_words("; ".join(_messages(body)))
    if codes & {"MAX_COST_EXCEEDED", "THROTTLED"}:
        msg = f"shopify says the query costs too much: {words}"
        raise TooCostlyError(msg)
    if "ACCESS_DENIED" in codes:
        msg = f"shopify denies access: {words}. Give the app behind SCORING_SHOPIFY_CLIENT_ID the missing scope"
        raise CredentialError(msg)
    if codes & {"INTERNAL_SERVER_ERROR", "TIMEOUT"}:
        msg = f"shopify failed inside: {words}"
        raise TransientError(msg)
    msg = f"shopify refused the query: {words}"
    raise PermanentError(msg)


def nodes(client: ApiClient, path: str, connection: Connection) -> Iterator[list[Node]]:
    """Yield the nodes of ``connection``, a page at a time.

    A page that costs more than one query may is asked for again at half the size, and so are all after it.
    """
    sizes = [connection.size]

    def fetch(cursor: str | None) -> Mapping[str, Any]:
        while True:
            try:
                return _page(client, path, replace(connection, size=sizes[-1]), after=cursor)
            except TooCostlyError:
                if sizes[-1] == 1:
                    raise
                sizes.append(sizes[-1] // 2)

    pages = paginate(
        fetch(None),
        end_cursor,
        fetch=fetch,
        rows_of=lambda page: page["nodes"],
        where=f"shopify {connection.field}",
    )
    for page in pages:
        yield list(page["nodes"])


def run(client: ApiClient, path: str, query: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """Run one query and return its ``data``."""
    body = {"query": query, "variables": dict(variables)}
    data: Mapping[str, Any] = client.request("POST", path, json=body, check=check).json["data"]
    return data


def end_cursor(page: Mapping[str, Any]) -> str | None:
    """Return the cursor after a page of a connection; None at its end."""
    info = page["pageInfo"]
    return info["endCursor"] if info["hasNextPage"] else None


def _page(client: ApiClient, path: str, connection: Connection, *, after: str | None) -> Mapping[str, Any]:
    variables = {"n": connection.size, "after": after, "q": connection.search}
    page: Mapping[str, Any] = run(client, path, connection.query, variables)[connection.field]
    return page


def _codes(body: Mapping[str, Any]) -> set[str]:
    errors = [error for error in _errors(body) if isinstance(error, dict)]
    return {str((error.get("extensions") or {}).get("code")) for error in errors}


def _messages(body: Mapping[str, Any]) -> list[str]:
    return [str(error.get("message")) if isinstance(error, dict) else str(error) for error in _errors(body)]


def _errors(body: Mapping[str, Any]) -> list[Any]:
    errors = body.get("errors")
    # Some refusals come as one text instead of a list.
    return errors if isinstance(errors, list) else [errors] if errors else []


def _cost(body: Mapping[str, Any]) -> tuple[float, float, float, float]:
    cost = (body.get("extensions") or {}).get("cost") or {}
    status = cost.get("throttleStatus") or {}
    requested = float(cost.get("requestedQueryCost") or 0)
    available = float(status.get("currentlyAvailable") or 0)
    restore = max(1.0, float(status.get("restoreRate") or 0))
    return requested, available, restore, float(status.get("maximumAvailable") or "inf")
