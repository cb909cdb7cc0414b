"""Settings: the only place that reads the environment.

Belongs here: SCORING_HOME, SCORING_CONFIG, credentials, and the folders that follow from them. Does not belong here:
what the YAML means (see ``config``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scoring_platform.config.crm import CrmDestination
from scoring_platform.config.load import LoadedConfig, load_config
from scoring_platform.config.model import ScoringConfig
from scoring_platform.errors import ConfigurationError
from scoring_platform.ledger.private import make_folder

PACKAGED_CONFIG = Path(__file__).parent / "config" / "scoring.yaml"


@dataclass(frozen=True)
class Settings:
    """Everything a process needs to know about its surroundings, resolved once."""

    home: Path
    loaded: LoadedConfig
    environment: Mapping[str, str] = field(repr=False)

    @property
    def config(self) -> ScoringConfig:
        """The validated configuration."""
        return self.loaded.config

    @property
    def config_version(self) -> str:
        """Hash that names the configuration."""
        return self.loaded.version

    @property
    def lake_root(self) -> Path:
        """Folder of the lake."""
        return self.home / "lake"

    @property
    def reports_root(self) -> Path:
        """Folder of the reports."""
        return self.home / "reports"

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy address of the ledger; SQLite under the home unless SCORING_LEDGER_URL is set."""
        return self.environment.get("SCORING_LEDGER_URL") or f"sqlite:///{self.home / 'ledger.db'}"

    @property
    def shops(self) -> tuple[str, ...]:
        """Sources with customer ids of their own; other systems name those of the first."""
        giving = [name for name, gives in self.sources_in_use.items() if {"raw_orders", "raw_customers"} & gives]
        return tuple(sorted(giving, key=lambda name: name == "files")) or ("files",)

    @property
    def crm_sources(self) -> tuple[str, ...]:
        """Sources with CRM records of their own; other systems name those of the first."""
        giving = [name for name, gives in self.sources_in_use.items() if "raw_crm_contacts" in gives]
        return tuple(giving) or self.crms or ("crm",)

    @property
    def sources_in_use(self) -> dict[str, frozenset[str]]:
        """Configured sources and the raw tables each gives."""
        sources = self.config.sources
        sections = {name: getattr(sources, name) for name in type(sources).model_fields}
        return {name: section.gives for name, section in sections.items() if section is not None}

    @property
    def raw_tables(self) -> frozenset[str]:
        """Raw tables that some configured source gives."""
        return frozenset().union(*self.sources_in_use.values())

    @property
    def crms(self) -> tuple[str, ...]:
        """Configured CRMs."""
        destinations = self.config.destinations
        sections = {name: getattr(destinations, name) for name in type(destinations).model_fields}
        return tuple(name for name, section in sections.items() if isinstance(section, CrmDestination))

    @property
    def files_root(self) -> Path | None:
        """Folder of the ``files`` source; a relative one starts at the configuration's folder."""
        files = self.config.sources.files
        return (self.loaded.path.parent / Path(files.root).expanduser()).resolve() if files else None

    def credential(self, system: str, name: str) -> str:
        """Return the secret ``SCORING_<SYSTEM>_<NAME>``.

        Raises:
            ConfigurationError: It is not set.
        """
        value = self.optional_credential(system, name)
        if value is None:
            variable = credential_variable(system, name)
            msg = f"{system} is configured in {self.loaded.path} but its credential is missing: set {variable}"
            raise ConfigurationError(msg)
        return value

    def optional_credential(self, system: str, name: str) -> str | None:
        """Return the secret ``SCORING_<SYSTEM>_<NAME>``; None when it is not set."""
        return self.environment.get(credential_variable(system, name), "").strip() or None


def credential_variable(system: str, name: str) -> str:
    """Return the name of the variable that holds a secret."""
    return f"SCORING_{system}_{name}".upper()


def load_settings(
    environment: Mapping[str, str] | None = None, *, home: Path | None = None, config_path: Path | None = None
) -> Settings:
    """Resolve the settings.

    Args:
        environment: Where variables are looked up; the process's own by default.
        home: Instead of SCORING_HOME.
        config_path: Instead of SCORING_CONFIG.

    Raises:
        ConfigurationError: The configuration is missing or wrong.
    """
    env = dict(os.environ if environment is None else environment)
    chosen_home = home or Path(env.get("SCORING_HOME") or "var")
    path = config_path or Path(env.get("SCORING_CONFIG") or PACKAGED_CONFIG)
    return Settings(
        home=chosen_home.expanduser().resolve(), loaded=load_config(path.expanduser().resolve()), environment=env
    )


def enter_environment(settings: Settings) -> None:
    """Pass the resolved folders on to everything this process starts, Dagster above all.

    Raises:
        ConfigurationError: DAGSTER_HOME is not set and there is no dagster.yaml beside the package.
    """
    os.environ["SCORING_HOME"] = str(settings.home)
    os.environ["SCORING_CONFIG"] = str(settings.loaded.path)
    os.environ["SCORING_DAGSTER_STORAGE"] = str(settings.home / "dagster")
    if not os.environ.get("DAGSTER_HOME"):
        root = Path(__file__).resolve().parent.parent
        if not (root / "dagster.yaml").exists():
            msg = f"DAGSTER_HOME is not set and {root} has no dagster.yaml: point it at a folder with one"
            raise ConfigurationError(msg)
        os.environ["DAGSTER_HOME"] = str(root)
    for folder in (settings.home, settings.home / "dagster"):
        make_folder(folder)
