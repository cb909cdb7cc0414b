"""What a command says when a run is over.

Belongs here: outcome to lines. Does not belong here: the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import click

from scoring_platform.lake.tree import Lake
from scoring_platform.orchestration.runs import RunOutcome
from scoring_platform.settings import Settings

_SHOWN = ("customer_profiles", "segment_transitions", "crm_sync_plan", "crm_sync")


def say_outcome(outcome: RunOutcome) -> None:
    """Say which checks did not pass and what failed."""
    for one in outcome.failed_checks:
        evaluation = one.evaluation
        word = "warning" if evaluation.severity.value == "WARN" else "FAILED CHECK"
        click.echo(f"  {word}: {one.table}.{evaluation.check_name}: {evaluation.description or 'see the Dagster UI'}")
    for step, words in outcome.failures.items():
        click.echo(f"  FAILED: {step}: {words}", err=True)


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
    page = settings.reports_root / day.isoformat() / "index.html"
    if page.exists():
        click.echo(f"  report                 {page}")
    click.echo(f"Done in {seconds:.1f} s. Tables: {settings.lake_root}  SQL: {settings.home / 'warehouse.duckdb'}")
