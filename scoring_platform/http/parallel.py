"""A few calls at once, where one after the other would leave a vendor's rate unused.

Belongs here: threads that end with the work. Does not belong here: how many calls a vendor takes (``limits``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TypeVar

T = TypeVar("T")


def together(work: Callable[[T], object], items: Sequence[T], *, most: int) -> None:
    """Call ``work`` for every item, up to ``most`` at once, begun in their order.

    After an error nothing more is begun; it is raised when what was begun has ended, the first of several.
    """
    if len(items) == 1:
        work(items[0])
        return
    failed = Event()

    def run(item: T) -> None:
        if failed.is_set():
            return
        try:
            work(item)
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(max(1, min(most, len(items)))) as pool:
        begun = [pool.submit(run, item) for item in items]
    for one in begun:
        one.result()
