"""Runs a part of a benchmark in a process of its own, so that its memory is its own.

Belongs here: the process, its time and its peak. Does not belong here: what is measured.
"""

from __future__ import annotations

import multiprocessing
import re
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

MIB = 2**20
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Measured(Generic[T]):
    """What a function returned and what it took.

    Attributes:
        value: What it returned.
        seconds: How long it ran, imports apart.
        base: Resident memory before it ran, in bytes: the interpreter and its imports.
        peak: Largest resident memory of the process, in bytes.
    """

    value: T
    seconds: float
    base: int
    peak: int

    @property
    def words(self) -> str:
        """Time and memory in one line."""
        return f"{self.seconds:.1f} s, peak {self.peak / MIB:,.0f} MiB ({self.base / MIB:,.0f} MiB of it before)"


def measured(function: Callable[..., T], *arguments: object) -> Measured[T]:
    """Run ``function`` in a new process, wait for it, and return what it gave and took."""
    # A forked process would begin with the memory of this one.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        return pool.submit(_run, function, *arguments).result()


def peak_memory() -> int:
    """Return the largest resident memory this process has had, in bytes."""
    # What the system counts for a process may begin with the memory of the one that started it; this does not.
    if _STATUS.exists():
        found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _run(function: Callable[..., T], *arguments: object) -> Measured[T]:
    base, started = peak_memory(), time.perf_counter()
    value = function(*arguments)
    return Measured(value, time.perf_counter() - started, base, peak_memory())
