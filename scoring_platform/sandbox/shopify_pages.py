"""Paging through the shop's orders and customers.

Belongs here: connections, cursors, the ``query:`` filter, and the shop's habit of giving an order twice. Does not
belong here: how a node looks, cost and authentication.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError

from scoring_platform.sandbox import cursors
from scoring_platform.sandbox.days import DAY, NEVER, parse
from scoring_platform.sandbox.shopify_nodes import Node
from scoring_platform.sandbox.timeline import START, Listing, Position, Thing, Timeline, Version

MOST_PER_PAGE = 250

_TERM = re.compile(r"(\w+):(>=|<=|>|<)?(?:'([^']*)'|\"([^\"]*)\"|([^\s()]+))")
_REPEATED_ONE_IN = 40
_REPEATED_AMONG_LAST = 20
_PART = 500

Parts = dict[str, Position | None]
"""Where the last part of each list of a bulk operation ended, by the list's name; None when that was its last one."""


@dataclass(frozen=True)
class Span:
    """Changes asked for: [since, until)."""

    since: int = -NEVER
    until: int = NEVER


def span_of(text: str | None, *, whole_days: bool = False) -> Span:
    """Read a filter such as ``updated_at:>='2026-11-20T00:00:00Z' AND updated_at:<'2026-11-21T00:00:00Z'``.

    Args:
        text: The filter.
        whole_days: Compare days instead of instants, as the shop does for customers.

    Raises:
        GraphQLError: It filters on something else, or the time cannot be read.
    """
    span = Span()
    for name, sign, *values in _TERM.findall(text or ""):
        if name != "updated_at":
            msg = f"the sandbox filters on updated_at only, not on {name}"
            raise GraphQLError(msg, extensions={"code": "BAD_USER_INPUT"})
        span = _narrow(span, sign, instant=_instant("".join(values)), unit=DAY if whole_days else 1)
    return span


def connection(
    timeline: Listing[Thing],
    now: int,
    *,
    node: Callable[[Version[Thing]], Node],
    arguments: dict[str, Any],
    span: Span,
    repeats: bool = False,
) -> Node:
    """Return one page as a GraphQL connection.

    Args:
        timeline: What is listed.
        now: The moment it is listed at.
        node: How one entry is worded.
        arguments: ``first`` and ``after`` of the field.
        span: Changes asked for.
        repeats: Whether entries near the end of a page may come again on the next one.
    """
    first = page_size(arguments)
    after, again = _place(arguments.get("after"))
    second = timeline.find(again, now) if again else None
    room = max(1, first - (second is not None))
    found = timeline.page(now, after=after, since=span.since, until=span.until, limit=room + 1)
    more, listed = len(found) > room, found[:room]
    versions = [second, *listed] if second is not None else listed
    end = _end(listed, repeats=more and repeats)
    return _connection([(cursors.encode(*version.position, 0), node(version)) for version in versions], end, more=more)


def next_part(
    timeline: Listing[Thing],
    now: int,
    *,
    node: Callable[[Version[Thing]], Node],
    span: Span,
    parts: Parts,
    name: str,
) -> Node:
    """Return what follows in a list that a bulk operation goes through, as a GraphQL connection without pages.

    Args:
        timeline: What is listed.
        now: The moment it is listed at.
        node: How one entry is worded.
        span: Changes asked for.
        parts: How far the operation has come.
        name: The list's name in the answer.
    """
    after = parts.get(name, START)
    if after is None:
        return _connection([], None, more=False)
    found = timeline.page(now, after=after, since=span.since, until=span.until, limit=_PART)
    parts[name] = found[-1].position if len(found) == _PART else None
    return _connection([(cursors.encode(*version.position, 0), node(version)) for version in found], None, more=False)


def connection_by_number(
    timeline: Timeline[Thing],
    now: int,
    *,
    node: Callable[[Version[Thing]], Node],
    arguments: dict[str, Any],
    span: Span,
) -> Node:
    """Return one page as a GraphQL connection in the order of the things' numbers."""
    first = page_size(arguments)
    after = arguments.get("after")
    start = 0 if after is None else _decoded(after, 1)[0]
    changed = timeline.page(now, since=span.since, until=span.until)
    left = sorted((version for version in changed if version.number > start), key=lambda version: version.number)
    listed = [(cursors.encode(version.number), node(version)) for version in left[:first]]
    return _connection(listed, listed[-1][0] if listed else None, more=len(left) > first)


def lines_connection(nodes: list[Node], arguments: dict[str, Any]) -> Node:
    """Return the lines of one order as a GraphQL connection."""
    first = page_size(arguments)
    after = arguments.get("after")
    start = 0 if after is None else _decoded(after, 1)[0]
    listed = [(cursors.encode(start + place + 1), node) for place, node in enumerate(nodes[start : start + first])]
    return _connection(listed, listed[-1][0] if listed else None, more=start + first < len(nodes))


def page_size(arguments: dict[str, Any]) -> int:
    """Return ``first``.

    Raises:
        GraphQLError: It is missing or out of bounds.
    """
    first = arguments.get("first")
    if first is None or not 1 <= first <= MOST_PER_PAGE:
        msg = f"you must provide `first` between 1 and {MOST_PER_PAGE}"
        raise GraphQLError(msg, extensions={"code": "BAD_USER_INPUT"})
    return int(first)


def comes_again(number: int) -> bool:
    """Whether the shop is apt to list the order with this number again on the next page."""
    return number * 2_654_435_761 // 128 % _REPEATED_ONE_IN == 0


def _end(listed: list[Version[Thing]], *, repeats: bool) -> str | None:
    if not listed:
        return None
    apt = [v.number for v in listed[-_REPEATED_AMONG_LAST:] if comes_again(v.number)] if repeats else []
    return cursors.encode(*listed[-1].position, apt[-1] if apt else 0)


def _connection(entries: list[tuple[str, Node]], end: str | None, *, more: bool) -> Node:
    info = {
        "hasNextPage": more,
        "hasPreviousPage": False,
        "startCursor": entries[0][0] if entries else None,
        "endCursor": end,
    }
    edges = [{"cursor": cursor, "node": node} for cursor, node in entries]
    return {"nodes": [node for _, node in entries], "edges": edges, "pageInfo": info}


def _place(after: str | None) -> tuple[tuple[int, int], int]:
    if after is None:
        return START, 0
    since, number, again = _decoded(after, 3)
    return (since, number), again


def _decoded(after: str, count: int) -> tuple[int, ...]:
    try:
        return cursors.decode(after, count)
    except ValueError as error:
        raise GraphQLError(str(error), extensions={"code": "BAD_USER_INPUT"}) from error


def _instant(text: str) -> int:
    try:
        return parse(text)
    except ValueError as error:
        msg = f"cannot read the time {text!r}"
        raise GraphQLError(msg, extensions={"code": "BAD_USER_INPUT"}) from error


def _narrow(span: Span, sign: str, *, instant: int, unit: int) -> Span:
    start = instant - instant % unit
    since = {">=": start, ">": start + unit, "": start}.get(sign, -NEVER)
    until = {"<": start, "<=": start + unit, "": start + unit}.get(sign, NEVER)
    return Span(max(span.since, since), min(span.until, until))
