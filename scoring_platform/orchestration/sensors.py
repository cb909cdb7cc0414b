"""Sensors: thin, they look at what is new and hand it on."""

from datetime import UTC, datetime

import dagster as dg

from scoring_platform.errors import ConfigurationError, SourceError
from scoring_platform.orchestration.alerts import Evaluated, tell
from scoring_platform.orchestration.resources import LedgerResource, SlackResource
from scoring_platform.settings import Settings

BATCH = 200
BATCHES_PER_TICK = 50
INTERVAL_SECONDS = 30
TOLD = {"scoring/alerts": "told"}
"""Tag of a run whose evaluations the command line has told already."""


def asset_check_alert_sensor(settings: Settings) -> dg.SensorDefinition:
    """Tell the on-call about failed checks on Slack."""

    @dg.sensor(
        name="asset_check_alert_sensor",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Posts failed checks to Slack: one message per problem and window, and one when it is over.",
    )
    def sensor(context: dg.SensorEvaluationContext, ledger: LedgerResource, slack: SlackResource) -> dg.SkipReason:
        found, cursor = untold_evaluations(context.instance, int(context.cursor or 0))
        if not found:
            context.update_cursor(str(cursor))
            return dg.SkipReason("no check was evaluated since the last look")
        try:
            client = slack.client()
            if client is None:
                context.update_cursor(str(cursor))
                return dg.SkipReason("no Slack is configured (destinations.slack)")
            with ledger.open() as opened:
                counts = tell(found, settings=settings, ledger=opened, slack=client, now=datetime.now(UTC))
        except (SourceError, ConfigurationError) as error:  # the cursor stays: all of it is told when Slack is back
            return dg.SkipReason(f"Slack did not take the alerts, they wait: {error}")
        context.update_cursor(str(cursor))
        words = ", ".join(f"{count} {name}" for name, count in counts.items())
        return dg.SkipReason(f"{len(found)} evaluations: {words}")

    return sensor


def untold_evaluations(instance: dg.DagsterInstance, after: int) -> tuple[list[Evaluated], int]:
    """Return the next evaluations somebody has to hear of, and the new cursor.

    A first load leaves thousands of them that the command line has told: they are passed over within one look.
    """
    cursor = after
    for _ in range(BATCHES_PER_TICK):
        found, reached = new_evaluations(instance, cursor)
        if found or reached == cursor:
            return found, reached
        cursor = reached
    return [], cursor


def new_evaluations(instance: dg.DagsterInstance, after: int) -> tuple[list[Evaluated], int]:
    """Return check evaluations recorded after the cursor, oldest first, and the new cursor."""
    records = instance.get_event_records(
        dg.EventRecordsFilter(event_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION, after_cursor=after),
        limit=BATCH,
        ascending=True,
    )
    named = sorted({record.run_id for record in records})
    told = {run.run_id for run in instance.get_runs(dg.RunsFilter(run_ids=named, tags=TOLD))} if named else set()
    found = []
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is not None and record.run_id not in told:
            found.append(Evaluated(record.run_id, event.asset_check_evaluation_data))
    return found, max((record.storage_id for record in records), default=after)


def run_evaluations(instance: dg.DagsterInstance, run_id: str) -> list[Evaluated]:
    """Return the check evaluations of one run, oldest first."""
    found: list[Evaluated] = []
    cursor: str | None = None
    more = True
    while more:
        page = instance.get_records_for_run(run_id, cursor=cursor, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        events = [record.event_log_entry.dagster_event for record in page.records]
        found += [Evaluated(run_id, event.asset_check_evaluation_data) for event in events if event is not None]
        cursor, more = page.cursor, page.has_more
    return found
