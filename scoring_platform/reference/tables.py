"""The page of all tables, from their contracts.

Belongs here: contract to Markdown. Does not belong here: the contracts.
"""

from __future__ import annotations

from itertools import groupby

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from scoring_platform.contracts.catalog import CATALOG
from scoring_platform.contracts.table import Table
from scoring_platform.reference.markdown import WRITTEN_BY, code, table

_INTRODUCTION = """# Tables

One table is one asset, one contract and one folder of the lake: `lake/<table>/as_of=YYYY-MM-DD/*.parquet` under
`SCORING_HOME`. `as_of` is the business day and comes from the folder's name. A contract is strict: a table has these
columns and no others. Money is `decimal(18, 4)`, instants are UTC, days are days in the business time zone, points are
whole hundredths.

Personal data is masked in metadata, alerts, logs and the views of `warehouse.duckdb`; the Parquet files hold it in the
clear.
"""

_PARTITIONS = {
    "event": "A day holds what happened on it, as now known.",
    "state": "A day holds the full picture at its end.",
    "current": "One picture without days, at `lake/<table>/current/`.",
}


def tables_page() -> str:
    """Return docs/tables.md."""
    parts = [WRITTEN_BY, _INTRODUCTION, _contents()]
    for group, members in groupby(CATALOG.values(), key=lambda member: member.group):
        parts.append(f"## {group}\n")
        parts += [_section(member) for member in members]
    return "\n".join(parts)


def _contents() -> str:
    rows = [(f"[{member.name}](#{member.name})", member.group, member.description) for member in CATALOG.values()]
    return table(("Table", "Group", "One row is"), rows)


def _section(member: Table) -> str:
    key = ", ".join(code(name) for name in member.key)
    rows = [_row(member, name, column) for name, column in member.columns.items()]
    columns = table(("Column", "Type", "Null", "Unit", "Meaning", "Rules"), rows)
    return f"### {member.name}\n\n{member.description} {_PARTITIONS[member.partition]}\n\nUnique: {key}.\n\n{columns}"


def _row(member: Table, name: str, column: pa.Column) -> tuple[str, ...]:
    about = column.metadata or {}
    rules = [rule_words(check) for check in column.checks or ()]
    if about.get("pii"):
        rules.append("personal data")
    null = "yes" if column.nullable else "no"
    kind, unit = code(_type_words(member.schema[name])), about.get("unit") or ""
    return code(name), kind, null, unit, str(column.description), "; ".join(rules)


def _type_words(kind: dt.DataType) -> str:
    return "timestamp" if kind.is_timestamp() else str(kind)


def rule_words(check: pa.Check) -> str:
    """Return a check in words.

    Raises:
        ValueError: A kind of check this page does not know.
    """
    given = check.statistics or {}
    match check.name:
        case "isin":
            return "one of " + ", ".join(code(str(value)) for value in given["allowed_values"])
        case "str_matches":
            pattern = given["pattern"]
            return "looks like " + code(pattern if isinstance(pattern, str) else pattern.pattern)
        case "str_length":
            return "not empty"
        case "greater_than_or_equal_to":
            return f"at least {given['min_value']}"
        case "less_than_or_equal_to":
            return f"at most {given['max_value']}"
    msg = f"the check {check.name!r} has no words for docs/tables.md; add them here"
    raise ValueError(msg)
