"""Assets of the reporting group: how forecasts did, the page, and its way to people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.fitting.backtest import CHURN
from scoring_platform.orchestration import checks
from scoring_platform.orchestration.assets.activation import released
from scoring_platform.orchestration.assets.factory import Frame, Results, note_days, open_step, publish
from scoring_platform.orchestration.metadata import image
from scoring_platform.orchestration.policy import OWNER, asset_arguments, freshness
from scoring_platform.orchestration.resources import EmailResource, LakeResource, LedgerResource, SlackResource
from scoring_platform.orchestration.turns import turn
from scoring_platform.pipeline import activation, backtest
from scoring_platform.pipeline.delivery import deliver_by_email, deliver_by_slack
from scoring_platform.pipeline.reporting import report_data
from scoring_platform.reporting.calibration import calibration_chart
from scoring_platform.reporting.charts import draw_charts
from scoring_platform.reporting.publish import write_report
from scoring_platform.reporting.words import Edition

REPORT_DEPS = (
    "customer_scores", "customer_segments", "segment_transitions", "customer_profiles", "customer_activity",
    "nps_responses", "crm_sync", "raw_orders",
)  # fmt: skip
REPORT_STREAM = "report"


def reporting_assets(frame: Frame) -> list[dg.AssetsDefinition]:
    """Return the backtest, the report and its delivery."""
    return [_model_backtest(frame), _daily_report(frame), _report_delivery(frame)]


def _model_backtest(frame: Frame) -> dg.AssetsDefinition:
    table = contract_of("model_backtest")

    @dg.asset(
        **asset_arguments(table),
        deps=frame.deps(table.name, "score_models", "customer_scores", "customer_profiles", "customer_activity"),
        partitions_def=frame.partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[checks.forecasts_spec(table, frame.partitions), *checks.derived_specs(table, frame.partitions)],
        freshness_policy=freshness(daily=True),
        output_required=False,
    )
    def model_backtest(context: dg.AssetExecutionContext, lake: LakeResource, ledger: LedgerResource) -> Results:
        with open_step(context, lake, ledger, frame.settings) as step:
            rows = backtest.model_backtest(step)
            by_day = {
                day: backtest.newest(rows.filter(rows.as_of == day).to_pyarrow().to_pylist()) for day in step.days
            }
            if len(step.days) > 1:
                note_days(context, {day: [checks.forecasts_result(table, newest)] for day, newest in by_day.items()})
            newest = by_day[step.last]
            yield from publish(
                context,
                step,
                table,
                lambda _: rows,
                passed=[checks.forecasts_result(table, newest)],
                plot=lambda _: _backtest_plots(newest),
            )

    return model_backtest


def _backtest_plots(newest: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shown = ("model", "horizon_days", "made_on", "published", "n", "auc", "brier", "total_error", "spearman", "gini",
             "lift", "coverage", "breach")  # fmt: skip
    found: dict[str, Any] = {"newest forecasts": checks.records({name: row[name] for name in shown} for row in newest)}
    for row in newest:
        chances = row["model"] == CHURN
        title = f"{'bought' if chances else 'net spend'} within {row['horizon_days']} days from {row['made_on']}"
        chart = calibration_chart(json.loads(row["calibration"]), title=title, share=chances)
        found[f"{row['model']}, {row['horizon_days']} days"] = image(chart.png, chart.alt)
    return found


def _daily_report(frame: Frame) -> dg.AssetsDefinition:
    @dg.asset(
        description="The morning report: one page with charts, kept under reports, a folder a day.",
        group_name="reporting",
        owners=[OWNER],
        kinds={"python", "html"},
        deps=frame.deps("daily_report", *REPORT_DEPS),
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
