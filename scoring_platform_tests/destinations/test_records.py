"""Companies, organizations, accounts and deals by their ids: as few calls as contacts take, and no record is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scoring_platform.destinations.protocol import CrmField, CrmWrite, Target
from scoring_platform.errors import PermanentError
from scoring_platform.sandbox import hubspot as hubspot_sandbox
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.outbox import crm_records
from scoring_platform.sandbox.pipedrive_outbox import received as pipedrive_received
from scoring_platform.sandbox.pipedrive_outbox import records
from scoring_platform.sandbox.pipedrive_past import FIRST_ORGANIZATION, past_deals
from scoring_platform.sandbox.salesforce_store import received
from scoring_platform_tests.destinations import hubspot_crm, pipedrive_company
from scoring_platform_tests.destinations.pipedrive_company import NOW, Stage
from scoring_platform_tests.destinations.running import company, serving
from scoring_platform_tests.destinations.salesforce_org import COLLECTIONS, JOBS, Org, statuses
from scoring_platform_tests.http.loopback import Loopback, Seen, reply
from scoring_platform_tests.sources.vendor_specs import check_body, check_query, openapi

OBJECTS: dict[Target, str] = {"account": "companies", "deal": "deals"}
OURS = [CrmField("value", "number", "Value", target=target) for target in OBJECTS]


def write(record: str, value: str | int | float | None, target: Target, field: str = "value") -> CrmWrite:
    return CrmWrite(f"c{record}", None, record, {field: value}, target)


@pytest.mark.parametrize("target", list(OBJECTS))
def test_hubspot_takes_a_hundred_records_a_call(tmp_path: Path, target: Target) -> None:
    with serving("/hubspot", hubspot_sandbox.routes(company(tmp_path))) as running:
        crm = hubspot_crm.crm(running.url)
        assert len(crm.preflight(OURS)) == 2
        assert crm.provision(OURS) == ["value", "value"]
        assert crm.provision(OURS) == crm.preflight(OURS) == []
        ids = [one["id"] for one in crm_records(tmp_path, OBJECTS[target])][:40]
        for n in range(70):
            crm._client.request("POST", f"/crm/v3/objects/{OBJECTS[target]}", json={"properties": {"value": str(n)}})
        ids += [one["id"] for one in crm_records(tmp_path, OBJECTS[target])][-70:]
        there = len(crm_records(tmp_path, OBJECTS[target]))
        running.calls.clear()
        receipts = crm.apply([write(one, f"{n}", target) for n, one in enumerate(ids)])

        assert [one.destination_id for one in receipts] == ids
        assert [call.path for call in running.calls] == [f"/hubspot/crm/v3/objects/{OBJECTS[target]}/batch/update"] * 2
        held = crm.held({f"c{one}": one for one in ids}, ["value"], target=target)
        assert held == {f"c{one}": {"value": f"{n}"} for n, one in enumerate(ids)}
        assert len(crm_records(tmp_path, OBJECTS[target])) == there


@pytest.mark.parametrize("multi_status", [True, False])
def test_a_bad_row_and_a_missing_record_are_found_whatever_form_hubspots_answer_has(
    tmp_path: Path, multi_status: bool
) -> None:
    with serving("/hubspot", hubspot_sandbox.routes(company(tmp_path), multi_status=multi_status)) as running:
        crm = hubspot_crm.crm(running.url)
        crm.provision(OURS)
        ids = [one["id"] for one in crm_records(tmp_path, "deals")][:20]
        batch = [write(one, "much" if n == 7 else "5", "deal") for n, one in enumerate(ids)]
        batch[11] = write("123", "5", "deal")
        receipts = crm.apply(batch)

        dead = {n: one.error_code for n, one in enumerate(receipts) if one.status == "dead"}
        assert dead == {7: "INVALID_LONG", 11: "OBJECT_NOT_FOUND"}
        assert "may be deleted or not exist" in (receipts[11].error_text or "")
        assert statuses(receipts) == {"acknowledged": 18, "dead": 2}


def test_a_whole_call_that_finds_one_record_missing_is_halved_and_another_404_stops_the_sync(
    scripted: Loopback,
) -> None:
    def answer(seen: Seen) -> Any:
        ids = [one["id"] for one in seen.json["inputs"]]
        if "7" in ids:
            return reply({"status": "error", "category": "OBJECT_NOT_FOUND", "message": "resource not found"}, 404)
        return reply({"status": "COMPLETE", "results": [{"id": one, "properties": {}} for one in ids]})

    scripted.answer = answer
    crm = hubspot_crm.crm(scripted.url)
    receipts = crm.apply([write(f"{n}", "5", "deal") for n in range(1, 9)])
    assert [one.status for one in receipts] == ["dead" if n == 7 else "acknowledged" for n in range(1, 9)]
    assert receipts[6].error_text == "resource not found"

    scripted.answer = lambda _: reply({"status": "error", "message": "no such address"}, 404)
    with pytest.raises(PermanentError, match=r"404 at POST /crm/v3/objects/deals/batch/update: check the endpoint"):
        crm.apply([write("1", "5", "deal")])


@pytest.mark.needs_shared
def test_what_is_asked_of_hubspot_fits_the_published_documents(tmp_path: Path) -> None:
    companies, properties = openapi("hubspot/crm-companies.v3.json"), openapi("hubspot/crm-properties.v3.json")
    schemas = {
        "batch/update": (companies, "BatchInputSimplePublicObjectBatchInput"),
        "batch/read": (companies, "BatchReadInputSimplePublicObjectId"),
        "batch/create": (properties, "BatchInputPropertyCreate"),
    }
    with serving("/hubspot", hubspot_sandbox.routes(company(tmp_path))) as running:
        crm = hubspot_crm.crm(running.url)
        crm.provision(OURS)
        for target, objects in OBJECTS.items():
            one = crm_records(tmp_path, objects)[0]["id"]
            crm.apply([write(one, "5", target)])
            crm.held({"c": one}, ["value"], target=target)
        checked = set()
        for call in running.calls:
            path = call.path.removeprefix("/hubspot").replace("objects/deals", "objects/companies")
            path = path.replace("properties/companies", "properties/{objectType}")
            path = path.replace("properties/deals", "properties/{objectType}")
            if call.method == "GET":
                check_query(Seen("GET", path, call.query, {}, b""), properties, path)
                continue
            document, schema = schemas["/".join(path.split("/")[-2:])]
            assert path in document["paths"]
            check_body(call.json, document, schema)
            checked.add("/".join(path.split("/")[-2:]))
    assert checked == schemas.keys()


@pytest.mark.parametrize(("target", "sobject"), [("account", "Account"), ("deal", "Opportunity")])
def test_salesforce_takes_two_hundred_records_a_call_and_many_in_a_file(org: Org, target: Target, sobject: str) -> None:
    ids = [one["Id"] for one in org.ask("GET", "/query", params={"q": f"SELECT Id FROM {sobject}"})["records"]][:150]
    receipts = org.client().apply([write(one, n, target, "CLV_12m__c") for n, one in enumerate(ids)])
    assert [one.destination_id for one in receipts] == ids
    assert [call.path for call in org.writes] == [COLLECTIONS]
    assert [one["attributes"] for one in org.writes[0].json["records"]] == [{"type": sobject}] * len(ids)

    org.running.calls.clear()
    gone = [f"{ids[0][:3]}SB{9_000_000_000 + n}AAA" for n in range(200 - len(ids))]
    many = [write(one, 2 * n, target, "CLV_12m__c") for n, one in enumerate([*ids, *gone])]
    receipts = org.client(bulk_from=200).apply(many)
    assert [f"{call.method} {call.path.removeprefix(JOBS).count('/')}" for call in org.writes] == [
        "POST 0", "PUT 2", "PATCH 1",
    ]  # fmt: skip
    assert statuses(receipts) == {"acknowledged": len(ids), "dead": len(gone)}
    assert receipts[-1].error_code == "INVALID_CROSS_REFERENCE_KEY"
    written = {one["Id"]: one["CLV_12m__c"] for one in received(org.company.state_dir) if one["type"] == sobject}
    assert written == {one: 2 * n for n, one in enumerate(ids)}


@pytest.mark.parametrize("target", list(OBJECTS))
def test_pipedrive_takes_one_call_a_record_in_the_terms_of_its_kind(
    tmp_path: Path, stage: Stage, target: Target
) -> None:
    shop: Company = company(tmp_path)
    shop.clock.set(NOW)
    running = stage.play(shop, provisioned=False)
    fields = [CrmField("評価", "choice", "", target=target, options=("高", "低"))]
    pipedrive = pipedrive_company.crm(running.url)
    assert pipedrive.provision(fields) == ["評価"]
    assert pipedrive.preflight([*fields, CrmField("評価", "choice", "")])[0].startswith("Pipedrive has no person field")
    deals = past_deals(len(shop.crm_seed()), shop.clock.instant())
    ids = [str(FIRST_ORGANIZATION + n) for n in range(3)] if target == "account" else [str(one.id) for one in deals][:3]
    running.calls.clear()
    receipts = pipedrive.apply([write(one, label, target, "評価") for one, label in zip(ids, "高低中", strict=True)])

    kind = {"account": "organizations", "deal": "deals"}[target]
    assert [(one.status, one.error_code) for one in receipts] == [
        ("acknowledged", None), ("acknowledged", None), ("retry", "OPTION_MISSING"),
    ]  # fmt: skip
    patched = [call.path for call in running.calls if call.method == "PATCH"]
    assert patched == [f"/pipedrive/api/v2/{kind}/{one}" for one in ids[:2]]
    written = {one["id"]: one["properties"] for one in records(tmp_path, kind)}  # type: ignore[arg-type]
    assert written == {ids[0]: {"評価": "高"}, ids[1]: {"評価": "低"}}
    assert {one["operation"] for one in pipedrive_received(tmp_path)} == {f"update_{kind[:-1]}"}
    assert pipedrive.held({"c": ids[0]}, ["評価"], target=target) == {"c": {"評価": "高"}}
