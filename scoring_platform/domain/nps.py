"""NPS answers: segment, and the customer who answered.

Belongs here: answers to rows of nps_responses. Does not belong here: themes, monthly figures.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from scoring_platform.domain import normalise
from scoring_platform.domain.identity import account, node

PROMOTER_FROM = 9
PASSIVE_FROM = 7


def responses(raw: ir.Table, owners: ir.Table, days: ir.Table, *, shops: Sequence[str]) -> ir.Table:
    """Return every answer up to each day in its latest revision, matched to a customer where known.

    Args:
        raw: raw_nps_responses of all days up to the last, with ``as_of``.
        owners: Identifier to customer (``node``, ``customer_id``).
        days: Days to compute.
        shops: Sources with customer ids of their own; other systems name those of the first.
    """
    answers = raw.drop("as_of")
    known = days.join(answers, answers.survey_date <= days.as_of)
    ranked = known.mutate(
        _rank=ibis.row_number().over(
            group_by=["as_of", "source", "response_id"],
            order_by=[ibis.desc(known.revision), ibis.desc(known.survey_date)],
        ),
        node=_identity(known, shops),
    )
    latest = ranked.filter(ranked._rank == 0)
    matched = latest.left_join(owners, "node")
    return matched.mutate(nps_segment=segment(matched.nps_score), themes=ibis.literal([], type="array<string>"))


def segment(score: ir.IntegerValue) -> ir.StringValue:
    """Return promoter (9–10), passive (7–8) or detractor (0–6); null for a dismissed survey."""
    return ibis.cases(
        (score.isnull(), ibis.null(str)),
        (score >= PROMOTER_FROM, "promoter"),
        (score >= PASSIVE_FROM, "passive"),
        else_="detractor",
    )


def _identity(answers: ir.Table, shops: Sequence[str]) -> ir.Value:
    key = answers.identity_key
    return ibis.cases(
        (answers.identity_kind == "email", node("email", normalise.email(key))),
        (answers.identity_kind == "customer_id", account(key, answers.source, shops)),
        else_=ibis.null(str),
    )
