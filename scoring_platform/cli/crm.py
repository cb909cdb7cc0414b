"""The CRM from the command line: ``crm plan``, ``crm sync``, ``crm retry``, ``crm provision``.

Belongs here: options and words. Does not belong here: what is planned and sent (``pipeline``).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import click
import duckdb

from scoring_platform.cli.context import DAY, company, prepared_settings
from scoring_platform.cli.plain import plain
from scoring_platform.destinations.preflight import fields_of
from scoring_platform.destinations.preflight import provision as make_missing
from scoring_platform.destinations.protocol import Crm
from scoring_platform.destinations.registry import open_crms
from scoring_platform.domain.crm_plan import CREATE, FIND, SKIP, UPDATE
from scoring_platform.errors import ConfigurationError, SourceError
from scoring_platform.lake.engine import DuckDBEngine, connection_config
from scoring_platform.lake.tree import Lake
from scoring_platform.ledger.receipts import reopen_refused
from scoring_platform.ledger.store import Ledger
from scoring_platform.pipeline import brakes
from scoring_platform.pipeline.crm_compare import Deviation, Policy, compare
from scoring_platform.pipeline.crm_plan import PLAN, fresh_plan, not_rolled_out, scopes
from scoring_platform.pipeline.crm_standing import refused_before, standing
from scoring_platform.pipeline.crm_sync import SYNC
from scoring_platform.pipeline.step import Step
from scoring_platform.settings import Settings

_SAMPLES = 5
_MEANT = {
    CREATE: "new to us, to create, or to adopt by address",
    UPDATE: "known to us, to update",
    FIND: "new to us, to update if the CRM has them",
    SKIP: "not to write: ",
}


@click.group()
def crm() -> None:
    """Look at, prepare and write to the CRM."""


@crm.command(short_help="Show what would be written.")
@click.option("--date", "day", type=DAY, help="Day to plan; by default the latest.")
@click.option("--compare", "compares", is_flag=True, help="Compare with what the CRM really holds.")
@click.option(
    "--policy",
    type=click.Choice(["report", "ours", "theirs"]),
    default="report",
    show_default=True,
    help="With --compare: `ours` lets the next sync write again what differs; `theirs` leaves it, like `report`.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, with every row.")
def plan(day: date | None, *, compares: bool, policy: Policy, as_json: bool) -> None:
    """Show what a sync would write now: counts, fields and samples. The CRM is not written to."""
    settings = prepared_settings()
    with _step(settings, day) as step:
        # First, as what differs may be planned again by it.
        deviations = list(_deviations(settings, step, policy)) if compares else None
        rows = step.engine.materialise(fresh_plan(step, settings.crms)).order_by("crm", "stream", "customer_id")
        refused = refused_before(step, rows)
        found = [{**row, "reason": _reason(row, refused)} for row in rows.to_pyarrow().to_pylist()]
        left_out = not_rolled_out(step, settings.crms)
        held = {
            f"{scope.crm} {scope.stream} {scope.target}": reason
            for name in settings.crms
            for scope in scopes(step, name)
            if (reason := brakes.reason_to_hold(step, scope, rows))
        }
    said = {"day": step.last, "rows": found, "held": held, "not_rolled_out": left_out}
    if deviations is not None:
        said |= {"deviations": [_plain(one) for one in deviations], "policy": policy}
    if as_json:
        click.echo(plain(json.dumps(said, ensure_ascii=False, indent=2, default=str), lines=True))
        return
    said_so = [*_words(step.last, found, held, left_out)]
    if deviations is not None:
        said_so += _compared(deviations, policy)
    click.echo(plain("\n".join(said_so), lines=True))


@crm.command(short_help="Write what is due.")
@click.option("--date", "day", type=DAY, help="Day to write; by default the latest.")
@click.option("--release", is_flag=True, help="Let the day through whatever the brakes say, or though it is past.")
def sync(day: date | None, *, release: bool) -> None:
    """Plan the day anew and write what the CRM has not acknowledged yet; exits with 1 while rows wait for another sync.

    Rows that a brake holds, or that a CRM refused, are said and are no failure of this command.
    """
    # Dagster takes seconds to import, and the other commands do without.
    from scoring_platform.cli.daily import run_tables  # noqa: PLC0415

    settings = prepared_settings()
    chosen = _published(Lake(settings.lake_root), day)
    with company(settings):
        success = run_tables(settings, chosen, [PLAN, SYNC], release=("scores", "nps") if release else ())
    with _step(settings, chosen) as step:
        left = standing(step, step.read(SYNC, step.days)).unwritten if success else []
    for one in left:
        click.echo(plain(one.words), err=True)
    if left or not success:
        sys.exit(1)


@crm.command(short_help="Let refused rows be tried again.")
@click.option("--crm", "name", help="Only this CRM.")
@click.option("--code", help="Only rows refused with this code, such as INVALID_EMAIL.")
def retry(name: str | None, code: str | None) -> None:
    """Let rows that a CRM has refused be tried again as they are, with the next sync."""
    settings = prepared_settings()
    if name is not None and name not in settings.crms:
        msg = f"no CRM called {name!r} is configured; configured: {', '.join(settings.crms) or 'none'}"
        raise ConfigurationError(msg)
    with Ledger(settings.ledger_url) as ledger:
        for one in [name] if name else settings.crms:
            count = reopen_refused(ledger, one, error_code=code)
            click.echo(f"{one}: {count} rows will be tried again; write them now with: scoring-platform crm sync")


@crm.command(short_help="Create missing fields.")
def provision() -> None:
    """Create the fields that the configuration writes and the CRM lacks, and say what a person has to do."""
    settings = prepared_settings()
    with company(settings), open_crms(settings) as crms:
        left = [problem for one in crms for problem in _seen_to(settings, one)]
        if not crms:
            click.echo("No CRM is configured (destinations)")
    if left:
        sys.exit(1)


def _seen_to(settings: Settings, one: Crm) -> list[str]:
    """See to the fields of a CRM, whatever another one does."""
    try:
        return _provisioned(settings, one)
    except (SourceError, ConfigurationError) as error:
        click.echo(plain(f"{one.name}: {error}"), err=True)
        return [str(error)]


def _provisioned(settings: Settings, one: Crm) -> list[str]:
    """Create what the CRM allows, say what, and return what is still wrong."""
    wanted = fields_of(settings, one)
    created = make_missing(settings, one, wanted)
    left = one.preflight(wanted)
    words = ", ".join(created) if created else "" if left else "nothing was missing"
    click.echo(f"{one.name}: {words}".rstrip(": "))
    for problem in left:
        click.echo(f"  {problem}")
    return left


@contextmanager
def _step(settings: Settings, day: date | None) -> Iterator[Step]:
    lake, limits = Lake(settings.lake_root), settings.config.engine
    chosen = _published(lake, day)
    options = connection_config(settings.home / "spill", threads=limits.threads, memory_limit=limits.memory_limit)
    with duckdb.connect(":memory:", config=options) as connection, Ledger(settings.ledger_url) as ledger:
        yield Step(DuckDBEngine(connection, lake), settings, ledger, [chosen], datetime.now(UTC))


def _published(lake: Lake, day: date | None) -> date:
    latest = lake.latest("customer_segments")
    if latest is None or (day is not None and lake.version("customer_segments", day) is None):
        msg = f"no segments are published for {day or 'any day'}; make them with: scoring-platform run"
        raise ConfigurationError(msg + (f" --date {day}" if day else ""))
    return day or latest


def _deviations(settings: Settings, step: Step, policy: Policy) -> Iterator[Deviation]:
    with company(settings), open_crms(settings) as crms:
        for one in crms:
            yield from compare(step, one, policy=policy)


def _plain(one: Deviation) -> dict[str, Any]:
    return {
        "crm": one.scope.crm, "stream": one.scope.stream, "customer_id": one.customer_id, "field": one.field,
        "ours": one.ours, "theirs": one.theirs,
    }  # fmt: skip


def _reason(row: Mapping[str, Any], refused: Collection[tuple[str, ...]]) -> str | None:
    """Return why a planned row is not written; None when it is."""
    if row["operation"] != SKIP:
        return None
    key = (row["crm"], row["stream"], row["target"], row["customer_id"])
    return "refused before" if key in refused else "no address"


def _words(
    day: date, rows: Sequence[dict[str, Any]], held: Mapping[str, str], left_out: Mapping[str, int]
) -> Iterator[str]:
    written = [row for row in rows if row["operation"] != SKIP]
    yield f"Plan for {day}: {len(written):,} rows"
    scopes = Counter((row["crm"], row["stream"], row["target"], row["operation"], row["reason"] or "") for row in rows)
    for (name, stream, target, operation, reason), count in sorted(scopes.items()):
        yield f"  {name} {stream} {target}: {count:,} {_MEANT[operation]}{reason}"
    for stream, count in left_out.items():
        yield f"  {stream}: {count:,} customers are not in this rollout (crm.rollout)"
    for scope, reason in held.items():
        yield f"  held: {scope}: {reason}"
    fields = Counter(field for row in written for field in row["changed_fields"])
    for name, count in fields.most_common():
        yield f"  {name:<16} changes for {count:,}"
    for row in written[:_SAMPLES]:
        yield f"  {row['customer_id']} {row['operation']}: {row['payload']}"


def _compared(deviations: Sequence[Deviation], policy: Policy) -> Iterator[str]:
    yield f"Against the CRM: {len(deviations):,} fields are not what was acknowledged"
    if policy == "ours":
        again = len({(one.scope, one.customer_id) for one in deviations})
        yield f"  {again:,} rows will be written again with: scoring-platform crm sync"
    for one in deviations[:_SAMPLES]:
        what = f"{one.field}: ours {one.ours!r}, theirs {one.theirs!r}" if one.field else "the record is gone"
        yield f"  {one.scope.crm} {one.customer_id} {what}"
