"""What is written to the CRM: only what a person would act on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import ibis

from scoring_platform.domain import crm_plan
from scoring_platform.domain.crm_plan import DeadBand, Recipient
from scoring_platform.pipeline.crm_plan import payload_hash
from scoring_platform_tests.domain.tables import Database, frame, table

FIELDS = {
    "total_score": "customer_score",
    "rfm_code": "rfm_code",
    "segment": "customer_segment",
    "churn_band": "churn_band",
    "clv_12m": "clv_12m",
    "score_date": "score_date",
}
VALUES = ("total_score", "rfm_code", "segment", "churn_band", "clv_12m")
KNOWN = {"customer_id": "string", "known": "boolean", "dead_payload": "string"} | {
    f"had_{value}": "string" for value in VALUES
}
HAD = {"total_score": "50", "rfm_code": "555", "segment": "VIP", "churn_band": "", "clv_12m": ""}


def wanted(db: Database, *people: Mapping[str, Any], labels: Mapping[str, str] | None = None, **scores: Any) -> Any:
    """What the records of c1, c2, … should show; without ``people`` only that of c1, with ``scores``."""
    given = [
        {"total_score": Decimal(50), "rfm_code": "555", "segment": "vip", "email": "a@example.jp", **person}
        for person in people or [scores]
    ]
    named = [{**row, "customer_id": f"c{n}"} for n, row in enumerate(given, start=1)]

    def part(name: str, *columns: str) -> Any:
        kept = {"customer_id", *columns}
        return table(name, *[{column: value for column, value in row.items() if column in kept} for row in named])

    return db.materialise(
        crm_plan.scores(
            part("customer_scores", "total_score", "rfm_code", "clv_12m"),
            part("customer_segments", "segment"),
            part("customer_profiles", "email"),
            labels=labels or {"vip": "VIP"},
        )
    )


def plan(
    db: Database,
    desired: Any,
    *had: Mapping[str, Any],
    fields: Mapping[str, str] = FIELDS,
    day: str = "2026-03-31",
) -> list[dict[str, Any]]:
    """Planned rows; ``had`` is what is known of c1, c2, …: values, and ``dead_payload``."""
    rows = [
        {
            "customer_id": f"c{n}",
            "known": "total_score" in row,
            **{name if name == "dead_payload" else f"had_{name}": value for name, value in row.items()},
        }
        for n, row in enumerate(had, start=1)
    ]
    named = {value: name for value, name in fields.items() if value != "score_date"}
    to = Recipient(
        "hubspot", "scores", "contact", named, fields.get("score_date"), dead_bands={"clv_12m": DeadBand(share=0.1)}
    )
    return db.rows(crm_plan.plan(desired.mutate(score_date=ibis.literal(day)), db.materialise(frame(KNOWN, rows)), to))


def payloads(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Payload by customer."""
    return {row["customer_id"]: json.loads(row["payload"]) for row in rows}


def payload(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    (row,) = rows
    found: dict[str, str] = json.loads(row["payload"])
    return found


def test_what_the_crm_has_is_not_planned(db: Database) -> None:
    assert plan(db, wanted(db), HAD) == []
    assert plan(db, wanted(db), HAD, day="2027-01-01") == [], "the date alone is no change"


def test_a_new_customer_is_created_with_everything_and_the_date(db: Database) -> None:
    (row,) = plan(db, wanted(db))

    assert (row["operation"], row["changed_fields"]) == ("create", ["total_score", "rfm_code", "segment"])
    assert payload([row]) == {
        "customer_score": "50", "rfm_code": "555", "customer_segment": "VIP", "score_date": "2026-03-31",
    }  # fmt: skip


def test_only_changed_fields_are_written(db: Database) -> None:
    (row,) = plan(db, wanted(db, total_score=Decimal("51.00")), HAD)

    assert (row["operation"], row["changed_fields"]) == ("update", ["total_score"])
    assert payload([row]) == {"customer_score": "51", "score_date": "2026-03-31"}


def test_the_score_is_rounded_half_up(db: Database) -> None:
    rounded = {"49.49": "49", "49.50": "50", "50.49": "50", "50.50": "51", "0.00": "0", "0.50": "1", "100.00": "100"}
    rows = plan(db, wanted(db, *[{"total_score": Decimal(score)} for score in rounded]))

    assert [payloads(rows)[f"c{n}"]["customer_score"] for n in range(1, 8)] == list(rounded.values())


def test_a_score_that_moves_within_one_whole_number_is_no_change(db: Database) -> None:
    assert plan(db, wanted(db, total_score=Decimal("50.49")), HAD) == []


def test_a_clv_inside_the_dead_band_is_no_change(db: Database) -> None:
    moves = [
        ("1000", "1100", None),
        ("1000", "900", None),
        ("1000", "1100.6", "1101"),
        ("1000", "899", "899"),
        ("0", "0.4", None),
        ("0", "1", "1"),
        ("", "5", "5"),
        ("1000", None, ""),
    ]
    desired = wanted(db, *[{"clv_12m": None if now is None else Decimal(now)} for _, now, _ in moves])
    found = payloads(plan(db, desired, *[{**HAD, "clv_12m": before} for before, _, _ in moves]))

    for n, (_, _, written) in enumerate(moves, start=1):
        assert found.get(f"c{n}", {}).get("clv_12m") == written


def test_a_value_that_is_gone_is_cleared(db: Database) -> None:
    assert payload(plan(db, wanted(db, rfm_code=None), HAD))["rfm_code"] == ""


def test_a_value_without_a_field_is_never_written(db: Database) -> None:
    fields = {"segment": "customer_segment"}

    assert payload(plan(db, wanted(db), fields=fields)) == {"customer_segment": "VIP"}
    assert plan(db, wanted(db, total_score=Decimal(9)), HAD, fields=fields) == []


def test_any_label_reaches_the_crm_as_it_is_and_its_payload_has_one_name(db: Database) -> None:
    written = [
        'say "VIP"', r"back\slash", r"\"", "ハイポテンシャル", "Can't lose",
        "two\nlines, a\ttab", "\x01\x1f", "a/b", "é 😀",
    ]  # fmt: skip
    labels = {f"s{n}": label for n, label in enumerate(written, start=1)}
    desired = wanted(db, *[{"segment": code} for code in labels], labels=labels)
    found = payloads(plan(db, desired))
    dead = [{"dead_payload": payload_hash(found[f"c{n}"], "score_date")} for n in range(1, 10)]

    assert [found[f"c{n}"]["customer_segment"] for n in range(1, 10)] == written
    assert [row["operation"] for row in plan(db, desired, *dead, day="2026-04-01")] == ["skip"] * 9


def test_a_segment_without_a_label_goes_by_its_code(db: Database) -> None:
    assert payload(plan(db, wanted(db, segment="new_one")))["customer_segment"] == "new_one"


def test_a_field_name_may_hold_a_quote(db: Database) -> None:
    fields = {**FIELDS, "segment": 'the "segment"', "score_date": 'the "date"'}
    properties = payload(plan(db, wanted(db), fields=fields))
    name = payload_hash(properties, fields["score_date"])

    assert (properties['the "segment"'], properties['the "date"']) == ("VIP", "2026-03-31")
    assert [row["operation"] for row in plan(db, wanted(db), {"dead_payload": name}, fields=fields)] == ["skip"]


def test_a_refused_payload_is_skipped_until_its_content_changes(db: Database) -> None:
    name = payload_hash(payload(plan(db, wanted(db))), "score_date")

    assert [row["operation"] for row in plan(db, wanted(db), {"dead_payload": name})] == ["skip"]
    assert [row["operation"] for row in plan(db, wanted(db, total_score=Decimal(51)), {"dead_payload": name})] == [
        "create"
    ]


def test_without_an_address_nobody_is_created_but_a_known_record_is_updated(db: Database) -> None:
    assert [row["operation"] for row in plan(db, wanted(db, email=None))] == ["skip"]
    changed = wanted(db, email=None, total_score=Decimal(51))
    assert [row["operation"] for row in plan(db, changed, HAD)] == ["update"]


def test_a_crm_of_typed_values_gets_numbers_and_null(db: Database) -> None:
    to = Recipient(
        "salesforce",
        "scores",
        "contact",
        {"total_score": "Total__c", "segment": "Segment__c", "clv_12m": "CLV__c"},
        "Score_Date__c",
        typed=True,
    )
    desired = wanted(db, {"clv_12m": Decimal("12.6")}, {"clv_12m": None}).mutate(score_date=ibis.literal("2026-03-31"))
    had = [{"customer_id": f"c{n}", "known": True, "had_clv_12m": "12"} for n in (1, 2)]
    rows = db.rows(crm_plan.plan(desired, db.materialise(frame(KNOWN, had)), to))

    assert payloads(rows) == {
        "c1": {"Total__c": 50, "Segment__c": "VIP", "CLV__c": 13, "Score_Date__c": "2026-03-31"},
        "c2": {"Total__c": 50, "Segment__c": "VIP", "CLV__c": None, "Score_Date__c": "2026-03-31"},
    }


def test_a_number_within_its_dead_band_is_not_written(db: Database) -> None:
    to = Recipient(
        "hubspot",
        "scores",
        "contact",
        FIELDS | {"churn_risk": "risk"},
        dead_bands={"total_score": DeadBand(absolute=2)},
    )
    desired = wanted(db, {"total_score": Decimal(52)}, {"total_score": Decimal(53)})
    had = [{"customer_id": f"c{n}", "known": True, **{f"had_{v}": t for v, t in HAD.items()}} for n in (1, 2)]
    rows = db.rows(crm_plan.plan(desired, db.materialise(frame({**KNOWN, "had_churn_risk": "string"}, had)), to))

    assert payloads(rows) == {"c2": {"customer_score": "53"}}


def test_without_leave_to_create_a_record_who_is_not_known_is_only_looked_for(db: Database) -> None:
    to = Recipient("hubspot", "scores", "contact", {"segment": "s"}, creates=False)
    known = [{"customer_id": "c2", "known": True}]
    rows = db.rows(crm_plan.plan(wanted(db, {}, {}), db.materialise(frame(KNOWN, known)), to))

    assert {row["customer_id"]: row["operation"] for row in rows} == {"c1": "find", "c2": "update"}


def test_a_text_with_any_sign_is_written_as_json_writes_it(db: Database) -> None:
    texts = [chr(sign) for sign in range(256)] + ["a\u2028b😀", "\\n", 'O\'Brien "x"', ""]
    named = [{"customer_id": f"c{n}", "assigned_owner": f"A{text}B"} for n, text in enumerate(texts, start=1)]
    owners = frame({"customer_id": "string", "assigned_owner": "string"}, named)
    desired = wanted(db, *[{} for _ in texts]).inner_join(owners, "customer_id")
    to = Recipient("pipedrive", "scores", "contact", {"assigned_owner": 'the "owner"\n'}, typed=True)
    kinds = KNOWN | {"had_assigned_owner": "string"}
    rows = db.rows(crm_plan.plan(desired, db.materialise(frame(kinds, [])), to))

    written = {row["customer_id"]: row["payload"] for row in rows}
    assert written == {
        f"c{n}": json.dumps({'the "owner"\n': f"A{text}B"}, ensure_ascii=False) for n, text in enumerate(texts, start=1)
    }
