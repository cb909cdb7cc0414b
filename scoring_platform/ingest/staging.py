"""Brings what a source gives to disk, unjudged, with flat memory.

Belongs here: pages of rows, or the result of a query over files, as Parquet below a staging folder. Does not belong
here: types, rules and publishing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scoring_platform.contracts.table import Table
from scoring_platform.errors import PermanentError
from scoring_platform.sources.protocol import Page

_BUFFERED_ROWS = 20_000


def write_pages(table: Table, pages: Iterable[Page], folder: Path) -> int:
    """Write ``pages`` as text columns below ``folder`` and return the number of rows.

    Raises:
        PermanentError: A row has a column that the contract does not know (a fault of the source's module).
    """
    columns = table.given_columns
    schema = pa.schema([(name, pa.string()) for name in columns])
    buffer: list[dict[str, str | None]] = []
    total = part = 0
    for page in pages:
        buffer.extend(_as_text(table, row, columns) for row in page)
        if len(buffer) >= _BUFFERED_ROWS:
            _write_part(buffer, schema, folder / f"part_{part:05d}.parquet")
            total, buffer, part = total + len(buffer), [], part + 1
    if buffer or part == 0:
        _write_part(buffer, schema, folder / f"part_{part:05d}.parquet")
    return total + len(buffer)


def _write_part(rows: Sequence[dict[str, str | None]], schema: pa.Schema, path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path, compression="zstd")


def _as_text(table: Table, row: Any, columns: Sequence[str]) -> dict[str, str | None]:
    unknown = set(row) - set(columns)
    if unknown:
        msg = f"{table.name}: the source gave columns that are not in the contract: {', '.join(sorted(unknown))}"
        raise PermanentError(msg)
    return {name: _text(row.get(name)) for name in columns}


def _text(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case datetime() | date():
            return value.isoformat()
        case int() | float() | Decimal():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False, default=str)
