"""NPS answers from the command line: ``nps import`` and ``nps export``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TextIO
from zoneinfo import ZoneInfo, available_timezones

import click
import duckdb

from scoring_platform.cli.answers_out import FORMATS, write_answers
from scoring_platform.cli.context import DAY, prepared_settings
from scoring_platform.cli.plain import plain
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.domain import nps as answers
from scoring_platform.domain.nps_score import Figures, figures
from scoring_platform.errors import ConfigurationError
from scoring_platform.ingest.known import known_answers
from scoring_platform.lake.engine import DuckDBEngine, connection_config
from scoring_platform.lake.tree import Lake
from scoring_platform.ledger.inbox import Inbox
from scoring_platform.ledger.private import make_file
from scoring_platform.ledger.store import Ledger
from scoring_platform.settings import Settings
from scoring_platform.sources.answer_files import TARGETS, Format, Reading, read
from scoring_platform.sources.answers import KIND
from scoring_platform.sources.formbricks import Formbricks
from scoring_platform.sources.nps import IMPORTED, Nps, reader
from scoring_platform.sources.nps_fields import NpsProvider
from scoring_platform.sources.opening import open_source
from scoring_platform.webhooks.imports import Imported, store, told

_MATCHED = "nps_responses"


@click.group()
def nps() -> None:
    """NPS answers: read them from files, and write all that are known."""


@nps.command("import", short_help="Read answers from a file.")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "delighted"]),
    default="csv",
    show_default=True,
    help="delighted: an export of Delighted, CSV or JSON.",
)
@click.option("--map", "mapped", multiple=True, metavar="COLUMN=FIELD", help=f"Column of one of {', '.join(TARGETS)}.")
@click.option("--survey", help="Name of the survey, for files of several whose ids are alike; default the format.")
@click.option("--zone", help="Zone of times without an offset; default the business time zone.")
@click.option("--date-format", metavar="PATTERN", help="How dates are written, such as %m/%d/%Y %H:%M.")
@click.option("--json", "as_json", is_flag=True, help="What became of the file as JSON.")
def import_(
    file: Path,
    format_: Format,
    mapped: tuple[str, ...],
    *,
    survey: str | None,
    zone: str | None,
    date_format: str | None,
    as_json: bool,
) -> None:
    """Read the answers in FILE into the inbox; the next run publishes them.

    Read again, the same file changes nothing. Lines that cannot be read are told with the reason and kept as dead
    letters; the others are taken. The exit code is 1 when not one could be.
    """
    settings = prepared_settings()
    config = settings.config
    if config.sources.nps is None:
        msg = f"{settings.loaded.path}: no run would read imported answers; add `nps: {{}}` below sources"
        raise ConfigurationError(msg)
    business = ZoneInfo(config.time_zone)
    reading = Reading(format_, _zone(zone) or business, _columns(mapped), date_format, survey)
    with Ledger(settings.ledger_url) as ledger:
        name = reader(IMPORTED, NpsProvider(), business)
        done = store(Inbox(ledger), read(file, reading), read=name, history_start=config.history_start)
    _tell(done, config.history_start, as_json=as_json)
    if done.rejected and not done.accepted + done.duplicates:
        sys.exit(1)


@nps.command(short_help="Write all answers.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default="csv", show_default=True)
@click.option("--from", "first", type=DAY, help="First day of the survey.")
@click.option("--to", "last", type=DAY, help="Last day of the survey.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file instead of standard output.")
@click.option("--json", "as_json", is_flag=True, help="A summary as JSON; on standard error unless --output is given.")
def export(*, format_: str, first: date | None, last: date | None, output: Path | None, as_json: bool) -> None:
    """Write every answer in its latest revision, those that wait for the next run included.

    Comments and addresses are written in clear.
    """
    settings = prepared_settings()
    with _engine(settings) as engine, _opened(output) as file:
        rows = known_answers(engine, list(_receiving(settings)), settings.config, now=datetime.now(UTC))
        rows = rows.filter(rows.survey_date >= first) if first else rows
        rows = engine.materialise(rows.filter(rows.survey_date <= last) if last else rows)
        (found,) = figures(rows).to_pyarrow().to_pylist()
        matched = _customers(engine)
        known = rows.left_join(matched, ["source", "response_id"])
        written = write_answers(known.mutate(nps_segment=answers.segment(known.nps_score)), file, format_)
    found = {"answers": written, "dismissed": written - found["n"], **found}
    if as_json:
        click.echo(json.dumps(found), err=output is None)
    elif output is not None:
        click.echo(f"{written:,} answers were written to {output} ({_words(Figures(**_counts(found)))})")


def _receiving(settings: Settings) -> Iterator[Nps | Formbricks]:
    config = settings.config.sources
    if config.nps is not None:
        source = open_source(settings, "nps")
        if isinstance(source, Nps):
            yield source
    if config.formbricks is not None and config.formbricks.webhook:
        zone = ZoneInfo(settings.config.time_zone)
        # Not opened as for a run: nobody is asked, so neither an address nor a key is needed.
        inbox = Inbox(Ledger(settings.ledger_url))
        yield Formbricks(config.formbricks, "", lambda name: settings.credential("formbricks", name), zone, inbox=inbox)


def _customers(engine: DuckDBEngine) -> Any:
    """Whose answers they are, as last matched."""
    day = engine.lake.latest(_MATCHED)
    rows = engine.read(contract_of(_MATCHED), [day] if day else [])
    return rows.select("source", "response_id", "customer_id")


@contextmanager
def _engine(settings: Settings) -> Iterator[DuckDBEngine]:
    limits = settings.config.engine
    options = connection_config(settings.home / "tmp", threads=limits.threads, memory_limit=limits.memory_limit)
    with duckdb.connect(config=options) as connection:
        yield DuckDBEngine(connection, Lake(settings.lake_root))


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    part = output.with_name(f"{output.name}.part")
    make_file(part)  # for its owner alone: addresses and comments stand in it
    with part.open("w", encoding="utf-8", newline="") as file:
        yield file
    part.replace(output)


def _columns(mapped: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for one in mapped:
        column, _, target = one.rpartition("=")
        if not column or target not in TARGETS:
            msg = f"--map {one}: write COLUMN=FIELD with a FIELD of {', '.join(TARGETS)}"
            raise ConfigurationError(msg)
        found[column.strip()] = target
    return found


def _zone(name: str | None) -> ZoneInfo | None:
    if name is not None and name not in available_timezones():
        msg = f"--zone {name} is no time zone; use one such as Asia/Tokyo"
        raise ConfigurationError(msg)
    return ZoneInfo(name) if name else None


def _tell(done: Imported, history_start: date, *, as_json: bool) -> None:
    if as_json:
        lines = [{"line": number, "reason": reason} for number, reason in done.reasons]
        said = {"accepted": done.accepted, "duplicates": done.duplicates, "rejected": done.rejected}
        click.echo(json.dumps({**said, "before_history_start": done.early, "lines": lines}, ensure_ascii=False))
        return
    for words in told(done):
        click.echo(plain(words), err=True)
    aside = f"; see scoring-platform webhooks --dead-letters ({KIND}/{IMPORTED})" if done.rejected else ""
    click.echo(f"{done.accepted:,} new, {done.duplicates:,} known before, {done.rejected:,} set aside{aside}")
    if done.early:
        click.echo(f"{done.early:,} are of days before history_start ({history_start}): runs load no day before it")


def _counts(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in ("n", "promoters", "passives", "detractors", "mean_rating")}


def _words(found: Figures) -> str:
    return "no scores" if found.nps is None else f"NPS {found.nps:+.0f} of {found.n:,} scores"
