"""What a command says when a run is over.

Belongs here: outcome to lines. Does not belong here: the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import click

from scoring_platform.lake.tree import Lake
from scoring_platform.ledger.deliveries import read_delivery
from scoring_platform.ledger.store import Ledger
from scoring_platform.orchestration.alerts import Evaluated
from scoring_platform.orchestration.runs import RunOutcome
from scoring_platform.settings import Settings

_SHOWN = ("customer_profiles", "segment_transitions", "crm_sync_plan", "crm_sync")


def say_outcome(outcome: RunOutcome) -> None:
    """Say which checks did not pass and what failed."""
    for one in _once_per_problem(outcome.failed_checks):
        evaluation = one.evaluation
        # A check that stops nothing lets the run succeed, however grave it is.
        word = "warning" if outcome.success or evaluation.severity.value == "WARN" else "FAILED CHECK"
        click.echo(f"  {word}: {one.table}.{evaluation.check_name}: {evaluation.description or 'see the Dagster UI'}")
    for step, words in outcome.failures.items():
        click.echo(f"  FAILED: {step}: {words}", err=True)


def _once_per_problem(failed: Sequence[Evaluated]) -> list[Evaluated]:
    """A range evaluates each check per day and once for all its days: the latter says it all."""
    chosen: dict[str, Evaluated] = {}
    for one in failed:
        known = chosen.get(one.problem)
        if known is None or known.evaluation.partition is not None:
            chosen[one.problem] = one
    return list(chosen.values())


def say_result(settings: Settings, days: Sequence[date], *, success: bool, seconds: float) -> None:
    """Say what was published and where to look."""
    day = days[-1]
    lake = Lake(settings.lake_root)
    if not success:
        words = "what was published before stays. Mend the cause and run it again."
        click.echo(f"Day {day} is not complete; {words}", err=True)
        return
    for name in _SHOWN:
        version = lake.version(name, day)
        if version is not None:
            click.echo(f"  {name:<22} {version.rows:>9,} rows")
    for channel, what in _deliveries(settings, day).items():
        click.echo(f"  {channel:<22} {what}")
    page = settings.reports_root / day.isoformat() / "index.html"
    if page.exists():
        click.echo(f"  report                 {page}")
    click.echo(f"Done in {seconds:.1f} s. Tables: {settings.lake_root}  SQL: {settings.home / 'warehouse.duckdb'}")


def _deliveries(settings: Settings, day: date) -> dict[str, str]:
    """Return what became of the report's mail and message."""
    with Ledger(settings.ledger_url) as ledger:
        found = {channel: read_delivery(ledger, f"report:{day}:{channel}") for channel in ("email", "slack")}
    return {channel: f"report {delivery.status}" for channel, delivery in found.items() if delivery is not None}
