"""Reading a body as JSON, strictly: what passes here, the ledger and the lake can hold.

Belongs here: bytes to values, and the reasons why not. Does not belong here: which values are events (``events``).
"""

from __future__ import annotations

import json
import math
from typing import Any

from scoring_platform.errors import PermanentError

DEEPEST = 64
"""Objects and lists inside each other."""

_LARGEST = 2**63
_MOST_DIGITS = 20


def parse(body: bytes) -> Any:
    """Return the JSON value of ``body``.

    Raises:
        PermanentError: It is none, or holds what a table cannot: the message says what, without quoting the body.
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
    _check(value)
    return value


def readable(body: bytes, *, most: int) -> str:
    """Return the beginning of a body as text that any database takes."""
    return storable(body[: 4 * most].decode("utf-8", "replace"))[:most]


def storable(text: str) -> str:
    """Return ``text`` without characters that a database refuses."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _check(value: Any) -> None:
    """Walk without recursion, so that no depth can exhaust the stack."""
    waiting = [(value, 1)]
    while waiting:
        found, depth = waiting.pop()
        if depth > DEEPEST:
            raise PermanentError(_too_deep())
        if isinstance(found, str):
            _check_text(found)
        elif isinstance(found, dict):
            for name in found:
                _check_text(name)
            waiting += [(inner, depth + 1) for inner in found.values()]
        elif isinstance(found, list):
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


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise PermanentError("an object has the same key twice")  # noqa: EM101 - the whole message
    return found


def _no_constant(name: str) -> Any:
    msg = f"{name} is not a JSON number"
    raise PermanentError(msg)


def _whole(digits: str) -> int:
    # Looked at as text first: turning very many digits into a number takes very long.
    number = int(digits) if len(digits) <= _MOST_DIGITS else _LARGEST
    if not -_LARGEST <= number < _LARGEST:
        raise PermanentError("a whole number does not fit into 64 bits")  # noqa: EM101 - the whole message
    return number


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise PermanentError("a number is too large")  # noqa: EM101 - the whole message
    return number


def _too_deep() -> str:
    return f"objects and lists are inside each other deeper than {DEEPEST} levels"
