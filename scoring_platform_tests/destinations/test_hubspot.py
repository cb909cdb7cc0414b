"""HubSpot: one receipt per write whatever the answer looks like, nobody doubled, nothing written twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from starlette.responses import Response

from scoring_platform.destinations.protocol import CrmField, CrmReceipt
from scoring_platform.errors import BudgetExhaustedError, CredentialError
from scoring_platform.sandbox import hubspot as sandbox
from scoring_platform.sandbox.outbox import contacts
from scoring_platform_tests.destinations.hubspot_crm import FIELDS, crm, opened, ours, statuses, write
from scoring_platform_tests.destinations.running import Running, company, serving
from scoring_platform_tests.http.loopback import Hang, Loopback, Seen, reply
from scoring_platform_tests.sources.vendor_specs import check_body, check_query, openapi

DAILY = {"status": "error", "message": "You have reached your daily limit.", "policyName": "DAILY"}


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Running]:
    """The sandbox CRM with our properties in place and nothing recorded yet."""
    with opened(tmp_path) as running:
        yield running


def test_one_bad_row_of_a_hundred_leaves_ninety_nine_written_in_one_call(account: Running, tmp_path: Path) -> None:
    batch = [write(number) for number in range(100)]
    batch[41] = write(41, properties={"customer_score": "a lot"})
    receipts = crm(account.url).apply(batch)
    assert [receipt.customer_id for receipt in receipts] == [one.customer_id for one in batch]
    assert statuses(receipts) == {"acknowledged": 99, "dead": 1}
    assert receipts[41].status == "dead"
    assert receipts[41].error_code == "INVALID_LONG"
    assert "not a valid number" in (receipts[41].error_text or "")
    assert len(account.writes) == 1
    assert ours(tmp_path).keys() == {one.customer_id for one in batch} - {"c0041"}


def test_a_bad_row_is_found_by_halving_when_the_whole_batch_is_refused(tmp_path: Path) -> None:
    with serving("/hubspot", sandbox.routes(company(tmp_path), multi_status=False)) as running:
        hubspot = crm(running.url)
        hubspot.provision(FIELDS)
        running.calls.clear()
        batch = [write(number) for number in range(100)]
        batch[41] = write(41, properties={"customer_score": "a lot"})
        receipts = hubspot.apply(batch)
    assert statuses(receipts) == {"acknowledged": 99, "dead": 1}
    assert receipts[41].error_code == "INVALID_LONG"
    assert len(running.writes) <= 2 * 7 + 1
    assert len(ours(tmp_path)) == 99


def test_two_hundred_and_fifty_new_customers_take_three_writing_calls(account: Running) -> None:
    receipts = crm(account.url).apply([write(number) for number in range(250)])
    assert statuses(receipts) == {"acknowledged": 250}
    assert [call.path.rpartition("/")[2] for call in account.writes] == ["upsert"] * 3
    assert sorted(len(call.json["inputs"]) for call in account.writes) == [50, 100, 100]


def test_known_and_new_customers_share_one_writing_call(account: Running) -> None:
    hubspot = crm(account.url)
    known = hubspot.apply([write(number) for number in range(50)])
    account.calls.clear()
    again = [write(number, destination_id=known[number].destination_id) for number in range(50)]
    receipts = hubspot.apply([*again, *(write(number) for number in range(50, 100))])
    assert statuses(receipts) == {"acknowledged": 100}
    assert [receipt.destination_id for receipt in receipts[:50]] == [one.destination_id for one in known]
    assert len(account.writes) == 1


def test_a_contact_that_was_there_before_us_is_given_our_key_and_keeps_the_rest(
    account: Running, tmp_path: Path
) -> None:
    before = next(one for one in contacts(tmp_path) if one.get("hubspot_owner_id") and one.get("lifecyclestage"))
    count = len(contacts(tmp_path))
    [receipt] = crm(account.url).apply([write(1, email=f" {before['email'].upper()}")])
    after = ours(tmp_path)["c0001"]
    assert receipt == CrmReceipt("c0001", "acknowledged", before["id"])
    assert len(contacts(tmp_path)) == count
    assert after["customer_score"] == "1"
    unchanged = ("id", "email", "hubspot_owner_id", "lifecyclestage", "createdAt")
    assert [after[name] for name in unchanged] == [before[name] for name in unchanged]


def test_writing_the_same_again_changes_no_value_and_makes_no_contact(account: Running, tmp_path: Path) -> None:
    hubspot, batch = crm(account.url), [write(number) for number in range(20)]
    hubspot.apply(batch)
    first = [{**one, "updatedAt": ""} for one in contacts(tmp_path)]
    hubspot.apply(batch)
    assert [{**one, "updatedAt": ""} for one in contacts(tmp_path)] == first


def test_an_address_corrected_in_the_crm_is_not_overwritten(account: Running, tmp_path: Path) -> None:
    hubspot = crm(account.url)
    [first] = hubspot.apply([write(1)])
    hubspot._client.request(
        "PATCH",
        f"/crm/v3/objects/contacts/{first.destination_id}",
        json={"properties": {"email": "corrected@example.jp"}},
    )
    [again] = hubspot.apply([write(1, properties={"customer_score": "77"})])
    assert again == first
    assert ours(tmp_path)["c0001"]["email"] == "corrected@example.jp"
    assert ours(tmp_path)["c0001"]["customer_score"] == "77"


def test_a_contact_whose_key_was_wiped_is_found_by_its_record(account: Running, tmp_path: Path) -> None:
    hubspot = crm(account.url)
    [first] = hubspot.apply([write(1)])
    wiped = {"customer_key": "", "email": "moved@example.jp"}
    hubspot._client.request("PATCH", f"/crm/v3/objects/contacts/{first.destination_id}", json={"properties": wiped})
    [again] = hubspot.apply([write(1, destination_id=first.destination_id)])
    assert again == first
    assert ours(tmp_path)["c0001"]["id"] == first.destination_id


def test_two_new_customers_with_one_address_give_one_contact_and_one_reason(account: Running, tmp_path: Path) -> None:
    same = [write(1, email="family@example.jp"), write(2, email="Family@Example.jp "), write(3)]
    receipts = crm(account.url).apply(same)
    assert [receipt.status for receipt in receipts] == ["acknowledged", "dead", "acknowledged"]
    assert receipts[1].error_code == "DUPLICATE_EMAIL"
    assert [one["email"] for one in contacts(tmp_path)].count("family@example.jp") == 1


def test_a_contact_of_another_customer_is_not_taken_over(account: Running, tmp_path: Path) -> None:
    hubspot = crm(account.url)
    hubspot.apply([write(1)])
    [receipt] = hubspot.apply([write(2, email=write(1).email)])
    assert (receipt.status, receipt.error_code) == ("dead", "KEY_TAKEN")
    assert ours(tmp_path).keys() == {"c0001"}


def test_no_contact_is_made_without_an_address(account: Running, tmp_path: Path) -> None:
    count = len(contacts(tmp_path))
    [receipt] = crm(account.url).apply([write(1, email=None)])
    assert (receipt.status, receipt.error_code) == ("dead", "NO_EMAIL")
    assert len(contacts(tmp_path)) == count


def test_a_refused_address_is_named_in_no_receipt(account: Running) -> None:
    receipts = crm(account.url).apply([write(1), write(2, email="taro.yamada@@invalid")])
    assert [receipt.status for receipt in receipts] == ["acknowledged", "dead"]
    assert receipts[1].error_code == "INVALID_EMAIL"
    assert "taro" not in (receipts[1].error_text or "")
    assert "valid" in (receipts[1].error_text or "")


def test_a_missing_property_is_said_once_for_the_batch_and_the_rows_stay_good(tmp_path: Path) -> None:
    with serving("/hubspot", sandbox.routes(company(tmp_path), multi_status=False)) as running:
        hubspot = crm(running.url)
        hubspot.provision(FIELDS[:1])
        running.calls.clear()
        receipts = hubspot.apply([write(number) for number in range(40)])
        assert statuses(receipts) == {"retry": 40}
        assert "crm provision" in (receipts[0].error_text or "")
        assert len(running.writes) == 1
        hubspot.provision(FIELDS)
        assert statuses(hubspot.apply([write(number) for number in range(40)])) == {"acknowledged": 40}


def test_preflight_says_what_is_wrong_and_provision_makes_what_is_missing(account: Running) -> None:
    hubspot = crm(account.url)
    wanted = [CrmField("firstname", "number", "Wrong"), CrmField("phone", "text", "Plain", unique=True)]
    readonly = CrmField("hs_object_id", "number", "Record")
    assert "'lastname' is one of HubSpot's own" in hubspot.preflight([CrmField("lastname", "text", "Code")])[0]
    assert (
        "'hubspot_owner_id' is one of HubSpot's own" in hubspot.preflight([CrmField("hubspot_owner_id", "text", "")])[0]
    )
    assert hubspot.preflight([CrmField("hubspot_owner_id", "text", "Owner", value="assigned_owner")]) == []
    assert hubspot.preflight([CrmField("amount", "number", "Value", target="deal", value="clv_12m")]) != []
    wrong = hubspot.preflight([*FIELDS, *wanted, readonly, CrmField("tier", "text", "Tier")])
    assert [line.split("'")[1] for line in wrong] == ["firstname", "phone", "hs_object_id", "tier"]
    assert hubspot.provision([*FIELDS, CrmField("tier", "text", "Tier")]) == ["tier"]
    assert hubspot.preflight([*FIELDS, CrmField("tier", "text", "Tier")]) == []


def test_find_answers_in_the_spelling_it_was_asked(account: Running, tmp_path: Path) -> None:
    known = contacts(tmp_path)[3]
    asked = [known["email"].upper(), "nobody@example.jp"]
    assert crm(account.url).find(asked) == {known["email"].upper(): known["id"]}


def test_a_refused_token_names_the_variable_to_set(account: Running) -> None:
    with pytest.raises(CredentialError, match="SCORING_HUBSPOT_TOKEN"):
        crm(account.url, token="wrong").apply([write(1)])


def nothing_found(seen: Seen) -> Response | None:
    return reply({"status": "COMPLETE", "results": []}) if seen.path.endswith("/batch/read") else None


def test_the_daily_limit_stops_at_once(scripted: Loopback) -> None:
    scripted.answer = lambda seen: nothing_found(seen) or reply(DAILY, 429)
    with pytest.raises(BudgetExhaustedError):
        crm(scripted.url).apply([write(1)])
    assert len([seen for seen in scripted.seen if seen.path.endswith("/upsert")]) == 1


def test_what_was_acknowledged_before_the_daily_limit_is_not_lost(scripted: Loopback) -> None:
    def answer(seen: Seen) -> Response:
        found = nothing_found(seen)
        if found is not None:
            return found
        if len(seen.json["inputs"]) < 100:
            return reply(DAILY, 429)
        results = [
            {"id": f"9{number}", "objectWriteTraceId": one["objectWriteTraceId"]}
            for number, one in enumerate(seen.json["inputs"])
        ]
        return reply({"status": "COMPLETE", "results": results})

    scripted.answer = answer
    receipts = crm(scripted.url).apply([write(number) for number in range(150)])
    assert statuses(receipts) == {"acknowledged": 100, "retry": 50}
    assert receipts[149].error_code == "BudgetExhaustedError"


def test_the_ten_second_limit_is_waited_for(scripted: Loopback) -> None:
    limited = reply({"policyName": "TEN_SECONDLY_ROLLING", "message": "limit"}, 429)
    results = reply({"status": "COMPLETE", "results": [{"id": "9", "objectWriteTraceId": "c0001"}]})
    queue = [limited, reply({"message": "locked"}, 423), results]
    scripted.answer = lambda seen: nothing_found(seen) or queue.pop(0)
    assert crm(scripted.url).apply([write(1)]) == [CrmReceipt("c0001", "acknowledged", "9")]


def test_a_crm_that_never_answers_leaves_every_row_to_be_tried_again(scripted: Loopback) -> None:
    scripted.answer = lambda seen: nothing_found(seen) or Hang()
    receipts = crm(scripted.url, timeout=0.1).apply([write(number) for number in range(3)])
    assert statuses(receipts) == {"retry": 3}
    assert "did not answer" in (receipts[0].error_text or "")
    assert len([seen for seen in scripted.seen if seen.path.endswith("/upsert")]) == 3


def test_an_error_that_names_no_row_is_traced_to_its_row(scripted: Loopback) -> None:
    def answer(seen: Seen) -> Response:
        inputs = [] if seen.path.endswith("/batch/read") else seen.json["inputs"]
        good = [one for one in inputs if one["id"] != "c0005"]
        body: dict[str, Any] = {
            "results": [{"id": f"9{one['id']}", "properties": {"customer_key": one["id"]}} for one in good]
        }
        if len(good) == len(inputs):
            return reply(body)
        # The rows beside the bad one are left out as well, the way an aborted batch looks.
        return reply({"results": body["results"][:2], "errors": [{"message": "no such thing"}]}, 207)

    scripted.answer = answer
    receipts = crm(scripted.url).apply([write(number) for number in range(10)])
    assert statuses(receipts) == {"acknowledged": 9, "dead": 1}
    assert (receipts[5].status, receipts[5].error_text) == ("dead", "no such thing")


def test_a_row_the_answer_does_not_mention_is_unknown(scripted: Loopback) -> None:
    only_first = reply({"results": [{"id": "9", "objectWriteTraceId": "c0001"}]})
    scripted.answer = lambda seen: nothing_found(seen) or only_first
    receipts = crm(scripted.url).apply([write(1), write(2)])
    assert [receipt.status for receipt in receipts] == ["acknowledged", "unknown"]


def test_a_contact_made_by_somebody_after_we_looked_is_adopted(scripted: Loopback) -> None:
    conflict = {
        "category": "CONFLICT",
        "message": "Contact already exists. Existing ID: 77",
        "context": {"ids": ["c0001"]},
    }

    def answer(seen: Seen) -> Response:
        if seen.path.endswith("/upsert"):
            return reply({"results": [], "errors": [conflict]}, 207)
        if seen.path.endswith("/update"):
            return reply({"results": [{"id": "77", "properties": {}}]})
        there = seen.json["inputs"] == [{"id": "new0001@example.jp"}] and any(
            one.path.endswith("/upsert") for one in scripted.seen
        )
        return reply({"results": [{"id": "77", "properties": {"email": "new0001@example.jp"}}] if there else []})

    scripted.answer = answer
    assert crm(scripted.url).apply([write(1)]) == [CrmReceipt("c0001", "acknowledged", "77")]


def test_a_conflict_that_cannot_be_looked_into_any_more_is_tried_again_later(scripted: Loopback) -> None:
    conflict = {"category": "CONFLICT", "message": "Contact already exists", "context": {"ids": ["c0001"]}}
    used_up = {"message": "You have reached your daily limit.", "policyName": "DAILY"}

    def answer(seen: Seen) -> Response:
        if seen.path.endswith("/upsert"):
            return reply({"results": [{"id": "88", "objectWriteTraceId": "c0002"}], "errors": [conflict]}, 207)
        again = any(one.path.endswith("/upsert") for one in scripted.seen)
        return reply(used_up, 429) if again else reply({"results": []})

    scripted.answer = answer
    receipts = crm(scripted.url).apply([write(1), write(2)])

    assert [(one.customer_id, one.status) for one in receipts] == [("c0001", "retry"), ("c0002", "acknowledged")]


def test_every_request_fits_the_published_document(account: Running, tmp_path: Path) -> None:
    contacts_document, properties_document = (
        openapi("hubspot/crm-contacts.v3.json"),
        openapi("hubspot/crm-properties.v3.json"),
    )
    schemas = {
        "batch/upsert": (contacts_document, "BatchInputSimplePublicObjectBatchInputUpsert"),
        "batch/update": (contacts_document, "BatchInputSimplePublicObjectBatchInput"),
        "batch/read": (contacts_document, "BatchReadInputSimplePublicObjectId"),
        "batch/create": (properties_document, "BatchInputPropertyCreate"),
    }
    hubspot = crm(account.url)
    hubspot.provision([CrmField("tier", "text", "Tier", unique=True)])
    there = contacts(tmp_path)
    made, _ = hubspot.apply([write(1), write(2, email=there[0]["email"])])
    crm(account.url, mode="update_only").apply([write(1), write(3, email=there[1]["email"])])
    hubspot.held({"c0001": str(made.destination_id)}, ["customer_score"])
    hubspot.probe()
    checked = set()
    for call in account.calls:
        if call.method == "GET":
            path = call.path.removeprefix("/hubspot").replace("properties/contacts", "properties/{objectType}")
            document = properties_document if "properties" in path else contacts_document
            check_query(Seen("GET", path, call.query, {}, b""), document, path)
        if call.method == "POST":
            name = "/".join(call.path.split("/")[-2:])
            document, schema = schemas[name]
            assert (
                call.path.removeprefix("/hubspot").replace("properties/contacts", "properties/{objectType}")
                in document["paths"]
            )
            check_body(call.json, document, schema)
            checked.add(name)
    assert checked == schemas.keys()


def test_many_rows_go_out_in_several_calls_at_once_and_come_back_in_their_order(account: Running) -> None:
    hubspot = crm(account.url)
    assert [hubspot.sized(rows) for rows in (1, 100, 101, 5_000)] == [100, 100, 400, 400]
    writes = [write(number) for number in range(350)]
    first = hubspot.apply(writes)
    again = hubspot.apply([replace(one, destination_id=None) for one in reversed(writes)])
    assert [one.customer_id for one in first] == [one.customer_id for one in writes]
    assert again == first[::-1]


def test_what_was_written_before_the_days_calls_ran_out_is_acknowledged(account: Running, tmp_path: Path) -> None:
    hubspot = crm(account.url)
    told = hubspot._client.request
    spent = Event()

    def request(method: str, path: str, **details: Any) -> Any:
        if path.endswith("upsert") and "c0100" in str(details["json"]):
            # The other call is answered first.
            assert spent.wait(timeout=5)
            msg = "hubspot: the daily allowance is used up"
            raise BudgetExhaustedError(msg)
        answer = told(method, path, **details)
        if path.endswith("upsert"):
            spent.set()
        return answer

    hubspot._client.request = request  # type: ignore[method-assign]
    receipts = hubspot.apply([write(number) for number in range(200)])
    assert [one.status for one in receipts] == ["acknowledged"] * 100 + ["retry"] * 100
    assert len(ours(tmp_path)) == 100
