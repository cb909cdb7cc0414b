"""The sandbox's Salesforce refuses, limits and remembers like the real one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from scoring_platform.sandbox import salesforce
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.salesforce_people import record_id
from scoring_platform.sandbox.salesforce_store import received
from scoring_platform_tests.destinations.running import company, serving

DATA = "/services/data/v66.0"
SIGN_IN = {
    "grant_type": "client_credentials",
    "client_id": "sandbox-sales-client",
    "client_secret": "sandbox-sales-secret",
}
UPSERT = f"{DATA}/composite/sobjects/Contact/Customer_Key__c"


@pytest.fixture
def shop(tmp_path: Path) -> Company:
    """The company whose CRM it is, on a fixed day."""
    opened = company(tmp_path)
    opened.clock.set(datetime(2026, 2, 1, tzinfo=UTC))
    return opened


@pytest.fixture
def client(shop: Company) -> Iterator[httpx.Client]:
    """Signed in."""
    with (
        serving("/salesforce", salesforce.routes(shop)) as running,
        httpx.Client(base_url=running.url, trust_env=False) as opened,
    ):
        given = opened.post("/services/oauth2/token", data=SIGN_IN).json()
        assert given["instance_url"] == running.url
        opened.headers["Authorization"] = f"Bearer {given['access_token']}"
        yield opened


def ask(client: httpx.Client, soql: str) -> list[dict[str, Any]]:
    answer = client.get(f"{DATA}/query", params={"q": soql})
    assert answer.status_code == 200, answer.text
    records: list[dict[str, Any]] = answer.json()["records"]
    return records


def upsert(client: httpx.Client, *rows: dict[str, Any]) -> httpx.Response:
    records = [{"attributes": {"type": "Contact"}, **row} for row in rows]
    return client.patch(UPSERT, json={"allOrNone": False, "records": records})


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()[0]["errorCode"]


def test_a_wrong_secret_and_an_old_token_are_refused(client: httpx.Client) -> None:
    refused = client.post("/services/oauth2/token", data={**SIGN_IN, "client_secret": "other"})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client")
    old = client.get(f"{DATA}/limits", headers={"Authorization": "Bearer other"})
    assert code(old) == (401, "INVALID_SESSION_ID")


def test_every_answer_says_how_much_of_the_allowance_is_used(client: httpx.Client) -> None:
    used = [client.get(f"{DATA}/limits").headers["Sforce-Limit-Info"] for _ in range(2)]
    assert used == ["api-usage=1/1000000", "api-usage=2/1000000"]


def test_a_record_id_has_the_check_characters_of_the_vendor() -> None:
    assert record_id("003", 1) == "003SB0000000001YAA"
    assert len(record_id("750", 12)) == 18


def test_the_sales_people_keep_contacts_owners_stages_and_deals(client: httpx.Client) -> None:
    contacts = ask(client, "SELECT Id, Email, Owner.Name, HasOptedOutOfEmail, Lifecycle_Stage__c FROM Contact")
    assert len(contacts) > 100
    assert {one["Lifecycle_Stage__c"] for one in contacts} == {"Lead", "Customer"}
    assert {one["Owner"]["Name"] for one in contacts} == {"Sales Kanto", "Sales Kansai", "Sales Online"}
    assert 0 < len([one for one in contacts if one["HasOptedOutOfEmail"]]) < len(contacts) / 2
    deals = ask(client, "SELECT Id, ContactId, StageName, IsClosed, IsWon FROM Opportunity")
    assert {one["ContactId"] for one in deals} < {one["Id"] for one in contacts}
    assert {(one["IsClosed"], one["IsWon"]) for one in deals} == {(False, False), (True, False), (True, True)}


def test_nothing_has_changed_later_than_now_and_time_brings_more(client: httpx.Client, shop: Company) -> None:
    def changes() -> list[str]:
        found = ask(client, "SELECT SystemModstamp FROM Contact ORDER BY SystemModstamp")
        return [one["SystemModstamp"] for one in found]

    before = changes()
    assert before == sorted(before)
    assert before[-1] <= "2026-02-01T00:00:00.000+0000"
    shop.clock.set(datetime(2026, 2, 8, tzinfo=UTC))
    assert len(changes()) > len(before)
    shop.clock.set(datetime(2026, 2, 1, tzinfo=UTC))
    assert changes() == before


def test_what_clients_wrote_is_there_after_a_restart(client: httpx.Client, shop: Company) -> None:
    upsert(client, {"Customer_Key__c": "K1", "LastName": "One", "Email": "one@example.jp", "Total_Score__c": 5})
    with (
        serving("/salesforce", salesforce.routes(shop)) as again,
        httpx.Client(base_url=again.url, headers=client.headers, trust_env=False) as second,
    ):
        [found] = ask(second, "SELECT Total_Score__c FROM Contact WHERE customer_key__c IN ('k1')")
        assert found["Total_Score__c"] == 5
        [made] = upsert(second, {"Customer_Key__c": "K2", "LastName": "Two", "Email": "two@example.jp"}).json()
    assert {one["Id"] for one in received(shop.state_dir)} == {made["id"], found_id(client, "K1")}


def found_id(client: httpx.Client, key: str) -> str:
    return str(ask(client, f"SELECT Id FROM Contact WHERE Customer_Key__c = '{key}'")[0]["Id"])


def test_each_record_of_a_collection_is_judged_alone(client: httpx.Client) -> None:
    answer = upsert(
        client,
        {"Customer_Key__c": "K1", "LastName": "One"},
        {"Customer_Key__c": "K2"},
        {"Customer_Key__c": "K3", "LastName": "Three", "NPS_Segment__c": "fan"},
        {"Customer_Key__c": "K4", "LastName": "Four", "Name": "no"},
    )
    assert answer.status_code == 200
    assert [one["success"] for one in answer.json()] == [True, False, False, False]
    assert [one["errors"][0]["statusCode"] for one in answer.json()[1:]] == [
        "REQUIRED_FIELD_MISSING",
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "INVALID_FIELD_FOR_INSERT_UPDATE",
    ]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"Tier__c": "gold"}, (400, "INVALID_FIELD")),
        ({"Total_Score__c": "much"}, (400, "JSON_PARSER_ERROR")),
        ({"Score_Date__c": "20 Nov"}, (400, "JSON_PARSER_ERROR")),
    ],
)
def test_what_cannot_be_read_refuses_the_whole_call(
    client: httpx.Client, shop: Company, row: dict[str, Any], expected: tuple[int, str]
) -> None:
    good = {"Customer_Key__c": "K1", "LastName": "One"}
    assert code(upsert(client, good, {"Customer_Key__c": "K2", "LastName": "Two", **row})) == expected
    assert received(shop.state_dir) == []


def test_a_collection_has_two_hundred_records_at_most_and_a_key_that_is_external(client: httpx.Client) -> None:
    rows = [{"Customer_Key__c": f"K{number}", "LastName": "One"} for number in range(201)]
    assert code(upsert(client, *rows)) == (400, "EXCEEDED_MAX_SIZE_REQUEST")
    other = client.patch(UPSERT.replace("Customer_Key__c", "RFM_Code__c"), json={"records": []})
    assert code(other) == (404, "NOT_FOUND")


def test_a_key_has_one_owner(client: httpx.Client) -> None:
    first, second = (one["Id"] for one in ask(client, "SELECT Id FROM Contact ORDER BY Id LIMIT 2"))

    def give(record: str) -> Any:
        row = {"attributes": {"type": "Contact"}, "id": record, "Customer_Key__c": "K1"}
        return client.patch(f"{DATA}/composite/sobjects", json={"records": [row]}).json()[0]

    assert give(first)["success"]
    refused = give(second)
    assert refused["errors"][0]["statusCode"] == "DUPLICATE_VALUE"
    assert first[:15] in refused["errors"][0]["message"]


@pytest.mark.parametrize(
    ("soql", "expected"),
    [
        ("SELECT Id FROM", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE Email ~ 'a'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE Email = 'a", "MALFORMED_QUERY"),
        ("SELECT Tier__c FROM Contact", "INVALID_FIELD"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(client: httpx.Client, soql: str, expected: str) -> None:
    assert code(client.get(f"{DATA}/query", params={"q": soql})) == (400, expected)


def test_conditions_mean_what_they_say(client: httpx.Client) -> None:
    upsert(
        client,
        {"Customer_Key__c": "K1", "LastName": "O'Neil", "Email": "a@example.jp", "Total_Score__c": 5},
        {"Customer_Key__c": "K2", "LastName": "Two", "Email": "b@example.jp", "Total_Score__c": 50},
        {"Customer_Key__c": "K3", "LastName": "Three", "Email": "c@example.jp"},
    )

    def keys(condition: str) -> list[str]:
        found = ask(client, f"SELECT Customer_Key__c FROM Contact WHERE {condition} ORDER BY Customer_Key__c DESC")
        return [one["Customer_Key__c"] for one in found]

    assert keys(r"LastName = 'o\'neil'") == ["K1"]
    assert keys("Email IN ('A@EXAMPLE.JP', 'c@example.jp')") == ["K3", "K1"]
    assert keys("Customer_Key__c != null AND (Total_Score__c > 10 OR Total_Score__c = null)") == ["K3", "K2"]
    assert keys("Customer_Key__c = 'K2' OR Total_Score__c <= 5") == ["K2", "K1"]


def job(client: httpx.Client, *lines: str, operation: str = "upsert") -> str:
    asked = {"object": "Contact", "operation": operation, "contentType": "CSV", "lineEnding": "LF"}
    asked |= {"externalIdFieldName": "Customer_Key__c"} if operation == "upsert" else {}
    made = client.post(f"{DATA}/jobs/ingest", json=asked).json()
    assert made["state"] == "Open"
    path = f"{DATA}/jobs/ingest/{made['id']}"
    sent = client.put(f"{path}/batches", content="\n".join(lines), headers={"Content-Type": "text/csv"})
    assert sent.status_code == 201
    return path


def test_a_job_runs_once_it_is_closed_and_tells_each_line_in_one_file(client: httpx.Client) -> None:
    path = job(client, "Customer_Key__c,LastName,Total_Score__c", "K1,One,5", "K2,,5", "K3,Three,much")
    assert client.get(path).json()["state"] == "Open"
    assert client.patch(path, json={"state": "UploadComplete"}).json()["state"] == "UploadComplete"
    done = client.get(path).json()
    assert (done["state"], done["numberRecordsProcessed"], done["numberRecordsFailed"]) == ("JobComplete", 3, 2)
    good = client.get(f"{path}/successfulResults").text.splitlines()
    assert good[0] == '"sf__Id","sf__Created","Customer_Key__c","LastName","Total_Score__c"'
    assert good[1].endswith('"true","K1","One","5"')
    bad = client.get(f"{path}/failedResults").text
    assert "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --" in bad
    assert "INVALID_TYPE_ON_FIELD_IN_RECORD" in bad
    assert len(client.get(f"{path}/unprocessedrecords").text.splitlines()) == 1


def test_a_job_takes_one_file_and_is_closed_once(client: httpx.Client) -> None:
    path = job(client, "Customer_Key__c,LastName", "K1,One")
    again = client.put(f"{path}/batches", content="x", headers={"Content-Type": "text/csv"})
    assert code(again) == (400, "INVALIDJOB")
    client.patch(path, json={"state": "Aborted"})
    assert code(client.patch(path, json={"state": "UploadComplete"})) == (400, "INVALIDJOBSTATE")
    assert client.get(f"{path}/unprocessedrecords").text.splitlines() == ['"Customer_Key__c","LastName"', '"K1","One"']


def test_describe_shows_what_a_field_takes(client: httpx.Client) -> None:
    fields = {one["name"]: one for one in client.get(f"{DATA}/sobjects/Contact/describe").json()["fields"]}
    assert (fields["Customer_Key__c"]["externalId"], fields["Customer_Key__c"]["unique"]) == (True, True)
    assert fields["Name"]["updateable"] is False
    assert [one["value"] for one in fields["Churn_Band__c"]["picklistValues"]] == ["low", "medium", "high"]
    assert code(client.get(f"{DATA}/sobjects/Nothing/describe")) == (404, "NOT_FOUND")
