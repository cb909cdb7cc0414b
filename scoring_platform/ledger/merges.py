"""Merges: which customers became one, through which links, and which of that somebody has undone.

Links and identifiers are kept as hashes, so that the record holds no address.

Belongs here: recording, listing and undoing merges. Does not belong here: finding them (``domain.minting``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        nodes: Hashes of the identifiers it brought along; none in records of earlier layouts of the ledger.
        undone_at: When somebody undid it; None while it stands.
    """

    former_id: str
    customer_id: str
    merged_on: date
    links: tuple[str, ...]
    nodes: tuple[str, ...] = ()
    undone_at: datetime | None = None

    @property
    def merge_id(self) -> str:
        """The name of the merge: the same two customers through the same links are the same merge."""
        named = "|".join([self.former_id, self.customer_id, *self.links])
        return "m" + md5(named.encode(), usedforsecurity=False).hexdigest()[:12]


@dataclass(frozen=True)
class Undone:
    """What somebody has undone.

    Attributes:
        links: Ids of the links that are left out.
        restored: Former customer by the hash of each identifier that it had.
    """

    links: frozenset[str]
    restored: Mapping[str, str]


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
                "nodes": list(merge.nodes),
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


def read_undone(ledger: Ledger) -> Undone:
    """Return what is undone: a customer is restored unless it has become part of another one since."""
    with ledger.reading() as connection:
        rows = connection.execute(select(MERGES).order_by(MERGES.c.recorded_at, MERGES.c.merge_id)).all()
    undone = [row for row in rows if row.undone_at is not None]
    latest = {row.former_id: row.recorded_at for row in rows}
    last = [row for row in undone if row.recorded_at == latest[row.former_id]]
    # An id is the hash of the identifier it was made from. Of several that held an identifier one after the other, the
    # first one to go is the one that had it to itself.
    restored = {row.former_id: row.former_id for row in last}
    for row in last:
        for held in row.nodes or ():
            restored.setdefault(held, row.former_id)
    return Undone(frozenset(link for row in undone for link in row.links), restored)


def _merge(row: Row[tuple[object, ...]]) -> Merge:
    found = (tuple(row.links), tuple(row.nodes or ()))
    return Merge(row.former_id, row.customer_id, row.merged_on, *found, undone_at=row.undone_at)
