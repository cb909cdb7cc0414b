"""Models from the command line: ``models refit``."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import click
import duckdb

from scoring_platform.cli.context import DAY, prepared_settings
from scoring_platform.errors import ConfigurationError
from scoring_platform.lake.engine import DuckDBEngine, connection_config
from scoring_platform.lake.tree import Lake
from scoring_platform.ledger.store import Ledger
from scoring_platform.pipeline.models import Refit, refit
from scoring_platform.pipeline.step import Step


@click.group()
def models() -> None:
    """Look after cut-offs and fitted models."""


@models.command("refit", short_help="Fit a new version now.")
@click.option("--through", type=DAY, help="Last day whose facts count; by default the latest in the lake.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def refit_(through: date | None, *, as_json: bool) -> None:
    """Fit cut-offs and models to the facts up to the end of a day.

    The new version is in force for the month of that day, in every run from now on; days that are published keep what
    they have until they are run again. Says how many buyers change their bands by it.
    """
    settings = prepared_settings()
    lake = Lake(settings.lake_root)
    latest = lake.latest("customer_activity")
    day = through or latest
    if latest is None or day is None or day > latest:
        msg = f"the lake has no customer activity up to {day or 'any day'}; load it with: scoring-platform run"
        raise ConfigurationError(msg + (f" --date {day}" if day else ""))
    engine_settings = settings.config.engine
    spill = settings.home / "spill"
    options = connection_config(spill, threads=engine_settings.threads, memory_limit=engine_settings.memory_limit)
    with duckdb.connect(":memory:", config=options) as connection, Ledger(settings.ledger_url) as ledger:
        step = Step(DuckDBEngine(connection, lake), settings, ledger, [day], datetime.now(UTC))
        made = refit(step, day)
    click.echo(json.dumps(_plain(made), indent=2) if as_json else _words(made))


def _plain(made: Refit) -> dict[str, object]:
    return {
        "version": made.version,
        "through": made.through.isoformat(),
        "replaces": made.replaces,
        "buyers": made.buyers,
        "moved": dict(made.moved),
        "models": [{name: row[name] for name in ("model", "rung", "reason")} for row in made.rows],
    }


def _words(made: Refit) -> str:
    lines = [f"{made.version}, from the facts up to {made.through}; in force in runs from now on"]
    lines += [f"  {row['model']:12} {row['rung']}: {row['reason']}" for row in made.rows]
    if made.replaces is None:
        return "\n".join([*lines, "There was no version for this month before"])
    moved = ", ".join(f"{count} in {measure}" for measure, count in made.moved.items())
    return "\n".join([*lines, f"Against {made.replaces}, of {made.buyers} buyers change their band: {moved}"])
