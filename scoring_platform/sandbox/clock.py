"""The sandbox's clock: the wall clock, unless it was set.

Belongs here: what "now" is and how it survives a restart. Does not belong here: what exists at a moment.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from scoring_platform.sandbox.days import iso_z, seconds
from scoring_platform.sandbox.state import write_atomically


class Clock:
    """Gives the company's "now"."""

    def __init__(self, path: Path) -> None:
        """Read the setting, if any, from ``path``."""
        self._path = path
        self._lock = Lock()
        self._fixed = self._read()

    def now(self) -> datetime:
        """Return the moment the company lives in, UTC."""
        return datetime.fromtimestamp(self.instant(), UTC)

    def instant(self) -> int:
        """Return the moment the company lives in, in seconds."""
        fixed = self._fixed
        return int(time.time()) if fixed is None else fixed

    @property
    def is_set(self) -> bool:
        """Whether the clock stands at a moment somebody chose."""
        return self._fixed is not None

    def set(self, moment: datetime | None) -> None:
        """Stop the clock at ``moment``; ``None`` gives it back to the wall clock."""
        with self._lock:
            fixed = None if moment is None else seconds(moment)
            text = None if fixed is None else iso_z(fixed)
            write_atomically(self._path, json.dumps({"now": text}))
            self._fixed = fixed

    def _read(self) -> int | None:
        if not self._path.exists():
            return None
        text = json.loads(self._path.read_text(encoding="utf-8"))["now"]
        return None if text is None else seconds(datetime.fromisoformat(text))
