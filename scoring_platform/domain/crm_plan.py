"""What should be written to a CRM: what should be there against what it last acknowledged.

Belongs here: which differences count, and the payload. Does not belong here: who may send (``permission``), sending.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

VALUES = ("total_score", "rfm_code", "segment", "churn_band", "clv_12m")
"""What a CRM record shows of a customer; the score date goes with them and never makes a difference by itself."""

SCORE_DATE = "score_date"


def desired(scores: ir.Table, segments: ir.Table, profiles: ir.Table, *, labels: Mapping[str, str]) -> ir.Table:
    """Return what each customer's record should show, as text, and the segment's name as JSON writes it besides.

    The total score is rounded half up to a whole number: only what a person would act on is written.

    Args:
        scores: customer_scores of the day.
        segments: customer_segments of the day.
        profiles: customer_profiles of the day.
        labels: Segment code to its name where people read it.
    """
    joined = scores.join(segments.select("customer_id", code=segments.segment), "customer_id")
    joined = joined.join(profiles.select("customer_id", "email"), "customer_id")
    names = [(joined.code == code, ibis.literal(name)) for code, name in labels.items()]
    quoted = [(joined.code == code, ibis.literal(_quoted(name))) for code, name in labels.items()]
    return joined.select(
        "customer_id",
        "email",
        total_score=(joined.total_score + ibis.literal("0.5").cast("decimal(5, 2)")).floor().cast("int64").cast(str),
        rfm_code=joined.rfm_code.fill_null(""),
        segment=ibis.cases(*names, else_=joined.code),
        segment_quoted=ibis.cases(*quoted, else_=_in_quotes(joined.code)),
        churn_band=joined.churn_band.fill_null(""),
        clv_12m=joined.clv_12m.round(0).cast("int64").cast(str).fill_null(""),
    )


def plan(
    wanted: ir.Table,
    acknowledged: ir.Table,
    *,
    crm: str,
    stream: str,
    fields: Mapping[str, str],
    score_date: str,
    clv_dead_band: float,
) -> ir.Table:
    """Return one row per customer whose record should be written.

    Args:
        wanted: Result of ``desired``.
        acknowledged: customer_id, ``known`` (the record exists), ``dead_payload`` (a refused payload, else null) and
            ``had_<value>`` as last acknowledged (null when never).
        crm: Name of the CRM.
        stream: Which fields.
        fields: Value to the CRM's field name; values left out are not written.
        score_date: Day of the scores; written with every change.
        clv_dead_band: Share by which the CLV must move.

    Returns:
        Columns of crm_sync_plan.
    """
    joined = wanted.left_join(acknowledged, "customer_id")
    joined = joined.select([name for name in joined.columns if not name.endswith("_right")])
    values = [value for value in VALUES if value in fields]
    differs = {value: _differs(joined, value, clv_dead_band) for value in values}
    marked = joined.mutate(**{f"new_{value}": change for value, change in differs.items()})
    changed = [marked[f"new_{value}"].ifelse(value, None) for value in values]
    quoted = {value: _in_quotes(marked[value]) for value in values} | {"segment": marked.segment_quoted}
    pairs = [
        marked[f"new_{value}"].ifelse(ibis.literal(f"{_quoted(fields[value])}: ") + quoted[value], None)
        for value in values
    ]
    body = ibis.literal(", ").join(pairs)
    dated = body
    if SCORE_DATE in fields:
        dated = body + f", {_quoted(fields[SCORE_DATE])}: {_quoted(score_date)}"
    rows = marked.mutate(body=body, payload=ibis.literal("{") + dated + "}", names=ibis.literal(",").join(changed))
    rows = rows.filter(rows.body != "")
    refused = rows.dead_payload.fill_null("") == rows.body.hexdigest("md5")
    unreachable = rows.email.isnull() & ~rows.known.fill_null(False)
    operation = ibis.cases((refused | unreachable, "skip"), (rows.known.fill_null(False), "update"), else_="create")
    return rows.select(
        crm=ibis.literal(crm),
        stream=ibis.literal(stream),
        target=ibis.literal("contact"),
        customer_id=rows.customer_id,
        operation=operation,
        changed_fields=rows.names.split(","),
        payload=rows.payload,
        email=rows.email,
    )


def _differs(joined: ir.Table, value: str, clv_dead_band: float) -> ir.BooleanValue:
    now, before = joined[value], joined[f"had_{value}"]
    changed = now != before.fill_null("")
    if value != "clv_12m":
        return changed
    old, new = before.nullif("").cast("float64"), now.nullif("").cast("float64")
    small = ((new - old).abs() <= old.abs() * clv_dead_band).fill_null(False)
    return changed & ~small


def _quoted(text: str) -> str:
    """Write a text as ``json`` does, so that payloads with equal content have one name wherever it is made."""
    return json.dumps(text, ensure_ascii=False)


def _in_quotes(value: ir.StringValue) -> ir.StringValue:
    """Quote figures and codes, which hold nothing to escape."""
    return ibis.literal('"') + value + '"'
