"""The command ``scoring-platform``.

Belongs here: the top level and how errors end a command. Does not belong here: what a command does.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from scoring_platform.errors import ScoringError

COMMANDS = {
    "demo": "daily",
    "run": "daily",
    "backfill": "daily",
    "up": "services",
    "explain": "look",
    "preview": "preview",
    "doctor": "doctor",
    "crm": "crm",
    "models": "models",
    "nps": "nps",
    "identity": "identity",
    "lake": "lake",
    "webhooks": "services",
    "sandbox": "services",
}
"""Each command and the module it stands in."""


class Commands(click.Group):
    """Imports a command when it is asked for: one that only looks need not wait for Dagster."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command called ``cmd_name``; None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = getattr(import_module(f"scoring_platform.cli.{COMMANDS[cmd_name]}"), cmd_name)
        return found


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="scoring-platform")
def cli() -> None:
    """Score every customer, every morning.

    All state is under SCORING_HOME (default: var/ here); the configuration is SCORING_CONFIG (default: the packaged
    sandbox company). Credentials come from the environment as SCORING_<SYSTEM>_<NAME>.
    """


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
