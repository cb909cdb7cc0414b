"""Merges: which customers became one, through which links, and which of that somebody has undone.

Links are kept as hashes, so that the record holds no address.

Belongs here: recording, listing and undoing merges. Does not belong here: finding them (``domain.minting``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import md5

from sqlalchemy import Row, insert, select, update

from scoring_platform.errors import ConfigurationError
from scoring_platform.ledger.schema import MERGES
from scoring_platform.ledger.store import Ledger


@dataclass(frozen=True)
class Merge:
    """One customer that became part of another.

    Attributes:
        former_id: Its id until then.
        customer_id: The customer it is part of.
        merged_on: Business day whose computation found it.
        links: Ids of the links without which the two are apart.
        undone_at: When somebody undid it; None while it stands.
    """

    former_id: str
    customer_id: str
    merged_on: date
    links: tuple[str, ...]
    undone_at: datetime | None = None

    @property
    def merge_id(self) -> str:
        """The name of the merge: the same two customers through the same links are the same merge."""
        named = "|".join([self.former_id, self.customer_id, *self.links])
        return "m" + md5(named.encode(), usedforsecurity=False).hexdigest()[:12]


def record_merges(ledger: Ledger, merges: Sequence[Merge], *, now: datetime) -> int:
    """Record merges that are not recorded yet; return how many are new."""
    if not merges:
        return 0
    with ledger.writing() as connection:
        known = set(connection.execute(select(MERGES.c.merge_id)).scalars())
        rows = [
            {
                "merge_id": merge.merge_id,
                "former_id": merge.former_id,
                "customer_id": merge.customer_id,
                "merged_on": merge.merged_on,
                "links": list(merge.links),
                "recorded_at": now,
            }
            for merge in merges
            if merge.merge_id not in known
        ]
        if rows:
            connection.execute(insert(MERGES), rows)
    return len(rows)


def list_merges(ledger: Ledger) -> list[Merge]:
    """Return every merge, the latest first."""
    with ledger.reading() as connection:
        found = connection.execute(select(MERGES).order_by(MERGES.c.merged_on.desc(), MERGES.c.merge_id))
        return [_merge(row) for row in found]


def undo_merge(ledger: Ledger, merge_id: str, *, now: datetime) -> Merge:
    """Undo a merge: from the next computation of identities on the two are apart again. Undoing twice changes nothing.

    Raises:
        ConfigurationError: There is no such merge.
    """
    with ledger.writing() as connection:
        wanted = MERGES.c.merge_id == merge_id
        connection.execute(update(MERGES).where(wanted, MERGES.c.undone_at.is_(None)).values(undone_at=now))
        row = connection.execute(select(MERGES).where(wanted)).first()
    if row is None:
        msg = f"there is no merge {merge_id!r}; list them with: scoring-platform identity merges"
        raise ConfigurationError(msg)
    return _merge(row)


def read_undone(ledger: Ledger) -> tuple[frozenset[str], frozenset[str]]:
    """Return the links that are undone, and the ids of the customers restored by that."""
    with ledger.reading() as connection:
        rows = connection.execute(select(MERGES).where(MERGES.c.undone_at.is_not(None))).all()
    links = frozenset(link for row in rows for link in row.links)
    return links, frozenset(row.former_id for row in rows)


def _merge(row: Row[tuple[object, ...]]) -> Merge:
    return Merge(row.former_id, row.customer_id, row.merged_on, tuple(row.links), row.undone_at)
