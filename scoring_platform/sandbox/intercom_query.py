"""Reading the queries of the other help desk's searches.

Belongs here: filters, groups of them, and how each kind of value is compared. Does not belong here: what is searched.

Instants of contacts are compared by whole days of the workspace, which lies in Tokyo: ``>`` means from the next day on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scoring_platform.sandbox.days import day_of

_MOST_LEVELS, _MOST_FILTERS = 2, 15

Matching = Callable[[Mapping[str, Any]], bool]
Fields = Mapping[str, type | str]
"""Fields that can be searched with the kind of their values; ``day`` is an instant compared by its day."""

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda have, want: bool(have == want),
    "!=": lambda have, want: bool(have != want),
    ">": lambda have, want: have is not None and bool(have > want),
    "<": lambda have, want: have is not None and bool(have < want),
    "IN": lambda have, want: have in want,
    "NIN": lambda have, want: have not in want,
}


class RefusedError(Exception):
    """A query that the help desk does not accept."""


def matcher(query: Any, fields: Fields, *, levels: int = _MOST_LEVELS) -> Matching:
    """Return what a query asks of an entry.

    Raises:
        RefusedError: It names another field or operator, or is nested too deep.
    """
    if not isinstance(query, dict) or "operator" not in query:
        msg = "query must be a filter, or a group of filters with an operator"
        raise RefusedError(msg)
    if query["operator"] in ("AND", "OR"):
        return _group(query, fields, levels=levels)
    return _filter(query, fields)


def _group(query: Mapping[str, Any], fields: Fields, *, levels: int) -> Matching:
    inner = query.get("value")
    if levels == 0 or not isinstance(inner, list) or not 1 <= len(inner) <= _MOST_FILTERS:
        msg = f"a group holds 1 to {_MOST_FILTERS} filters, and groups nest {_MOST_LEVELS} deep"
        raise RefusedError(msg)
    if len({"field" in part for part in inner}) > 1:
        msg = "a group holds filters or groups, not both"
        raise RefusedError(msg)
    parts = [matcher(part, fields, levels=levels - 1) for part in inner]
    fold = all if query["operator"] == "AND" else any
    return lambda item: fold(part(item) for part in parts)


def _filter(query: Mapping[str, Any], fields: Fields) -> Matching:
    name, compare = str(query.get("field")), _COMPARE.get(query["operator"])
    if name not in fields or compare is None:
        msg = f"cannot search {name!r} with {query['operator']!r}"
        raise RefusedError(msg)
    many = query["operator"] in ("IN", "NIN")
    given = query.get("value")
    if many != isinstance(given, list):
        msg = f"the value of {name} does not suit {query['operator']}"
        raise RefusedError(msg)
    read = _reader(name, fields[name])
    want = [read(value) for value in given] if many and isinstance(given, list) else read(given)
    by_day = fields[name] == "day"
    return lambda item: compare(day_of(item[name]) if by_day else item[name], want)


def _reader(name: str, kind: type | str) -> Callable[[Any], Any]:
    """Return how a value of that kind is read; numbers may be given as text."""

    def read(value: Any) -> Any:
        if kind is bool and isinstance(value, bool):
            return value
        if kind is str and isinstance(value, str):
            return value
        if kind in (int, "day") and not isinstance(value, bool) and str(value).lstrip("-").isdigit():
            return day_of(int(value)) if kind == "day" else int(value)
        msg = f"the value of {name} is of the wrong kind"
        raise RefusedError(msg)

    return read
