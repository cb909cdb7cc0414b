"""Assets of the profile and nps groups: who is who, what they did, and what is known of each."""

import dagster as dg

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.errors import HistoryError
from scoring_platform.orchestration import checks
from scoring_platform.orchestration.assets.factory import Frame, Results, open_step, publish, table_asset
from scoring_platform.orchestration.policy import asset_arguments, freshness
from scoring_platform.orchestration.resources import LakeResource, LedgerResource
from scoring_platform.pipeline import identities, nps, profile

_MENTIONING = (
    "raw_orders", "raw_customers", "raw_email_events", "raw_web_activity", "raw_support_tickets", "raw_events",
    "raw_crm_contacts", "raw_nps_responses",
)  # fmt: skip


def profile_assets(frame: Frame) -> list[dg.AssetsDefinition]:
    """Return the assets from raw tables to profiles."""
    return [
        _customer_identities(frame),
        _customer_activity(frame),
        table_asset(frame, "nps_responses", nps.nps_responses, deps=("raw_nps_responses", "customer_identities")),
        table_asset(
            frame,
            "customer_profiles",
            profile.customer_profiles,
            deps=(
                "customer_identities",
                "customer_activity",
                "nps_responses",
                "raw_customers",
                "raw_consents",
                "raw_email_events",
                "raw_crm_contacts",
            ),
        ),
    ]


def _customer_identities(frame: Frame) -> dg.AssetsDefinition:
    table = contract_of("customer_identities")

    @dg.asset(
        **asset_arguments(table),
        deps=frame.deps(table.name, *_MENTIONING),
        partitions_def=frame.partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[checks.shared_spec(table, frame.partitions), *checks.derived_specs(table, frame.partitions)],
        freshness_policy=freshness(daily=True),
        output_required=False,
    )
    def customer_identities(context: dg.AssetExecutionContext, lake: LakeResource, ledger: LedgerResource) -> Results:
        with open_step(context, lake, ledger, frame.settings) as step:
            found = identities.resolve(step)
            yield from publish(
                context,
                step,
                table,
                found.on,
                upstream={*frame.upstream(table.name), identities.LINKS},
                also=identities.undone,
                passed=[checks.shared_result(table, found.set_aside)],
                plot=lambda _: {"merges": found.merges},
            )

    return customer_identities


def _customer_activity(frame: Frame) -> dg.AssetsDefinition:
    table = contract_of("customer_activity")
    history = [name for name in profile.EVENT_TABLES if name in frame.settings.raw_tables]

    @dg.asset(
        **asset_arguments(table),
        deps=frame.deps(table.name, "customer_identities", *profile.ACTIVITY_INPUTS),
        partitions_def=frame.partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[checks.history_spec(table, frame.partitions), *checks.derived_specs(table, frame.partitions)],
        freshness_policy=freshness(daily=True),
        output_required=False,
    )
    def customer_activity(context: dg.AssetExecutionContext, lake: LakeResource, ledger: LedgerResource) -> Results:
        with open_step(context, lake, ledger, frame.settings) as step:
            try:
                profile.require_history(step, history)
            except HistoryError as gap:
                yield checks.history_result(table, str(gap))
                raise dg.Failure(str(gap), allow_retries=False) from gap
            days = profile.activity_days(step)
            inputs = {day: profile.activity_inputs(step, day) for day in days}
            yield from publish(
                context,
                step,
                table,
                lambda part: profile.customer_activity(step, part.days),
                upstream=frame.upstream(table.name),
                days=days,
                info={"inputs": inputs},
                passed=[checks.history_result(table, None)],
            )

    return customer_activity
