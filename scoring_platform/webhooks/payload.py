"""Reading a body as JSON, strictly: what passes here, the ledger and the lake can hold.

A body is parsed as a whole and its events are checked one by one: a single one with half a character, which a stranger
may have typed into a form, must not take the others of its batch with it.

Belongs here: bytes to values, and the reasons why not. Does not belong here: which values are events (``events``).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from scoring_platform.errors import PermanentError

DEEPEST = 64
"""Objects and lists inside each other."""

_LARGEST = 2**63
_MOST_DIGITS = 20


@dataclass(frozen=True)
class Unholdable:
    """Stands in a parsed body for a value that no table holds.

    Attributes:
        reason: Why not.
        given: What was sent, for the dead letter.
    """

    reason: str
    given: Any


def parse(body: bytes) -> Any:
    """Return the JSON value of ``body``; what ``check`` has not passed may still have values that no table holds.

    Raises:
        PermanentError: It is none, or is nested too deeply: the message says what, without quoting the body.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_once_each,
            parse_constant=_no_constant,
            parse_int=_whole,
            parse_float=_finite,
        )
    except UnicodeDecodeError as error:
        raise PermanentError("the body is not UTF-8 text") from error  # noqa: EM101 - the whole message
    except json.JSONDecodeError as error:
        msg = f"the body is not JSON (line {error.lineno}, column {error.colno})"
        raise PermanentError(msg) from error
    except RecursionError as error:
        raise PermanentError(_too_deep()) from error
    if isinstance(value, Unholdable):
        raise PermanentError(value.reason)
    _check_depth(value)
    return value


def check(value: Any) -> None:
    """Look whether a table can hold all of a parsed value.

    Raises:
        PermanentError: It cannot; the message says why, without quoting the value.
    """
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, Unholdable):
            raise PermanentError(found.reason)
        if isinstance(found, str):
            _check_text(found)
        elif isinstance(found, dict):
            waiting += [*found, *found.values()]
        elif isinstance(found, list):
            waiting += found


def readable(body: bytes, *, most: int) -> str:
    """Return the beginning of a body as text that any database takes."""
    return storable(body[: 4 * most].decode("utf-8", "replace"))[:most]


def storable(text: str) -> str:
    """Return ``text`` without characters that a database refuses."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _check_depth(value: Any) -> None:
    """Walk without recursion, so that no depth can exhaust the stack."""
    waiting = [(value, 1)]
    while waiting:
        found, depth = waiting.pop()
        if depth > DEEPEST:
            raise PermanentError(_too_deep())
        if isinstance(found, Unholdable):
            found = found.given
        if isinstance(found, dict):
            waiting += [(inner, depth + 1) for inner in found.values()]
        elif isinstance(found, list | tuple):
            waiting += [(inner, depth + 1) for inner in found]


def _check_text(text: str) -> None:
    if text.isascii() and "\x00" not in text:
        return
    if "\x00" in text:
        raise PermanentError("a text has a NUL character")  # noqa: EM101 - the whole message
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PermanentError("a text has half a character (a lone surrogate)") from error  # noqa: EM101 - the same


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Unholdable:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Unholdable("an object has the same key twice", pairs)


def _no_constant(name: str) -> Any:
    return Unholdable(f"{name} is not a JSON number", name)


def _whole(digits: str) -> int | Unholdable:
    # Looked at as text first: turning very many digits into a number takes very long.
    number = int(digits) if len(digits) <= _MOST_DIGITS else _LARGEST
    fits = -_LARGEST <= number < _LARGEST
    return number if fits else Unholdable("a whole number does not fit into 64 bits", digits)


def _finite(text: str) -> float | Unholdable:
    number = float(text)
    return number if math.isfinite(number) else Unholdable("a number is too large", text)


def _too_deep() -> str:
    return f"objects and lists are inside each other deeper than {DEEPEST} levels"
