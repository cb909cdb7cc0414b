"""crm_sync: the day's plan sent to each CRM, and what became of every row.

Every receipt is durable before the next batch goes; a batch goes under a lease of its CRM, so that two runs take turns
and share what a CRM allows.

Belongs here: batches, leases, receipts. Does not belong here: the plan (``crm_plan``), brakes, vendors
(``destinations``).
"""

from __future__ import annotations

import html
import json
import re
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import ibis
import ibis.expr.types as ir

from scoring_platform.destinations.protocol import Crm, CrmReceipt, CrmWrite, Value
from scoring_platform.domain.crm_plan import FIND, STREAMS
from scoring_platform.errors import ConfigurationError, SourceError
from scoring_platform.http.verdict import fit_words
from scoring_platform.ledger.receipts import Outcome, Receipt, Scope, count_receipts, read_receipts, record_outcomes
from scoring_platform.ledger.turns import turn
from scoring_platform.pipeline import brakes, crm_plan, crm_records
from scoring_platform.pipeline.crm_course import Course, Held
from scoring_platform.pipeline.crm_plan import PLAN, date_field, is_acknowledged, payload_hash, scopes
from scoring_platform.pipeline.step import Step

SYNC = "crm_sync"

_MASK = "…@…"
_TOLD = ("status", "error_code", "error_text", "attempt", "acknowledged_at", "run_id", "config_version")


@dataclass(frozen=True)
class Applied:
    """What applying a plan did.

    Attributes:
        counts: Rows by status.
        held: Why nothing, or nothing more, of a stream was sent; without a stream: of a CRM.
    """

    counts: Mapping[str, int]
    held: Mapping[Scope, Held] = field(default_factory=dict)

    @property
    def stopped(self) -> str:
        """Why some of it was not done, in words; empty when all was."""
        said = {f"{scope.crm} {scope.stream}".rstrip(): held.text for scope, held in self.held.items()}
        return "; ".join(f"{what}: {text}" for what, text in said.items())


def apply_plan(
    step: Step,
    crms: Sequence[Crm],
    *,
    streams: Collection[str] = tuple(STREAMS),
    released: Collection[str] = (),
    ready: Callable[[Crm], None] | None = None,
) -> Applied:
    """Write what the day's plan holds and is not acknowledged yet, each CRM by itself.

    Args:
        step: Reads the plan, keeps receipts.
        crms: Where to.
        streams: Which fields.
        released: Those of them that a person lets through whatever the brakes say.
        ready: Raises why a CRM cannot be written to.
    """
    counts: Counter[str] = Counter()
    held: dict[Scope, Held] = {}
    for crm in crms:
        try:
            if ready is not None:
                ready(crm)
            for scope in scopes(step, crm.name, streams):
                reason = "" if scope.stream in released else brakes.reason_to_hold(step, scope)
                if reason:
                    held[scope] = Held(reason)
                    continue
                sync = _Sync(step, crm, scope, released=scope.stream in released)
                for receipts in sync.receipts():
                    counts.update(receipt.status for receipt in receipts)
                if sync.held is not None:
                    held[scope] = sync.held
        except (SourceError, ConfigurationError) as error:  # what was acknowledged is recorded; the rest waits
            held[Scope(crm.name, "")] = Held(str(error), type(error).__name__)
    return Applied(counts, held)


@dataclass(frozen=True)
class _Due:
    """A row on its way.

    Attributes:
        write: What is written.
        digest: The name of its content.
        holder: What is known of the record of who it was written for before.
        failed: How often in a row it was not taken.
    """

    write: CrmWrite
    digest: str
    holder: Receipt | None = None
    failed: int = 0


class _Sync:
    """One stream on its way to one CRM."""

    def __init__(self, step: Step, crm: Crm, scope: Scope, *, released: bool = False) -> None:
        self.held: Held | None = None
        self._step, self._crm, self._scope, self._released = step, crm, scope, released
        self._holder = f"{step.run_id or 'sync'}-{uuid.uuid4().hex[:8]}"

    def receipts(self) -> Iterator[list[CrmReceipt]]:
        """Write batch by batch and give the receipts of each, which are durable by then."""
        step, rules = self._step, self._step.config.crm.brakes
        first = not count_receipts(step.ledger, self._scope, "acknowledged")
        # What was not taken before comes last: it keeps nobody else waiting.
        open_rows = sorted(_open_rows(step, self._scope), key=lambda due: due.failed)
        due, batch_size = iter(open_rows), self._crm.sized(len(open_rows))
        course = Course(rules, len(open_rows), first, self._released)
        for size in brakes.steps(rules, batch_size, first=first):
            rows = list(islice(due, size))
            if not rows:
                return
            with self._turn():
                receipts = self._crm.apply([one.write for one in rows])
                self._record(rows, receipts)
            yield receipts
            self.held = course.after(receipts)
            if self.held is not None:
                return

    def _record(self, rows: Sequence[_Due], receipts: Sequence[CrmReceipt]) -> None:
        # With a contact every CRM takes our key, whether it is new there or not.
        step, key = self._step, crm_plan.key_field(self._step, self._scope)
        outcomes = [
            Outcome(
                customer_id=receipt.customer_id,
                status=receipt.status,
                as_of=step.last,
                payload_hash=due.digest,
                values={**due.write.properties, **({key: receipt.customer_id} if key else {})},
                destination_id=due.write.destination_id if self._scope.of_records else receipt.destination_id,
                error_code=receipt.error_code,
                error_text=_without_address(receipt.error_text, due.write.email),
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


def _without_address(text: str | None, email: str | None) -> str | None:
    """Take the row's own address out of a vendor's words, however unusual it is, whole or half masked."""
    if not text or not email:
        return text
    for known in dict.fromkeys((email, html.escape(email), fit_words(email))):
        text = re.sub(re.escape(known), _MASK, text, flags=re.IGNORECASE)
    return text


def _open_rows(step: Step, scope: Scope) -> Iterator[_Due]:
    plan = step.read(PLAN, step.days)
    emails = step.read("customer_profiles", step.days).select("customer_id", "email")
    mine = (plan.crm == scope.crm) & (plan.stream == scope.stream) & (plan.target == scope.target)
    due = plan.filter(mine & (plan.operation != "skip"))
    joined = due.left_join(emails, "customer_id")
    rows = joined.select("customer_id", "record_id", "operation", "payload", "email")
    receipts, dated = read_receipts(step.ledger, scope), date_field(step, scope)
    holders = crm_records.holders(receipts.values()) if scope.of_records else {}
    for row in rows.order_by("customer_id").to_pyarrow().to_pylist():
        customer, record, properties = row["customer_id"], row["record_id"], json.loads(row["payload"])
        receipt = crm_records.about(receipts.get(customer), record)
        digest = payload_hash(properties, dated)
        if receipt and (is_acknowledged(receipt, properties, dated) or _is_settled(step, receipt, row, digest)):
            continue
        known = record or (receipt.destination_id if receipt else None)
        # Accounts and deals are written by their ids alone.
        email = None if scope.of_records else row["email"]
        holder = holders.get(record) if record else None
        other = holder if holder is not None and holder.customer_id != customer else None
        write = CrmWrite(customer, email, known, properties, scope.target)  # type: ignore[arg-type]
        yield _Due(write, digest, other, receipt.attempt if receipt else 0)


def _is_settled(step: Step, receipt: Receipt, planned: Mapping[str, Any], digest: str) -> bool:
    """Whether just this was refused, or was looked for on this day already and is not in the CRM."""
    if receipt.payload_hash != digest:
        return False
    return receipt.status == "dead" or (planned["operation"] == FIND and _is_absent(step, receipt))


def _is_absent(step: Step, receipt: Receipt) -> bool:
    """Whether the CRM had no such record on the run's day: who was looked for earlier may have come since."""
    return receipt.status == "absent" and receipt.as_of == step.last


def crm_sync(step: Step, held: Mapping[Scope, Held] | None = None) -> ir.Table:
    """What became of every row planned for the day. What a CRM was told that is configured no more stays as it was.

    Args:
        step: Reads the plan and the receipts.
        held: Why nothing, or nothing more, of a stream was sent (``Applied``).
    """
    plan = step.read(PLAN, step.days)
    planned = plan.filter(plan.operation != "skip").drop("operation", "changed_fields")
    known: dict[Scope, dict[str, Receipt]] = {}
    reasons, told = dict(held or {}), crm_plan.told_before(step)
    rows = []
    for row in planned.to_pyarrow().to_pylist():
        scope = Scope(row["crm"], row["stream"], row["target"])
        before = told.get((*scope.key, row["customer_id"]))
        if before is not None:
            rows.append(before)
            continue
        if scope not in known:
            known[scope] = read_receipts(step.ledger, scope)
        receipt = crm_records.about(known[scope].get(row["customer_id"]), row["record_id"])
        receipt = _about(step, receipt, json.loads(row["payload"]), date_field(step, scope))
        reason = reasons.get(scope) or reasons.get(Scope(scope.crm, ""))
        rows.append({"as_of": step.last, **_sync_row(row, receipt, reason)})
    kinds = dict(step.read(SYNC, []).schema().items())
    return step.engine.materialise(ibis.memtable(rows, schema=ibis.schema(kinds)))


def _about(step: Step, receipt: Receipt | None, payload: Mapping[str, Value], dated: str | None) -> Receipt | None:
    """Return the receipt if it is about what is planned, and not about an earlier write or look."""
    if receipt is None or (receipt.status == "absent" and not _is_absent(step, receipt)):
        return None
    same = receipt.payload_hash == payload_hash(payload, dated)
    return receipt if same or is_acknowledged(receipt, payload, dated) else None


def _sync_row(planned: Mapping[str, Any], receipt: Receipt | None, held: Held | None) -> dict[str, Any]:
    row = {name: planned[name] for name in ("crm", "stream", "target", "customer_id")}
    if receipt is not None:
        return row | {name: getattr(receipt, name) for name in _TOLD}
    return row | dict.fromkeys(_TOLD) | {
        "status": "held", "error_code": held.code if held else None, "error_text": held.text if held else None,
        "attempt": 0,
    }  # fmt: skip
