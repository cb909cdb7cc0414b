"""The daily job from the command line: ``run``, ``backfill`` and ``demo``."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from zoneinfo import ZoneInfo

import click

from scoring_platform.cli.context import DAY, checked_day, company, prepared_settings, yesterday
from scoring_platform.cli.summary import say_outcome, say_result
from scoring_platform.destinations.registry import open_slack
from scoring_platform.errors import ConfigurationError, SourceError
from scoring_platform.lake.tree import Lake
from scoring_platform.ledger.store import Ledger
from scoring_platform.orchestration.alerts import tell
from scoring_platform.orchestration.runs import Runner, RunOutcome, fail_orphans, open_instance
from scoring_platform.pipeline.history import event_tables, missing_days
from scoring_platform.pipeline.step import span
from scoring_platform.sandbox.connection import Endpoint
from scoring_platform.settings import Settings

STREAMS = ("scores", "nps", "actions", "report")
_MORNING = clock_time(6)


@click.command(short_help="Run one day.")
@click.option("--date", "day", type=DAY, help="Day to compute; by default yesterday in the business zone.")
@click.option("--release", type=click.Choice(STREAMS), multiple=True, help="Let a past day send this stream.")
def run(day: date | None, release: tuple[str, ...]) -> None:
    """Run the daily job for one day, loading first whatever history is missing."""
    settings = prepared_settings()
    chosen = checked_day(settings, day)
    with company(settings):
        success = run_day(settings, chosen, release=release)
    if not success:
        sys.exit(1)


@click.command(short_help="Compute past days; send nothing.")
@click.option("--from", "first", type=DAY, required=True, help="First day.")
@click.option("--to", "last", type=DAY, required=True, help="Last day.")
def backfill(first: date, last: date) -> None:
    """Compute a range of past days in one run; nothing is sent."""
    settings = prepared_settings()
    if first > last:
        msg = f"--from {first} is after --to {last}"
        raise ConfigurationError(msg)
    days = span(checked_day(settings, first), checked_day(settings, last))
    with company(settings):
        success = _run_all(settings, days, release=())
    if not success:
        sys.exit(1)


@click.command(short_help="Run two mornings of the sandbox company.")
def demo() -> None:
    """Run two mornings of the sandbox company end to end and say where the report is."""
    settings = prepared_settings()
    last = yesterday(settings)
    with company(settings) as endpoint:
        if endpoint is None:
            msg = f"{settings.loaded.path} does not use the sandbox; the demo needs it: unset SCORING_CONFIG"
            raise ConfigurationError(msg)
        try:
            success = all(_demo_day(settings, endpoint, day) for day in (last - timedelta(days=1), last))
        finally:
            endpoint.set_clock(None)
    if not success:
        sys.exit(1)


def _demo_day(settings: Settings, endpoint: Endpoint, day: date) -> bool:
    """Run one day as on the morning after it."""
    morning = datetime.combine(day + timedelta(days=1), _MORNING, tzinfo=ZoneInfo(settings.config.time_zone))
    endpoint.set_clock(morning.astimezone(UTC))
    return run_day(settings, day, release=())


def run_day(settings: Settings, day: date, *, release: Sequence[str]) -> bool:
    """Run ``day`` with what it needs and say what happened; return whether all went well."""
    return _run_all(settings, [day], release=release)


def run_tables(settings: Settings, day: date, tables: Sequence[str], *, release: Sequence[str]) -> bool:
    """Materialise some tables of ``day`` and say what happened; return whether all went well."""
    started = time.monotonic()
    with open_instance(settings.home) as instance:
        fail_orphans(instance, settings.home, own_only=True)
        runner = Runner(settings, instance, say=click.echo)
        success = _go(settings, runner, [day], tables=tables, release=",".join(release), what=f"Day {day}")
    say_result(settings, [day], success=success, seconds=time.monotonic() - started)
    return success


def _run_all(settings: Settings, days: list[date], *, release: Sequence[str]) -> bool:
    started = time.monotonic()
    lake = Lake(settings.lake_root)
    missing = missing_days(lake, settings, days[0])
    with open_instance(settings.home) as instance:
        fail_orphans(instance, settings.home, own_only=True)
        runner = Runner(settings, instance, say=click.echo)
        if missing.events and not _load(settings, runner, missing.events):
            return False
        if len(days) == 1 and missing.state and not _go(settings, runner, missing.state):
            return False
        success = _go(settings, runner, days, release=",".join(release))
    lake.collect(datetime.now(UTC))
    say_result(settings, days, success=success, seconds=time.monotonic() - started)
    return success


def _load(settings: Settings, runner: Runner, days: list[date]) -> bool:
    what = f"Loading the history {days[0]} to {days[-1]} ({len(days)} days)"
    return _go(settings, runner, days, tables=event_tables(settings), what=what)


def _go(
    settings: Settings,
    runner: Runner,
    days: list[date],
    *,
    tables: Sequence[str] | None = None,
    release: str = "",
    what: str = "",
) -> bool:
    click.echo(what or (f"Day {days[0]}" if len(days) == 1 else f"Days {days[0]} to {days[-1]}"))
    outcome = runner.run(days, tables=tables, release=release)
    say_outcome(outcome)
    _alert(settings, runner, outcome)
    return outcome.success


def _alert(settings: Settings, runner: Runner, outcome: RunOutcome) -> None:
    """Tell the on-call; a Slack that is down does not fail the run: a failed check stays in Dagster."""
    try:
        slack = open_slack(settings)
        if slack is None:
            return
        with Ledger(settings.ledger_url) as ledger:
            tell(outcome.checks, settings=settings, ledger=ledger, slack=slack, now=datetime.now(UTC))
        runner.mark_told(outcome.run_id)
    except (SourceError, ConfigurationError) as error:
        click.echo(f"  The on-call was not told: {error}", err=True)
