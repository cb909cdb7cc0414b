"""Reading a WooCommerce list to its end while the shop changes it.

A list is asked for in ascending order of ids, by offset: WooCommerce has no cursor. An entry that is changed after the
window's end leaves the list, and everything behind it moves one place forward, so that the next page would begin too
late and skip entries. Therefore every page begins with the last entry already read. When that entry is not there,
reading goes back until the pages join again.

Belongs here: pages that are sure to join. Does not belong here: which lists are read and how entries are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scoring_platform.errors import PermanentError, TransientError
from scoring_platform.http.client import Answer, ApiClient
from scoring_platform.http.pages import MAX_PAGES

_MOST_STEPS_BACK = 40
"""Steps back without anything new in between; as each is twice as long as the one before, the shop never stops."""

_MOST_REPEATS = 10
"""Same pages in a row further on: entries that leave before them do that a few times, a deaf shop always."""

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Listing:
    """What is listed.

    Attributes:
        path: Path of the list.
        filters: Its query, without order and place.
        size: Entries per page, at least 2: one of them is known already.
    """

    path: str
    filters: Mapping[str, str]
    size: int

    @property
    def where(self) -> str:
        """What is listed, for a message."""
        return f"woocommerce GET {self.path}"


@dataclass(frozen=True)
class _Part:
    """One page: its entries, and how long the whole list is, where a proxy has not taken that header away."""

    offset: int
    entries: list[Entry]
    total: int | None

    @property
    def ids(self) -> list[int]:
        return sorted(entry["id"] for entry in self.entries)

    def ends(self, size: int) -> bool:
        # An entry that cannot be shown makes a page short in the middle of the list: the total is surer.
        return len(self.entries) < size if self.total is None else self.offset + size >= self.total


@dataclass
class _Reading:
    """How far a list has been read, and the ids of the last page that was given on."""

    listing: Listing
    offset: int = 0
    last: int = 0
    total: int | None = None
    given: frozenset[int] = frozenset()
    steps_back: int = 0
    repeats: int = 0

    def joins(self, part: _Part) -> bool:
        """Whether nothing can be missing between what was read before and ``part``."""
        if part.offset == 0 or (part.ids and part.ids[0] <= self.last):
            return True
        # Having gone back and come again, a list of the same length only has an entry there that cannot be shown.
        return self.steps_back > 0 and part.total is not None and part.total == self.total

    def check(self, part: _Part, before: _Part) -> None:
        """Notice a shop that does not do as it is asked; going back may give anything."""
        onward = bool(part.ids and before.ids) and part.offset > before.offset
        self.repeats = self.repeats + 1 if onward and part.ids == before.ids else 0
        # A list as long as before has not moved.
        still = part.total is not None and part.total == before.total
        if self.repeats == _MOST_REPEATS or (self.repeats and still):
            msg = f"{self.listing.where} gave the same page of {len(part.ids)} rows twice, whatever the offset"
            raise PermanentError(msg)
        if onward and part.ids[0] < before.ids[0]:
            msg = f"{self.listing.where} did not keep to the order of ids it was asked for; a plugin may change it"
            raise PermanentError(msg)

    def go_back(self) -> None:
        if self.steps_back == _MOST_STEPS_BACK:
            msg = f"{self.listing.where} keeps changing while it is read; run again when the shop is quieter"
            raise TransientError(msg)
        self.offset = max(0, self.offset - self.listing.size * 2**self.steps_back)
        self.steps_back += 1

    def go_on(self, part: _Part) -> None:
        if part.ids and part.ids[-1] > self.last:
            self.last, self.steps_back = part.ids[-1], 0
        self.given, self.total = frozenset(part.ids), part.total
        self.offset = part.offset + self.listing.size - 1


def entries(client: ApiClient, listing: Listing) -> Iterator[list[Entry]]:
    """Yield the entries of a list page by page; after a step back some come again.

    Raises:
        PermanentError: A page comes again and again or is no list, or the pages are not in order of ids.
        TransientError: The list changes faster than it can be read.
    """
    reading, before = _Reading(listing), _Part(-1, [], None)
    for _ in range(MAX_PAGES):
        part = _part(client, listing, reading.offset)
        reading.check(part, before)
        before = part
        if not reading.joins(part):
            reading.go_back()
            continue
        if new := [entry for entry in part.entries if entry["id"] not in reading.given]:
            yield new
        if part.ends(listing.size):
            return
        reading.go_on(part)
    msg = f"{listing.where} has no end: stopped after {MAX_PAGES} pages"
    raise PermanentError(msg)


def total_of(answer: Answer) -> int | None:
    """Return how long the whole list is; None where the answer does not say."""
    text = answer.headers.get("X-WP-Total", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _part(client: ApiClient, listing: Listing, offset: int) -> _Part:
    place = {"orderby": "id", "order": "asc", "per_page": str(listing.size), "offset": str(offset)}
    answer = client.request("GET", listing.path, params={**listing.filters, **place})
    if not isinstance(answer.json, list):
        msg = f"{listing.where} answered no list; is a plugin or a firewall answering in the shop's place?"
        raise PermanentError(msg)
    return _Part(offset, answer.json, total_of(answer))
