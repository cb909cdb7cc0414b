"""What should be written to a CRM: what should be there against what it last acknowledged.

Belongs here: what a record should show, which differences count, the payload. Does not belong here: who may send
(``permission``), how much at once (``brakes``), sending.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import ibis
import ibis.expr.types as ir

from scoring_platform.config.crm import NPS, OF_RECORDS, SCORE_DATE, SCORES, Rollout, Target

NUMBERS = frozenset({"total_score", "churn_risk", "clv_12m", "lead_score", "nps_score"})
"""Values that are numbers; the others are texts."""

STREAMS: Mapping[str, tuple[str, ...]] = {"nps": NPS, "scores": SCORES}
"""Which values each stream owns, in the order in which streams are written."""

CREATE, UPDATE, FIND, SKIP = "create", "update", "find", "skip"
"""What becomes of a planned row: a record that is new to us is made, or adopted by its address; one that is known is
updated; where none may be made it is written if the CRM has it; the last are not written."""

KEY = "customer_key"
"""What a changed field of our key is called among the changed fields."""

THEMES_BETWEEN = ";"
_SALT = "rollout|"
_ESCAPED = {sign: json.dumps(sign)[1:-1] for sign in ("\\", '"', *map(chr, range(1, 32)))}
_TO_ESCAPE = r'[\x00-\x1f"\\]'
"""Signs that JSON does not take as they are."""


@dataclass(frozen=True)
class DeadBand:
    """By how much a number may differ from what was acknowledged without being written.

    Attributes:
        absolute: In units of the value.
        share: Of what was acknowledged.
    """

    absolute: float = 0.0
    share: float = 0.0


@dataclass(frozen=True)
class Recipient:
    """Where a stream is written to.

    Attributes:
        crm: Name of the CRM.
        stream: Which values.
        target: The kind of record.
        fields: Value to the CRM's field name; values left out are not written.
        date_field: Field of the day, written with every change; None for none.
        key_field: Field of our customer key, where this stream sees to it that it is the configured one.
        typed: Whether numbers go as JSON numbers and nothing as null; else all are texts, nothing the empty one.
        creates: Whether a record that is not known may be created.
        dead_bands: Of numbers that have one.
    """

    crm: str
    stream: str
    target: Target
    fields: Mapping[str, str]
    date_field: str | None = None
    typed: bool = False
    creates: bool = True
    dead_bands: Mapping[str, DeadBand] = field(default_factory=dict)
    key_field: str | None = None


def scores(scores: ir.Table, segments: ir.Table, profiles: ir.Table, *, labels: Mapping[str, str]) -> ir.Table:
    """Return what each customer's record should show of scores, as text; empty where there is nothing.

    The total score is rounded half up to a whole number: only what a person would act on is written.

    Args:
        scores: customer_scores of the day.
        segments: customer_segments of the day.
        profiles: customer_profiles of the day.
        labels: Segment code to its name where people read it.

    Returns:
        customer_id, email, region, segment_code, precedence, and ``config.crm.SCORES`` without the owner. Of several
        customers of one record that with the lowest precedence, the most valuable one, speaks for it.
    """
    joined = scores.join(segments.select("customer_id", segment_code=segments.segment), "customer_id")
    joined = joined.join(profiles.select("customer_id", "email", "region"), "customer_id")
    names = [(joined.segment_code == code, ibis.literal(name)) for code, name in labels.items()]
    worth = [joined.clv_12m.desc(nulls_first=False), joined.total_score.desc(), joined.customer_id]
    return joined.select(
        "customer_id",
        "email",
        "region",
        "segment_code",
        precedence=ibis.row_number().over(order_by=worth),
        total_score=(joined.total_score + ibis.literal("0.5").cast("decimal(5, 2)")).floor().cast("int64").cast(str),
        rfm_code=joined.rfm_code.fill_null(""),
        segment=ibis.cases(*names, else_=joined.segment_code),
        churn_band=joined.churn_band.fill_null(""),
        churn_risk=joined.churn_risk.round(2).cast("decimal(3, 2)").cast(str).fill_null(""),
        clv_12m=joined.clv_12m.round(0).cast("int64").cast(str).fill_null(""),
        lead_score=joined.lead_score.cast(str).fill_null(""),
    )


def answers(responses: ir.Table, profiles: ir.Table, segments: ir.Table) -> ir.Table:
    """Return what each customer's record should show of NPS, as text: the latest answer with a score.

    Args:
        responses: nps_responses of the day.
        profiles: customer_profiles of the day.
        segments: customer_segments of the day.

    Returns:
        customer_id, email, region, segment_code, precedence (the latest answer has the lowest), and ``config.crm.NPS``,
        of everyone who has answered.
    """
    scored = responses.filter(responses.customer_id.notnull() & responses.nps_score.notnull())
    order = [ibis.desc(scored.survey_date), ibis.desc(scored.revision), scored.source, scored.response_id]
    ranked = scored.mutate(_rank=ibis.row_number().over(group_by="customer_id", order_by=order))
    latest = ranked.filter(ranked._rank == 0).select("customer_id", "survey_date", "nps_score", "nps_segment", "themes")
    joined = latest.join(profiles.select("customer_id", "email", "region"), "customer_id")
    joined = joined.join(segments.select("customer_id", segment_code=segments.segment), "customer_id")
    return joined.select(
        "customer_id",
        "email",
        "region",
        "segment_code",
        precedence=ibis.row_number().over(order_by=[joined.survey_date.desc(), joined.customer_id]),
        nps_score=joined.nps_score.cast(str),
        nps_segment=joined.nps_segment,
        nps_themes=joined.themes.sort().join(THEMES_BETWEEN).fill_null(""),
    )


def rolled_out(wanted: ir.Table, rollout: Rollout) -> ir.Table:
    """Return those of the customers who are written while a CRM is being introduced."""
    found = wanted
    if rollout.segments:
        found = found.filter(found.segment_code.isin(list(rollout.segments)))
    if rollout.regions:
        found = found.filter(found.region.isin(list(rollout.regions)))
    if rollout.percentage < 100:
        place = (ibis.literal(_SALT) + found.customer_id).hexdigest("md5")
        found = found.filter(place < f"{int(rollout.percentage / 100 * 16**32):032x}")
    return found


def plan(wanted: ir.Table, acknowledged: ir.Table, to: Recipient) -> ir.Table:
    """Return one row per customer whose record should be written.

    Args:
        wanted: customer_id, email and the values as text, empty where there is nothing; for accounts and deals with
            ``record_id``, of each record one row.
        acknowledged: customer_id, ``record_id`` (what the payloads were about), ``known`` (the record exists; of
            several customers of an account or a deal it is known of one), ``dead_payload`` (a refused payload, else
            null) and ``had_<value>`` as last acknowledged (null when never); with a key field ``had_key``, what
            that field holds as far as it is known to be another than the customer's key, else null.
        to: Where it goes; ``score_date`` in ``wanted`` is the day that is written with every change.

    Returns:
        Columns of crm_sync_plan, and email.
    """
    joined = _beside(wanted, acknowledged) if to.target in OF_RECORDS else _of_contact(wanted, acknowledged)
    values = [value for value in STREAMS[to.stream] if value in to.fields]
    differs = {value: _differs(joined, value, to.dead_bands.get(value, DeadBand())) for value in values}
    marked = joined.mutate(**{f"new_{value}": change for value, change in differs.items()})
    pairs = [marked[f"new_{value}"].ifelse(_pair(marked, value, to), ibis.null(str)) for value in values]
    changed = [marked[f"new_{value}"].ifelse(value, ibis.null(str)) for value in values]
    if to.key_field:
        unkeyed = marked.known.fill_null(False) & marked.had_key.notnull()
        pair = ibis.literal(f"{_quoted(to.key_field)}: ") + _in_quotes(marked.customer_id)
        pairs.insert(0, unkeyed.ifelse(pair, ibis.null(str)))
        changed.insert(0, unkeyed.ifelse(KEY, ibis.null(str)))
    body = ibis.literal(", ").join(pairs)
    dated = body
    if to.date_field:
        dated = body + ibis.literal(f", {_quoted(to.date_field)}: ") + _in_quotes(marked[SCORE_DATE])
    rows = marked.mutate(body=body, payload=ibis.literal("{") + dated + "}", names=ibis.literal(",").join(changed))
    rows = rows.filter(rows.body != "")
    known = rows.known.fill_null(False)
    refused = rows.dead_payload.fill_null("") == rows.body.hexdigest("md5")
    unreachable = rows.email.isnull() & ~known
    new = CREATE if to.creates else FIND
    operation = ibis.cases((refused | unreachable, SKIP), (known, UPDATE), else_=new)
    return rows.select(
        crm=ibis.literal(to.crm),
        stream=ibis.literal(to.stream),
        target=ibis.literal(to.target),
        customer_id=rows.customer_id,
        operation=operation,
        changed_fields=rows.names.split(","),
        payload=rows.payload,
        record_id=rows.record_id,
        email=rows.email,
    )


def _of_contact(wanted: ir.Table, acknowledged: ir.Table) -> ir.Table:
    joined = wanted.left_join(acknowledged, "customer_id")
    named = joined.select([name for name in joined.columns if not name.endswith("_right")])
    return named.mutate(record_id=ibis.null(str), unseen=False)


def _beside(wanted: ir.Table, acknowledged: ir.Table) -> ir.Table:
    """Put beside each record what it acknowledged last, whoever wrote it, and what it refused of its speaker."""
    refused = acknowledged.select("customer_id", "record_id", "dead_payload")
    had = acknowledged.filter(acknowledged.known).drop("customer_id", "dead_payload")
    joined = wanted.left_join(had, "record_id")
    joined = joined.select([name for name in joined.columns if not name.endswith("_right")])
    joined = joined.left_join(refused, ["customer_id", "record_id"])
    named = joined.select([name for name in joined.columns if not name.endswith("_right")])
    # Somebody else may have spoken for a record of which nothing is known: empty values are written there, too.
    return named.mutate(unseen=named.known.isnull(), known=True)


def _differs(joined: ir.Table, value: str, band: DeadBand) -> ir.BooleanValue:
    now, before = joined[value], joined[f"had_{value}"]
    changed = (now != before.fill_null("")) | joined.unseen
    if value not in NUMBERS:
        return changed
    old, new = before.nullif("").cast("float64"), now.nullif("").cast("float64")
    within = ibis.greatest(ibis.literal(band.absolute), old.abs() * band.share)
    return changed & ~((new - old).abs() <= within).fill_null(False)


def _pair(marked: ir.Table, value: str, to: Recipient) -> ir.StringValue:
    name, text = ibis.literal(f"{_quoted(to.fields[value])}: "), marked[value]
    quoted = _in_quotes(text)
    if not to.typed:
        return name + quoted
    given = text if value in NUMBERS else quoted
    return name + (text == "").ifelse("null", given)


def _quoted(text: str) -> str:
    """Write a text as ``json`` does, so that payloads with equal content have one name wherever it is made."""
    return json.dumps(text, ensure_ascii=False)


def _in_quotes(value: ir.StringValue) -> ir.StringValue:
    """Do the same to a column."""
    safe = value
    for plain, escaped in _ESCAPED.items():
        safe = safe.replace(plain, escaped)
    safe = safe.re_replace(r"\x00", r"\\u0000")  # SQL text cannot hold it
    # Nearly no text has such signs, and looking for them once is quicker than replacing each.
    return ibis.literal('"') + value.re_search(_TO_ESCAPE).ifelse(safe, value) + '"'
