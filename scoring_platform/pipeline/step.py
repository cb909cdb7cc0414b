"""What one computation of one table works with.

Belongs here: reading published days by table name. Does not belong here: formulas (``domain``), Dagster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import ibis
import ibis.expr.types as ir

from scoring_platform.config.model import ScoringConfig
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.domain.identity import Scopes
from scoring_platform.domain.running import Days
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.tree import Lake
from scoring_platform.ledger.store import Ledger
from scoring_platform.settings import Settings


@dataclass(frozen=True)
class Step:
    """The surroundings of one computation.

    Attributes:
        engine: Reads and writes the lake.
        settings: Settings of this home.
        ledger: What survives a crash.
        days: Days to compute, oldest first.
        now: Instant of the run.
        run_id: Names the run in what is recorded.
    """

    engine: DuckDBEngine
    settings: Settings
    ledger: Ledger
    days: Sequence[date]
    now: datetime
    run_id: str = ""

    @property
    def config(self) -> ScoringConfig:
        """The configuration."""
        return self.settings.config

    @property
    def lake(self) -> Lake:
        """The lake."""
        return self.engine.lake

    @property
    def last(self) -> date:
        """The greatest day to compute."""
        return self.days[-1]

    @property
    def scopes(self) -> Scopes:
        """Whose customer ids and CRM records are meant."""
        return Scopes(self.settings.shops, self.settings.crm_sources)

    def for_days(self, days: Sequence[date]) -> Step:
        """Return the same step for other days."""
        return replace(self, days=days)

    def read(self, name: str, days: Iterable[date]) -> ir.Table:
        """Return the published ``days`` of table ``name`` with ``as_of``."""
        return self.engine.read(contract_of(name), days)

    def everything(self, name: str, *, first: date | None = None, last: date | None = None) -> ir.Table:
        """Return all published days of table ``name`` within [first, last]."""
        return self.read(name, self.lake.days(name, first=first, last=last))

    def newest(self, name: str) -> ir.Table:
        """Return the greatest published day of table ``name``."""
        day = self.lake.latest(name)
        return self.read(name, [day] if day else [])

    def days_table(self, days: Sequence[date] | None = None) -> ir.Table:
        """Return the days to compute as a table with ``as_of``."""
        rows = [{"as_of": day} for day in (self.days if days is None else days)]
        return self.engine.materialise(ibis.memtable(rows, schema=ibis.schema({"as_of": "date"})))

    def as_days(self, days: Sequence[date] | None = None, *, lag: int = 0) -> Days:
        """Return the days to compute, or others, oldest first; see ``Days``."""
        chosen = self.days if days is None else days
        return Days(self.days_table(chosen), chosen[0], chosen[-1], lag)

    def recorded(self) -> dict[str, object]:
        """Return what is recorded with every version this step publishes."""
        return {
            "run_id": self.run_id,
            "config_version": self.settings.config_version,
            "published_at": self.now.isoformat(),
        }


def span(first: date, last: date) -> list[date]:
    """Return every day of [first, last]."""
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
