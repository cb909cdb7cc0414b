"""All answers that are known by now: those of published days, and those that wait for the next run.

Belongs here: the two together, each answer in its latest revision, judged as a run would. Does not belong here: the
loading of days (``loading``), who asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir

from scoring_platform.config.model import ScoringConfig
from scoring_platform.contracts.raw import RAW_NPS_RESPONSES
from scoring_platform.ingest.judging import Judgement, Rates, judge
from scoring_platform.ingest.picture import Merge, latest_known
from scoring_platform.ingest.staging import write_pages
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.sources.protocol import Page, Window

_EVER = datetime(1970, 1, 2, tzinfo=UTC)


class Receiving(Protocol):
    """A source that reads the inbox."""

    @property
    def name(self) -> str:
        """The name it is configured under."""
        ...

    def received(self, window: Window) -> Iterator[Page]:
        """Yield what arrived within ``window``, without asking anybody."""
        ...


def known_answers(
    engine: DuckDBEngine, sources: Sequence[Receiving], config: ScoringConfig, *, now: datetime
) -> ir.Table:
    """Return every answer in its latest revision, as rows of raw_nps_responses."""
    table, zone = RAW_NPS_RESPONSES, ZoneInfo(config.time_zone)
    published = engine.read(table, engine.lake.days(table.name))
    parts = []
    for source in sources:
        with engine.lake.staging() as folder:
            write_pages(table, source.received(Window(_EVER, now)), folder)
            by = Judgement(
                source=source.name,
                zone=zone,
                source_zone=ZoneInfo("UTC"),
                extracted_at=now,
                future_tolerance=timedelta(hours=config.ingest.future_tolerance_hours),
                history_start=config.history_start,
                rates=Rates(None, {}),
            )
            parts.append(judge(engine, table, folder, by=by))
    if not parts:
        return published
    judged = ibis.union(*parts) if len(parts) > 1 else parts[0]
    merge = Merge(engine=engine, table=table, judged=judged, days=(), zone=zone, complete=frozenset(), partial=True)
    return latest_known(merge, published)
