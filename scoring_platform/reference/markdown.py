"""The little Markdown the reference pages need.

Belongs here: rows to a table, text made safe for a cell. Does not belong here: any page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

WRITTEN_BY = "<!-- Written by `make docs` from the code; change the code, not this page. -->\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [_line(header), _line(["---"] * len(header)), *(_line(row) for row in rows)]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """Return ``text`` as code; nothing for an empty text."""
    return f"`{text}`" if text else ""


def words(text: str) -> str:
    """Return a docstring as one line of Markdown."""
    return re.sub(r"\s+", " ", text).strip().replace("``", "`")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(words(cell).replace("|", "\\|") for cell in cells) + " |"
