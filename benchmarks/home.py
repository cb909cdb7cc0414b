"""A home to measure in: its configuration, its lake, its ledger, and a DuckDB connection as the assets have it.

Belongs here: opening and closing. Does not belong here: what is put into the lake, and what is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from scoring_platform.lake.engine import DuckDBEngine, connection_config
from scoring_platform.lake.tree import Lake
from scoring_platform.ledger.store import Ledger
from scoring_platform.pipeline.step import Step
from scoring_platform.settings import load_settings


def shop_of_files(first: date, *tables: str, more: str = "") -> str:
    """Return the configuration of a shop whose raw ``tables`` the benchmark itself puts into the lake.

    Args:
        first: First day of history.
        tables: Raw tables it has.
        more: Further sections.
    """
    listed = "".join(f"      {name}: {{sql: SELECT 1}}\n" for name in tables)
    return (
        f"company: {{name: Benchmark}}\nhistory_start: {first}\ncurrency: {{reporting: JPY}}\n"
        f"sources:\n  files:\n    root: .\n    tables:\n{listed}{more}"
    )


@contextmanager
def opened(home: Path, configuration: str, days: Sequence[date], *, threads: int = 0) -> Iterator[Step]:
    """Give the surroundings of one computation in ``home``.

    Args:
        home: The folder of all state.
        configuration: Text of its ``scoring.yaml``; an empty one leaves what is there.
        days: Days to compute, oldest first.
        threads: DuckDB threads; 0 leaves it to the configuration.
    """
    path = home / "scoring.yaml"
    if configuration:
        path.write_text(configuration, encoding="utf-8")
    settings = load_settings({}, home=home, config_path=path)
    limits = settings.config.engine
    config = connection_config(
        settings.home / "tmp", threads=threads or limits.threads, memory_limit=limits.memory_limit
    )
    with duckdb.connect(config=config) as connection, Ledger(settings.ledger_url) as ledger:
        yield Step(DuckDBEngine(connection, Lake(settings.lake_root)), settings, ledger, days, datetime.now(UTC))
