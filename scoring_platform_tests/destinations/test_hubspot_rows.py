"""HubSpot: what arrives is the payload, update_only makes nobody, trouble on the way loses and doubles nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from scoring_platform.destinations.protocol import CrmField, CrmReceipt
from scoring_platform.sandbox.outbox import contacts
from scoring_platform_tests.destinations.hubspot_crm import crm, opened, ours, statuses, write
from scoring_platform_tests.destinations.running import Running
from scoring_platform_tests.http.loopback import Loopback, Reply, Reset, Seen, page, reply


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Running]:
    """The sandbox CRM with our properties in place and nothing recorded yet."""
    with opened(tmp_path) as running:
        yield running


def canonical(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def test_what_the_crm_received_of_every_row_is_the_payload_to_the_letter(account: Running, tmp_path: Path) -> None:
    before = [one for one in contacts(tmp_path) if "hs_email_optout" not in one][:5]
    batch = [write(number) for number in range(20)]
    batch += [write(100 + number, email=one["email"]) for number, one in enumerate(before)]
    batch += [write(200, properties={"customer_segment": "要注意", "clv_12m": "12345.5", "customer_score": ""})]
    assert statuses(crm(account.url).apply(batch)) == {"acknowledged": 26}
    received = {
        one["objectWriteTraceId"]: {name: value for name, value in one["properties"].items() if name in ours_too}
        for call in account.writes
        for one in call.json["inputs"]
        if (ours_too := {*write(1).properties, "clv_12m"})
    }
    assert {key: canonical(values) for key, values in received.items()} == {
        one.customer_id: canonical(one.properties) for one in batch
    }
    kept = ours(tmp_path)
    for one in batch:
        has = {name: kept[one.customer_id].get(name, "") for name in one.properties}
        assert canonical(has) == canonical(one.properties)


def test_update_only_writes_who_has_a_contact_in_one_call_and_makes_none(account: Running, tmp_path: Path) -> None:
    [known] = crm(account.url).apply([write(1)])
    there = contacts(tmp_path)[0]
    count, careful = len(contacts(tmp_path)), crm(account.url, mode="update_only")
    account.calls.clear()
    batch = [
        write(1, properties={"customer_score": "88"}),
        write(2, email=there["email"]),
        write(3),
        write(4, email=None),
    ]
    receipts = careful.apply(batch)
    assert receipts[:2] == [
        CrmReceipt("c0001", "acknowledged", known.destination_id),
        CrmReceipt("c0002", "acknowledged", there["id"]),
    ]
    assert [(one.status, one.error_code) for one in receipts[2:]] == [("absent", "NO_RECORD")] * 2
    assert "update_only" in (receipts[2].error_text or "")
    assert len(contacts(tmp_path)) == count
    assert [call.path.rpartition("/")[2] for call in account.writes] == ["update"]
    assert (ours(tmp_path)["c0001"]["customer_score"], ours(tmp_path)["c0002"]["id"]) == ("88", there["id"])


def test_update_only_does_not_bring_back_a_contact_that_goes_while_we_write(scripted: Loopback) -> None:
    gone = {"category": "OBJECT_NOT_FOUND", "message": "not there", "context": {"objectWriteTraceId": ["c0001"]}}
    found = {"id": "9", "properties": {"customer_key": "c0001"}}

    def answer(seen: Seen) -> Response:
        reading = seen.path.endswith("/batch/read")
        return reply({"results": [found]}) if reading else reply({"results": [], "errors": [gone]}, 207)

    scripted.answer = answer
    [receipt] = crm(scripted.url, mode="update_only").apply([write(1)])
    assert (receipt.status, receipt.error_code) == ("dead", "OBJECT_NOT_FOUND")
    assert [seen.path for seen in scripted.seen if seen.path.endswith("/upsert")] == []


def test_held_is_what_contacts_have_in_our_fields_and_leaves_out_who_is_gone(account: Running) -> None:
    hubspot = crm(account.url)
    first, second = hubspot.apply([write(1), write(2, properties={"customer_score": "7", "clv_12m": ""})])
    account.calls.clear()
    records = {"c0001": str(first.destination_id), "c0002": str(second.destination_id), "c0003": "1"}
    assert hubspot.held(records, ["customer_score", "clv_12m"]) == {
        "c0001": {"customer_score": "1", "clv_12m": None},
        "c0002": {"customer_score": "7", "clv_12m": None},
    }
    assert [call.path.rpartition("/")[2] for call in account.calls] == ["read"]


def test_held_asks_for_a_hundred_contacts_at_once(account: Running) -> None:
    hubspot = crm(account.url)
    receipts = hubspot.apply([write(number) for number in range(230)])
    account.calls.clear()
    held = hubspot.held({one.customer_id: str(one.destination_id) for one in receipts}, ["customer_score"])
    assert len(held) == 230
    assert sorted(len(call.json["inputs"]) for call in account.calls) == [30, 100, 100]


@pytest.mark.parametrize("mode", ["upsert", "update_only"])
@pytest.mark.parametrize(
    "trouble",
    [
        lambda: reply({"message": "sorry"}, 503),
        lambda: reply({"message": "limit", "policyName": "TEN_SECONDLY_ROLLING"}, 429),
        lambda: page("<html>gateway</html>", 502),
        Reset,
        lambda: page('{"results": [{"id":', 200, "application/json"),
    ],
    ids=["503", "429", "a web page", "a broken connection", "half an answer"],
)
def test_trouble_that_passes_leaves_every_row_acknowledged_once(
    scripted: Loopback, trouble: Callable[[], Reply], mode: str
) -> None:
    """The first writing call is carried out, or not, and its answer is lost either way."""
    there: dict[str, dict[str, str]] = {str(number): {"customer_key": f"c{number:04d}"} for number in range(30)}
    queue = [trouble()]

    def answer(seen: Seen) -> Reply:
        inputs = seen.json["inputs"]
        if seen.path.endswith("/batch/read"):
            by_key = {values["customer_key"]: key for key, values in there.items()}
            keys = [by_key[one["id"]] for one in inputs if one["id"] in by_key]
            return reply({"results": [{"id": key, "properties": there[key]} for key in keys]})
        by_key = {values["customer_key"]: key for key, values in there.items()}
        results = []
        for one in inputs:
            key = one["id"] if "idProperty" not in one else by_key.get(one["id"]) or str(1_000 + len(there))
            there[key] = {**there.get(key, {"customer_key": one["id"]}), **one["properties"]}
            results.append({"id": key, "objectWriteTraceId": one["objectWriteTraceId"]})
        return queue.pop() if queue else reply({"results": results})

    scripted.answer = answer
    many = 60 if mode == "upsert" else 30
    receipts = crm(scripted.url, mode=mode).apply([write(number) for number in range(many)])
    assert statuses(receipts) == {"acknowledged": many}
    assert len({receipt.destination_id for receipt in receipts}) == len(there) == many
    assert {values["customer_score"] for values in there.values()} == {str(number) for number in range(many)}


def test_a_list_of_the_account_needs_our_values_among_its_options(account: Running) -> None:
    hubspot = crm(account.url)
    options = [{"label": one, "value": one, "displayOrder": 0, "hidden": False} for one in ("low", "high")]
    listed = {"label": "Band", "type": "enumeration", "fieldType": "select", "groupName": "contactinformation"}
    hubspot._client.request("POST", "/crm/v3/properties/contacts", json={**listed, "name": "band", "options": options})
    wanted = CrmField("band", "choice", "Band", options=("low", "medium", "high"))
    [problem] = hubspot.preflight([wanted])
    assert "'band' lacks the options medium" in problem
    assert hubspot.preflight([CrmField("band", "choice", "Band", options=("low", "high"))]) == []
    receipts = hubspot.apply([write(1, properties={"band": "low"}), write(2, properties={"band": "medium"})])
    assert [(one.status, one.error_code) for one in receipts] == [("acknowledged", None), ("dead", "INVALID_OPTION")]
