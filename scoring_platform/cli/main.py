"""The command ``scoring-platform``.

Belongs here: the top level and how errors end a command. Does not belong here: what a command does.
"""

from __future__ import annotations

import sys

import click

from scoring_platform.cli.crm import crm
from scoring_platform.cli.daily import backfill, demo, run
from scoring_platform.cli.doctor import doctor
from scoring_platform.cli.identity import identity
from scoring_platform.cli.lake import lake
from scoring_platform.cli.look import explain
from scoring_platform.cli.services import sandbox, up, webhooks
from scoring_platform.errors import ScoringError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="scoring-platform")
def cli() -> None:
    """Score every customer, every morning.

    All state is under SCORING_HOME (default: var/ here); the configuration is SCORING_CONFIG (default: the packaged
    sandbox company). Credentials come from the environment as SCORING_<SYSTEM>_<NAME>.
    """


for command in (demo, run, backfill, up, explain, doctor, crm, identity, lake, webhooks, sandbox):
    cli.add_command(command)


def main() -> None:
    """Run the command; an error a person can mend ends it with its message and exit code 1."""
    try:
        cli(prog_name="scoring-platform")
    except ScoringError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except OSError as error:  # a home that cannot be written, a full disk, a port that is taken
        click.echo(f"Error: {error.strerror or error}: {error.filename or 'SCORING_HOME'}", err=True)
        sys.exit(1)
