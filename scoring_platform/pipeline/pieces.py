"""A range in pieces: as many days at once as fit memory, and which of them an interrupted run has done already.

A day is a function of what it is made from. That is recorded with it, so that the same range, started again, leaves out
what it would make again alike.

Belongs here: how many days a piece has, what its days are made from. Does not belong here: computing, publishing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import version as version_of

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.contracts.table import Table
from scoring_platform.lake.tree import Version
from scoring_platform.pipeline.identities import TABLE as IDENTITIES
from scoring_platform.pipeline.profile import ACTIVITY_INPUTS
from scoring_platform.pipeline.step import Step

BASIS = "basis"
_BYTES_A_VALUE = 128
"""Memory for one value of a piece, with what joins and sorts of it take meanwhile."""

_FROM_FACTS = "customer_activity"


@dataclass(frozen=True)
class Piece:
    """Days of one table that are computed together.

    Attributes:
        days: The days, oldest first.
        basis: What they are made from; empty for a single day, which is computed whenever it is asked for.
        done: The published days when they were made from the same; empty otherwise.
    """

    days: tuple[date, ...]
    basis: str = ""
    done: tuple[Version, ...] = ()


def cut(step: Step, table: Table, days: Sequence[date]) -> list[tuple[date, ...]]:
    """Cut ``days`` into pieces whose rows of ``table`` fit the engine's memory."""
    if len(days) == 1:
        return [tuple(days)]
    size = step.config.engine.range_days or _fitting(step, table, days)
    return [tuple(days[start : start + size]) for start in range(0, len(days), size)]


def piece(step: Step, table: Table, days: Sequence[date], *, upstream: Collection[str] | None, also: str = "") -> Piece:
    """Return ``days`` with what they are made from.

    Args:
        step: Reads the lake.
        table: The table.
        days: Days of a piece, the pieces before it being published.
        upstream: The tables it is made from (``Frame.upstream``); None when that cannot be said.
        also: Names what it is made from beside tables.
    """
    if len(step.days) == 1 or upstream is None:
        return Piece(tuple(days))
    basis = _basis(step, table, days, upstream, also)
    published = step.lake.pin(table.name, days)
    same = len(published) == len(days) and all(version.info.get(BASIS) == basis for version in published)
    return Piece(tuple(days), basis, tuple(published) if same else ())


def _basis(step: Step, table: Table, days: Sequence[date], upstream: Collection[str], also: str) -> str:
    """Name the platform, its configuration, the day before and every version of what ``days`` are made from."""
    found = hashlib.sha256(f"{version_of('scoring-platform')} {step.settings.config_version} {also}".encode())
    found.update(str(step.lake.version_id(table.name, days[0] - timedelta(days=1))).encode())
    for name in sorted(upstream):
        # The newest picture tells of earlier days too, and who is who is one answer from all there is.
        ever = table.name == IDENTITIES or (contract_of(name).is_raw and contract_of(name).partition == "state")
        for day in step.lake.days(name, last=None if ever else step.last):
            found.update(f"{name} {day} {step.lake.version_id(name, day)}\n".encode())
    return found.hexdigest()[:32]


def _fitting(step: Step, table: Table, days: Sequence[date]) -> int:
    """Return how many days fit memory."""
    values = _rows_a_day(step, table, days) * (len(table.columns) + 1)
    return max(1, step.engine.memory() // (values * _BYTES_A_VALUE))


def _rows_a_day(step: Step, table: Table, days: Sequence[date]) -> int:
    """Guess how many rows a day of ``table`` will have: those of facts, or of everybody known."""
    if table.name == _FROM_FACTS:
        facts = sum(version.rows for name in ACTIVITY_INPUTS for version in step.lake.pin(name, days))
        return 1 + facts // len(days)
    newest = step.lake.latest(table.name) or step.lake.latest(IDENTITIES)
    known = step.lake.version(table.name, newest) or step.lake.version(IDENTITIES, newest) if newest else None
    return 1 + (known.rows if known else 0)
