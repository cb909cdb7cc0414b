"""Identifiers in one spelling, so that equal ones compare equal.

Belongs here: text to text on engine columns. Does not belong here: who is linked to whom (``identity``).
"""

from __future__ import annotations

import ibis.expr.types as ir

_WIDE = "".join(chr(code) for code in range(0xFF01, 0xFF5F))
_NARROW = "".join(chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F))


def email(value: ir.StringColumn) -> ir.StringColumn:
    """Return an e-mail address trimmed, narrow and in lower case; null when it is not an address."""
    text = value.translate(_WIDE, _NARROW).replace("\u3000", "").strip().lower()
    return text.re_search(r"^[^@\s]+@[^@\s]+\.[^@\s.]+$").ifelse(text, None)


def reference(value: ir.StringColumn) -> ir.StringColumn:
    """Return an id trimmed; null when empty."""
    return value.strip().nullif("")
