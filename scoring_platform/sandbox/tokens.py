"""Access tokens the sandbox hands out.

Belongs here: making and checking them. Does not belong here: which client may have one.

A token carries its own end and a signature, so it outlives a restart of the server; it opens only the sandbox.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

_KEY = b"scoring sandbox"


@dataclass(frozen=True)
class Tokens:
    """Issues tokens and says whether one is still good."""

    clock: Callable[[], float] = time.time

    def issue(self, system: str, *, lifetime_seconds: int) -> str:
        """Return a token for ``system``."""
        end = int(self.clock()) + lifetime_seconds
        return f"{system}.{end}.{_signature(system, end)}"

    def accepts(self, system: str, token: str) -> bool:
        """Whether ``token`` was issued for ``system`` and has not run out."""
        parts = token.split(".")
        if len(parts) != 3 or parts[0] != system or not parts[1].isdigit():
            return False
        signed = hmac.compare_digest(parts[2], _signature(system, int(parts[1])))
        return signed and self.clock() < int(parts[1])


def _signature(system: str, end: int) -> str:
    return hmac.new(_KEY, f"{system}.{end}".encode(), hashlib.sha256).hexdigest()
