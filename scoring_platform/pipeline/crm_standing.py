"""How the rows of a day stand after a sync: what the check counts, and what waits for another one.

Belongs here: counting outcomes and receipts. Does not belong here: making outcomes (``crm_sync``), severities
(``orchestration.checks``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ibis.expr.types as ir

from scoring_platform.domain.crm_plan import SKIP
from scoring_platform.ledger.receipts import Scope, iter_receipts
from scoring_platform.pipeline.crm_course import BRAKE, WAITING, advice
from scoring_platform.pipeline.crm_plan import PLAN, date_field, payload_hash
from scoring_platform.pipeline.step import Step

_SETTLED = frozenset({"acknowledged", "absent"})


@dataclass(frozen=True)
class Unwritten:
    """Rows of a CRM that are to be written and were not, although nobody decided so.

    Attributes:
        crm: The CRM.
        rows: How many.
        code: Why, most often.
        text: The same in words.
    """

    crm: str
    rows: int
    code: str | None
    text: str | None

    @property
    def words(self) -> str:
        """What a person reads."""
        why = ": ".join(part for part in (self.code, self.text) if part)
        rows = "1 row was" if self.rows == 1 else f"{self.rows:,} rows were"
        return f"{self.crm}: {rows} not written ({why or 'no answer'}). {advice(self.code)}"


@dataclass(frozen=True)
class Standing:
    """How the day's rows stand.

    Attributes:
        counts: Rows of the day by outcome.
        refused_before: Rows refused on an earlier day whose content is the same today.
        unwritten: What waits for another sync.
        lost: CRMs that broke off before a single row of the day was written.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    refused_before: int = 0
    unwritten: Sequence[Unwritten] = ()
    lost: Sequence[str] = ()

    @property
    def failed(self) -> dict[str, int]:
        """Rows by outcome that somebody or something has to see to, those of earlier days among them."""
        counts = Counter({status: count for status, count in self.counts.items() if status not in _SETTLED})
        counts["dead"] += self.refused_before
        return {status: count for status, count in sorted(counts.items()) if count}

    @property
    def words(self) -> str:
        """The same in words; of what is dead, how much is new."""
        new = self.counts.get("dead", 0)
        said = (
            f"{count} {status}" + (f" ({new} new)" if status == "dead" and self.refused_before else "")
            for status, count in self.failed.items()
        )
        return ", ".join(said)


def standing(step: Step, rows: ir.Table) -> Standing:
    """Return how the day stands.

    Args:
        step: Reads the plan and the receipts.
        rows: crm_sync of the day.
    """
    by = ["crm", "status", "error_code", "error_text"]
    counted = rows.group_by(by).aggregate(n=rows.count()).to_pyarrow().to_pylist()
    counts: Counter[str] = Counter()
    for row in counted:
        counts[row["status"]] += row["n"]
    crms = sorted({row["crm"] for row in counted})
    found = [one for crm in crms for one in _unwritten(crm, [row for row in counted if row["crm"] == crm])]
    written = {row["crm"] for row in counted if row["status"] == "acknowledged"}
    broken = {row["crm"] for row in counted if row["status"] == "held" and _is_left(row)}
    before = refused_before(step, step.read(PLAN, step.days))
    return Standing(dict(counts), len(before), found, sorted(broken - written))


def refused_before(step: Step, plan: ir.Table) -> set[tuple[str, ...]]:
    """Return the keys of rows that are not written because just that was refused before.

    Args:
        step: Reads the receipts.
        plan: crm_sync_plan of the day.
    """
    skipped = plan.filter(plan.operation == SKIP)
    scopes = skipped.select("crm", "stream", "target").distinct().to_pyarrow().to_pylist()
    return {key for row in scopes for key in _refused(step, skipped, Scope(**row))}


def _refused(step: Step, skipped: ir.Table, scope: Scope) -> Iterator[tuple[str, ...]]:
    dead = {one.customer_id: one.payload_hash for one in iter_receipts(step.ledger, scope, status="dead")}
    if not dead:
        return
    mine = (skipped.crm == scope.crm) & (skipped.stream == scope.stream) & (skipped.target == scope.target)
    dated = date_field(step, scope)
    for row in skipped.filter(mine).select("customer_id", "payload").to_pyarrow().to_pylist():
        known = dead.get(row["customer_id"])
        if known is not None and known == payload_hash(json.loads(row["payload"]), dated):
            yield (*scope.key, row["customer_id"])


def _unwritten(crm: str, counted: Sequence[Mapping[str, Any]]) -> Iterator[Unwritten]:
    left = sorted((row for row in counted if _is_left(row)), key=lambda row: (row["status"] != "held", -row["n"]))
    if left:
        yield Unwritten(crm, sum(row["n"] for row in left), left[0]["error_code"], left[0]["error_text"])


def _is_left(row: Mapping[str, Any]) -> bool:
    """Whether rows wait, and not because a brake or a person holds them."""
    return row["status"] in WAITING or (row["status"] == "held" and row["error_code"] != BRAKE)
