"""Opaque cursors of the sandbox's vendors.

Belongs here: turning a place in a list into text and back. Does not belong here: what is listed.
"""

from __future__ import annotations

import base64
import binascii


def encode(*numbers: int) -> str:
    """Return whole numbers as one opaque text."""
    return base64.urlsafe_b64encode(",".join(map(str, numbers)).encode()).decode()


def decode(text: str, count: int) -> tuple[int, ...]:
    """Return the ``count`` numbers of a cursor.

    Raises:
        ValueError: It is not a cursor.
    """
    msg = f"invalid cursor {text[:40]!r}"
    try:
        numbers = tuple(int(part) for part in base64.urlsafe_b64decode(text.encode()).decode().split(","))
    except (ValueError, binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(msg) from error
    if len(numbers) != count:
        raise ValueError(msg)
    return numbers
