"""Write, audit, publish: how a computed table reaches the lake.

Belongs here: the order of the three steps, for one day and for many. Does not belong here: raw rows, which are set
aside instead of blocking (``ingest``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import ibis.expr.types as ir

from scoring_platform.contracts.table import Table
from scoring_platform.lake.audit import ContractBreachError, audit
from scoring_platform.lake.engine import DuckDBEngine, StagedDay
from scoring_platform.lake.tree import Version, flush


@dataclass(frozen=True)
class Written:
    """What a write published."""

    table: str
    versions: tuple[Version, ...]
    changed_days: tuple[date | None, ...]

    @property
    def rows(self) -> int:
        """Rows over all published days."""
        return sum(version.rows for version in self.versions)


def write(
    engine: DuckDBEngine, table: Table, expression: ir.Table, *, days: Sequence[date], info: Mapping[str, Any]
) -> Written:
    """Stage ``expression``, audit every day of ``days`` and publish it.

    Days before the first bad one are published; that day and those after it are not.

    Raises:
        ContractBreachError: A day breaks the contract.
    """
    with engine.lake.staging() as folder:
        staged = engine.stage(table, expression, days, folder=folder)
        verdict = audit(table, engine.staged_rows(table, folder), rows=sum(day.rows for day in staged))
        limit = verdict.first_bad_day
        good = [day for day in staged if verdict.passed or (limit and day.day and day.day < limit)]
        written = publish(engine, table, good, info=info)
    if not verdict.passed:
        raise ContractBreachError(verdict)
    return written


def publish(engine: DuckDBEngine, table: Table, staged: Sequence[StagedDay], *, info: Mapping[str, Any]) -> Written:
    """Publish staged days that have passed, oldest first; equal rows keep their version."""
    for day in staged[:1]:
        flush(day.folder.parent if day.day else day.folder)
    versions: list[Version] = []
    changed: list[date | None] = []
    for day in staged:
        if engine.lake.version_id(table.name, day.day) != day.fingerprint:
            changed.append(day.day)
        versions.append(
            engine.lake.publish(
                table.name, day.day, day.folder, version=day.fingerprint, rows=day.rows, info=_info_of(info, day.day)
            )
        )
    return Written(table.name, tuple(versions), tuple(changed))


def _info_of(info: Mapping[str, Any], day: date | None) -> dict[str, Any]:
    """Values given per day (a mapping keyed by date) are narrowed to ``day``."""
    return {
        name: value.get(day) if isinstance(value, Mapping) and value and isinstance(next(iter(value)), date) else value
        for name, value in info.items()
    }
