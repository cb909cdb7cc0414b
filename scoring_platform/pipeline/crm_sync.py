"""crm_sync: the day's plan sent to each CRM, and what became of every row.

Every receipt is durable before the next batch goes; a batch goes under a lease of its CRM, so that two runs take turns
and share what a CRM allows.

Belongs here: batches, leases, receipts. Does not belong here: the plan (``crm_plan``), brakes, vendors
(``destinations``).
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import ibis
import ibis.expr.types as ir

from scoring_platform.destinations.protocol import Crm, CrmReceipt, CrmWrite, Value
from scoring_platform.domain.crm_plan import STREAMS
from scoring_platform.errors import SourceError
from scoring_platform.ledger.receipts import Outcome, Receipt, Scope, count_receipts, read_receipts, record_outcomes
from scoring_platform.ledger.turns import turn
from scoring_platform.pipeline import brakes, crm_records
from scoring_platform.pipeline.crm_plan import PLAN, date_field, is_acknowledged, payload_hash, scopes
from scoring_platform.pipeline.step import Step

SYNC = "crm_sync"

_TOLD = ("status", "error_code", "error_text", "attempt", "acknowledged_at", "run_id", "config_version")


@dataclass(frozen=True)
class Applied:
    """What applying a plan did.

    Attributes:
        counts: Rows by status.
        stopped: Why some of it was not done, in words; empty when all was.
        held: Why nothing, or nothing more, of a stream was sent.
    """

    counts: Mapping[str, int]
    stopped: str = ""
    held: Mapping[Scope, str] = field(default_factory=dict)


def apply_plan(
    step: Step, crms: Sequence[Crm], *, streams: Collection[str] = tuple(STREAMS), released: Collection[str] = ()
) -> Applied:
    """Write what the day's plan holds and is not acknowledged yet.

    Args:
        step: Reads the plan, keeps receipts.
        crms: Where to.
        streams: Which fields.
        released: Those of them that a person lets through whatever the brakes say.
    """
    counts: Counter[str] = Counter()
    held: dict[Scope, str] = {}
    for crm in crms:
        try:
            for scope in scopes(step, crm.name, streams):
                reason = "" if scope.stream in released else brakes.reason_to_hold(step, scope)
                if reason:
                    held[scope] = reason
                    continue
                sync = _Sync(step, crm, scope)
                for receipts in sync.receipts():
                    counts.update(receipt.status for receipt in receipts)
                if sync.stopped:
                    held[scope] = sync.stopped
        except SourceError as error:  # what was acknowledged is recorded; the rest is planned again next time
            held[Scope(crm.name, "")] = str(error)
    words = [f"{scope.crm}{f' {scope.stream}' if scope.stream else ''}: {reason}" for scope, reason in held.items()]
    return Applied(counts, "; ".join(words), held)


@dataclass(frozen=True)
class _Due:
    """A row on its way: what is written, the name of its content, and who the record was written for before."""

    write: CrmWrite
    digest: str
    holder: Receipt | None = None


class _Sync:
    """One stream on its way to one CRM."""

    def __init__(self, step: Step, crm: Crm, scope: Scope) -> None:
        self.stopped = ""
        self._step, self._crm, self._scope = step, crm, scope
        self._holder = f"{step.run_id or 'sync'}-{uuid.uuid4().hex[:8]}"

    def receipts(self) -> Iterator[list[CrmReceipt]]:
        """Write batch by batch and give the receipts of each, which are durable by then."""
        step, rules = self._step, self._step.config.crm.brakes
        first = not count_receipts(step.ledger, self._scope, "acknowledged")
        open_rows = list(_open_rows(step, self._scope))
        due, batch_size = iter(open_rows), self._crm.sized(len(open_rows))
        sent = refused = 0
        for size in brakes.steps(rules, batch_size, first=first):
            rows = list(islice(due, size))
            if not rows:
                return
            with self._turn():
                receipts = self._crm.apply([one.write for one in rows])
                self._record(rows, receipts)
            yield receipts
            sent, refused = sent + len(rows), refused + sum(receipt.status == "dead" for receipt in receipts)
            if brakes.rejected(rules, sent=sent, refused=refused):
                self.stopped = f"stopped after {sent:,} rows, of which {refused:,} were refused: {_commonest(receipts)}"
                return

    def _record(self, rows: Sequence[_Due], receipts: Sequence[CrmReceipt]) -> None:
        step = self._step
        outcomes = [
            Outcome(
                customer_id=receipt.customer_id,
                status=receipt.status,
                as_of=step.last,
                payload_hash=due.digest,
                values=due.write.properties,
                destination_id=due.write.destination_id if self._scope.of_records else receipt.destination_id,
                error_code=receipt.error_code,
                error_text=receipt.error_text,
                run_id=step.run_id,
                config_version=step.settings.config_version,
                holder=due.holder,
            )
            for due, receipt in zip(rows, receipts, strict=True)
        ]
        record_outcomes(step.ledger, self._scope, outcomes, now=step.now)

    def _turn(self) -> AbstractContextManager[None]:
        """Hold the CRM's lease for one batch; of two streams that wait the earlier one is next."""
        rank = list(STREAMS).index(self._scope.stream)
        return turn(self._step.ledger, f"crm:{self._crm.name}", holder=self._holder, rank=rank)


def _commonest(receipts: Sequence[CrmReceipt]) -> str:
    refused = Counter(f"{one.error_code}: {one.error_text}" for one in receipts if one.status == "dead")
    return refused.most_common(1)[0][0] if refused else "see crm_sync"


def _open_rows(step: Step, scope: Scope) -> Iterator[_Due]:
    plan = step.read(PLAN, step.days)
    emails = step.read("customer_profiles", step.days).select("customer_id", "email")
    mine = (plan.crm == scope.crm) & (plan.stream == scope.stream) & (plan.target == scope.target)
    due = plan.filter(mine & (plan.operation != "skip"))
    rows = due.left_join(emails, "customer_id").select("customer_id", "record_id", "payload", "email")
    receipts, dated = read_receipts(step.ledger, scope), date_field(step, scope)
    holders = crm_records.holders(receipts.values()) if scope.of_records else {}
    for row in rows.order_by("customer_id").to_pyarrow().to_pylist():
        customer, record, properties = row["customer_id"], row["record_id"], json.loads(row["payload"])
        receipt = crm_records.about(receipts.get(customer), record)
        digest = payload_hash(properties, dated)
        if receipt and (is_acknowledged(receipt, properties, dated) or _is_refused(receipt, digest)):
            continue
        known = record or (receipt.destination_id if receipt else None)
        # Accounts and deals are written by their ids alone.
        email = None if scope.of_records else row["email"]
        holder = holders.get(record) if record else None
        other = holder if holder is not None and holder.customer_id != customer else None
        yield _Due(CrmWrite(customer, email, known, properties, scope.target), digest, other)  # type: ignore[arg-type]


def _is_refused(receipt: Receipt, digest: str) -> bool:
    return receipt.status == "dead" and receipt.payload_hash == digest


def crm_sync(step: Step, held: Mapping[Scope, str] | None = None) -> ir.Table:
    """What became of every row planned for the day.

    Args:
        step: Reads the plan and the receipts.
        held: Why nothing, or nothing more, of a stream was sent (``Applied``).
    """
    plan = step.read(PLAN, step.days)
    planned = plan.filter(plan.operation != "skip").drop("operation", "changed_fields")
    known: dict[Scope, dict[str, Receipt]] = {}
    reasons = dict(held or {})
    rows = []
    for row in planned.to_pyarrow().to_pylist():
        scope = Scope(row["crm"], row["stream"], row["target"])
        if scope not in known:
            known[scope] = read_receipts(step.ledger, scope)
        receipt = crm_records.about(known[scope].get(row["customer_id"]), row["record_id"])
        receipt = _about(receipt, json.loads(row["payload"]), date_field(step, scope))
        reason = reasons.get(scope) or reasons.get(Scope(scope.crm, ""))
        rows.append({"as_of": step.last, **_sync_row(row, receipt, reason)})
    kinds = dict(step.read(SYNC, []).schema().items())
    return step.engine.materialise(ibis.memtable(rows, schema=ibis.schema(kinds)))


def _about(receipt: Receipt | None, payload: Mapping[str, Value], dated: str | None) -> Receipt | None:
    """Return the receipt if it is about what is planned, and not about an earlier write."""
    if receipt is None:
        return None
    same = receipt.payload_hash == payload_hash(payload, dated)
    return receipt if same or is_acknowledged(receipt, payload, dated) else None


def _sync_row(planned: Mapping[str, Any], receipt: Receipt | None, held: str | None) -> dict[str, Any]:
    row = {name: planned[name] for name in ("crm", "stream", "target", "customer_id")}
    if receipt is not None:
        return row | {name: getattr(receipt, name) for name in _TOLD}
    return row | dict.fromkeys(_TOLD) | {
        "status": "held", "error_code": "HELD" if held else None, "error_text": held, "attempt": 0,
    }  # fmt: skip
