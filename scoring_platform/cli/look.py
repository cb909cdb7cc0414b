"""Looking from the command line: ``explain`` and ``doctor``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial

import click
import duckdb

from scoring_platform.cli.context import DAY, company, prepared_settings
from scoring_platform.contracts.masking import mask_text
from scoring_platform.destinations.preflight import fields_of
from scoring_platform.destinations.registry import open_crms, open_mailer, open_slack
from scoring_platform.errors import ConfigurationError, ScoringError
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.tree import Lake
from scoring_platform.pipeline.explain import explanation, in_words
from scoring_platform.settings import Settings
from scoring_platform.sources.opening import open_source


@click.command(short_help="Say why a customer has its score.")
@click.argument("customer")
@click.option("--date", "day", type=DAY, help="Day to look at; by default the latest.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def explain(customer: str, day: date | None, *, as_json: bool) -> None:
    """Say why CUSTOMER (customer id or e-mail address) has its score and its segment."""
    settings = prepared_settings()
    lake = Lake(settings.lake_root)
    chosen = day or lake.latest("customer_segments")
    if chosen is None or lake.version_id("customer_segments", chosen) is None:
        msg = f"no scores are published for {chosen or 'any day'}; make them with: scoring-platform run"
        raise ConfigurationError(msg)
    with duckdb.connect(":memory:") as connection:
        found = explanation(DuckDBEngine(connection, lake), settings, customer, day=chosen)
    click.echo(json.dumps(found, ensure_ascii=False, indent=2, default=str) if as_json else in_words(found, settings))


@click.command(short_help="Examine every configured system.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def doctor(*, as_json: bool) -> None:
    """Reach every configured system with its cheapest call and say what is wrong and how to mend it."""
    settings = prepared_settings()
    with company(settings):
        results = [_examined(name, probe) for name, probe in _probes(settings)]
    if as_json:
        click.echo(json.dumps(results, ensure_ascii=False, indent=2))
    else:
        for result in results:
            click.echo(f"{'ok    ' if result['ok'] else 'FAILED'} {result['system']:<14} {result['says']}")
    if not all(result["ok"] for result in results):
        sys.exit(1)


def _probes(settings: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "configuration", lambda: f"{settings.loaded.path} (version {settings.config_version})"
    yield "home", lambda: _writable(settings)
    for name in settings.sources_in_use:
        yield name, partial(_source, settings, name)
    if settings.crms:
        yield "crm", lambda: _crm(settings)
    if settings.config.destinations.email:
        yield "email", lambda: _probed(open_mailer(settings))
    if settings.config.destinations.slack:
        yield "slack", lambda: _probed(open_slack(settings))


def _source(settings: Settings, name: str) -> str:
    return open_source(settings, name).probe()


def _examined(name: str, probe: Callable[[], str]) -> dict[str, object]:
    try:
        return {"system": name, "ok": True, "says": mask_text(probe())}
    except (ScoringError, OSError) as error:
        return {"system": name, "ok": False, "says": mask_text(str(error))}


def _writable(settings: Settings) -> str:
    settings.home.mkdir(parents=True, exist_ok=True)
    probe = settings.home / ".doctor"
    probe.write_text("", encoding="utf-8")
    probe.unlink()
    return f"{settings.home} can be written"


def _crm(settings: Settings) -> str:
    with open_crms(settings) as crms:
        said = [one.probe() for one in crms]
        problems = [
            problem
            for one in crms
            if getattr(settings.config.destinations, one.name).provision == "manual"
            for problem in one.preflight(fields_of(settings, one))
        ]
    if problems:
        raise ConfigurationError("; ".join(problems))
    return "; ".join(said)


def _probed(client: object) -> str:
    return str(client.probe())  # type: ignore[attr-defined]
