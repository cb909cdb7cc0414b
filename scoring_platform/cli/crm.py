"""The CRM from the command line: ``crm plan``, ``crm provision``."""

from __future__ import annotations

import click

from scoring_platform.cli.context import company, prepared_settings
from scoring_platform.destinations.preflight import fields_of
from scoring_platform.destinations.registry import open_crms


@click.group()
def crm() -> None:
    """Look at and prepare the CRM."""


@crm.command(short_help="Create missing fields.")
def provision() -> None:
    """Create the fields that the configuration writes and the CRM lacks."""
    settings = prepared_settings()
    with company(settings), open_crms(settings) as crms:
        for one in crms:
            created = one.provision(fields_of(settings, one))
            click.echo(f"{one.name}: {', '.join(created) if created else 'nothing was missing'}")
        if not crms:
            click.echo("No CRM is configured (destinations)")
