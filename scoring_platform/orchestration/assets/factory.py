"""Makes an asset of a table: load, compute, audit, publish, report.

Belongs here: the one way a table becomes an asset. Does not belong here: any particular table.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import ibis.expr.types as ir

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.contracts.table import Table
from scoring_platform.ingest.loading import Load, Loaded, load
from scoring_platform.lake.audit import ContractBreachError
from scoring_platform.lake.tree import Version
from scoring_platform.lake.views import refresh_views
from scoring_platform.lake.write import Written, write
from scoring_platform.orchestration import checks
from scoring_platform.orchestration.metadata import loaded_metadata, quarantine_samples, written_metadata
from scoring_platform.orchestration.partitions import run_days
from scoring_platform.orchestration.policy import asset_arguments, freshness
from scoring_platform.orchestration.resources import LakeResource, LedgerResource, SourcesResource
from scoring_platform.pipeline import pieces
from scoring_platform.pipeline.step import Step
from scoring_platform.settings import Settings

PROGRESS = logging.getLogger("scoring_platform.progress")
"""Gets a line for each piece of a range."""
PROGRESS.setLevel(logging.INFO)
PROGRESS.propagate = False

Compute = Callable[[Step], ir.Table]
Also = Callable[[Step], str]
Results = Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]


@dataclass(frozen=True)
class Frame:
    """What all assets of one code location share."""

    settings: Settings
    partitions: dg.DailyPartitionsDefinition
    _known: dict[str, list[str]] = field(default_factory=dict, repr=False, init=False)

    def deps(self, table: str, *names: str) -> list[str]:
        """Return what ``table`` is made from: ``names``, raw tables without a source left out."""
        there = [name for name in names if not name.startswith("raw_") or name in self.settings.raw_tables]
        self._known[table] = there
        return there

    def upstream(self, table: str) -> set[str]:
        """Return what ``table`` is made from: what it reads, and the computed tables that is made from."""
        direct = self._known.get(table, [])
        above = set().union(*(self.upstream(name) for name in direct))
        return {*direct, *(name for name in above if not name.startswith("raw_"))}


@contextmanager
def open_step(
    context: dg.AssetExecutionContext, lake: LakeResource, ledger: LedgerResource, settings: Settings
) -> Iterator[Step]:
    """Give the surroundings of one computation, closed afterwards."""
    settings.loaded.archive(settings.home / "config")
    with lake.open() as engine, ledger.open() as opened:
        now = datetime.now(UTC)
        yield Step(engine, settings, opened, run_days(context), now, run_id=context.run.run_id)


def raw_asset(frame: Frame, name: str) -> dg.AssetsDefinition:
    """Return the asset of the raw table ``name``."""
    table = contract_of(name)

    @dg.asset(
        **asset_arguments(table),
        deps=frame.deps(name, *([table.day_from] if table.day_from else [])),
        partitions_def=frame.partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=checks.raw_specs(table, frame.partitions),
        freshness_policy=freshness(daily=True),
        output_required=False,
    )
    def asset(
        context: dg.AssetExecutionContext, lake: LakeResource, ledger: LedgerResource, sources: SourcesResource
    ) -> Results:
        with open_step(context, lake, ledger, frame.settings) as step:
            request = Load(table, step.days, sources.open(name), step.config, step.now, step.recorded())
            loaded = load(step.engine, request, step.ledger)
            _note_touched(context, table, loaded)
            results = checks.raw_results(table, loaded.verdicts, samples=quarantine_samples(step, table, loaded))
            if len(step.days) > 1:
                note_days(context, {v.day: checks.raw_results(table, [v]) for v in loaded.verdicts})
            if loaded.blocked:
                yield from results
                return
            yield dg.MaterializeResult(metadata=loaded_metadata(loaded), check_results=results)

    return asset


def table_asset(
    frame: Frame,
    name: str,
    compute: Compute,
    *,
    deps: Sequence[str],
    also: Also | None = None,
    plot: Callable[[Step], Mapping[str, Any]] | None = None,
) -> dg.AssetsDefinition:
    """Return the asset of the computed table ``name``.

    Args:
        frame: What all assets share.
        name: The table.
        compute: Gives the rows of the step's days.
        deps: Tables it reads.
        also: Names what it is made from beside tables.
        plot: Gives further metadata after publishing, such as a chart.
    """
    table = contract_of(name)

    @dg.asset(
        **asset_arguments(table),
        deps=frame.deps(name, *deps),
        partitions_def=frame.partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=checks.derived_specs(table, frame.partitions),
        freshness_policy=freshness(daily=True),
        output_required=False,
    )
    def asset(context: dg.AssetExecutionContext, lake: LakeResource, ledger: LedgerResource) -> Results:
        with open_step(context, lake, ledger, frame.settings) as step:
            yield from publish(context, step, table, compute, upstream=frame.upstream(name), also=also, plot=plot)

    return asset


def publish(
    context: dg.AssetExecutionContext,
    step: Step,
    table: Table,
    compute: Compute,
    *,
    upstream: Collection[str] | None = None,
    also: Also | None = None,
    days: Sequence[date] | None = None,
    info: Mapping[str, Any] | None = None,
    plot: Callable[[Step], Mapping[str, Any]] | None = None,
    passed: Sequence[dg.AssetCheckResult] = (),
) -> Results:
    """Compute, audit and publish; a breach yields the failed check and nothing else, so that nothing follows.

    Args:
        context: Of the asset.
        step: The run's days.
        table: The table.
        compute: Gives the rows of a step's days.
        upstream: The tables it is made from (``Frame.upstream``); without it days are never taken as done before.
        also: Names what it is made from beside tables.
        days: Other days to publish than the run's.
        info: Recorded with each version.
        plot: Gives further metadata after publishing.
        passed: Results of checks that were made before.
    """
    wanted = step.days if days is None else days
    try:
        written = _publish_pieces(
            context, step, table, compute, days=wanted, upstream=upstream, also=also, info=info or {}
        )
    except ContractBreachError as breach:
        limit = breach.audit.first_bad_day
        _note_contract(context, step, table, [day for day in step.days if limit and day < limit])
        yield from passed
        yield checks.contract_failed(breach.audit, run_days=step.days)
        return
    refresh_views(step.lake)
    _note_contract(context, step, table, step.days)
    metadata = {**(plot(step) if plot else {}), **written_metadata(step, table, written)}
    yield dg.MaterializeResult(metadata=metadata, check_results=[*passed, checks.contract_passed(table)])


def _publish_pieces(
    context: dg.AssetExecutionContext,
    step: Step,
    table: Table,
    compute: Compute,
    *,
    days: Sequence[date],
    upstream: Collection[str] | None,
    also: Also | None,
    info: Mapping[str, Any],
) -> Written:
    """Publish ``days`` piece by piece, oldest first; pieces that an interrupted run has done stay as they are."""
    versions: list[Version] = []
    changed: list[date | None] = []
    for chosen in pieces.cut(step, table, days):
        part = step.for_days(chosen)
        piece = pieces.piece(step, table, chosen, upstream=upstream, also=also(part) if also else "")
        if piece.done:
            versions += piece.done
        else:
            about = {**step.recorded(), **info, pieces.BASIS: piece.basis}
            done = write(step.engine, table, compute(part), days=chosen, info=about)
            versions, changed = [*versions, *done.versions], [*changed, *done.changed_days]
        if len(chosen) < len(days):
            _say_progress(context, table, versions, days, again=not piece.done)
    return Written(table.name, tuple(versions), tuple(changed))


def _say_progress(
    context: dg.AssetExecutionContext, table: Table, versions: Sequence[Version], days: Sequence[date], *, again: bool
) -> None:
    words = f"{table.name}: {versions[-1].day}, {len(versions)} of {len(days)} days"
    words += "" if again else " (was done already)"
    context.log.info(words)
    PROGRESS.info(words)


def _note_touched(context: dg.AssetExecutionContext, table: Table, loaded: Loaded) -> None:
    """Record that a late update rewrote days outside the run."""
    for day in loaded.touched:
        context.log_event(
            dg.AssetMaterialization(
                asset_key=table.name, partition=day.isoformat(), description="rewritten by a late update"
            )
        )


def _note_contract(context: dg.AssetExecutionContext, step: Step, table: Table, days: Sequence[date]) -> None:
    if len(step.days) > 1:
        note_days(context, {day: [checks.contract_passed(table)] for day in days})


def note_days(context: dg.AssetExecutionContext, results: Mapping[date, Sequence[dg.AssetCheckResult]]) -> None:
    """Record each day's checks under its partition: for a range, Dagster itself records only one without a day."""
    for day, found in results.items():
        for result in found:
            context.log_event(checks.evaluation(result, day))
