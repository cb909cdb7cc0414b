"""Looking from the command line: ``explain``."""

from __future__ import annotations

import json
from datetime import date

import click
import duckdb

from scoring_platform.cli.context import DAY, prepared_settings
from scoring_platform.errors import ConfigurationError
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.tree import Lake
from scoring_platform.pipeline.explain import explanation, in_words


@click.command(short_help="Say why a customer has its score.")
@click.argument("customer")
@click.option("--date", "day", type=DAY, help="Day to look at; by default the latest.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def explain(customer: str, day: date | None, *, as_json: bool) -> None:
    """Say why CUSTOMER (customer id or any address, account number or id known) has its score and its segment."""
    settings = prepared_settings()
    lake = Lake(settings.lake_root)
    chosen = day or lake.latest("customer_segments")
    if chosen is None or lake.version_id("customer_segments", chosen) is None:
        msg = f"no scores are published for {chosen or 'any day'}; make them with: scoring-platform run"
        raise ConfigurationError(msg)
    with duckdb.connect(":memory:") as connection:
        found = explanation(DuckDBEngine(connection, lake), settings, customer, day=chosen)
    click.echo(json.dumps(found, ensure_ascii=False, indent=2, default=str) if as_json else in_words(found, settings))
