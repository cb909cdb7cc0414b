"""The warehouse files: DuckDB databases that hold only views over the lake.

``warehouse.duckdb`` masks personal data, ``warehouse_clear.duckdb`` does not. A file is built aside and replaced, and
only when the set of tables changes, so a reader's open file stays valid.

Belongs here: one view per published table. Does not belong here: any data.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

import duckdb

from scoring_platform.contracts.catalog import CATALOG
from scoring_platform.contracts.masking import ADDRESS
from scoring_platform.contracts.table import Table
from scoring_platform.lake.engine import literal, quoted, select_rows
from scoring_platform.lake.tree import Lake

CONTRIBUTIONS = "score_contributions"
CRM_WRITES = "crm_writes"
_EVIDENCE = {
    "recency": {"last_order_on": "p.last_order_on", "recency_days": "s.recency_days", "band": "s.r"},
    "frequency": {"purchase_days": "s.frequency", "band": "s.f"},
    "monetary": {"net_spend": "s.monetary", "band": "s.m"},
    "email": {name: f"p.email_{name}_90d" for name in ("sent", "opens", "clicks")},
    "web": {"sessions": "p.web_sessions_90d", "pageviews": "p.web_pageviews_90d"},
    "support": {"tickets": "p.tickets_90d", "tickets_bad": "p.tickets_bad_90d"},
    "nps": {"score": "p.nps_score", "answered_on": "p.nps_answered_on"},
}
"""Parts of the total score, and what each rests on: columns of customer_scores (s) and customer_profiles (p)."""

MASKED = "warehouse.duckdb"
CLEAR = "warehouse_clear.duckdb"


def refresh_views(lake: Lake) -> bool:
    """Build both warehouse files anew if the set of tables has changed; return whether it had."""
    home = lake.root.parent
    tables = [CATALOG[name] for name in lake.tables() if name in CATALOG]
    signature = json.dumps(
        {table.name: _select(lake, table, masked=True) for table in tables}
        | {CONTRIBUTIONS: _contributions(), CRM_WRITES: _crm_writes()}
    )
    record = home / "warehouse.tables.json"
    present = all((home / name).exists() for name in (MASKED, CLEAR))
    if present and record.exists() and record.read_text(encoding="utf-8") == signature:
        return False
    for name, masked in ((MASKED, True), (CLEAR, False)):
        _build(lake, tables, home / name, masked=masked)
    partial = record.with_suffix(f".{uuid.uuid4().hex}")
    partial.write_text(signature, encoding="utf-8")
    partial.replace(record)
    return True


def _build(lake: Lake, tables: list[Table], target: Path, *, masked: bool) -> None:
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    with duckdb.connect(str(partial)) as connection:
        for table in tables:
            connection.execute(f"CREATE VIEW {quoted(table.name)} AS {_select(lake, table, masked=masked)}")
        if {"customer_scores", "customer_profiles"} <= {table.name for table in tables}:
            connection.execute(f"CREATE VIEW {CONTRIBUTIONS} AS {_contributions()}")
        # What was written is masked in the other file, and so are the names of its fields.
        if not masked and {"crm_sync_plan", "crm_sync"} <= {table.name for table in tables}:
            connection.execute(f"CREATE VIEW {CRM_WRITES} AS {_crm_writes()}")
    if not masked:
        os.chmod(partial, 0o600)
    os.replace(partial, target)


def _contributions() -> str:
    """One row per customer, day and part of the total score: integer points that add up to it, and their evidence."""
    parts = []
    for part, columns in _EVIDENCE.items():
        evidence = ", ".join(f"{literal(name)}, {column}" for name, column in columns.items())
        parts.append(f"{{part: {literal(part)}, points: s.points_{part}, evidence: json_object({evidence})}}")
    return (
        f"SELECT s.as_of, s.customer_id, unnest([{', '.join(parts)}], recursive := true) "
        "FROM customer_scores AS s LEFT JOIN customer_profiles AS p USING (as_of, customer_id)"
    )


def _crm_writes() -> str:
    """One row per value that a CRM acknowledged: what, where, when, by which run, under which configuration."""
    fields = "unnest(map_entries(CAST(CAST(p.payload AS JSON) AS MAP(VARCHAR, VARCHAR))), recursive := true)"
    return (
        "SELECT * RENAME (key AS field) FROM (SELECT s.as_of, s.crm, s.stream, s.target, s.customer_id, "
        f"{fields}, s.acknowledged_at, s.run_id, s.config_version "
        "FROM crm_sync_plan AS p JOIN crm_sync AS s USING (as_of, crm, stream, target, customer_id) "
        "WHERE s.status = 'acknowledged')"
    )


def _select(lake: Lake, table: Table, *, masked: bool) -> str:
    columns = [_column(table, name, masked=masked) for name in table.columns]
    dated = table.partition != "current"
    files = literal(str(lake.root / table.name / ("as_of=*" if dated else "current") / "*.parquet"))
    return select_rows(files, columns, lake.root, dated=dated)


def _column(table: Table, name: str, *, masked: bool) -> str:
    if not masked or name not in table.personal_columns:
        return quoted(name)
    # An address keeps its first letter and its ending, like contracts.masking does.
    value = f"replace({quoted(name)}, '＠', '@')"
    address = literal(f"^{ADDRESS}$")
    return (
        f"CASE WHEN {value} IS NULL THEN NULL WHEN regexp_matches({value}, {address}) "
        f"THEN left({value}, 1) || '***@***' || regexp_extract({value}, '[.][A-Za-z]{{2,}}$') "
        f"ELSE '***' END AS {quoted(name)}"
    )
