"""Salesforce: one receipt per write whatever the answer looks like, nobody doubled, nothing written twice."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote_plus

import jsonschema

from scoring_platform.config.connections import SalesforceDestination
from scoring_platform.destinations.preflight import crm_fields
from scoring_platform.destinations.protocol import CrmField, CrmReceipt
from scoring_platform.http.salesforce import quoted
from scoring_platform_tests.destinations.salesforce_org import (
    COLLECTIONS,
    JOBS,
    UPSERT,
    Org,
    OrgStage,
    client,
    nobody,
    statuses,
    token_or,
    write,
    writes,
)
from scoring_platform_tests.http.loopback import Loopback, reply
from scoring_platform_tests.http.loopback import serving as serving_scripted
from scoring_platform_tests.sources.vendor_specs import openapi

OPTIONS = {"churn_band": ("low", "medium", "high"), "nps_segment": ("promoter", "passive", "detractor")}
FIELDS = crm_fields(SalesforceDestination.model_validate({"endpoint": "https://example.com"}).fields, OPTIONS)


def test_one_bad_row_of_a_hundred_leaves_ninety_nine_written_in_one_call(org: Org) -> None:
    batch = writes(100)
    batch[41] = write(41, properties={"Total_Score__c": 3, "RFM_Code__c": "much too long"})
    receipts = org.client().apply(batch)
    assert [receipt.customer_id for receipt in receipts] == [one.customer_id for one in batch]
    assert statuses(receipts) == {"acknowledged": 99, "dead": 1}
    assert receipts[41].error_code == "STRING_TOO_LONG"
    assert receipts[41].error_text == "RFM_Code__c: data value too large: … (max length=3)"
    assert [call.path for call in org.writes] == [UPSERT]
    assert org.ours().keys() == {one.customer_id for one in batch} - {"c00041"}


def test_what_is_received_is_what_was_to_be_sent(org: Org) -> None:
    properties = {
        "Total_Score__c": 77,
        "CLV_12m__c": 1234.5,
        "Score_Date__c": "2026-11-20",
        "Churn_Band__c": "high",
        "NPS_Themes__c": "price;delivery",
    }
    org.client().apply([write(1, properties=properties)])
    got = org.ours()["c00001"]
    assert json.dumps({name: got[name] for name in properties}) == json.dumps(properties)
    assert (got["Email"], got["LastName"]) == ("new00001@example.jp", "new00001")


def test_none_clears_a_field_and_what_is_not_named_stays(org: Org) -> None:
    crm = org.client()
    crm.apply([write(1)])
    crm.apply([write(1, properties={"Segment__c": None, "RFM_Code__c": "111"})])
    [found] = org.ask(
        "GET",
        "/query",
        params={"q": "SELECT Segment__c, RFM_Code__c, Total_Score__c FROM Contact WHERE Customer_Key__c IN ('c00001')"},
    )["records"]
    assert (found["Segment__c"], found["RFM_Code__c"], found["Total_Score__c"]) == (None, "111", 1)


def test_a_row_that_spoils_the_whole_call_is_found_by_halving(org: Org) -> None:
    batch = writes(100)
    batch[41] = write(41, properties={"Total_Score__c": "a lot"})
    receipts = org.client().apply(batch)
    assert statuses(receipts) == {"acknowledged": 99, "dead": 1}
    assert receipts[41].error_code == "JSON_PARSER_ERROR"
    assert len(org.writes) <= 2 * 7 + 1
    assert len(org.ours()) == 99


def test_four_hundred_and_fifty_new_customers_take_three_writing_calls(org: Org) -> None:
    receipts = org.client().apply(writes(450))
    assert statuses(receipts) == {"acknowledged": 450}
    assert [call.path for call in org.writes] == [UPSERT] * 3
    assert [len(call.json["records"]) for call in org.writes] == [200, 200, 50]


def test_known_and_new_customers_share_one_writing_call(org: Org) -> None:
    crm = org.client()
    known = crm.apply(writes(50))
    org.running.calls.clear()
    again = [write(number, destination_id=known[number].destination_id) for number in range(50)]
    receipts = crm.apply([*again, *writes(50, 50)])
    assert statuses(receipts) == {"acknowledged": 100}
    assert [receipt.destination_id for receipt in receipts[:50]] == [one.destination_id for one in known]
    assert len(org.writes) == 1


def test_who_is_known_by_record_takes_two_short_looks_and_one_write_for_two_hundred(org: Org) -> None:
    crm = org.client()
    known = crm.apply(writes(200))
    org.running.calls.clear()
    crm.apply([write(number, destination_id=known[number].destination_id) for number in range(200)])
    assert len(org.writes) == 1
    assert len(org.queries) == 2
    assert all(" WHERE Id IN " in query for query in org.queries)


def test_no_address_of_a_look_up_is_longer_than_four_thousand_characters(tmp_path: Path) -> None:
    with serving_scripted() as scripted:
        scripted.answer = token_or(scripted, lambda _: nobody())
        client(scripted.url).find([f"some'one.{number:05d}@example.co.jp" for number in range(300)])
        queries = [seen.query["q"] for seen in scripted.seen if "q" in seen.query]
    assert len(queries) > 1
    assert all(len(f"/services/data/v66.0/query?q={quote_plus(query)}") < 4_000 for query in queries)
    assert r"'some\'one.00000@example.co.jp'" in queries[0]


def test_a_contact_that_was_there_before_us_is_given_our_key_and_keeps_the_rest(org: Org) -> None:
    before = next(one for one in org.everyone() if one["Lifecycle_Stage__c"])
    count = len(org.everyone())
    [receipt] = org.client().apply([write(1, email=f" {before['Email'].upper()}")])
    assert [call.path for call in org.writes] == [COLLECTIONS]
    after = next(one for one in org.everyone() if one["Id"] == before["Id"])
    assert receipt == CrmReceipt("c00001", "acknowledged", before["Id"])
    assert len(org.everyone()) == count
    assert after == {**before, "Customer_Key__c": "c00001"}


def test_of_two_contacts_with_an_address_the_one_that_is_nobodys_is_taken(org: Org) -> None:
    crm = org.client()
    crm.apply([write(1, email="family@example.jp")])
    staff = {"attributes": {"type": "Contact"}, "id": crm.apply([write(2)])[0].destination_id}
    org.ask(
        "PATCH",
        "/composite/sobjects",
        json={"records": [{**staff, "Email": "family@example.jp", "Customer_Key__c": None}]},
    )
    [receipt] = crm.apply([write(3, email="family@example.jp")])
    assert receipt == CrmReceipt("c00003", "acknowledged", str(staff["id"]))
    assert org.ours().keys() == {"c00001", "c00003"}


def test_writing_the_same_again_changes_no_value_and_makes_no_contact(org: Org) -> None:
    crm, batch = org.client(), writes(20)
    crm.apply(batch)
    first = org.everyone()
    crm.apply(batch)
    assert org.everyone() == first


def test_an_address_and_a_name_corrected_in_the_crm_are_not_overwritten(org: Org) -> None:
    crm = org.client()
    [first] = crm.apply([write(1)])
    corrected = {"id": first.destination_id, "Email": "corrected@example.jp", "LastName": "Corrected"}
    org.ask("PATCH", "/composite/sobjects", json={"records": [{"attributes": {"type": "Contact"}, **corrected}]})
    [again] = crm.apply([write(1, properties={"Total_Score__c": 77})])
    assert again == first
    got = org.ours()["c00001"]
    assert (got["Email"], got["LastName"], got["Total_Score__c"]) == ("corrected@example.jp", "Corrected", 77)


def test_a_contact_whose_key_was_wiped_is_found_by_its_record(org: Org) -> None:
    crm = org.client()
    [first] = crm.apply([write(1)])
    wiped = {"id": first.destination_id, "Customer_Key__c": None, "Email": "moved@example.jp"}
    org.ask("PATCH", "/composite/sobjects", json={"records": [{"attributes": {"type": "Contact"}, **wiped}]})
    [again] = crm.apply([write(1, destination_id=first.destination_id)])
    assert again == first
    assert org.ours()["c00001"]["Id"] == first.destination_id


def test_a_deleted_contact_is_made_anew_only_where_contacts_are_made(org: Org) -> None:
    crm = org.client()
    [first] = crm.apply([write(1)])
    org.ask("DELETE", f"/sobjects/Contact/{first.destination_id}")
    gone = write(1, destination_id=first.destination_id)
    assert [one.error_code for one in org.client(mode="update_only").apply([gone])] == ["NO_RECORD"]
    [again] = crm.apply([gone])
    assert again.status == "acknowledged"
    assert again.destination_id != first.destination_id


def test_two_new_customers_with_one_address_give_one_contact_and_one_reason(org: Org) -> None:
    same = [write(1, email="family@example.jp"), write(2, email="Family@Example.jp "), write(3)]
    receipts = org.client().apply(same)
    assert [receipt.status for receipt in receipts] == ["acknowledged", "dead", "acknowledged"]
    assert receipts[1].error_code == "DUPLICATE_EMAIL"
    assert [one["Email"] for one in org.contacts()].count("family@example.jp") == 1


def test_a_contact_of_another_customer_is_not_taken_over(org: Org) -> None:
    crm = org.client()
    [first] = crm.apply([write(1)])
    receipts = crm.apply([write(2, email=write(1).email), write(3, destination_id=first.destination_id)])
    assert [(one.status, one.error_code) for one in receipts] == [("dead", "KEY_TAKEN")] * 2
    assert org.ours().keys() == {"c00001"}


def test_no_contact_is_made_without_an_address(org: Org) -> None:
    [receipt] = org.client().apply([write(1, email=None)])
    assert (receipt.status, receipt.error_code) == ("dead", "NO_EMAIL")
    assert org.writes == []


def test_update_only_writes_who_is_there_and_never_creates(org: Org) -> None:
    there = org.everyone()[3]["Email"]
    receipts = org.client(mode="update_only").apply([write(1, email=there), write(2)])
    assert [(one.status, one.error_code) for one in receipts] == [("acknowledged", None), ("absent", "NO_RECORD")]
    assert [call.path for call in org.writes] == [COLLECTIONS]
    assert org.ours().keys() == {"c00001"}
    org.running.calls.clear()
    org.client(mode="update_only").apply([write(1, email=None)])
    assert [call.path for call in org.writes] == [COLLECTIONS]


def test_a_refused_address_is_named_in_no_receipt(org: Org) -> None:
    receipts = org.client().apply([write(1), write(2, email="taro.yamada@@invalid")])
    assert [receipt.status for receipt in receipts] == ["acknowledged", "dead"]
    assert receipts[1].error_code == "INVALID_EMAIL_ADDRESS"
    assert "taro" not in (receipts[1].error_text or "")
    assert "invalid email address" in (receipts[1].error_text or "")


def test_a_missing_field_is_said_once_for_the_batch_and_the_rows_stay_good(org: Org) -> None:
    receipts = org.client().apply([write(number, properties={"Tier__c": "gold"}) for number in range(40)])
    assert statuses(receipts) == {"retry": 40}
    assert "Tier__c" in (receipts[0].error_text or "")
    assert "crm provision" in (receipts[0].error_text or "")
    assert len(org.writes) == 1


def test_preflight_says_what_is_wrong_and_what_to_do(org: Org) -> None:
    crm = org.client()
    assert crm.preflight(FIELDS) == []
    lower = [CrmField(one.name.lower(), one.kind, one.label, unique=one.unique, options=one.options) for one in FIELDS]
    assert crm.preflight(lower) == []
    missing, kind, external, length, option, target = crm.preflight(
        [
            CrmField("Tier__c", "choice", "Tier", options=("gold", "silver")),
            CrmField("Segment__c", "number", "Wrong"),
            CrmField("RFM_Code__c", "text", "Key", unique=True),
            CrmField("RFM_Code__c", "text", "RFM", length=9),
            CrmField("Churn_Band__c", "choice", "Band", options=("low", "extreme")),
            CrmField("OrgStage", "text", "OrgStage", target="note"),
        ]
    )
    assert (
        "create it in Setup → Object Manager → Contact → Fields & Relationships as Picklist with the values gold"
        in (missing)
    )
    assert "label 'Tier'" in missing
    assert "'Segment__c' on Contact has type 'picklist'; Number(16, 2) is needed" in kind
    assert "tick External ID" in external
    assert "holds 3 characters, 9 are needed" in length
    assert "lacks the values extreme: add them" in option
    assert "not on note" in target
    assert crm.preflight([CrmField("Total_Score__c", "number", "Score", target="account")]) == []
    assert crm.preflight([CrmField("CLV_12m__c", "number", "Value", target="deal")]) == []
    [elsewhere] = crm.preflight([CrmField("Tier__c", "text", "Tier", target="deal")])
    assert elsewhere.startswith("Salesforce shows no field 'Tier__c' on Opportunity: create it in Setup")


def test_preflight_notices_a_key_that_is_not_unique_and_a_value_put_to_sleep(scripted: Loopback) -> None:
    key = {"name": "Customer_Key__c", "type": "string", "length": 64, "externalId": True, "unique": False}
    asleep = {"value": "low", "active": False}
    band = {"name": "Churn_Band__c", "type": "picklist", "restrictedPicklist": True, "picklistValues": [asleep]}
    shown = {"name": "Shown__c", "type": "double", "updateable": False}
    fields = [{"updateable": True, "createable": True, **one} for one in (key, band, shown)]
    scripted.answer = token_or(scripted, lambda _: reply({"name": "Contact", "fields": fields}))
    wanted = [CrmField("Churn_Band__c", "choice", "Band", options=("low",)), CrmField("Shown__c", "number", "Shown")]
    said = client(scripted.url).preflight([FIELDS[0], *wanted])
    assert "tick Unique" in said[0]
    assert "has deactivated the values low: activate them" in said[1]
    assert "read-only for our user" in said[2]


def test_what_salesforce_itself_keeps_about_people_is_not_overwritten(org: Org) -> None:
    crm = org.client()
    own = ("LastName", "FirstName", "Email", "AccountId")
    said = crm.preflight([CrmField(name, "text", "Code", value="rfm_code") for name in own])
    said += crm.preflight([CrmField("Name", "text", "Code", target="account"), CrmField("Amount", "number", "Value",
                                                                                     target="deal")])  # fmt: skip
    assert len(said) == 6
    assert all("is one of Salesforce's own: name a custom field (…__c)" in one for one in said)
    owner = CrmField("ownerid", "text", "Owner", value="assigned_owner")
    assert crm.preflight([owner, CrmField("OwnerId", "text", "Owner", target="deal", value="assigned_owner")]) == []
    assert len(crm.preflight([CrmField("OwnerId", "text", "Code", value="rfm_code")])) == 1


def test_fields_are_made_in_setup_so_provision_makes_none(org: Org) -> None:
    assert org.client().provision(FIELDS) == []
    assert org.running.calls == []


def test_find_answers_in_the_spelling_it_was_asked(org: Org) -> None:
    known = org.everyone()[3]
    asked = [known["Email"].upper(), "nobody@example.jp"]
    assert org.client().find(asked) == {known["Email"].upper(): known["Id"]}


def test_a_look_up_in_several_pages_is_read_to_its_end(org_stage: OrgStage, tmp_path: Path) -> None:
    org = org_stage.open(tmp_path, salesforce_query_page=7)
    known = org.client().apply(writes(40))
    found = org.client().find([str(write(number).email) for number in range(40)])
    assert sorted(found.values()) == sorted(str(one.destination_id) for one in known)


def test_a_quote_in_a_value_ends_no_literal() -> None:
    assert quoted("o'neil\\") == r"'o\'neil\\'"


def test_an_upsert_of_a_batch_of_any_size_says_how_large_batches_are(org: Org) -> None:
    crm = org.client(bulk_from=2000)
    assert [crm.sized(rows) for rows in (1, 1999, 2000, 30_000, 900_000)] == [200, 200, 2000, 30_000, 50_000]


def test_every_request_fits_the_description_of_the_api(org: Org) -> None:
    document = openapi("salesforce/rest-bulk2.derived.openapi3.json")
    deal = org.ask("GET", "/query", params={"q": "SELECT Id FROM Opportunity LIMIT 1"})["records"][0]["Id"]
    crm = org.client(bulk_from=200)
    crm.probe()
    crm.preflight(FIELDS)
    crm.apply([write(1), write(2, email=org.everyone()[0]["Email"])])
    crm.preflight([CrmField("CLV_12m__c", "number", "Value", target="deal")])
    crm.apply([write(3, destination_id=deal, target="deal")])
    assert crm.held({"c00003": deal}, ["Segment__c"], target="deal") == {"c00003": {"Segment__c": "loyal"}}
    org.company.faults.clear()
    bad = write(7, properties={"RFM_Code__c": "much too long"})
    calls = list(org.running.calls)
    crm = org.client(bulk_from=200)
    crm.apply([bad, *writes(300, 10)])
    org.fault(f"{JOBS}/", "status", status=500)
    crm.apply(writes(300, 10))
    calls += org.running.calls
    seen = set()
    for call in calls:
        path = call.path.removeprefix("/salesforce")
        template = next(one for one in document["paths"] if fits(one, path))
        operation = document["paths"][template][call.method.lower()]
        declared = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
        assert call.query.keys() <= declared
        media = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if media is not None:
            closed = {**media["schema"], "additionalProperties": False, "components": document["components"]}
            jsonschema.validate(call.json, closed)
        seen.add((call.method, template.rpartition("/")[2]))
    assert len(seen) >= 10


def fits(template: str, path: str) -> bool:
    parts, given = template.split("/"), path.split("/")
    return len(parts) == len(given) and all(
        part == one or part.startswith("{") for part, one in zip(parts, given, strict=True)
    )


def test_what_contacts_hold_is_read_and_those_that_are_gone_are_left_out(org: Org) -> None:
    batch = [write(number, properties={"Total_Score__c": number, "RFM_Code__c": "555"}) for number in range(3)]
    records = {one.customer_id: str(one.destination_id) for one in org.client().apply(batch)}
    held = org.client().held({**records, "gone": "003000000000ZZZAAA"}, ["Total_Score__c", "RFM_Code__c"])

    assert held == {one.customer_id: one.properties for one in batch}
