"""Judges staged rows against their table's contract, before they may be published.

Belongs here: the verdict, per day, with sample rows. Does not belong here: what follows from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import ibis
import ibis.expr.types as ir

from scoring_platform.contracts.masking import mask_row
from scoring_platform.contracts.rules import Rule, row_rules
from scoring_platform.contracts.table import Table
from scoring_platform.errors import ContractError

SAMPLE_ROWS = 10


@dataclass(frozen=True)
class Breach:
    """One rule that some rows of one day break."""

    day: date | None
    rule: str
    rows: int


@dataclass(frozen=True)
class Audit:
    """The verdict on staged rows.

    Attributes:
        table: The table's name.
        breaches: Rules broken, per day, oldest first.
        samples: Some offending rows with personal data masked, each with its ``reason``.
    """

    table: str
    breaches: tuple[Breach, ...] = ()
    samples: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    @property
    def passed(self) -> bool:
        """Whether every row keeps the contract."""
        return not self.breaches

    @property
    def first_bad_day(self) -> date | None:
        """The oldest day with a breach."""
        return min((breach.day for breach in self.breaches if breach.day), default=None)

    def describe(self) -> str:
        """Say what is broken, where and how often."""
        parts = [f"{breach.day or 'current'}: {breach.rule} ({breach.rows} rows)" for breach in self.breaches[:5]]
        more = f" and {len(self.breaches) - 5} more" if len(self.breaches) > 5 else ""
        return f"{self.table} breaks its contract: {'; '.join(parts)}{more}"


class ContractBreachError(ContractError):
    """Derived rows break their contract; carries the audit for the failed check."""

    def __init__(self, audit: Audit) -> None:
        super().__init__(f"{audit.describe()}. Nothing of that day was published; the day before stays.")
        self.audit = audit


def audit(table: Table, staged: ir.Table, *, rows: int | None = None) -> Audit:
    """Judge ``staged`` (contract columns and ``as_of``) against the contract of ``table``.

    Args:
        table: The table.
        staged: What is to be published.
        rows: How many rows that are, when it is known: of none, only the columns have to be right.
    """
    _check_types(table, staged)
    if rows == 0:
        return Audit(table.name)
    rules = row_rules(table, staged)
    breaches = [*_broken_rules(staged, rules), *_repeated_keys(table, staged)]
    if not breaches:
        return Audit(table.name)
    breaches.sort(key=lambda breach: (breach.day or date.min, breach.rule))
    return Audit(table.name, tuple(breaches), tuple(_samples(table, staged, rules)))


def _check_types(table: Table, staged: ir.Table) -> None:
    found = {name: kind for name, kind in staged.schema().items() if name != "as_of"}
    wanted = dict(table.schema.items())
    wrong = [
        f"{name} is {found.get(name, 'absent')}, not {kind}"
        for name, kind in wanted.items()
        if name not in found or found[name].copy(nullable=True) != kind.copy(nullable=True)
    ]
    wrong += [f"{name} is not in the contract" for name in found if name not in wanted]
    if wrong:
        msg = f"{table.name} has the wrong columns: {'; '.join(wrong)}"
        raise ContractError(msg)


def _broken_rules(staged: ir.Table, rules: Sequence[Rule]) -> list[Breach]:
    if not rules:
        return []
    counts = {f"n{index}": rule.violated.sum() for index, rule in enumerate(rules)}
    found = staged.group_by("as_of").aggregate(**counts).to_pyarrow().to_pylist()
    return [
        Breach(row["as_of"], rule.reason, row[f"n{index}"])
        for row in found
        for index, rule in enumerate(rules)
        if row[f"n{index}"]
    ]


def _repeated_keys(table: Table, staged: ir.Table) -> list[Breach]:
    groups = staged.group_by(["as_of", *table.key]).aggregate(n=staged.count())
    repeated = groups.filter(groups.n > 1)
    found = repeated.group_by("as_of").aggregate(rows=repeated.n.sum()).to_pyarrow().to_pylist()
    return [Breach(row["as_of"], _repeated_words(table), row["rows"]) for row in found]


def _samples(table: Table, staged: ir.Table, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    repeats = staged.count().over(ibis.window(group_by=["as_of", *table.key])) > 1
    reasons = [ibis.ifelse(rule.violated, rule.reason, ibis.null(str)) for rule in rules]
    reasons.append(ibis.ifelse(repeats, _repeated_words(table), ibis.null(str)))
    marked = staged.mutate(reason=ibis.array(reasons).join("; "))
    bad = marked.filter(marked.reason != "").order_by("as_of").limit(SAMPLE_ROWS).to_pyarrow().to_pylist()
    return [mask_row(table, row) for row in bad]


def _repeated_words(table: Table) -> str:
    return f"{', '.join(table.key)} occurs more than once"
