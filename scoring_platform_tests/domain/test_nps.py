"""NPS answers: the latest revision, its segment and its customer."""

from __future__ import annotations

from typing import Any

import pytest

from scoring_platform.domain import nps
from scoring_platform_tests.domain.tables import DAY, SCOPES, Database, before, days, owners, table

KNOWN = owners(c1="customer_ref|shop|r1 email||a@example.jp", c2="customer_ref|files|r1")


def answer(score: int | None, **changes: Any) -> dict[str, Any]:
    row = {"response_id": "1", "identity_kind": "email", "identity_key": "a@example.jp", "nps_score": score}
    return {**row, "survey_date": DAY, **changes}


def answers(db: Database, *rows: dict[str, Any], until: int = 0) -> list[dict[str, Any]]:
    raw = table("raw_nps_responses", *[{**row, "as_of": row["survey_date"]} for row in rows])
    return db.rows(nps.responses(raw, KNOWN, days(before(until)), scopes=SCOPES))


@pytest.mark.parametrize(
    ("score", "segment"),
    [
        *[(n, "detractor") for n in range(7)],
        (7, "passive"), (8, "passive"), (9, "promoter"), (10, "promoter"), (None, None),
    ],
)  # fmt: skip
def test_every_score_has_its_segment_and_a_dismissed_survey_none(
    db: Database, score: int | None, segment: str | None
) -> None:
    assert [row["nps_segment"] for row in answers(db, answer(score))] == [segment]


@pytest.mark.parametrize(
    ("kind", "key", "source", "customer"),
    [
        ("email", "Ａ@example.jp ", "form", "c1"),
        ("customer_id", " r1", "form", "c1"),
        ("customer_id", "r1", "files", "c2"),
        ("email", "nobody@example.jp", "form", None),
        ("customer_id", "r9", "form", None),
        ("account_number", "r1", "form", None),
    ],
)
def test_an_answer_finds_its_customer_or_is_unmatched(
    db: Database, kind: str, key: str, source: str, customer: str | None
) -> None:
    found = answers(db, answer(9, identity_kind=kind, identity_key=key, source=source))

    assert [row["customer_id"] for row in found] == [customer]


def test_the_latest_revision_of_an_answer_counts(db: Database) -> None:
    found = answers(db, answer(2, revision=1), answer(10, revision=3), answer(5, revision=2))

    assert [(row["nps_score"], row["revision"]) for row in found] == [(10, 3)]


def test_a_day_knows_the_answers_up_to_it(db: Database) -> None:
    rows = [answer(2, response_id="1", survey_date=before(3)), answer(9, response_id="2")]

    assert [row["response_id"] for row in answers(db, *rows, until=1)] == ["1"]
    assert [row["response_id"] for row in answers(db, *rows)] == ["1", "2"]
