"""Text that strangers sent, fit for a terminal.

Belongs here: characters that would steer a terminal, or turn round what a person reads. Does not belong here: masking
of personal data.
"""

from __future__ import annotations

import json
import re
import unicodedata

_SUSPECT = re.compile(r"[^ -~]")


def plain(text: str, *, lines: bool = False) -> str:
    r"""Return ``text`` with every character that cannot be seen written as in JSON, such as ``\u202e``.

    Args:
        text: Any text; within JSON text the result means the same.
        lines: Leave the ends of lines as they are.
    """
    return _SUSPECT.sub(lambda found: _shown(found.group(), lines=lines), text)


def _shown(character: str, *, lines: bool) -> str:
    category = unicodedata.category(character)
    # C: control characters, marks of the direction of writing, unassigned ones. Zl, Zp: ends of lines.
    unseen = category.startswith("C") or category in {"Zl", "Zp"}
    return json.dumps(character)[1:-1] if unseen and not (lines and character == "\n") else character
