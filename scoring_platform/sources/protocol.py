"""What a source is: a system outside that gives rows of raw tables.

Belongs here: the interface between vendors and the ingest step. Does not belong here: any vendor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

Row = Mapping[str, Any]
"""One row in the contract's column names.

Values stay as the vendor gave them (text, numbers, booleans, dates); dicts and lists are stored as JSON text. Types,
ranges and required columns are checked by the ingest step, so a source never drops or repairs a row: it only renames
and looks up. ``source``, ``as_of`` and ``…_reporting`` are added there.
"""

Page = Sequence[Row]


@dataclass(frozen=True)
class Window:
    """What to fetch: everything that changed in [since, until), both UTC instants.

    ``until`` is fixed once per run, so that pages fetched later in the run see the same end.
    """

    since: datetime
    until: datetime


class SourceSettings(Protocol):
    """What is known of a source from its section alone; see ``config.base.SourceSection``."""

    @property
    def gives(self) -> frozenset[str]:
        """Raw tables the source fills."""
        ...

    @property
    def whole(self) -> frozenset[str]:
        """Those of them of which every extract is the full picture."""
        ...


class Source(Protocol):
    """A system that gives raw tables."""

    @property
    def name(self) -> str:
        """The name it is configured under."""
        ...

    @property
    def settings(self) -> SourceSettings:
        """Its section."""
        ...

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield pages of rows of ``table`` that changed within ``window``; rows outside it do no harm.

        Raises:
            CredentialError: Refused credentials or a missing scope.
            TransientError: Still failing after the bounded retries.
            PermanentError: The system gave an answer that makes no sense.
            BudgetExhaustedError: The vendor's daily allowance is used up.
        """
        ...

    def probe(self) -> str:
        """Reach the system with its cheapest call and say in one line what answered."""
        ...
