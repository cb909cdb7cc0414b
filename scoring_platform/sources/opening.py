"""Opens the configured sources.

Belongs here: from a section to a source that can be read. Does not belong here: which vendors there are (``registry``).
"""

from __future__ import annotations

from functools import partial
from zoneinfo import ZoneInfo

from scoring_platform.endpoints import SystemEndpoint, resolve
from scoring_platform.ledger.inbox import Inbox
from scoring_platform.ledger.rates import shared_rates
from scoring_platform.ledger.store import Ledger
from scoring_platform.settings import Settings
from scoring_platform.sources.files import Files
from scoring_platform.sources.protocol import Source
from scoring_platform.sources.registry import SOURCES


def open_sources(settings: Settings, *, table: str | None = None) -> list[Source | Files]:
    """Return the configured sources that fill ``table`` (all of them without a table).

    Raises:
        ConfigurationError: The sandbox is not running, or a credential is missing (raised at the first use).
    """
    return [
        open_source(settings, name)
        for name, gives in settings.sources_in_use.items()
        if table is None or table in gives
    ]


def open_source(settings: Settings, name: str) -> Source | Files:
    """Return the configured source called ``name``."""
    config = settings.config
    zone = ZoneInfo(config.time_zone)
    files = config.sources.files
    if name == "files" and files is not None and settings.files_root is not None:
        return Files(files, settings.files_root, ZoneInfo(files.time_zone) if files.time_zone else zone)
    section, vendor = getattr(config.sources, name), SOURCES[name]
    endpoint = _endpoint(settings, name, getattr(section, "endpoint", None))
    further: dict[str, object] = {"inbox": Inbox(Ledger(settings.ledger_url))} if vendor.inbox else {}
    if vendor.lends:
        further["credentials"] = settings.credential
    if vendor.shares:
        further["memory"] = shared_rates(settings.ledger_url, name, endpoint.url)
    return vendor.opens(section, endpoint.url, endpoint.credential, zone, **further)


def _endpoint(settings: Settings, name: str, configured: str | None) -> SystemEndpoint:
    """Where a source answers; one that only reads what was sent to us has no address."""
    if configured is None:
        return SystemEndpoint("", partial(settings.credential, name))
    return resolve(settings, name, configured)
