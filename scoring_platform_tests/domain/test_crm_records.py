"""Which account and which deal stand for a customer, and who speaks for one that several share."""

from __future__ import annotations

import json
from datetime import timedelta
from random import Random
from typing import Any

import ibis
import pytest

from scoring_platform.domain import crm_plan, crm_records
from scoring_platform.domain.crm_plan import Recipient
from scoring_platform_tests.domain.tables import DAY, LONG_AGO, SCOPES, Database, frame, noon, owners, table

OWNERS = {f"k{n}": " ".join(f"crm_id|hubspot|{10 * n + place}" for place in range(3)) for n in range(6)}
"""Six customers of three contacts each."""

Row = dict[str, Any]


def chosen(db: Database, records: Any) -> dict[str, str]:
    return {row["customer_id"]: row["record_id"] for row in db.rows(records)}


def deal(**changes: Any) -> Row:
    return {"source": "hubspot", "crm_id": "0", "stage": "new", "as_of": DAY, **changes}


@pytest.mark.parametrize("seed", range(4))
def test_of_open_deals_the_one_created_last_stands_for_a_customer(db: Database, seed: int) -> None:
    chance = Random(seed)
    deals = [
        deal(
            deal_id=str(key),
            crm_id=str(10 * chance.randrange(6) + chance.randrange(4)),
            created_at=noon(DAY - timedelta(days=chance.randrange(4))),
            closed_at=chance.choice([None, noon(DAY - timedelta(days=1)), noon(DAY), noon(DAY + timedelta(days=1))]),
            won=chance.choice([None, None, True, False]),
        )
        for key in chance.sample(range(5, 200), 30)
    ]
    expected = {}
    for row in sorted(deals, key=lambda row: (row["created_at"], int(row["deal_id"]))):
        closed = row["closed_at"].date() <= DAY if row["closed_at"] else row["won"] is not None
        if not closed and int(row["crm_id"]) % 10 < 3:
            expected[f"k{int(row['crm_id']) // 10}"] = row["deal_id"]
    rows = table("raw_crm_deals", *deals)
    found = crm_records.deals(rows.mutate(closed_on=rows.closed_at.date()), owners(LONG_AGO, **OWNERS), SCOPES)

    assert chosen(db, found) == expected


@pytest.mark.parametrize("seed", range(4))
def test_of_contacts_the_first_one_with_an_account_tells_a_customers_account(db: Database, seed: int) -> None:
    chance = Random(seed)
    contacts: list[Row] = [
        {
            "source": "hubspot",
            "crm_id": str(key),
            "account_id": chance.choice([None, "a1", "a2", "a3"]),
            "created_at": chance.choice([None, noon(DAY), noon(DAY - timedelta(days=1))]),
            "as_of": DAY,
        }
        for key in range(60)
    ]
    expected: dict[str, str] = {}
    latest = noon(DAY + timedelta(days=9))
    for row in sorted(contacts, key=lambda row: (row["created_at"] or latest, int(row["crm_id"]))):
        if row["account_id"] and int(row["crm_id"]) % 10 < 3:
            expected.setdefault(f"k{int(row['crm_id']) // 10}", row["account_id"])

    assert (
        chosen(db, crm_records.accounts(table("raw_crm_contacts", *contacts), owners(LONG_AGO, **OWNERS), SCOPES))
        == expected
    )


def test_one_customer_speaks_for_a_record(db: Database) -> None:
    kinds = {"customer_id": "string", "precedence": "int64"}
    wanted = frame(kinds, [{"customer_id": f"k{n}", "precedence": n // 2} for n in range(6)])
    records = [{"customer_id": f"k{n}", "record_id": "shared" if n in (1, 2, 3) else f"r{n}"} for n in range(1, 5)]
    found = crm_records.spoken_for(wanted, frame({"customer_id": "string", "record_id": "string"}, records))

    assert db.rows(found, "record_id", "customer_id") == [("r4", "k4"), ("shared", "k1")]


def planned(db: Database, *had: Row) -> list[Row]:
    """What is planned for the deals d1 of k1 and d2 of k2, who have a score of 50 and no RFM code."""
    kinds = dict.fromkeys(("customer_id", "record_id", "email", "total_score", "rfm_code", "segment_quoted"), "string")
    rows = [
        {"customer_id": f"k{n}", "record_id": f"d{n}", "total_score": "50", "rfm_code": "", "segment_quoted": ""}
        for n in (1, 2)
    ]
    known = {"customer_id": "string", "record_id": "string", "known": "boolean", "dead_payload": "string"}
    known |= {"had_total_score": "string", "had_rfm_code": "string"}
    to = Recipient("salesforce", "scores", "deal", {"total_score": "T", "rfm_code": "R"}, typed=True)
    acknowledged = db.materialise(frame(known, had))
    return db.rows(crm_plan.plan(db.materialise(frame(kinds, rows)), acknowledged, to))


def test_a_record_of_which_nothing_is_known_gets_empty_values_too(db: Database) -> None:
    found = {row["record_id"]: (row["operation"], json.loads(row["payload"])) for row in planned(db)}

    assert found == dict.fromkeys(("d1", "d2"), ("update", {"T": 50, "R": None}))


def test_a_record_is_compared_with_what_it_shows_whoever_wrote_it(db: Database) -> None:
    shows = {"customer_id": "other", "record_id": "d1", "known": True, "had_total_score": "50", "had_rfm_code": ""}
    earlier = {**shows, "customer_id": "k2", "record_id": "d9"}
    found = [(row["customer_id"], row["record_id"], json.loads(row["payload"])) for row in planned(db, shows, earlier)]

    assert found == [("k2", "d2", {"T": 50, "R": None})], "of another deal nothing is known of this one"


def test_what_a_record_refused_of_its_speaker_waits_for_other_values(db: Database) -> None:
    payloads = {row["record_id"]: row["payload"] for row in planned(db)}
    refused = ibis.literal(payloads["d1"][1:-1]).hexdigest("md5")
    dead = {"customer_id": "k1", "known": False, "dead_payload": db.backend.execute(refused)}

    assert {row["record_id"]: row["operation"] for row in planned(db, {**dead, "record_id": "d1"})} == {
        "d1": "skip",
        "d2": "update",
    }
    elsewhere = planned(db, {**dead, "record_id": "d7"})
    assert {row["operation"] for row in elsewhere} == {"update"}
