"""crm_sync_plan: what each CRM should be told on a day.

A day's plan only grows: a re-run adds what is still to be done and keeps what was done, so that it changes no row when
there is nothing to do.

Belongs here: which days, receipts and configuration a plan is made from. Does not belong here: which differences count
(``domain.crm_plan``), sending (``crm_sync``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir

from scoring_platform.config.crm import OF_RECORDS, CrmDestination, Target
from scoring_platform.domain import crm_plan as domain
from scoring_platform.domain.crm_plan import DeadBand, Recipient
from scoring_platform.domain.crm_records import spoken_for
from scoring_platform.ledger.receipts import Receipt, Scope, Value, iter_receipts, read_receipts
from scoring_platform.pipeline import crm_records
from scoring_platform.pipeline.routing import owners
from scoring_platform.pipeline.step import Step

PLAN = "crm_sync_plan"
TEXTS_ONLY = frozenset({"hubspot"})
"""CRMs that take every value as text and clear a field by the empty one."""

_KEY = ("crm", "stream", "target", "customer_id")
_RECORD = ("crm", "stream", "target", "record_id")


def crm_sync_plan(step: Step, crms: Sequence[str], streams: Collection[str] = tuple(domain.STREAMS)) -> ir.Table:
    """The rows still to be written for the run's day, and those planned for it before and done.

    A row planned before that is neither to be written any more nor done would write values that no longer hold.
    """
    before = step.engine.materialise(step.read(PLAN, step.days))
    fresh = step.engine.materialise(fresh_plan(step, crms, streams))
    # What the CRM refused on this very day is planned as it was, so that its outcome stays in view.
    refused = fresh.filter(fresh.operation == "skip").semi_join(
        before.filter(before.operation != "skip"), [*_KEY, "payload"]
    )
    fresh = fresh.anti_join(refused, _KEY)
    # Of a record that several customers share there is one row: that of who speaks for it now.
    rest = before.anti_join(fresh, _KEY).anti_join(fresh.filter(fresh.record_id.notnull()), _RECORD)
    kept = ibis.union(rest.semi_join(refused, _KEY), rest.anti_join(refused, _KEY).semi_join(_done(step, rest), _KEY))
    return ibis.union(fresh, kept)


def fresh_plan(step: Step, crms: Sequence[str], streams: Collection[str] = tuple(domain.STREAMS)) -> ir.Table:
    """Return what is to be written for the run's day by what the CRMs have acknowledged."""
    none = step.read(PLAN, []).limit(0)
    return ibis.union(none, *_fresh(step, crms, streams, none.columns))


def not_rolled_out(step: Step, crms: Sequence[str]) -> dict[str, int]:
    """Return by stream how many customers are not in the rollout; only of streams where there are some."""
    rules = step.config.crm.rollout
    if not crms or (rules.percentage == 100 and not rules.segments and not rules.regions):
        return {}
    found = {}
    for stream in domain.STREAMS:
        rows = step.engine.materialise(_wanted(step, stream))
        everybody, chosen = (int(some.count().to_pyarrow().as_py()) for some in (rows, domain.rolled_out(rows, rules)))
        found[stream] = everybody - chosen
    return {stream: count for stream, count in found.items() if count}


def scopes(step: Step, crm: str, streams: Collection[str] = tuple(domain.STREAMS)) -> list[Scope]:
    """Return what is written to a CRM, in the order in which it is."""
    fields = destination(step, crm).fields
    wanted = {stream: values for stream, values in domain.STREAMS.items() if stream in streams}
    found = [Scope(crm, stream, target) for stream, values in wanted.items() for target in fields.targets(values)]
    # Contacts first: the other records hang on one that may have to be made.
    return sorted(found, key=lambda scope: scope.target != "contact")


def destination(step: Step, crm: str) -> CrmDestination:
    """Return the section of a CRM."""
    section: CrmDestination = getattr(step.config.destinations, crm)
    return section


def is_configured(step: Step, crm: str) -> bool:
    """Whether the configuration still writes to a CRM."""
    return getattr(step.config.destinations, crm, None) is not None


def recipient(step: Step, scope: Scope) -> Recipient:
    """Return how a stream is written to a kind of record."""
    section, rules = destination(step, scope.crm), step.config.crm
    target: Target = scope.target  # type: ignore[assignment]
    return Recipient(
        crm=scope.crm,
        stream=scope.stream,
        target=target,
        fields=section.fields.of_stream(domain.STREAMS[scope.stream], target),
        date_field=date_field(step, scope),
        typed=scope.crm not in TEXTS_ONLY,
        creates=section.mode == "upsert",
        key_field=section.fields.customer_key if scope == _keeper(step, scope.crm) else None,
        dead_bands={
            "total_score": DeadBand(absolute=rules.score_dead_band),
            "clv_12m": DeadBand(share=rules.clv_dead_band),
            "churn_risk": DeadBand(absolute=rules.churn_dead_band),
        },
    )


def _keeper(step: Step, crm: str) -> Scope | None:
    """Return the scope whose rows see to our key on contacts: that which has the most of them."""
    return next((scope for scope in reversed(scopes(step, crm)) if scope.target == "contact"), None)


def key_field(step: Step, scope: Scope) -> str | None:
    """Return the field that holds our key on the records of a scope; None where there is none."""
    return destination(step, scope.crm).fields.customer_key if scope.target == "contact" else None


def date_field(step: Step, scope: Scope) -> str | None:
    """Return the field that takes the day of the last written change of a stream; None when there is none."""
    if not is_configured(step, scope.crm):
        return None
    dated = destination(step, scope.crm).fields.score_date
    mine = scope.stream == "scores" and dated is not None and dated.target == scope.target
    return dated.field if dated and mine else None


def payload_hash(properties: Mapping[str, Value], date_field: str | None) -> str:
    """Name the content of a payload without its date, as the plan names it."""
    pairs = [
        f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}"
        for name, value in properties.items()
        if name != date_field
    ]
    return hashlib.md5(", ".join(pairs).encode(), usedforsecurity=False).hexdigest()


def is_acknowledged(receipt: Receipt, properties: Mapping[str, Value], date_field: str | None) -> bool:
    """Whether the CRM has every value; the score date takes no part, nor does the case of a field's name."""
    has = {name.lower(): value for name, value in receipt.acknowledged.items()}
    missing = object()
    return all(has.get(name.lower(), missing) == value for name, value in properties.items() if name != date_field)


def _fresh(step: Step, crms: Sequence[str], streams: Collection[str], columns: Sequence[str]) -> Iterator[ir.Table]:
    """Give what is to be written, stream by stream, in the columns of the plan."""
    wanted = {stream: step.engine.materialise(_wanted(step, stream)) for stream in streams} if crms else {}
    for crm in crms:
        whose: dict[str, ir.Table] = {}
        for scope in scopes(step, crm, streams):
            to, rows = recipient(step, scope), wanted[scope.stream]
            if scope.target in OF_RECORDS:
                if scope.target not in whose:
                    whose[scope.target] = step.engine.materialise(crm_records.of_customers(step, scope))
                rows = step.engine.materialise(spoken_for(rows, whose[scope.target]))
            planned = domain.plan(domain.rolled_out(rows, step.config.crm.rollout), _acknowledged(step, scope, to), to)
            yield planned.mutate(as_of=ibis.literal(step.last)).select(columns)


def _wanted(step: Step, stream: str) -> ir.Table:
    """Return what records should show of a stream."""
    profiles, segments = (step.read(name, step.days) for name in ("customer_profiles", "customer_segments"))
    if stream == "nps":
        rows = domain.answers(step.read("nps_responses", step.days), profiles, segments)
    else:
        language, scored = step.config.report.language, step.read("customer_scores", step.days)
        labels = {code: getattr(label, language) for code, label in step.config.segments.labels.items()}
        rows = domain.scores(scored, segments, profiles, labels=labels)
        rows = rows.inner_join(owners(step), "customer_id")
        rows = rows.mutate(score_date=ibis.literal(step.last.isoformat()))
    return rows


def _acknowledged(step: Step, scope: Scope, to: Recipient) -> ir.Table:
    kinds = {"customer_id": "string", "record_id": "string", "known": "boolean", "dead_payload": "string"}
    if scope.target in OF_RECORDS:
        receipts = read_receipts(step.ledger, scope)
        telling = {one.customer_id for one in crm_records.holders(receipts.values()).values()}
        rows = [{**_acknowledged_row(one, to), "known": one.customer_id in telling} for one in receipts.values()]
    else:
        rows = [_acknowledged_row(receipt, to) for receipt in iter_receipts(step.ledger, scope)]
    kinds |= {"had_key": "string", **{f"had_{value}": "string" for value in to.fields}}
    return step.engine.materialise(ibis.memtable(rows, schema=ibis.schema(kinds)))


def _acknowledged_row(receipt: Receipt, to: Recipient) -> dict[str, Any]:
    has = {name.lower(): value for name, value in receipt.acknowledged.items()}
    return {
        "customer_id": receipt.customer_id,
        "record_id": receipt.destination_id,
        "known": receipt.destination_id is not None,
        "dead_payload": receipt.payload_hash if receipt.status == "dead" else None,
        "had_key": _other_key(receipt, to.key_field) if to.key_field else None,
        **{f"had_{value}": as_text(has.get(name.lower())) for value, name in to.fields.items()},
    }


def _other_key(receipt: Receipt, field: str) -> str | None:
    """Return what the field of our key holds where that is not the key; None where it is, or nothing is known of it.

    A receipt knows the key by the field it was written to, which may have been another one then.
    """
    has = {name.lower(): value for name, value in receipt.acknowledged.items()}
    if field.lower() in has:
        held = as_text(has[field.lower()])
        return None if held == receipt.customer_id else held
    return "" if receipt.customer_id in has.values() else None


def as_text(value: Value) -> str:
    """Return a value as plans compare it."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def told_before(step: Step) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the day's published outcomes of CRMs that are configured no more, by key; what was held, nobody was told.

    Which field held the date is no longer known, so that their receipts cannot be judged.
    """
    rows = step.read("crm_sync", step.days)
    gone = rows.filter(rows.crm.notin(step.settings.crms) & (rows.status != "held"))
    return {tuple(row[name] for name in _KEY): row for row in gone.to_pyarrow().to_pylist()}


def _done(step: Step, planned: ir.Table) -> ir.Table:
    """Return the keys of planned rows whose values the CRM has acknowledged, or was told while it was configured."""
    receipts: dict[Scope, dict[str, Receipt]] = {}
    found, told = [], told_before(step)
    for row in planned.to_pyarrow().to_pylist():
        scope = Scope(row["crm"], row["stream"], row["target"])
        if scope not in receipts:
            receipts[scope] = read_receipts(step.ledger, scope)
        receipt = crm_records.about(receipts[scope].get(row["customer_id"]), row["record_id"])
        done = receipt and is_acknowledged(receipt, json.loads(row["payload"]), date_field(step, scope))
        if done or (*scope.key, row["customer_id"]) in told:
            found.append({name: row[name] for name in _KEY})
    return step.engine.materialise(ibis.memtable(found, schema=ibis.schema(dict.fromkeys(_KEY, "string"))))
