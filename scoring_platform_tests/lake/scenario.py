"""A table of three columns, and rows for it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import ibis
import ibis.expr.types as ir

from scoring_platform.contracts.columns import hundredths, identifier, instant, integer, money, score, text
from scoring_platform.contracts.table import Table

FIRST = date(2026, 3, 1)

TABLE = Table(
    name="amounts",
    group="scores",
    partition="state",
    key=("name", "note"),
    description="One amount.",
    columns={
        "name": identifier("Name"),
        "note": text("Note", nullable=True, pii=True),
        "amount": money("Amount", minimum=None),
    },
)
RULED = Table(
    name="ruled",
    group="scores",
    partition="state",
    key=("name", "kind"),
    description="One row under every kind of rule.",
    columns={
        "name": identifier("Name"),
        "kind": text("Kind", nullable=True, isin=["a", "b"]),
        "mail": text("Address", matches=r"^[^@\s]+@[^@\s]+$", pii=True),
        "amount": money("Amount"),
        "level": integer("Level", nullable=True, maximum=5),
        "points": hundredths("Points", minimum=-3),
        "total": score("Total"),
        "seen_at": instant("Seen"),
    },
)


def amounts(*rows: tuple[date, str, str | None, str]) -> ir.Table:
    """Rows of day, name, note and amount."""
    schema = ibis.schema({"as_of": "date", "name": "string", "note": "string", "amount": "decimal(18, 4)"})
    dicts = [{"as_of": day, "name": name, "note": note, "amount": Decimal(amount)} for day, name, note, amount in rows]
    return ibis.memtable(dicts, schema=schema)
