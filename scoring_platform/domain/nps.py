"""NPS answers: segment, and the customer who answered.

Belongs here: answers to rows of nps_responses. Does not belong here: themes, monthly figures.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from scoring_platform.domain import normalise
from scoring_platform.domain.identity import Scopes, node

PROMOTER_FROM = 9
PASSIVE_FROM = 7


def responses(raw: ir.Table, owners: ir.Table, days: ir.Table, *, scopes: Scopes) -> ir.Table:
    """Return every answer up to each day in its latest revision, matched to a customer where known.

    Args:
        raw: raw_nps_responses of all days up to the last, with ``as_of``.
        owners: Identifier to customer (``node``, ``customer_id``, ``first_seen_on``).
        days: Days to compute.
        scopes: Whose numbers are meant.
    """
    answers = raw.drop("as_of")
    known = days.join(answers, answers.survey_date <= days.as_of)
    ranked = known.mutate(
        _rank=ibis.row_number().over(
            group_by=["as_of", "source", "response_id"],
            order_by=[ibis.desc(known.revision), ibis.desc(known.survey_date)],
        ),
        node=_identity(known, scopes),
    )
    latest = ranked.filter(ranked._rank == 0)
    # On a day before the person was known the answer was nobody's, in whatever run that day is computed.
    matched = latest.left_join(owners, [latest.node == owners.node, owners.first_seen_on <= latest.as_of])
    return matched.mutate(nps_segment=segment(matched.nps_score), themes=ibis.literal([], type="array<string>"))


def segment(score: ir.IntegerValue) -> ir.StringValue:
    """Return promoter (9–10), passive (7–8) or detractor (0–6); null for a dismissed survey."""
    return ibis.cases(
        (score.isnull(), ibis.null(str)),
        (score >= PROMOTER_FROM, "promoter"),
        (score >= PASSIVE_FROM, "passive"),
        else_="detractor",
    )


def _identity(answers: ir.Table, scopes: Scopes) -> ir.Value:
    key = answers.identity_key
    return ibis.cases(
        (answers.identity_kind == "email", node("email", normalise.email(key))),
        (answers.identity_kind == "customer_id", scopes.account(key, answers.source)),
        (answers.identity_kind == "account_number", node("account_number", normalise.reference(key))),
        (answers.identity_kind == "crm_id", scopes.contact(key, answers.source)),
        else_=ibis.null(str),
    )
