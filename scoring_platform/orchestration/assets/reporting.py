"""Assets of the reporting group: the page, and its way to people."""

from typing import Any

import dagster as dg

from scoring_platform.orchestration.assets.activation import released
from scoring_platform.orchestration.assets.factory import Frame, open_step
from scoring_platform.orchestration.metadata import image
from scoring_platform.orchestration.policy import OWNER, freshness
from scoring_platform.orchestration.resources import EmailResource, LakeResource, LedgerResource, SlackResource
from scoring_platform.orchestration.turns import turn
from scoring_platform.pipeline import activation
from scoring_platform.pipeline.delivery import deliver_by_email, deliver_by_slack
from scoring_platform.pipeline.reporting import report_data
from scoring_platform.reporting.charts import draw_charts
from scoring_platform.reporting.publish import write_report
from scoring_platform.reporting.words import Edition

REPORT_DEPS = (
    "customer_scores", "customer_segments", "segment_transitions", "customer_profiles", "customer_activity",
    "nps_responses", "crm_sync", "raw_orders",
)  # fmt: skip
REPORT_STREAM = "report"


def reporting_assets(frame: Frame) -> list[dg.AssetsDefinition]:
    """Return the report and its delivery."""
    return [_daily_report(frame), _report_delivery(frame)]


def _daily_report(frame: Frame) -> dg.AssetsDefinition:
    @dg.asset(
        description="The morning report: one page with charts, kept under reports, a folder a day.",
        group_name="reporting",
        owners=[OWNER],
        kinds={"python", "html"},
        deps=frame.deps(*REPORT_DEPS),
        partitions_def=frame.partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        freshness_policy=freshness(daily=True),
    )
    def daily_report(
        context: dg.AssetExecutionContext, lake: LakeResource, ledger: LedgerResource
    ) -> dg.MaterializeResult[Any]:
        with open_step(context, lake, ledger, frame.settings) as step:
            if len(step.days) > 1:
                return dg.MaterializeResult(metadata={"inert": "range"})
            data = report_data(step)
            charts = draw_charts(Edition.of(data))
            path = write_report(frame.settings.reports_root, data, charts)
            plots: dict[str, Any] = {name: image(chart.png, chart.alt) for name, chart in charts.items()}
            return dg.MaterializeResult(
                metadata={"report": dg.MetadataValue.path(str(path)), "bytes": path.stat().st_size, **plots}
            )

    return daily_report


def _report_delivery(frame: Frame) -> dg.AssetsDefinition:
    @dg.asset(
        description="The report by e-mail and its summary on Slack, each once per day.",
        group_name="reporting",
        owners=[OWNER],
        kinds={"python", "slack"},
        deps=["daily_report"],
        partitions_def=frame.partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def report_delivery(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        ledger: LedgerResource,
        email: EmailResource,
        slack: SlackResource,
    ) -> dg.MaterializeResult[Any]:
        with open_step(context, lake, ledger, frame.settings) as step:
            allowed = activation.run_permission(step, released=released(context), stream=REPORT_STREAM)
            if not allowed.granted:
                return dg.MaterializeResult(metadata={"inert": allowed.reason, "sent": 0})
            data = report_data(step)
            with turn(frame.settings.home, "report_delivery"):
                sent = {
                    "email": deliver_by_email(step, email.client(), data),
                    "slack": deliver_by_slack(step, slack.client(), data),
                }
            return dg.MaterializeResult(metadata=sent)

    return report_delivery
