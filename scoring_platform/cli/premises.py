"""What ``doctor`` finds on this machine: the home, its disk, the ledger with the inbox, the age of the lake.

Belongs here: examining what is ours. Does not belong here: systems outside (``doctor``).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from scoring_platform.cli.context import yesterday
from scoring_platform.errors import ConfigurationError
from scoring_platform.lake.tree import Lake
from scoring_platform.ledger.inbox import Inbox
from scoring_platform.ledger.private import make_folder
from scoring_platform.ledger.store import Ledger
from scoring_platform.settings import Settings

LEAST_FREE = 1 << 30
"""Bytes that should be free: a day of a large shop, twice, since a day is written aside before it replaces another."""

_NEWEST = "customer_segments"
_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Finding:
    """What was found, and whether somebody should look at it."""

    says: str
    warns: bool = False


def home(settings: Settings) -> Finding:
    """Examine the home.

    Raises:
        OSError: It cannot be written.
        ConfigurationError: The ledger cannot be written.
    """
    _write_probe(settings)
    _check_ledger(settings)
    warnings = [*_scarce_space(settings), *_old_lake(settings)]
    return Finding("; ".join([f"{settings.home} and the ledger can be written", *warnings]), warns=bool(warnings))


def _write_probe(settings: Settings) -> None:
    make_folder(settings.home)
    probe = settings.home / ".doctor"
    probe.write_text("", encoding="utf-8")
    probe.unlink()


def _check_ledger(settings: Settings) -> None:
    """Write as the receiver of webhooks does; receipts stand in the same database."""
    try:
        with Ledger(settings.ledger_url) as ledger:
            Inbox(ledger).prove_writable()
    except (SQLAlchemyError, ImportError) as error:  # no such database, or no driver for it
        # Its own words hold the address, password included.
        msg = f"the ledger cannot be written ({type(error).__name__}): check SCORING_LEDGER_URL, or {settings.home}"
        raise ConfigurationError(msg) from error


def _scarce_space(settings: Settings) -> Iterator[str]:
    free = shutil.disk_usage(settings.home).free
    if free < LEAST_FREE:
        yield f"only {free // _MEGABYTE} MB are free there: make room, or move SCORING_HOME"


def _old_lake(settings: Settings) -> Iterator[str]:
    """Say when the newest published day is too old to act on; with data of the past that is no news."""
    activation = settings.config.activation
    newest = Lake(settings.lake_root).latest(_NEWEST)
    if newest is None or activation.clock != "wall":
        return
    if newest < yesterday(settings) + timedelta(days=1) - timedelta(days=activation.max_age_days):
        yield f"the newest published day is {newest}: make the days since with scoring-platform run"
