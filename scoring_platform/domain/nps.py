"""NPS answers: segment, and the customer who answered.

Belongs here: answers to rows of nps_responses. Does not belong here: reading comments (``comments``), monthly figures.
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
    return matched.mutate(nps_segment=segment(matched.nps_score))


def has_comment(answers: ir.Table) -> ir.BooleanValue:
    """Whether an answer has a comment with more than blanks in it."""
    return answers.raw_text.fill_null("").re_search("[^\\s　]")


def text_hash(answers: ir.Table) -> ir.StringValue:
    """Return what names the text of a comment where it is not to be repeated."""
    return answers.raw_text.hexdigest("sha256")


def with_readings(responses: ir.Table, readings: ir.Table) -> ir.Table:
    """Return the answers with what their comments say.

    Args:
        responses: Answers, as ``responses`` gives them.
        readings: One row per text: ``text_hash``, ``themes``, ``sentiment``, ``theme_evidence``.
    """
    keyed = responses.mutate(_text=has_comment(responses).ifelse(text_hash(responses), ibis.null(str)))
    joined = keyed.left_join(readings, keyed._text == readings.text_hash).drop("_text", "text_hash")
    return joined.mutate(themes=joined.themes.fill_null(ibis.literal([], type="array<string>")))


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
