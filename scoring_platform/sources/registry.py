"""The registry of sources: one line per vendor.

Belongs here: which configuration section opens which source. Does not belong here: any vendor's protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from scoring_platform.endpoints import resolve
from scoring_platform.ingest.loading import AnySource
from scoring_platform.settings import Settings
from scoring_platform.sources.files import Files
from scoring_platform.sources.formbricks import Formbricks
from scoring_platform.sources.ga4 import Ga4
from scoring_platform.sources.klaviyo import Klaviyo
from scoring_platform.sources.shopify import Shopify
from scoring_platform.sources.zendesk import Zendesk

API_SOURCES: dict[str, Callable[..., Any]] = {
    "shopify": Shopify,
    "klaviyo": Klaviyo,
    "ga4": Ga4,
    "zendesk": Zendesk,
    "formbricks": Formbricks,
}


def open_sources(settings: Settings, *, table: str | None = None) -> list[AnySource]:
    """Return the configured sources that fill ``table`` (all of them without a table).

    Raises:
        ConfigurationError: The sandbox is not running, or a credential is missing (raised at the first use).
    """
    return [
        open_source(settings, name)
        for name, gives in settings.sources_in_use.items()
        if table is None or table in gives
    ]


def open_source(settings: Settings, name: str) -> AnySource:
    """Return the configured source called ``name``."""
    config = settings.config
    zone = ZoneInfo(config.time_zone)
    files = config.sources.files
    if name == "files" and files is not None and settings.files_root is not None:
        return Files(files, settings.files_root, ZoneInfo(files.time_zone) if files.time_zone else zone)
    section = getattr(config.sources, name)
    endpoint = resolve(settings, name, section.endpoint)
    source: AnySource = API_SOURCES[name](section, endpoint.url, endpoint.credential, zone)
    return source
