"""What every asset of a table shares: group, owner, kinds, tags, column metadata, freshness. Derived from the contract.

Belongs here: contract to Dagster metadata. Does not belong here: what an asset computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import dagster as dg

from scoring_platform.contracts.table import Table

OWNER = "team:data"
_FRESH = {
    "fail_window": timedelta(hours=30),
    "warn_window": timedelta(hours=26),
}


def asset_arguments(table: Table) -> dict[str, Any]:
    """Return the arguments of ``dg.asset`` that follow from the table's contract."""
    return {
        "name": table.name,
        "description": table.description,
        "group_name": table.group,
        "owners": [OWNER],
        "kinds": {"python", "parquet"} if table.is_raw else {"ibis", "duckdb", "parquet"},
        "tags": {"scoring/partition": table.partition},
        "metadata": {
            "dagster/column_schema": column_schema(table),
            "key": ", ".join(table.key),
            "personal_columns": ", ".join(sorted(table.personal_columns)) or "none",
        },
    }


def freshness(*, daily: bool) -> dg.FreshnessPolicy | None:
    """Return the freshness policy of a table that should be made every morning."""
    return dg.FreshnessPolicy.time_window(**_FRESH) if daily else None


def column_schema(table: Table) -> dg.TableSchema:
    """Return the table's columns as Dagster shows them."""
    columns = []
    for name, column in table.columns.items():
        about: Mapping[str, Any] = column.metadata or {}
        unit = f" ({about['unit']})" if about.get("unit") else ""
        rules = [str(check.error or check.name) for check in column.checks or ()]
        tags = {"personal_data": ""} if about.get("pii") else {}
        columns.append(
            dg.TableColumn(
                name=name,
                type=str(table.schema[name]),
                description=f"{column.description}{unit}",
                constraints=dg.TableColumnConstraints(nullable=column.nullable, other=rules),
                tags=tags,
            )
        )
    constraint = f"unique: {', '.join(table.key)}"
    return dg.TableSchema(columns=columns, constraints=dg.TableConstraints(other=[constraint]))
