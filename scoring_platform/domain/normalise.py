"""Identifiers in one spelling, so that equal ones compare equal.

Belongs here: text to text on engine columns. Does not belong here: who is linked to whom (``identity``).
"""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_lowercase, ascii_uppercase

import ibis
import ibis.expr.types as ir

from scoring_platform.config.scoring import EmailProvider

_WIDE = "".join(chr(code) for code in range(0xFF01, 0xFF5F))
_NARROW = "".join(chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F))


def email(value: ir.StringColumn) -> ir.StringColumn:
    """Return an e-mail address trimmed, narrow and in lower case; null when it is not an address."""
    # Translating is forty times dearer than looking whether it is needed, which it hardly ever is.
    narrow = value.re_search(f"[{_WIDE[0]}-{_WIDE[-1]}\u3000]").ifelse(
        value.translate(_WIDE, _NARROW).replace("\u3000", ""), value
    )
    text = _lowered(narrow.strip())
    return text.re_search(r"^[^@\s]+@[^@\s]+\.[^@\s.]+$").ifelse(text, None)


def _lowered(value: ir.StringValue) -> ir.StringValue:
    """Return a text with A to Z in lower case; of other scripts two letters may have one lower case: two people."""
    return value.re_search(r"[^\x00-\x7f]").ifelse(value.translate(ascii_uppercase, ascii_lowercase), value.lower())


def delivered(value: ir.StringColumn, providers: Mapping[str, EmailProvider]) -> ir.StringColumn:
    """Return the spelling under which the provider of a normalised address delivers it; others stay as they are.

    Args:
        value: Addresses as ``email`` returns them.
        providers: Rules by domain.
    """
    local, domain = value.split("@")[0], value.split("@")[1]
    cases = [
        (domain.isin([name, *rule.also]), _local(local, rule) + f"@{name}") for name, rule in sorted(providers.items())
    ]
    return ibis.cases(*cases, else_=value) if cases else value


def _local(local: ir.StringValue, rule: EmailProvider) -> ir.StringValue:
    tagged = local.split("+")[0] if rule.ignore_plus else local
    return tagged.replace(".", "") if rule.ignore_dots else tagged


def reference(value: ir.StringColumn) -> ir.StringColumn:
    """Return an id trimmed; null when empty."""
    return value.strip().nullif("")
