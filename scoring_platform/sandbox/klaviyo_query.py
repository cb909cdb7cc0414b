"""What a request to the mail tool asks for.

Belongs here: filters, page sizes and cursors of JSON:API queries. Does not belong here: what is answered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from scoring_platform.sandbox import cursors
from scoring_platform.sandbox.days import NEVER, parse
from scoring_platform.sandbox.inbound import whole_number
from scoring_platform.sandbox.timeline import START, Position

_CONDITION = re.compile(
    r"^(greater-or-equal|greater-than|less-or-equal|less-than|equals)\((\w+),[\"']?([^\"')]*)[\"']?\)$"
)
_SPLIT = re.compile(r",(?=(?:greater|less|equals))")


class RefusedError(Exception):
    """The request is wrong; the text says how."""


@dataclass(frozen=True)
class Filter:
    """Entries asked for: changed in [since, until), of one metric or one profile when given."""

    since: int = -NEVER
    until: int = NEVER
    metric: str | None = None
    profile: str | None = None


def read_filter(text: str | None, *times: str) -> Filter:
    """Read a filter that compares ``times``, such as ``greater-or-equal(datetime,2026-11-20T00:00:00Z)``.

    Raises:
        RefusedError: It cannot be read or compares something else.
    """
    wanted = Filter()
    for part in _SPLIT.split(text) if text else ():
        read = _CONDITION.match(part.strip())
        if read is None:
            msg = f"cannot read the filter {part!r}"
            raise RefusedError(msg)
        sign, name, value = read.groups()
        wanted = _narrowed(wanted, sign, name=name, value=value, times=times)
    return wanted


def _narrowed(wanted: Filter, sign: str, *, name: str, value: str, times: tuple[str, ...]) -> Filter:
    if sign == "equals" and name in ("metric_id", "profile_id") and "datetime" in times:
        metric, profile = (value, wanted.profile) if name == "metric_id" else (wanted.metric, value)
        return Filter(wanted.since, wanted.until, metric, profile)
    if name not in times or sign == "equals":
        msg = f"'{name}' is not a filterable field for this resource with operator '{sign}'"
        raise RefusedError(msg)
    try:
        instant = int(value) if name == "timestamp" else parse(value)
    except ValueError as error:
        msg = f"'{value}' is not a valid {name}"
        raise RefusedError(msg) from error
    since = {"greater-or-equal": instant, "greater-than": instant + 1}.get(sign, -NEVER)
    until = {"less-than": instant, "less-or-equal": instant + 1}.get(sign, NEVER)
    return Filter(max(since, wanted.since), min(until, wanted.until), wanted.metric, wanted.profile)


def page_size(text: str | None, default: int, *, most: int) -> int:
    """Read ``page[size]``.

    Raises:
        RefusedError: It is not a number in [1, most].
    """
    size = whole_number(text, default, least=1, most=most)
    if size is None:
        msg = f"page size must be an integer between 1 and {most}"
        raise RefusedError(msg)
    return size


def position(text: str | None) -> Position:
    """Read ``page[cursor]``.

    Raises:
        RefusedError: It is no cursor of ours.
    """
    if text is None:
        return START
    try:
        since, number = cursors.decode(text, 2)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    return since, number
