"""Who is who from the command line: ``identity merges``, ``identity undo``, ``identity shared``."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click
import duckdb

from scoring_platform.cli.context import prepared_settings
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.ingest.quarantine import quarantine_table
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.tree import Lake
from scoring_platform.ledger.merges import Merge, list_merges, undo_merge
from scoring_platform.ledger.store import Ledger
from scoring_platform.pipeline.identities import TABLE


@click.group()
def identity() -> None:
    """Look at and correct who is who."""


@identity.command(short_help="List customers that became one.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def merges(*, as_json: bool) -> None:
    """List every merge, the latest first: its id, when it was found, and which customer became part of which."""
    with Ledger(prepared_settings().ledger_url) as ledger:
        found = list_merges(ledger)
    if as_json:
        click.echo(json.dumps([_plain(merge) for merge in found], indent=2))
        return
    for merge in found:
        undone = f"   undone {merge.undone_at:%Y-%m-%d}" if merge.undone_at else ""
        click.echo(f"{merge.merge_id}  {merge.merged_on}  {merge.former_id} → {merge.customer_id}{undone}")
    if not found:
        click.echo("No customers have been merged")


@identity.command(short_help="Take two customers apart again.")
@click.argument("merge_id")
def undo(merge_id: str) -> None:
    """Undo a merge: the records that brought the two together no longer do, from the next run on.

    Each gets back the id it had and, on all days of customer_activity, its facts; days of other tables that are already
    published stay as they are until they are run again. What else links the two makes a new merge.
    """
    with Ledger(prepared_settings().ledger_url) as ledger:
        merge = undo_merge(ledger, merge_id, now=datetime.now(UTC))
    click.echo(f"{merge.former_id} and {merge.customer_id} are two customers again from the next run on")


@identity.command(short_help="List identifiers that link nobody.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def shared(*, as_json: bool) -> None:
    """List the identifiers that the latest day set aside because different people share them, with the reason."""
    store = quarantine_table(contract_of(TABLE))
    lake = Lake(prepared_settings().lake_root)
    day = lake.latest(TABLE)
    days = lake.days(store.name, first=day, last=day) if day else []
    with duckdb.connect(":memory:") as connection:
        rows = DuckDBEngine(connection, lake).read(store, days).order_by("reason", "row_key").to_pyarrow().to_pylist()
    if as_json:
        click.echo(json.dumps([{"identifier": row["row_key"], "reason": row["reason"]} for row in rows], indent=2))
        return
    for row in rows:
        click.echo(f"{row['row_key']}   {row['reason']}")
    if not rows:
        click.echo("Every identifier could be used")


def _plain(merge: Merge) -> dict[str, object]:
    return {
        "merge_id": merge.merge_id,
        "merged_on": merge.merged_on.isoformat(),
        "former_id": merge.former_id,
        "customer_id": merge.customer_id,
        "undone_at": merge.undone_at.isoformat() if merge.undone_at else None,
    }
