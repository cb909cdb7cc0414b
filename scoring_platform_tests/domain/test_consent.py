"""Decisions of consent: the latest per source counts, and unknown is not granted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.domain import consent
from scoring_platform_tests.domain.tables import LONG_AGO, SCOPES, Database, before, days, noon, owners, table

KNOWN = owners(c1="customer_ref|shop|r1 email||a@example.jp crm_id|hubspot|k1")
Rows = Sequence[Mapping[str, Any]]


def decision(status: str, days_ago: int = 0, **changes: Any) -> dict[str, Any]:
    row = {
        "subject": "a@example.jp",
        "channel": "email",
        "purpose": "marketing",
        "status": status,
        "as_of": before(days_ago),
        "occurred_at": noon(before(days_ago)),
    }
    return {**row, **changes}


def left(kind: str, days_ago: int, source: str = "klaviyo") -> dict[str, Any]:
    at = before(days_ago)
    return {"email": "A@example.jp", "kind": kind, "as_of": at, "occurred_at": noon(at), "source": source}


def contact(opt_out: bool | None, days_ago: int = 0) -> dict[str, Any]:
    at = before(days_ago)
    return {"crm_id": "k1", "source": "hubspot", "opt_out": opt_out, "updated_at": noon(at), "changed_on": at}


def state(
    db: Database, *decisions: Mapping[str, Any], events: Rows = (), contacts: Rows = (), days_ago: int = 0
) -> str | None:
    """The state of e-mail marketing at the end of a day."""
    decided = consent.decisions(
        table("raw_consents", *decisions),
        table("raw_email_events", *events),
        table("raw_crm_contacts", *contacts, extra={"changed_on": "date"}),
        owners=KNOWN,
        scopes=SCOPES,
    )
    found = consent.states(decided, days(before(days_ago)))
    rows = {(row["channel"], row["purpose"]): row["state"] for row in db.rows(found)}
    return rows.get(("email", "marketing"))


def test_unknown_is_not_granted(db: Database) -> None:
    assert state(db) is None
    assert state(db, decision("granted", subject="b@example.jp")) is None
    assert state(db, decision("granted", channel="sms"), decision("granted", purpose="tracking")) is None


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        ([decision("granted")], "granted"),
        ([decision("denied")], "denied"),
        ([decision("revoked")], "denied"),
        ([decision("granted", 5), decision("revoked", 2)], "denied"),
        ([decision("revoked", 5), decision("granted", 2)], "granted"),
        ([decision("granted", 1, source="one"), decision("revoked", 9, source="two")], "denied"),
        ([decision("granted", 1, source="one"), decision("granted", 9, source="two")], "granted"),
        ([decision("granted"), decision("revoked")], "denied"),
        ([decision("denied"), decision("granted")], "denied"),
        ([decision("granted", subject="r1")], "granted"),
        ([decision("granted", subject="r1", source="files")], None),
        ([decision("granted", subject="ａ＠ＥＸＡＭＰＬＥ．jp")], "granted"),
    ],
)
def test_the_latest_decision_of_each_source_counts_and_one_refusal_is_enough(
    db: Database, decisions: Rows, expected: str | None
) -> None:
    assert state(db, *decisions) == expected


@pytest.mark.parametrize("kind", ["unsubscribe", "complaint"])
def test_leaving_a_mailing_revokes_at_its_time(db: Database, kind: str) -> None:
    granted = decision("granted", 9, source="klaviyo")

    assert state(db, granted, events=[left(kind, 3)]) == "denied"
    assert state(db, granted, events=[left(kind, 3)], days_ago=4) == "granted"
    assert state(db, granted, decision("granted", 1, source="klaviyo"), events=[left(kind, 3)]) == "granted"
    assert state(db, granted, events=[left("bounce", 3), left("click", 3)]) == "granted"


def test_an_opt_out_in_the_crm_revokes(db: Database) -> None:
    granted = decision("granted", 9)

    assert state(db, granted, contacts=[contact(True, 2)]) == "denied"
    assert state(db, granted, contacts=[contact(True, 2)], days_ago=3) == "granted"
    assert state(db, granted, contacts=[contact(False), contact(None)]) == "granted"


def test_only_what_was_decided_by_the_day_counts(db: Database) -> None:
    decisions = [decision("granted", 5), decision("revoked", 2)]

    assert [state(db, *decisions, days_ago=ago) for ago in (6, 5, 3, 2, 0)] == [
        None, "granted", "granted", "denied", "denied",
    ]  # fmt: skip


def test_a_decision_counts_from_the_day_its_identifier_is_known(db: Database) -> None:
    known = owners(before(3), c1="email||a@example.jp")
    decided = consent.given(table("raw_consents", decision("granted", 9)), owners=known, scopes=SCOPES)
    found = consent.states(decided, days(before(4), before(3)))

    assert db.rows(found, "as_of", "state") == [(before(3), "granted")]


def expected(decisions: Rows, day: Any) -> dict[str, str]:
    """The same in plain Python."""
    found: dict[str, str] = {}
    for customer in {row["subject"] for row in decisions}:
        by_source: dict[str, Any] = {}
        for row in decisions:
            if row["subject"] == customer and row["as_of"] <= day:
                key = (row["occurred_at"], row["status"] != "granted")
                by_source[row["source"]] = max(by_source.get(row["source"], key), key)
        if by_source:
            found[customer] = "denied" if any(refused for _, refused in by_source.values()) else "granted"
    return found


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5, deadline=None)
def test_states_of_many_days_and_people_are_those_of_the_rule(db: Database, seed: int) -> None:
    chance = Random(seed)
    people = {f"p{n}": f"customer_ref|shop|p{n}" for n in range(30)}
    decisions = [
        decision(
            chance.choice(["granted", "denied", "revoked"]),
            chance.randint(0, 6),
            subject=chance.choice(list(people)),
            source=chance.choice(["shop", "crm"]),
        )
        for _ in range(90)
    ]
    decided = consent.given(table("raw_consents", *decisions), owners=owners(LONG_AGO, **people), scopes=SCOPES)
    wanted = [before(ago) for ago in range(8)]
    found = db.rows(consent.states(decided, days(*wanted)))

    for day in wanted:
        assert {row["customer_id"]: row["state"] for row in found if row["as_of"] == day} == expected(decisions, day)
