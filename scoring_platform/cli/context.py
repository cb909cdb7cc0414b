"""What commands share: settings, the Dagster instance, the sandbox when it is needed, dates.

Belongs here: opening. Does not belong here: any command.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import click

from scoring_platform.endpoints import uses_sandbox
from scoring_platform.errors import ConfigurationError
from scoring_platform.sandbox import connection as sandbox
from scoring_platform.settings import Settings, enter_environment, load_settings


class Day(click.ParamType):  # type: ignore[type-arg]
    """A date as YYYY-MM-DD."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Read the date."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date; write it as 2026-11-20", param, ctx)


DAY = Day()


def prepared_settings() -> Settings:
    """Return the settings, and pass them on to everything this command starts."""
    settings = load_settings()
    enter_environment(settings)
    # Dagster and its dependencies speak at INFO about their own doings.
    logging.getLogger("dagster").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return settings


def yesterday(settings: Settings) -> date:
    """Return the last whole business day."""
    return datetime.now(UTC).astimezone(ZoneInfo(settings.config.time_zone)).date() - timedelta(days=1)


def checked_day(settings: Settings, day: date | None) -> date:
    """Return the day to work on: ``day``, or yesterday in the business zone.

    Raises:
        ConfigurationError: It is before the history or not over yet.
    """
    chosen = day or yesterday(settings)
    if chosen < settings.config.history_start:
        msg = f"{chosen} is before history_start ({settings.config.history_start}) in {settings.loaded.path}"
        raise ConfigurationError(msg)
    if chosen > yesterday(settings):
        msg = f"{chosen} is not over yet in {settings.config.time_zone}; the latest day that is: {yesterday(settings)}"
        raise ConfigurationError(msg)
    return chosen


@contextmanager
def company(settings: Settings) -> Iterator[sandbox.Endpoint | None]:
    """Give the sandbox of this home when the configuration uses it, started if it does not answer."""
    if not uses_sandbox(settings):
        yield None
        return
    if sandbox.find(settings.home) is None:
        click.echo("Starting the sandbox company on loopback …", err=True)
    with sandbox.ensure(settings.home) as endpoint:
        yield endpoint
