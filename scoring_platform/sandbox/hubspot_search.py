"""The sandbox CRM's search of records: filters, order, and how far it goes.

Belongs here: what a search finds and refuses. Does not belong here: which records there are (``hubspot_objects``), the
shape of an answer (``hubspot``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import eq, ge, gt, le, lt
from typing import Any

from scoring_platform.sandbox.days import parse
from scoring_platform.sandbox.hubspot_rules import RefusedError
from scoring_platform.sandbox.hubspot_store import Record

MOST_PER_PAGE = 200

_MOST_GROUPS, _MOST_FILTERS = 5, 6
_INSTANTS = frozenset({"createdate", "lastmodifieddate", "hs_lastmodifieddate"})
_ORDERED: dict[str, Callable[[Any, Any], bool]] = {"EQ": eq, "GT": gt, "GTE": ge, "LT": lt, "LTE": le}


def found(records: Iterable[Record], body: Mapping[str, Any]) -> list[Record]:
    """Return the records a search finds, all pages together, in the order asked for.

    Raises:
        RefusedError: The search is no valid one.
    """
    groups, sorts = body.get("filterGroups") or [], body.get("sorts") or []
    if len(groups) > _MOST_GROUPS or any(len(group["filters"]) > _MOST_FILTERS for group in groups) or len(sorts) > 1:
        raise RefusedError(400, "VALIDATION_ERROR", "Too many filterGroups, filters or sorts")
    passing = [one for one in records if not groups or any(_passes(one, group["filters"]) for group in groups)]
    if not sorts:
        return passing
    name, descending = _sort(sorts[0])
    # What changed at the same instant comes in no order to rely on.
    passing.sort(key=lambda one: one.id[::-1])
    return sorted(passing, key=lambda one: _comparable(name, values(one).get(name) or ""), reverse=descending)


def page_of(body: Mapping[str, Any], *, most: int) -> tuple[int, int]:
    """Return the place and the length of the page asked for.

    Raises:
        RefusedError: It is too long, or too far behind.
    """
    limit, after = int(body.get("limit") or 10), int(body.get("after") or 0)
    if not 1 <= limit <= MOST_PER_PAGE:
        raise RefusedError(400, "VALIDATION_ERROR", f"limit must be between 1 and {MOST_PER_PAGE}")
    if after + limit > most:
        raise RefusedError(400, "VALIDATION_ERROR", f"There is a limit of {most} results for any search")
    return after, limit


def values(record: Record) -> dict[str, str]:
    """Return a record's properties with those HubSpot keeps itself; the time of change has two names."""
    changed = dict.fromkeys(("lastmodifieddate", "hs_lastmodifieddate"), record.updated_at)
    return {**record.properties, "hs_object_id": record.id, "createdate": record.created_at, **changed}


def _sort(asked: Any) -> tuple[str, bool]:
    if isinstance(asked, Mapping):
        return str(asked["propertyName"]), asked.get("direction") == "DESCENDING"
    return str(asked).removeprefix("-"), str(asked).startswith("-")


def _passes(record: Record, filters: Sequence[Mapping[str, Any]]) -> bool:
    known = values(record)
    return all(_compare(one["propertyName"], known.get(one["propertyName"]), one) for one in filters)


def _compare(name: str, value: str | None, condition: Mapping[str, Any]) -> bool:
    operator = str(condition["operator"])
    if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        return (value is not None) is bool(operator == "HAS_PROPERTY")
    if operator == "IN":
        return bool(value in condition.get("values", []))
    wanted = str(condition.get("value", ""))
    if operator == "NEQ":
        return value != wanted
    if operator not in _ORDERED:
        raise RefusedError(400, "VALIDATION_ERROR", f"Operator {operator} is not supported here")
    return value is not None and _ORDERED[operator](_comparable(name, value), _comparable(name, wanted))


def _comparable(name: str, value: str) -> int | str:
    """Return what is compared: milliseconds of instants, written as such or in ISO 8601, and numbers of records."""
    if name in _INSTANTS and not value.isdigit():
        try:
            return parse(value) * 1000 + int(value[20:23] or 0)
        except ValueError:
            raise RefusedError(400, "VALIDATION_ERROR", f"{name} is compared with milliseconds") from None
    return int(value) if name in _INSTANTS or name == "hs_object_id" else value
