"""What a table is: its name, place, key, partitioning and contract.

Belongs here: the record type. Does not belong here: any particular table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import ibis
import pandera.ibis as pa

Group = Literal["ingest", "profile", "scores", "segments", "nps", "activation", "reporting"]
Partition = Literal["event", "state", "current"]

ORDER_TIME = "ordered_at"
"""Rows of a table whose day comes from its order carry the order's time under this name when a source gives them."""


@dataclass(frozen=True)
class Table:
    """One table of the lake and the contract its rows keep.

    Attributes:
        name: Asset key, lake folder and contract name at once.
        group: The asset group it is shown in.
        partition: ``event`` (a day holds what happened on it), ``state`` (a day holds the full picture at its end)
            or ``current`` (one unpartitioned picture).
        key: Columns that are unique together within a day (nulls count as equal).
        columns: Column name to Pandera column, in the order they are written.
        description: What one row is, in the reader's words.
        day_column: Raw event tables: the instant or date that decides the business day.
        day_from: Raw tables without a day of their own: the table that gives it, joined on ``source`` and ``order_id``.
        version_column: Raw tables: of two rows with one key, the greater value wins.
        amounts: Raw tables: amounts in ``currency`` that get a sibling ``…_reporting``.
    """

    name: str
    group: Group
    partition: Partition
    key: tuple[str, ...]
    description: str
    columns: Mapping[str, pa.Column] = field(repr=False)
    day_column: str | None = None
    day_from: str | None = None
    version_column: str | None = None
    amounts: tuple[str, ...] = ()

    @property
    def is_raw(self) -> bool:
        """Whether the rows come from outside, so that bad ones are set aside instead of blocking."""
        return self.name.startswith("raw_")

    @property
    def contract(self) -> pa.DataFrameSchema:
        """The strict Pandera schema of one published day (``as_of`` comes from the folder)."""
        return pa.DataFrameSchema(
            dict(self.columns), strict=True, unique=list(self.key), name=self.name, description=self.description
        )

    @cached_property
    def schema(self) -> ibis.Schema:
        """Column names and engine types, in writing order."""
        return ibis.schema({name: column.dtype.type for name, column in self.columns.items()})

    @property
    def given_columns(self) -> tuple[str, ...]:
        """Raw tables: the columns a source may give; the platform fills the rest."""
        filled = {"source", *(f"{name}_reporting" for name in self.amounts)}
        names = [name for name in self.columns if name not in filled]
        return (*names, ORDER_TIME) if self.day_from else tuple(names)

    @property
    def time_column(self) -> str:
        """Raw tables: the instant or date that decides the business day of a row as it is given."""
        column = ORDER_TIME if self.day_from else self.day_column
        if column is None:
            msg = f"{self.name} says neither day_column nor day_from; a raw table needs one of them"
            raise ValueError(msg)
        return column

    @property
    def personal_columns(self) -> frozenset[str]:
        """Columns that hold personal data and are masked wherever people look."""
        return frozenset(name for name, column in self.columns.items() if (column.metadata or {}).get("pii"))
