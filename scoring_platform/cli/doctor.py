"""Examining from the command line: ``doctor``.

Belongs here: what is examined, and one line per system that says what is wrong and how to mend it. Does not belong
here: how a system is reached (its client), and the examination of this machine (``premises``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any, Literal

import click

from scoring_platform.cli.context import company, prepared_settings
from scoring_platform.cli.plain import plain
from scoring_platform.cli.premises import Finding, home
from scoring_platform.contracts.masking import mask_text
from scoring_platform.destinations.preflight import fields_of
from scoring_platform.destinations.registry import open_crms, open_mailer, open_slack
from scoring_platform.errors import ConfigurationError, CredentialError, ScoringError, SourceError
from scoring_platform.http.clocks import watched_clocks
from scoring_platform.settings import Settings
from scoring_platform.sources.opening import open_source
from scoring_platform.sources.registry import SOURCES
from scoring_platform.webhooks.providers import is_posted_to, open_providers

MOST_SKEW = timedelta(minutes=2)
"""How far a vendor's clock may be from ours; signatures are good for minutes, and windows overlap by an hour."""

_AT_ONCE = 8
_GRANTS = {
    "hubspot": "scopes crm.objects.contacts.read, crm.objects.contacts.write, crm.schemas.contacts.read and .write, "
    "and the same of companies or deals where values stand there",
    "salesforce": "permission API Enabled; Read, Create and Edit on Contact, Edit on Account or Opportunity where "
    "values stand there, and Edit on every mapped field",
    "pipedrive": "an API token of a user who may see and edit all persons, or an app with scopes contacts:full and "
    "contact-fields:full, and deals:full and deal-fields:full where values stand on deals",
    "slack": "scopes chat:write, files:write, and the app in the channel",
}
_KEYS = {"email": "destinations.email", "slack": "destinations.slack"}
_WORDS = {"ok": "ok    ", "warning": "WARN  ", "failed": "FAILED"}

Level = Literal["ok", "warning", "failed"]
Result = dict[str, Any]
Probe = Callable[[], str | Finding]


@click.command(short_help="Examine every configured system.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def doctor(*, as_json: bool) -> None:
    """Reach every configured system with its cheapest call and say what is wrong and how to mend it.

    The exit code is 0 unless something FAILED; a WARN is worth a look, and keeps nothing from running.
    """
    settings = prepared_settings()
    with company(settings), ThreadPoolExecutor(_AT_ONCE) as pool:
        results = list(pool.map(lambda probe: _examined(settings, *probe), _probes(settings)))
    if as_json:
        click.echo(plain(json.dumps(results, ensure_ascii=False, indent=2), lines=True))
    else:
        for result in results:
            click.echo(plain(f"{_WORDS[result['level']]} {result['system']:<14} {result['says']}"))
    if not all(result["ok"] for result in results):
        sys.exit(1)


def _probes(settings: Settings) -> Iterator[tuple[str, Probe]]:
    yield "configuration", lambda: f"{settings.loaded.path} (version {settings.config_version})"
    yield "home", lambda: home(settings)
    for name in settings.sources_in_use:
        yield name, partial(_source, settings, name)
    if is_posted_to(settings):
        yield "receiver", lambda: _receiver(settings)
    if settings.crms:
        yield "crm", lambda: _crm(settings)
    if settings.config.destinations.email:
        yield "email", lambda: _probed(open_mailer(settings))
    if settings.config.destinations.slack:
        yield "slack", lambda: _probed(open_slack(settings))


def _source(settings: Settings, name: str) -> str:
    return open_source(settings, name).probe()


def _examined(settings: Settings, name: str, probe: Probe) -> Result:
    with watched_clocks() as clocks:
        try:
            found = probe()
        except (ScoringError, OSError) as error:
            return _result(name, "failed", _one_line(error) + _where(settings, name, error) + _skew(clocks))
    finding = found if isinstance(found, Finding) else Finding(found)
    skew = _skew(clocks)
    return _result(name, "warning" if finding.warns or skew else "ok", finding.says + skew)


def _result(name: str, level: Level, says: str) -> Result:
    return {"system": name, "ok": level != "failed", "level": level, "says": mask_text(says)}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _where(settings: Settings, name: str, error: Exception) -> str:
    """What to grant, or which part of the configuration to look at."""
    if name == "crm":
        return _where_in_crm(settings, error)
    if isinstance(error, CredentialError):
        grants = SOURCES[name].access if name in SOURCES else _GRANTS.get(name, "")
        return f". It needs: {grants}" if grants else ""
    if not isinstance(error, SourceError):
        return ""
    return f". Its settings: {_KEYS.get(name, f'sources.{name}')} in {settings.loaded.path}"


def _where_in_crm(settings: Settings, error: Exception) -> str:
    # What goes wrong with one of several begins with its name.
    named = next((one for one in settings.crms if str(error).startswith(one)), settings.crms[0])
    if isinstance(error, CredentialError):
        return f". It needs: {_GRANTS[named]}"
    return f". Its settings: destinations.{named} in {settings.loaded.path}" if isinstance(error, SourceError) else ""


def _skew(clocks: list[timedelta]) -> str:
    worst = max(clocks, key=abs, default=timedelta())
    if abs(worst) <= MOST_SKEW:
        return ""
    words = "ahead of" if worst > timedelta() else "behind"
    return f"; its clock is {abs(worst).total_seconds() / 60:.0f} minutes {words} ours: set this machine's clock by NTP"


def _receiver(settings: Settings) -> str:
    paths = [provider.path for provider in open_providers(settings)]
    return f"the secrets of {len(paths)} senders are set: {', '.join(paths)}"


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
