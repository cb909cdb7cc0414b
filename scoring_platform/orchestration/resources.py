"""Resources: the systems a run works with, as Dagster fields that return plain clients.

Belongs here: opening and closing. Does not belong here: what is done with a client.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import dagster as dg
from dagster_duckdb import DuckDBResource
from pydantic import Field

from scoring_platform.destinations.email import Mailer
from scoring_platform.destinations.protocol import Crm
from scoring_platform.destinations.registry import open_crms, open_mailer, open_slack
from scoring_platform.destinations.slack import Slack
from scoring_platform.ingest.loading import AnySource
from scoring_platform.lake.engine import DuckDBEngine, connection_config
from scoring_platform.lake.tree import Lake
from scoring_platform.ledger.store import Ledger
from scoring_platform.settings import Settings, load_settings
from scoring_platform.sources.opening import open_sources


@lru_cache(maxsize=8)
def _settings(home: str, config_path: str) -> Settings:
    return load_settings(home=Path(home), config_path=Path(config_path))


class FromSettings(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A resource that finds its endpoints and credentials through the settings."""

    home: str = Field(description="SCORING_HOME: the folder of all state")
    config_path: str = Field(description="The scoring.yaml in use")

    @property
    def settings(self) -> Settings:
        """The settings of this home and configuration, read once per process."""
        return _settings(self.home, self.config_path)


class LakeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The lake, through a DuckDB connection that is always closed."""

    root: str = Field(description="Folder of the lake")
    duckdb: DuckDBResource

    @contextmanager
    def open(self) -> Iterator[DuckDBEngine]:
        """Give an engine on a connection of its own."""
        with self.duckdb.get_connection() as connection:
            try:
                yield DuckDBEngine(connection, Lake(Path(self.root)))
            finally:  # the resource itself closes only when nothing was raised
                connection.close()


class LedgerResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """What must survive a crash in the middle of a run."""

    url: str = Field(description="SQLAlchemy address of the ledger")

    @contextmanager
    def open(self) -> Iterator[Ledger]:
        """Give the opened ledger."""
        with Ledger(self.url) as ledger:
            yield ledger


class SourcesResource(FromSettings):
    """The configured sources."""

    def open(self, table: str) -> list[AnySource]:
        """Return the sources that fill ``table``."""
        return open_sources(self.settings, table=table)


class CrmResource(FromSettings):
    """The configured CRMs."""

    @contextmanager
    def open(self) -> Iterator[list[Crm]]:
        """Give a client per CRM."""
        with open_crms(self.settings) as crms:
            yield crms


class EmailResource(FromSettings):
    """The mail server the report goes through."""

    def client(self) -> Mailer | None:
        """Return the mailer, or None when no e-mail is configured."""
        return open_mailer(self.settings)


class SlackResource(FromSettings):
    """The Slack workspace for the summary and the alerts."""

    def client(self) -> Slack | None:
        """Return the client, or None when no Slack is configured."""
        return open_slack(self.settings)


def resources_of(settings: Settings) -> dict[str, dg.ConfigurableResource]:  # type: ignore[type-arg]
    """Return the resources every asset asks for, by name."""
    where = {"home": str(settings.home), "config_path": str(settings.loaded.path)}
    spill = settings.home / "tmp"
    limits = settings.config.engine
    config = connection_config(spill, threads=limits.threads, memory_limit=limits.memory_limit)
    duckdb = DuckDBResource(database=":memory:", connection_config=config)
    return {
        "lake": LakeResource(root=str(settings.lake_root), duckdb=duckdb),
        "ledger": LedgerResource(url=settings.ledger_url),
        "sources": SourcesResource(**where),
        "crm": CrmResource(**where),
        "email": EmailResource(**where),
        "slack": SlackResource(**where),
    }
