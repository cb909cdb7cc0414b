"""The row rules of a contract as engine expressions.

Pandera states the contract; the same checks, as boolean columns, let one query judge every rule of every row, which
setting bad rows aside needs and which is several times faster than one query per check.

Belongs here: check to expression, rule to words. Does not belong here: what happens to a bad row.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis.expr.types as ir
import pandera.ibis as pa

from scoring_platform.contracts.table import Table


@dataclass(frozen=True)
class Rule:
    """One rule about one column: ``words`` complete the sentence "<column> …"."""

    column: str
    name: str
    words: str
    violated: ir.BooleanColumn

    @property
    def reason(self) -> str:
        """The rule's breach in words, as quarantine rows and checks state it."""
        return f"{self.column} {self.words}"


def row_rules(table: Table, rows: ir.Table) -> list[Rule]:
    """Return every row rule of ``table``'s contract, applied to ``rows``."""
    rules: list[Rule] = []
    for name, column in table.columns.items():
        value = rows[name]
        if not column.nullable:
            rules.append(Rule(name, f"{name}_present", "is missing", value.isnull()))
        for check in column.checks or ():
            holds, words = _express(value, check, form=(column.metadata or {}).get("form"))
            rules.append(Rule(name, f"{name}_{check.name}", words, value.notnull() & ~holds))
    return rules


def _express(value: ir.Column, check: pa.Check, *, form: str | None) -> tuple[ir.BooleanColumn, str]:
    given = check.statistics or {}
    match check.name:
        case "isin":
            allowed = list(given["allowed_values"])
            return value.isin(allowed), f"is not one of {', '.join(allowed)}"
        case "str_matches":
            pattern = given["pattern"]
            text = pattern if isinstance(pattern, str) else pattern.pattern
            return value.re_search(text), f"is not {form or f'of the form {text}'}"
        case "str_length":
            return value.length() >= given["min_value"], "is empty"
        case "greater_than_or_equal_to":
            return value >= given["min_value"], f"is below {given['min_value']}"
        case "less_than_or_equal_to":
            return value <= given["max_value"], f"is above {given['max_value']}"
    msg = f"the check {check.name!r} has no engine expression; add it here"
    raise ValueError(msg)
