"""Brakes of a sync: reasons not to begin, and how quickly a first one goes.

A person lets a day through with ``run --date D --release scores``.

Belongs here: what is compared with what. Does not belong here: sending (``crm_sync``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from statistics import median

import ibis
import ibis.expr.types as ir

from scoring_platform.config.crm import Brakes
from scoring_platform.domain import crm_plan as domain
from scoring_platform.ledger.receipts import Scope, count_receipts, iter_receipts
from scoring_platform.pipeline.crm_plan import PLAN, TEXTS_ONLY
from scoring_platform.pipeline.crm_records import holders
from scoring_platform.pipeline.step import Step

_DAYS = 35
"""Days before, among which it is looked for what is usual."""

_FEWEST_DAYS = 3
_FEWEST_ROWS = 50
"""Customers below which shares say little."""


def reason_to_hold(step: Step, scope: Scope, plan: ir.Table | None = None) -> str:
    """Return why nothing of a stream should be written today; empty when it may.

    Args:
        step: Reads the lake and the receipts.
        scope: The stream and the kind of record.
        plan: The plan, by default the published one of the day.
    """
    if step.config.crm.dry_run:
        return "dry run (crm.dry_run)"
    planned = _written(step.read(PLAN, step.days) if plan is None else plan, scope)
    rows = _count(planned)
    if not rows:
        return ""
    rules = step.config.crm.brakes
    moved = _rekeyed(step, planned, scope, rules) or _shrunk(step, rules)
    return moved or _blanked(step, planned, scope, rules) or _unusual(step, scope, rows, rules)


def steps(rules: Brakes, batch_size: int, *, first: bool) -> Iterator[int]:
    """Give sizes of batches without end: those of a first sync begin with the canary and grow."""
    size = float(rules.canary if first and rules.canary else batch_size)
    while size < batch_size:
        yield int(size)
        size *= rules.ramp if rules.ramp > 1 else batch_size
    while True:
        yield batch_size


def rejected(rules: Brakes, *, sent: int, refused: int) -> bool:
    """Whether so many rows were refused that a sync stops."""
    return sent >= rules.reject_minimum and refused >= rules.reject_share * sent


def _shrunk(step: Step, rules: Brakes) -> str:
    """Compare customers with the day before: a source that lost most of its rows blanks no fields."""
    before = step.lake.version("customer_profiles", step.last - timedelta(days=1))
    now = step.lake.version("customer_profiles", step.last)
    if before is None or now is None or before.rows < _FEWEST_ROWS:
        return ""
    if now.rows >= before.rows * (1 - rules.shrunk_share):
        return ""
    return f"customers fell from {before.rows:,} to {now.rows:,} since the day before (crm.brakes.shrunk_share)"


def _rekeyed(step: Step, planned: ir.Table, scope: Scope, rules: Brakes) -> str:
    known = count_receipts(step.ledger, scope, "acknowledged")
    moved = _count(planned.filter(planned.changed_fields.contains(domain.KEY)))
    if known < _FEWEST_ROWS or moved <= rules.usual_share * known:
        return ""
    return (
        f"our key of {moved:,} of {known:,} customers would be written to another field than before "
        f"(destinations.{scope.crm}.fields.customer_key)"
    )


def _blanked(step: Step, planned: ir.Table, scope: Scope, rules: Brakes) -> str:
    empty = '": ""' if scope.crm in TEXTS_ONLY else '": null'
    known = count_receipts(step.ledger, scope, "acknowledged")
    if known < _FEWEST_ROWS:
        return ""
    blank = planned.filter((planned.operation == "update") & planned.payload.contains(empty))
    if scope.of_records:
        # What an account or a deal shows before it is written first is not ours, and no loss.
        ours = [{"record_id": record} for record in holders(iter_receipts(step.ledger, scope))]
        shown = step.engine.materialise(ibis.memtable(ours, schema=ibis.schema({"record_id": "string"})))
        blank = blank.semi_join(shown, "record_id")
    emptied = _count(blank)
    if emptied <= rules.blank_share * known:
        return ""
    return f"fields of {emptied:,} of {known:,} customers would be emptied (crm.brakes.blank_share)"


def _unusual(step: Step, scope: Scope, rows: int, rules: Brakes) -> str:
    """Compare the share of changed customers with what is usual: the first days of model months with each other."""
    known = count_receipts(step.ledger, scope, "acknowledged")
    if known < _FEWEST_ROWS or rows <= rules.usual_share * known:
        return ""
    usual = _usual(step, scope, known=known)
    if usual is None or rows / known <= rules.usual_factor * usual:
        return ""
    return (
        f"{rows:,} of {known:,} customers would be written, {rows / known:.0%}; usual is {usual:.1%} "
        "(crm.brakes.usual_factor)"
    )


def _usual(step: Step, scope: Scope, *, known: int) -> float | None:
    """Return the usual share of changed customers on days like the step's; None where too little is known.

    Once a month cut-offs move: such a day is compared with the last of its kind.
    """
    monthly = step.last.day == 1
    first = step.last - timedelta(days=_DAYS if not monthly else 3 * _DAYS)
    days = step.lake.days(PLAN, first=first, last=step.last - timedelta(days=1))
    days = [day for day in days if (day.day == 1) is monthly]
    if len(days) < (1 if monthly else _FEWEST_DAYS):
        return None
    planned = _written(step.read(PLAN, days), scope).filter(lambda rows: rows.operation == "update")
    counts = planned.group_by("as_of").aggregate(n=planned.count()).to_pyarrow().to_pydict()
    found = dict(zip(counts["as_of"], counts["n"], strict=True))
    # Accounts and deals are fewer than customers: their days are compared by what is known of them now.
    shares = [found.get(day, 0) / max(known if scope.of_records else _customers(step, day), 1) for day in days]
    return float(shares[-1] if monthly else median(shares))


def _customers(step: Step, day: date) -> int:
    version = step.lake.version("customer_profiles", day)
    return version.rows if version else 0


def _written(plan: ir.Table, scope: Scope) -> ir.Table:
    mine = (plan.crm == scope.crm) & (plan.stream == scope.stream) & (plan.target == scope.target)
    # Who is only looked for may well not be there, and makes no day unusual.
    return plan.filter(mine & plan.operation.isin([domain.CREATE, domain.UPDATE]))


def _count(rows: ir.Table) -> int:
    return int(rows.count().to_pyarrow().as_py())
