"""One day's scores and segments under one configuration, computed and kept nowhere.

Belongs here: the surroundings in which the pipeline's own functions compute without publishing. Does not belong here:
comparing two sides (``preview``), formulas (``domain``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

import ibis.expr.types as ir

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.domain import segments
from scoring_platform.lake.tree import Lake, Version
from scoring_platform.pipeline.models import cut_off_table
from scoring_platform.pipeline.scores import customer_scores, segment_measures
from scoring_platform.pipeline.step import Step

BANDED = {"r": "recency_days", "f": "frequency", "m": "monetary"}
"""Bands, and the measures that cut-offs make them of."""


class StillLake(Lake):
    """The lake as it was first seen: what a run publishes meanwhile does not come between two computations."""

    def __init__(self, lake: Lake) -> None:
        super().__init__(lake.root)
        self._days: dict[str, list[date]] = {}
        self._versions: dict[tuple[str, date | None], Version | None] = {}

    def days(self, table: str, *, first: date | None = None, last: date | None = None) -> list[date]:
        """Return the published days of ``table`` within [first, last], oldest first."""
        if table not in self._days:
            self._days[table] = super().days(table)
        return [day for day in self._days[table] if (first is None or day >= first) and (last is None or day <= last)]

    def version(self, table: str, day: date | None) -> Version | None:
        """Resolve the published version of one day once; None when it is not published."""
        if (table, day) not in self._versions:
            self._versions[table, day] = super().version(table, day)
        return self._versions[table, day]


@dataclass(frozen=True)
class ComputedStep(Step):
    """A step that reads tables it has computed itself instead of the published ones.

    Attributes:
        computed: These tables, with ``as_of``, for the step's days.
    """

    computed: Mapping[str, ir.Table] = field(default_factory=dict)

    def read(self, name: str, days: Iterable[date]) -> ir.Table:
        """Return the computed or published ``days`` of table ``name`` with ``as_of``."""
        if name in self.computed:
            rows = self.computed[name]
            return rows.filter(rows.as_of.isin(list(days)))
        return super().read(name, days)


@dataclass(frozen=True)
class Computed:
    """The day of a step under its configuration.

    Attributes:
        step: With the scores that were computed.
        scores: As customer_scores would be published.
        segments: as_of, customer_id, segment.
        measured: What conditions of segments read (``domain.segments.segments``).
        past: The same for the look-back of those whom it decides.
        cut_offs: Limits of the day, from worst to best.
    """

    step: ComputedStep
    scores: ir.Table
    segments: ir.Table
    measured: ir.Table
    past: ir.Table
    cut_offs: Mapping[str, tuple[float, ...]]

    def memberships(self, customers: ir.Table) -> ir.Table:
        """Return of which rules ``customers`` are members (``domain.segments.memberships``)."""
        measured, past = (part.semi_join(customers, "customer_id") for part in (self.measured, self.past))
        return segments.memberships(measured, past, self.step.config.segments, days=self.step.as_days())


def computed(step: ComputedStep) -> Computed:
    """Compute the one day of ``step`` as a run would, and publish nothing."""
    keep, contract = step.engine.materialise, contract_of("customer_scores")
    rows = customer_scores(step)
    # In the contract's types, as they would be read back.
    scores = keep(rows.select("as_of", **{name: rows[name].cast(kind) for name, kind in contract.schema.items()}))
    own = replace(step, computed={**step.computed, "customer_scores": scores})
    measured, past = segment_measures(own)
    found = keep(segments.segments(measured, past, step.config.segments, days=step.as_days()))
    return Computed(own, scores, found, measured, past, _cut_offs(step))


def _cut_offs(step: Step) -> dict[str, tuple[float, ...]]:
    (row,) = cut_off_table(step, step.days).to_pyarrow().to_pylist()
    return {name: tuple(float(row[f"{name}_{k}"]) for k in range(1, 5)) for name in BANDED.values()}
