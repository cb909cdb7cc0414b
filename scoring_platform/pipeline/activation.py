"""Plan and apply: what each CRM should be told, and what became of it.

A day's plan and outcome only grow: a re-run adds what is still to be done and keeps what was done, so that it changes
no row when there is nothing to do.

Belongs here: permission of the run, plan, batches and receipts. Does not belong here: which differences count
(``domain.crm_plan``), vendors (``destinations``).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir

from scoring_platform.destinations.protocol import Crm, CrmReceipt, CrmWrite
from scoring_platform.domain import crm_plan
from scoring_platform.domain.permission import Permission, permission
from scoring_platform.errors import SourceError
from scoring_platform.ledger.receipts import Outcome, Receipt, Scope, iter_receipts, read_receipts, record_outcomes
from scoring_platform.pipeline.history import event_tables
from scoring_platform.pipeline.step import Step

STREAM = "scores"
PLAN = "crm_sync_plan"
SYNC = "crm_sync"

_KEY = ("crm", "stream", "target", "customer_id")


@dataclass(frozen=True)
class Applied:
    """What applying a plan did: rows by status, and why it stopped early, if it did."""

    counts: Mapping[str, int]
    stopped: str = ""


def run_permission(step: Step, *, released: Sequence[str] = (), stream: str = STREAM) -> Permission:
    """Return whether this run may send what ``stream`` names (scores or report)."""
    rules = step.config.activation
    return permission(
        list(step.days),
        newest=step.lake.latest("customer_segments"),
        today=today(step),
        max_age_days=rules.max_age_days,
        released=stream in released,
    )


def today(step: Step) -> date:
    """Return the current business day: the wall clock's, or the day after the latest raw event."""
    if step.config.activation.clock == "wall":
        return step.now.astimezone(ZoneInfo(step.config.time_zone)).date()
    return latest_event_day(step) + timedelta(days=1)


def latest_event_day(step: Step) -> date:
    """Return the latest business day with a raw event; the run's last day when there is none."""
    latest: list[date] = []
    for name in event_tables(step.settings):
        for day in reversed(step.lake.days(name)):
            version = step.lake.version(name, day)
            if version is not None and version.rows > 0:
                latest.append(day)
                break
    return max(latest, default=step.last)


def crm_sync_plan(step: Step, crms: Sequence[str]) -> ir.Table:
    """The rows still to be written for the run's day, and those planned for it before and done.

    A row planned before that is neither to be written any more nor done would write values that no longer hold.
    """
    before = step.engine.materialise(step.read(PLAN, step.days))
    plans = [_plan(step, name).mutate(as_of=ibis.literal(step.last)).select(before.columns) for name in crms]
    fresh = step.engine.materialise(ibis.union(before.limit(0), *plans))
    # What the CRM refused on this very day is planned as it was, so that its outcome stays in view.
    refused = fresh.filter(fresh.operation == "skip").semi_join(
        before.filter(before.operation != "skip"), [*_KEY, "payload"]
    )
    fresh = fresh.anti_join(refused, _KEY)
    rest = before.anti_join(fresh, _KEY)
    kept = ibis.union(rest.semi_join(refused, _KEY), rest.anti_join(refused, _KEY).semi_join(_done(step, rest), _KEY))
    return ibis.union(fresh, kept)


def _done(step: Step, planned: ir.Table) -> ir.Table:
    """Return the keys of planned rows whose values the CRM has acknowledged."""
    receipts: dict[Scope, dict[str, Receipt]] = {}
    found = []
    for row in planned.to_pyarrow().to_pylist():
        scope = Scope(row["crm"], row["stream"], row["target"])
        if scope not in receipts:
            receipts[scope] = read_receipts(step.ledger, scope)
        receipt = receipts[scope].get(row["customer_id"])
        if receipt and _is_acknowledged(receipt, json.loads(row["payload"]), _date_field(step, scope.crm)):
            found.append({name: row[name] for name in _KEY})
    return step.engine.materialise(ibis.memtable(found, schema=ibis.schema(dict.fromkeys(_KEY, "string"))))


def _date_field(step: Step, crm: str) -> str | None:
    section = getattr(step.config.destinations, crm, None)
    return section.fields.score_date if section else None


def _plan(step: Step, crm: str) -> ir.Table:
    section = getattr(step.config.destinations, crm)
    fields = {name: value for name, value in section.fields.model_dump().items() if value and name != "customer_key"}
    labels = {code: getattr(label, step.config.report.language) for code, label in step.config.segments.labels.items()}
    wanted = crm_plan.desired(
        step.read("customer_scores", step.days),
        step.read("customer_segments", step.days),
        step.read("customer_profiles", step.days),
        labels=labels,
    )
    return crm_plan.plan(
        step.engine.materialise(wanted),
        _acknowledged(step, Scope(crm, STREAM)),
        crm=crm,
        stream=STREAM,
        fields=fields,
        score_date=step.last.isoformat(),
        clv_dead_band=step.config.crm.clv_dead_band,
    ).drop("email")


def _acknowledged(step: Step, scope: Scope) -> ir.Table:
    section = getattr(step.config.destinations, scope.crm)
    names = section.fields.model_dump()
    rows = [_acknowledged_row(receipt, names) for receipt in iter_receipts(step.ledger, scope)]
    kinds = {
        "customer_id": "string",
        "known": "boolean",
        "dead_payload": "string",
        **{f"had_{value}": "string" for value in crm_plan.VALUES},
    }
    return step.engine.materialise(ibis.memtable(rows, schema=ibis.schema(kinds)))


def _acknowledged_row(receipt: Receipt, names: Mapping[str, str | None]) -> dict[str, Any]:
    return {
        "customer_id": receipt.customer_id,
        "known": receipt.destination_id is not None,
        "dead_payload": receipt.payload_hash if receipt.status == "dead" else None,
        **{f"had_{value}": receipt.acknowledged.get(names[value] or "") for value in crm_plan.VALUES},
    }


def apply_plan(step: Step, crms: Sequence[Crm]) -> Applied:
    """Write what the day's plan holds and is not acknowledged yet; every receipt is durable before the next batch."""
    counts: Counter[str] = Counter()
    stopped = ""
    for crm in crms:
        try:
            for receipts in _apply(step, crm):
                counts.update(receipt.status for receipt in receipts)
        except SourceError as error:  # what was acknowledged is recorded; the rest is planned again next time
            stopped = f"{crm.name}: {error}"
    return Applied(counts, stopped)


def _apply(step: Step, crm: Crm) -> Iterator[list[CrmReceipt]]:
    scope = Scope(crm.name, STREAM)
    due = _open_rows(step, scope)
    while rows := list(islice(due, crm.batch_size)):
        writes = [write for write, _ in rows]
        receipts = crm.apply(writes)
        outcomes = [
            Outcome(
                customer_id=receipt.customer_id,
                status=receipt.status,
                as_of=step.last,
                payload_hash=digest,
                values=write.properties,
                destination_id=receipt.destination_id,
                error_code=receipt.error_code,
                error_text=receipt.error_text,
            )
            for (write, digest), receipt in zip(rows, receipts, strict=True)
        ]
        record_outcomes(step.ledger, scope, outcomes, now=step.now)
        yield receipts


def _open_rows(step: Step, scope: Scope) -> Iterator[tuple[CrmWrite, str]]:
    plan = step.read(PLAN, step.days)
    emails = step.read("customer_profiles", step.days).select("customer_id", "email")
    due = plan.filter((plan.crm == scope.crm) & (plan.stream == scope.stream) & (plan.operation != "skip"))
    rows = due.left_join(emails, "customer_id").select("customer_id", "payload", "email").order_by("customer_id")
    receipts = read_receipts(step.ledger, scope)
    date_field = _date_field(step, scope.crm)
    for row in rows.to_pyarrow().to_pylist():
        properties: dict[str, str] = json.loads(row["payload"])
        receipt = receipts.get(row["customer_id"])
        digest = payload_hash(properties, date_field)
        if receipt and (_is_acknowledged(receipt, properties, date_field) or _is_refused(receipt, digest)):
            continue
        write = CrmWrite(row["customer_id"], row["email"], receipt.destination_id if receipt else None, properties)
        yield write, digest


def _is_acknowledged(receipt: Receipt, properties: Mapping[str, str], date_field: str | None) -> bool:
    """Whether the CRM has every value; the score date takes no part."""
    return all(receipt.acknowledged.get(name) == value for name, value in properties.items() if name != date_field)


def _is_refused(receipt: Receipt, digest: str) -> bool:
    return receipt.status == "dead" and receipt.payload_hash == digest


def payload_hash(properties: Mapping[str, str], date_field: str | None) -> str:
    """Name the content of a payload without its date, as the plan names it."""
    pairs = [
        f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}"
        for name, value in properties.items()
        if name != date_field
    ]
    return hashlib.md5(", ".join(pairs).encode(), usedforsecurity=False).hexdigest()


def crm_sync(step: Step) -> ir.Table:
    """What became of every row planned for the day."""
    plan = step.read(PLAN, step.days).to_pyarrow().select(["crm", "stream", "target", "customer_id", "operation"])
    known: dict[tuple[str, str], dict[str, Receipt]] = {}
    rows = []
    for row in plan.to_pylist():
        if row["operation"] == "skip":
            continue
        scope = (row["crm"], row["stream"])
        if scope not in known:
            known[scope] = read_receipts(step.ledger, Scope(*scope))
        rows.append(_sync_row(row, known[scope].get(row["customer_id"]), step.last))
    kinds = dict(step.read(SYNC, []).schema().items())
    return step.engine.materialise(ibis.memtable(rows, schema=ibis.schema(kinds)))


def _sync_row(planned: Mapping[str, Any], receipt: Receipt | None, day: date) -> dict[str, Any]:
    return {
        "crm": planned["crm"],
        "stream": planned["stream"],
        "target": planned["target"],
        "customer_id": planned["customer_id"],
        "status": receipt.status if receipt else "held",
        "error_code": receipt.error_code if receipt else None,
        "error_text": receipt.error_text if receipt else None,
        "attempt": receipt.attempt if receipt else 0,
        "acknowledged_at": receipt.acknowledged_at if receipt else None,
        "as_of": day,
    }
