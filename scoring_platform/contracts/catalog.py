"""The catalog: every table by its one name.

Belongs here: look-ups over all contracts. Does not belong here: the contracts themselves.
"""

from __future__ import annotations

from scoring_platform.contracts.derived import DERIVED_TABLES
from scoring_platform.contracts.outward import OUTWARD_TABLES
from scoring_platform.contracts.raw import RAW_TABLES
from scoring_platform.contracts.table import Table
from scoring_platform.errors import ConfigurationError

CATALOG: dict[str, Table] = {table.name: table for table in (*RAW_TABLES, *DERIVED_TABLES, *OUTWARD_TABLES)}


def table(name: str) -> Table:
    """Return the table called ``name``.

    Raises:
        ConfigurationError: No such table.
    """
    try:
        return CATALOG[name]
    except KeyError:
        msg = f"there is no table {name!r}; known tables: {', '.join(sorted(CATALOG))}"
        raise ConfigurationError(msg) from None
