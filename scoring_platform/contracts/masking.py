"""Masks personal data wherever people look: metadata, alerts, errors, logs.

Belongs here: value to masked value. Does not belong here: deciding which columns are personal (the contracts say).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scoring_platform.contracts.table import Table

ADDRESS = r"[^\s@＠\"'<>,;:(){}]+[@＠][^\s@＠\"'<>,;:(){}]+"
"""An e-mail address, as a regular expression that Python and the engine both read."""

_ADDRESS = re.compile(ADDRESS)
_ENDING = re.compile(r"[.][A-Za-z]{2,}$")


def mask_email(value: str) -> str:
    """Keep the first letter and the domain's ending: ``t***@***.jp``."""
    ending = _ENDING.search(value)
    return f"{value[:1]}***@***{ending.group() if ending else ''}"


def mask_text(text: str) -> str:
    """Mask every e-mail address inside free text."""
    return _ADDRESS.sub(lambda found: mask_email(found.group()), text)


def mask_row(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``row`` with the personal columns of ``table`` masked."""
    return {name: _mask(value) if name in table.personal_columns else value for name, value in row.items()}


def _mask(value: Any) -> Any:
    if value is None:
        return None
    text = str(value)
    return mask_email(text) if _ADDRESS.fullmatch(text) else "***"
