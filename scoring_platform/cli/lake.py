"""The lake from the command line: ``lake restore``."""

from __future__ import annotations

from datetime import date

import click

from scoring_platform.cli.context import DAY, prepared_settings
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.lake.tree import Lake


@click.group()
def lake() -> None:
    """Look after the tables."""


@lake.command(short_help="Put back a replaced day.")
@click.argument("table")
@click.option("--date", "day", type=DAY, required=True, help="Day to put back.")
def restore(table: str, day: date) -> None:
    """Put back the version of a day that the latest one replaced; kept for an hour."""
    settings = prepared_settings()
    version = Lake(settings.lake_root).restore(contract_of(table).name, day)
    click.echo(f"{table} {day}: version {version.version} with {version.rows:,} rows is published again")
