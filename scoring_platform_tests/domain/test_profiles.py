"""Profiles: everything known of a customer at the end of a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.domain.profiles import Known, account_node, contact_node, profiles
from scoring_platform_tests.domain.tables import (
    DAY,
    SCOPES,
    Database,
    activity,
    as_days,
    before,
    frame,
    noon,
    owners,
    table,
)

Rows = Sequence[Mapping[str, Any]]
KNOWN = owners(c1="customer_ref|shop|r1 customer_ref|shop|r2 email||a@example.jp crm_id|hubspot|k1 crm_id|hubspot|k2")
STATES = {"as_of": "date", "customer_id": "string", "channel": "string", "purpose": "string", "state": "string"}


def seen(value: str, days_ago: int = 30, kind: str = "email", **changes: Any) -> dict[str, Any]:
    row = {"id_kind": kind, "id_value": value, "customer_id": "c1", "first_seen_on": before(days_ago), "rule": "single"}
    return {**row, **changes}


ACCOUNT = (seen("r1", kind="customer_ref"),)
LONG_AGO = before(100)


def profile(
    db: Database,
    *,
    identities: Rows = ACCOUNT,
    facts: Rows = (),
    customers: Rows = (),
    contacts: Rows = (),
    responses: Rows = (),
    consents: Rows = (),
    lake_start: date = LONG_AGO,
) -> dict[str, Any]:
    """The only profile."""
    known = Known(
        identities=table("customer_identities", *identities),
        activity=activity(*facts),
        recent=activity(*facts),
        customers=account_node(table("raw_customers", *customers), SCOPES),
        contacts=contact_node(table("raw_crm_contacts", *contacts), SCOPES),
        owners=KNOWN,
        responses=table("nps_responses", *responses),
        consents=frame(STATES, [{"as_of": DAY, "customer_id": "c1", **row} for row in consents]),
    )
    found = profiles(known, as_days(), lake_start=lake_start)
    assert set(contract_of("customer_profiles").schema) <= set(found.columns)
    return db.one(found)


def test_someone_who_did_nothing_has_zeros_and_unknowns(db: Database) -> None:
    found = profile(db)

    assert [found[name] for name in ("orders", "order_days", "order_days_365d", "email_sent_90d", "events_90d")] == [
        0
    ] * 5
    assert [found[name] for name in ("revenue", "refunds", "net_spend_365d")] == [Decimal(0)] * 3
    unknown = ("email", "region", "first_order_on", "last_order_on", "average_order_value", "nps_score", "owner")
    assert [found[name] for name in unknown] == [None] * 7
    assert found["consent_email_marketing"] == found["consent_web_tracking"] == "unknown"


def test_windows_are_of_365_and_90_days(db: Database) -> None:
    facts = [
        {"active_on": before(ago), "orders": 1, "revenue": 10, "email_opens": 1, "tickets": 1}
        for ago in (0, 89, 90, 364, 365)
    ]
    found = profile(db, facts=facts)

    assert (found["order_days"], found["order_days_365d"], found["net_spend_365d"]) == (5, 4, 40)
    assert (found["email_opens_90d"], found["tickets_90d"]) == (2, 2)
    assert (found["first_order_on"], found["last_order_on"]) == (before(365), DAY)


@pytest.mark.parametrize(
    ("orders", "revenue", "refunds", "value"),
    [(3, 100, 0, Decimal("33.3333")), (2, 100, 40, 30), (1, 100, 130, 0), (2, 0, 0, 0), (0, 0, 30, None)],
)
def test_the_average_order_is_net_and_only_of_orders(
    db: Database, orders: int, revenue: int, refunds: int, value: Decimal | None
) -> None:
    found = profile(db, facts=[{"active_on": DAY, "orders": orders, "revenue": revenue, "refunds": refunds}])

    assert found["average_order_value"] == value


def account(ref: str, days_ago: int, **changes: Any) -> dict[str, Any]:
    return {"customer_ref": ref, "updated_at": noon(before(days_ago)), **changes}


def test_attributes_are_those_of_the_account_changed_last(db: Database) -> None:
    old = account("r1", 9, region="JP-13", locale="ja-JP", email="old@example.jp", attributes='{"tier": 1}')
    new = account("r2", 2, region="JP-27", email=" New@Example.jp")
    found = profile(db, customers=[old, new])

    assert (found["region"], found["locale"], found["email"]) == ("JP-27", None, "new@example.jp")


def test_the_address_is_that_of_an_account_with_one_else_the_earliest_known(db: Database) -> None:
    identities = [seen("late@example.jp", 3), seen("early@example.jp", 30)]

    assert profile(db, identities=identities)["email"] == "early@example.jp"
    assert profile(db, identities=identities, customers=[account("r1", 1)])["email"] == "early@example.jp"
    with_address = [account("r1", 9, email="own@example.jp"), account("r2", 1)]
    assert profile(db, identities=identities, customers=with_address)["email"] == "own@example.jp"


def test_the_owner_is_that_of_the_contact_changed_last_that_has_one(db: Database) -> None:
    contacts: Rows = [
        {"crm_id": "k1", "source": "hubspot", "owner": "sato@example.jp", "updated_at": noon(before(9))},
        {"crm_id": "k2", "source": "hubspot", "owner": None, "updated_at": noon(DAY)},
    ]

    assert profile(db, contacts=contacts)["owner"] == "sato@example.jp"


def test_the_latest_answer_and_consents_stand_beside(db: Database) -> None:
    found = profile(
        db,
        responses=[{"customer_id": "c1", "nps_score": 9, "survey_date": before(2)}],
        consents=[
            {"channel": "email", "purpose": "marketing", "state": "denied"},
            {"channel": "web", "purpose": "tracking", "state": "granted"},
            {"channel": "email", "purpose": "survey", "state": "granted"},
        ],
    )

    assert (found["nps_score"], found["nps_answered_on"]) == (9, before(2))
    assert (found["consent_email_marketing"], found["consent_web_tracking"]) == ("denied", "granted")


@pytest.mark.parametrize(
    ("first_seen", "lake_start", "baseline"),
    [(0, before(9), True), (1, before(9), False), (5, DAY, True), (5, DAY - timedelta(days=1), False)],
)
def test_the_first_day_of_a_customer_and_of_the_lake_are_baseline(
    db: Database, first_seen: int, lake_start: date, baseline: bool
) -> None:
    assert profile(db, identities=[seen("a@example.jp", first_seen)], lake_start=lake_start)["baseline"] is baseline


def test_first_seen_is_the_earliest_of_all_identifiers(db: Database) -> None:
    found = profile(db, identities=[seen("a@example.jp", 3), seen("r1", 8, "customer_ref"), seen("b@example.jp", 1)])

    assert found["first_seen_on"] == before(8)
