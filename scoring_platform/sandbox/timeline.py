"""Versions of things over time, and paging through them as of a moment.

Belongs here: which version was the current one at a moment, in which order changes are listed. Does not belong here:
what the things are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from scoring_platform.sandbox.days import NEVER

Thing = TypeVar("Thing")
Position = tuple[int, int]
"""Where a version stands in the order of changes: its instant, then the thing's number."""

START: Position = (-NEVER, -1)


@dataclass(frozen=True, slots=True)
class Version(Generic[Thing]):
    """What a thing was from one change to the next.

    Attributes:
        since: When this version came to be; the thing's "updated at".
        until: When the next version replaced it; ``NEVER`` for the last one.
        number: Number of the thing, unique among its kind.
        thing: The thing in this version.
    """

    since: int
    until: int
    number: int
    thing: Thing

    @property
    def position(self) -> Position:
        """Place in the order of changes."""
        return (self.since, self.number)


class Listing(Protocol[Thing]):
    """Things that can be paged through in the order of change; ``Timeline`` says how."""

    def page(
        self, now: int, *, after: Position = START, since: int = -NEVER, until: int = NEVER, limit: int | None = None
    ) -> list[Version[Thing]]:
        """Return the things as they were at ``now`` whose last change lies in [since, until), oldest change first."""
        ...

    def find(self, number: int, now: int) -> Version[Thing] | None:
        """Return the thing with this number as it was at ``now``; None when it did not exist yet."""
        ...


class Timeline(Generic[Thing]):
    """All versions of one kind of thing, in the order of change.

    A timeline never changes; ``with_more`` gives a longer one, so a reader keeps a consistent picture.
    """

    def __init__(self, versions: Iterable[Version[Thing]] = ()) -> None:
        """Put ``versions`` in order."""
        self._versions = sorted(versions, key=lambda version: version.position)
        self._positions = [version.position for version in self._versions]

    def with_more(self, versions: Iterable[Version[Thing]]) -> Timeline[Thing]:
        """Return a timeline with these versions too."""
        return Timeline([*self._versions, *versions])

    def page(
        self, now: int, *, after: Position = START, since: int = -NEVER, until: int = NEVER, limit: int | None = None
    ) -> list[Version[Thing]]:
        """Return the things as they were at ``now`` whose last change lies in [since, until), oldest change first.

        Args:
            now: The moment.
            after: Continue behind this position.
            since: Earliest change.
            until: End of the changes, exclusive.
            limit: At most so many.
        """
        start = max(bisect_left(self._positions, (since, -1)), bisect_left(self._positions, (after[0], after[1] + 1)))
        end = bisect_left(self._positions, (min(until, now + 1), -1))
        found: list[Version[Thing]] = []
        for index in range(start, end):
            if len(found) == limit:
                break
            version = self._versions[index]
            if version.until > now:
                found.append(version)
        return found

    def at(self, now: int) -> list[Version[Thing]]:
        """Return every thing that existed at ``now``, as it was."""
        return self.page(now)

    def find(self, number: int, now: int) -> Version[Thing] | None:
        """Return the thing with this number as it was at ``now``; None when it did not exist yet."""
        for version in self._by_number.get(number, ()):
            if version.since <= now < version.until:
                return version
        return None

    @cached_property
    def _by_number(self) -> dict[int, list[Version[Thing]]]:
        found: dict[int, list[Version[Thing]]] = {}
        for version in self._versions:
            found.setdefault(version.number, []).append(version)
        return found


def versions_of(number: int, changes: Iterable[tuple[int, Thing]]) -> list[Version[Thing]]:
    """Chain the states of one thing, each with the instant it came to be, into versions.

    States at the same instant collapse into the last of them.
    """
    states = dict(changes)
    starts = list(states)
    ends = [*starts[1:], NEVER]
    return [Version(since, until, number, states[since]) for since, until in zip(starts, ends, strict=True)]
