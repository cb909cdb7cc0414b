"""The sandbox CRM refuses, limits and remembers like the real one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from scoring_platform.sandbox import hubspot
from scoring_platform.sandbox.limits import Limits
from scoring_platform.sandbox.outbox import contacts
from scoring_platform_tests.destinations.running import company, serving

CONTACTS = "/crm/v3/objects/contacts"
PROPERTIES = "/crm/v3/properties/contacts"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    with serving("/hubspot", hubspot.routes(company(tmp_path))) as running, connect(running.url) as opened:
        yield opened


def connect(url: str, token: str = "pat-sandbox") -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)


def upsert(client: httpx.Client, *rows: dict[str, Any]) -> httpx.Response:
    return client.post(f"{CONTACTS}/batch/upsert", json={"inputs": list(rows)})


def by_email(email: str, *, trace: str | None = None, **properties: str) -> dict[str, Any]:
    row = {"id": email, "idProperty": "email", "properties": properties}
    return {**row, "objectWriteTraceId": trace} if trace else row


def test_a_wrong_token_is_refused(client: httpx.Client) -> None:
    answer = client.get(CONTACTS, headers={"Authorization": "Bearer other"})
    assert (answer.status_code, answer.json()["category"]) == (401, "INVALID_AUTHENTICATION")


def test_contacts_were_there_before_us_and_each_is_listed_once(client: httpx.Client, tmp_path: Path) -> None:
    seen, after = [], None
    while True:
        params = {"limit": "40", "properties": "email,hs_email_optout,hubspot_owner_id"}
        body = client.get(CONTACTS, params={**params, **({"after": after} if after else {})}).json()
        seen += body["results"]
        after = body.get("paging", {}).get("next", {}).get("after")
        if after is None:
            break
    assert [one["id"] for one in seen] == [one["id"] for one in contacts(tmp_path)]
    assert len(seen) == 150
    opted_out = [one for one in seen if one["properties"]["hs_email_optout"] == "true"]
    owned = [one for one in seen if one["properties"]["hubspot_owner_id"]]
    assert 3 <= len(opted_out) <= 10
    assert 30 <= len(owned) <= 100


def test_a_batch_without_trace_ids_fails_whole_and_changes_nothing(client: httpx.Client, tmp_path: Path) -> None:
    before = contacts(tmp_path)
    answer = upsert(client, by_email("a@example.jp", firstname="A"), by_email("b@example.jp", nonsense="1"))
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")
    assert answer.json()["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"
    assert contacts(tmp_path) == before


def test_a_batch_with_trace_ids_is_answered_row_by_row(client: httpx.Client) -> None:
    answer = upsert(
        client, by_email("a@example.jp", trace="t1", firstname="A"), by_email("b@example.jp", trace="t2", nonsense="1")
    )
    body = answer.json()
    assert (answer.status_code, body["numErrors"]) == (207, 1)
    assert [one["objectWriteTraceId"] for one in body["results"]] == ["t1"]
    assert body["errors"][0]["context"]["objectWriteTraceId"] == ["t2"]


def test_an_address_belongs_to_one_contact(client: httpx.Client) -> None:
    made = client.post(CONTACTS, json={"properties": {"email": "A@example.jp"}})
    again = client.post(CONTACTS, json={"properties": {"email": "a@Example.jp"}})
    assert (made.status_code, again.status_code) == (201, 409)
    assert made.json()["id"] in again.json()["message"]


@pytest.mark.parametrize(
    ("property_type", "field_type", "good", "bad"),
    [
        ("number", "number", "82.5", "many"),
        ("date", "date", "2026-11-20", "20/11/2026"),
        ("bool", "booleancheckbox", "true", "yes"),
    ],
)
def test_values_must_fit_their_property(
    client: httpx.Client, property_type: str, field_type: str, good: str, bad: str
) -> None:
    definition = {
        "name": "ours",
        "label": "Ours",
        "type": property_type,
        "fieldType": field_type,
        "groupName": "contactinformation",
    }
    assert client.post(PROPERTIES, json=definition).status_code == 201
    assert client.post(PROPERTIES, json=definition).status_code == 409
    assert upsert(client, by_email("a@example.jp", ours=good)).status_code == 200
    assert upsert(client, by_email("a@example.jp", ours=bad)).status_code == 400


def test_a_number_that_is_no_string_and_a_read_only_property_are_refused(client: httpx.Client) -> None:
    number: Any = 5
    assert upsert(client, by_email("a@example.jp", firstname=number)).status_code == 400
    assert upsert(client, by_email("a@example.jp", createdate="2026-11-20")).status_code == 400


def test_an_upsert_needs_a_unique_property_and_at_most_a_hundred_rows(client: httpx.Client) -> None:
    assert upsert(client, {"id": "x", "idProperty": "firstname", "properties": {}}).status_code == 400
    assert upsert(client, *(by_email(f"a{n}@example.jp") for n in range(101))).status_code == 400
    assert upsert(client, by_email("a@example.jp"), by_email("a@example.jp")).status_code == 400


def test_a_contact_is_read_by_id_by_address_and_by_search(client: httpx.Client) -> None:
    [made] = upsert(client, by_email("a@example.jp", firstname="A")).json()["results"]
    one = client.get(f"{CONTACTS}/a@example.jp", params={"idProperty": "email", "properties": "firstname"}).json()
    assert (one["id"], one["properties"]["firstname"]) == (made["id"], "A")
    condition = {"propertyName": "email", "operator": "EQ", "value": "a@example.jp"}
    found = client.post(f"{CONTACTS}/search", json={"filterGroups": [{"filters": [condition]}]}).json()
    assert (found["total"], found["results"][0]["id"]) == (1, made["id"])
    inputs = [{"id": made["id"]}, {"id": "1"}]
    read = client.post(f"{CONTACTS}/batch/read", json={"properties": [], "inputs": inputs})
    assert (read.status_code, len(read.json()["results"]), read.json()["numErrors"]) == (207, 1, 1)


def test_an_empty_value_clears_and_an_unknown_record_is_an_error(client: httpx.Client) -> None:
    [made] = upsert(client, by_email("a@example.jp", firstname="A")).json()["results"]
    client.patch(f"{CONTACTS}/{made['id']}", json={"properties": {"firstname": ""}})
    assert client.get(f"{CONTACTS}/{made['id']}").json()["properties"]["firstname"] is None
    assert client.patch(f"{CONTACTS}/1", json={"properties": {}}).status_code == 404


def test_a_restart_keeps_contacts_and_properties_and_seeds_nothing_again(tmp_path: Path) -> None:
    definition = {
        "name": "ours",
        "label": "Ours",
        "type": "string",
        "fieldType": "text",
        "groupName": "contactinformation",
    }
    with serving("/hubspot", hubspot.routes(company(tmp_path))) as running, connect(running.url) as client:
        client.post(PROPERTIES, json=definition)
        upsert(client, by_email("a@example.jp", ours="1"))
    before = contacts(tmp_path)
    with serving("/hubspot", hubspot.routes(company(tmp_path))) as running, connect(running.url) as client:
        assert upsert(client, by_email("a@example.jp", ours="1")).json()["results"][0]["new"] is False
    assert [one["id"] for one in contacts(tmp_path)] == [one["id"] for one in before]
    assert len(before) == 151


def test_the_allowance_is_announced_and_enforced(tmp_path: Path) -> None:
    limited = company(tmp_path, limits=Limits(hubspot_per_ten_seconds=3))
    with serving("/hubspot", hubspot.routes(limited)) as running, connect(running.url) as client:
        answers = [client.get(CONTACTS) for _ in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert [one.headers["X-HubSpot-RateLimit-Remaining"] for one in answers] == ["2", "1", "0", "0"]
    assert answers[0].headers["X-HubSpot-RateLimit-Max"] == "3"
    assert answers[3].json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 10


def test_searches_have_an_end_a_longest_page_and_a_limit_of_their_own(tmp_path: Path) -> None:
    limited = company(tmp_path, limits=Limits(hubspot_search_results=100, hubspot_searches_per_second=4))
    with serving("/hubspot", hubspot.routes(limited)) as running, connect(running.url) as client:
        asked = [{"limit": 50, "after": "50"}, {"limit": 50, "after": "51"}, {"limit": 201}, {"limit": 5}, {}]
        answers = [client.post(f"{CONTACTS}/search", json=body) for body in asked]
    assert [one.status_code for one in answers] == [200, 400, 400, 200, 429]
    assert "limit of 100 results" in answers[1].json()["message"]
    assert answers[4].json()["policyName"] == "SECONDLY"
    assert not [name for name in answers[3].headers if "ratelimit" in name]


def test_a_search_compares_instants_in_milliseconds_and_numbers_of_records(client: httpx.Client) -> None:
    everyone = client.post(f"{CONTACTS}/search", json={"limit": 200, "sorts": ["lastmodifieddate"]}).json()["results"]
    changed = [one["properties"]["lastmodifieddate"] for one in everyone]
    middle = datetime.fromisoformat(changed[70])
    since = {"propertyName": "lastmodifieddate", "operator": "GTE", "value": str(int(middle.timestamp() * 1000))}
    above = {"propertyName": "hs_object_id", "operator": "GT", "value": "50100"}
    body = {"limit": 200, "sorts": ["hs_object_id"], "filterGroups": [{"filters": [since, above]}]}
    found = [one["id"] for one in client.post(f"{CONTACTS}/search", json=body).json()["results"]]

    assert len(everyone) == 150
    assert changed == sorted(changed)
    wanted = {one["id"] for one in everyone if one["properties"]["lastmodifieddate"] >= changed[70]}
    assert found == sorted(one for one in wanted if int(one) > 50_100)


def test_what_a_client_wrote_stays_when_sales_people_go_on(client: httpx.Client) -> None:
    asked = {"properties": "hubspot_owner_id,lifecyclestage"}
    before = client.get(f"{CONTACTS}/50001", params=asked).json()["properties"]
    client.patch(f"{CONTACTS}/50001", json={"properties": {"lifecyclestage": "4711001"}})
    after = client.get(f"{CONTACTS}/50001", params=asked).json()["properties"]
    assert before["lifecyclestage"] == "customer"
    assert after["lifecyclestage"] == "4711001"
    assert after["hubspot_owner_id"] == before["hubspot_owner_id"]
    wrong = client.patch(f"{CONTACTS}/50001", json={"properties": {"lifecyclestage": "Customer"}})
    assert wrong.json()["errors"][0]["code"] == "INVALID_OPTION"


def test_deals_and_owners_are_paged_and_show_associations_only_when_asked(client: httpx.Client) -> None:
    seen: list[dict[str, Any]] = []
    query = {"limit": "20", "properties": "dealstage,closedate", "associations": "contacts"}
    while not seen or "after" in query:
        body = client.get("/crm/v3/objects/deals", params=query).json()
        seen += body["results"]
        query = {name: value for name, value in query.items() if name != "after"}
        if "paging" in body:
            query["after"] = body["paging"]["next"]["after"]
    plain = client.get("/crm/v3/objects/deals", params={"limit": "100"}).json()["results"]
    stages = client.get("/crm/v3/pipelines/deals").json()["results"][0]["stages"]

    assert [one["id"] for one in seen] == [one["id"] for one in plain]
    assert len(seen) == 50
    assert not [one for one in plain if "associations" in one]
    assert {one["properties"]["dealstage"] for one in seen} <= {stage["id"] for stage in stages}
    assert len(client.get("/crm/v3/owners", params={"limit": "2"}).json()["results"]) == 2
    assert client.get("/crm/v3/objects/deals", params={"limit": "101"}).status_code == 400
