"""Turns: what two runs of one home must not do at the same time, and which runs are still alive.

A lock is a file that the kernel frees when its holder dies, however it dies; a pool slot or a record would stay taken.

Belongs here: waiting for one's turn, and whether somebody holds one. Does not belong here: what is done in it.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDER = "locks"


@contextmanager
def turn(home: Path, name: str) -> Iterator[None]:
    """Wait until nobody else in this home holds ``name``, and hold it."""
    path = _file(home, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def alive(home: Path, run_id: str) -> Iterator[None]:
    """Show that this process works on a run; the sign goes with the process."""
    with turn(home, f"run-{run_id}"):
        try:
            yield
        finally:
            _file(home, f"run-{run_id}").unlink(missing_ok=True)


def is_alive(home: Path, run_id: str) -> bool:
    """Whether a process of this machine shows that it works on the run."""
    try:
        with _file(home, f"run-{run_id}").open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _file(home: Path, name: str) -> Path:
    return home / _FOLDER / name
