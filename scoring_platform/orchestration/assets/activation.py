"""Assets of the activation group: what the CRM should be told, and what became of it."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from scoring_platform.config.crm import OF_RECORDS
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.destinations.preflight import require_fields
from scoring_platform.domain.crm_plan import STREAMS
from scoring_platform.orchestration import checks
from scoring_platform.orchestration.assets.factory import Frame, Results, open_step, publish
from scoring_platform.orchestration.policy import asset_arguments
from scoring_platform.orchestration.resources import CrmResource, LakeResource, LedgerResource
from scoring_platform.orchestration.turns import turn
from scoring_platform.pipeline import activation, crm_plan
from scoring_platform.pipeline import crm_sync as crm_sync_step
from scoring_platform.pipeline.crm_standing import standing
from scoring_platform.pipeline.step import Step
from scoring_platform.settings import Settings

RELEASE_TAG = "scoring/release"
_READ = (
    "customer_scores", "customer_segments", "customer_profiles", "nps_responses", "customer_identities", "raw_orders",
    "raw_order_items", "raw_events",
)  # fmt: skip


def activation_assets(frame: Frame) -> list[dg.AssetsDefinition]:
    """Return the plan and the sync."""
    return [_plan(frame), _sync(frame)]


def _plan(frame: Frame) -> dg.AssetsDefinition:
    table = contract_of(crm_plan.PLAN)

    @dg.asset(
        **asset_arguments(table),
        deps=frame.deps(table.name, *_READ, *_records_read(frame.settings)),
        partitions_def=frame.partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=checks.derived_specs(table, frame.partitions),
        output_required=False,
    )
    def crm_sync_plan(context: dg.AssetExecutionContext, lake: LakeResource, ledger: LedgerResource) -> Results:
        with open_step(context, lake, ledger, frame.settings) as step:
            streams, reason = _streams(step, released(context))
            if not streams:
                yield _inert(table.name, reason)
                return
            yield from publish(
                context,
                step,
                table,
                lambda step: crm_plan.crm_sync_plan(step, frame.settings.crms, streams),
                plot=_plan_metadata,
            )

    return crm_sync_plan


def _records_read(settings: Settings) -> list[str]:
    """Return the raw tables that tell whose the accounts and deals are that values stand on."""
    fields = [getattr(settings.config.destinations, crm).fields for crm in settings.crms]
    return [table for target, table in OF_RECORDS.items() if any(one.standing_on(target) for one in fields)]


def _sync(frame: Frame) -> dg.AssetsDefinition:
    table = contract_of(crm_sync_step.SYNC)

    @dg.asset(
        **asset_arguments(table),
        deps=[crm_plan.PLAN, "customer_profiles"],
        partitions_def=frame.partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[*checks.derived_specs(table, frame.partitions), checks.sync_spec(table, frame.partitions)],
        output_required=False,
    )
    def crm_sync(
        context: dg.AssetExecutionContext, lake: LakeResource, ledger: LedgerResource, crm: CrmResource
    ) -> Results:
        with open_step(context, lake, ledger, frame.settings) as step:
            streams, reason = _streams(step, released(context))
            if not streams:
                yield _inert(table.name, reason, checks.sync_inert(table, reason))
                return
            with turn(frame.settings.home, table.name), crm.open() as crms:
                applied = crm_sync_step.apply_plan(
                    step,
                    crms,
                    streams=streams,
                    released=released(context),
                    ready=lambda one: require_fields(frame.settings, [one]),
                )
            rows = crm_sync_step.crm_sync(step, applied.held)
            outcome = checks.sync_result(table, applied, standing(step, rows))
            yield from publish(context, step, table, lambda _: rows, passed=[outcome])

    return crm_sync


def _streams(step: Step, names: Sequence[str]) -> tuple[list[str], str]:
    """Return the streams that this run may send, and why not all of them."""
    allowed = {stream: activation.run_permission(step, released=names, stream=stream) for stream in STREAMS}
    reasons = [permission.reason for permission in allowed.values() if not permission.granted]
    return [stream for stream, permission in allowed.items() if permission.granted], next(iter(reasons), "")


def released(context: dg.AssetExecutionContext) -> list[str]:
    """Return the streams that the run releases by name."""
    return [name for name in context.run.tags.get(RELEASE_TAG, "").split(",") if name]


def _inert(name: str, reason: str, *others: dg.AssetCheckResult) -> dg.MaterializeResult[Any]:
    passed = checks.contract_passed(contract_of(name))
    return dg.MaterializeResult(metadata={"inert": reason, "sent": 0}, check_results=[*others, passed])


def _plan_metadata(step: Step) -> dict[str, Any]:
    plan = step.read(crm_plan.PLAN, step.days)
    counts = plan.group_by(["crm", "operation"]).aggregate(rows=plan.count()).order_by("crm", "operation")
    return {"operations": checks.records(counts.to_pyarrow().to_pylist())}
