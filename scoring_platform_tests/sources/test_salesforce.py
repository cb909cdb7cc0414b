"""Salesforce: pages by the time of the last change, and the naming of fields."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from scoring_platform.contracts.raw import RAW_CRM_CONTACTS, RAW_CRM_DEALS
from scoring_platform.errors import CredentialError, PermanentError
from scoring_platform.sources.protocol import Window
from scoring_platform.sources.salesforce import Salesforce, SalesforceSource, begins
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, reply
from scoring_platform_tests.sources.scenario import TOKYO, WINDOW, credential, rows

CHANGED = "2026-11-20T08:00:00.000+0000"


def source(server: Loopback, *pages: Reply, **section: Any) -> Salesforce:
    """A Salesforce that gives ``pages`` in turn."""
    queue = list(pages)

    def answer(seen: Seen) -> Reply:
        if seen.path == "/services/oauth2/token":
            wanted = {"grant_type": "client_credentials", "client_id": "secret-client_id"}
            assert seen.form == {**wanted, "client_secret": "secret-client_secret"}
            return reply({"access_token": "st", "instance_url": server.url, "token_type": "Bearer"})
        assert seen.headers["authorization"] == "Bearer st"
        return queue.pop(0) if len(queue) > 1 else queue[0]

    server.answer = answer
    settings = SalesforceSource.model_validate({"endpoint": server.url, "page_size": 2, **section})
    return Salesforce(settings, server.url, credential, TOKYO)


def contact(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "Id": f"003{number:015d}",
        "SystemModstamp": CHANGED,
        "Email": f"c{number}@example.jp",
        "Owner": {"Name": "Sales Kanto"},
        "HasOptedOutOfEmail": False,
        "AccountId": "001000000000000AAA",
        "CreatedDate": "2026-11-01T00:00:00.000+0000",
        **changes,
    }


def deal(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "Id": f"006{number:015d}",
        "SystemModstamp": CHANGED,
        "ContactId": "003000000000000001",
        "StageName": "Closed Won",
        "Amount": 12000.5,
        "Owner": None,
        "CreatedDate": "2026-11-01T00:00:00.000+0000",
        "CloseDate": "2026-11-20",
        "IsClosed": True,
        "IsWon": True,
        **changes,
    }


def found(*records: dict[str, Any], **more: Any) -> Reply:
    return reply({"totalSize": len(records), "done": True, "records": list(records), **more})


def queries(server: Loopback) -> list[str]:
    return [seen.query["q"] for seen in server.seen if "q" in seen.query]


def test_a_contact_comes_in_the_words_of_the_contract(server: Loopback) -> None:
    given = contact(1, Stage__c="Customer", HasOptedOutOfEmail=True)
    [row] = rows(source(server, found(given), lifecycle_field="stage__C"), "raw_crm_contacts")
    assert row == {
        "crm_id": "003000000000000001",
        "email": "c1@example.jp",
        "owner": "Sales Kanto",
        "lifecycle_stage": "Customer",
        "opt_out": True,
        "account_id": "001000000000000AAA",
        "created_at": "2026-11-01T00:00:00.000Z",
        "updated_at": "2026-11-20T08:00:00.000Z",
    }
    assert row.keys() == set(RAW_CRM_CONTACTS.given_columns)


def test_a_deal_comes_in_the_words_of_the_contract(server: Loopback) -> None:
    [row] = rows(source(server, found(deal(1))), "raw_crm_deals")
    assert row == {
        "deal_id": "006000000000000001",
        "crm_id": "003000000000000001",
        "stage": "Closed Won",
        "amount": 12000.5,
        "owner": None,
        "created_at": "2026-11-01T00:00:00.000Z",
        "closed_at": datetime(2026, 11, 19, 15, tzinfo=UTC),
        "won": True,
        "updated_at": "2026-11-20T08:00:00.000Z",
    }
    assert row.keys() == set(RAW_CRM_DEALS.given_columns)
    assert "ContactId != null" in queries(server)[0]


def test_the_planned_close_date_of_an_open_deal_is_no_close(server: Loopback) -> None:
    [row] = rows(source(server, found(deal(1, IsClosed=False, IsWon=False, StageName="Prospecting"))), "raw_crm_deals")
    assert (row["closed_at"], row["won"]) == (None, None)


@pytest.mark.parametrize("day", ["soon", None])
def test_an_unreadable_day_is_left_to_the_checks(day: str | None) -> None:
    assert begins(day, TOKYO) == day


def test_the_stage_is_read_only_where_a_field_is_named(server: Loopback) -> None:
    [row] = rows(source(server, found(contact(1))), "raw_crm_contacts")
    assert row["lifecycle_stage"] is None
    assert "Stage" not in queries(server)[0]


def test_the_next_page_begins_behind_the_last_record_of_a_page(server: Loopback) -> None:
    read = rows(source(server, found(contact(1), contact(2)), found(contact(3))), "raw_crm_contacts")
    assert [row["crm_id"][-1] for row in read] == ["1", "2", "3"]
    first, second = queries(server)
    since, until = (f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for moment in (WINDOW.since, WINDOW.until))
    assert f"WHERE SystemModstamp >= {since} AND SystemModstamp < {until} ORDER BY SystemModstamp, Id LIMIT 2" in first
    place = "SystemModstamp = 2026-11-20T08:00:00.000Z AND Id > '003000000000000002'"
    assert f"(SystemModstamp > 2026-11-20T08:00:00.000Z OR ({place}))" in second


def test_a_page_that_comes_in_parts_is_read_whole(server: Loopback) -> None:
    parts = found(contact(1), done=False, nextRecordsUrl="/services/data/v66.0/query/01g-1")
    read = rows(source(server, parts, found(contact(2)), found()), "raw_crm_contacts")
    assert len(read) == 2
    assert [seen.path.rpartition("/")[2] for seen in server.seen] == ["token", "query", "01g-1", "query"]


def test_a_record_without_its_time_of_change_ends_the_reading(server: Loopback) -> None:
    pages = found(contact(1), contact(2, SystemModstamp=None))
    with pytest.raises(PermanentError, match="without SystemModstamp"):
        rows(source(server, pages), "raw_crm_contacts")


def test_a_field_our_user_may_not_see_is_named(server: Loopback) -> None:
    hidden = [{"errorCode": "INVALID_FIELD", "message": "No such column 'HasOptedOutOfEmail' on entity 'Contact'"}]
    with pytest.raises(PermanentError, match="No such column 'HasOptedOutOfEmail'"):
        rows(source(server, reply(hidden, 400)), "raw_crm_contacts")


def test_an_answer_of_another_shape_is_an_error(server: Loopback) -> None:
    broken = contact(1)
    del broken["Owner"]
    with pytest.raises(PermanentError, match="no field 'Owner'"):
        rows(source(server, found(broken)), "raw_crm_contacts")


def test_a_refused_sign_in_names_the_variables(server: Loopback) -> None:
    opened = source(server, found())
    server.answer = lambda _: reply({"error": "invalid_client", "error_description": "invalid client credentials"}, 400)
    with pytest.raises(CredentialError, match="SCORING_SALESFORCE_CLIENT_ID and SCORING_SALESFORCE_CLIENT_SECRET"):
        list(opened.fetch("raw_crm_contacts", Window(WINDOW.since, WINDOW.until)))
