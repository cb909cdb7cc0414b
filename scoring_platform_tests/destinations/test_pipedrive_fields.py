"""Pipedrive's fields and options by name, and every request as its documents describe it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from scoring_platform.destinations.protocol import CrmField
from scoring_platform.errors import PermanentError
from scoring_platform.sandbox.company import Company
from scoring_platform_tests.destinations.pipedrive_company import (
    FIELDS,
    KEY,
    NOW,
    PERSON_FIELDS,
    PERSONS,
    Stage,
    crm,
    late_in_the_listing,
    ours,
    paths,
    statuses,
    write,
)
from scoring_platform_tests.destinations.running import Call, Running, company
from scoring_platform_tests.http.loopback import Seen
from scoring_platform_tests.sources.vendor_specs import check_query, openapi


@pytest.fixture
def shop(tmp_path: Path) -> Company:
    opened = company(tmp_path)
    opened.clock.set(NOW)
    return opened


@pytest.fixture
def account(shop: Company, stage: Stage) -> Running:
    """The sandbox with our fields in place and nothing recorded yet."""
    return stage.play(shop)


def test_preflight_says_exactly_what_is_wrong_and_provision_makes_what_is_missing(shop: Company, stage: Stage) -> None:
    running = stage.play(shop, provisioned=False)
    pipedrive = crm(running.url)
    missing = pipedrive.preflight(FIELDS)
    assert len(missing) == 7
    assert missing[0] == (
        "Pipedrive has no person field 「顧客キー」; run `scoring-platform crm provision`, "
        "or make it under Settings, Data fields, Person"
    )
    assert pipedrive.provision(FIELDS) == [
        KEY,
        "スコア",
        "RFM",
        "セグメント",
        "離脱リスク",
        "予測LTV",
        "スコア更新日",
    ]
    assert pipedrive.preflight(FIELDS) == []
    assert pipedrive.provision(FIELDS) == []
    wrong = [
        CrmField("Name", "text", ""),
        CrmField("スコア", "text", ""),
        CrmField("セグメント", "choice", "", options=("ロイヤル", "休眠")),
        CrmField("金額", "number", "", target="deal"),
    ]
    said = pipedrive.preflight(wrong)
    assert said == [
        "「Name」 is one of Pipedrive's own person fields; name a custom field under destinations.pipedrive.fields",
        (
            "The Pipedrive person field 「スコア」 has type 'double', 'varchar' is needed; "
            "name another field under destinations.pipedrive.fields"
        ),
        "The Pipedrive person field 「セグメント」 lacks the options 「休眠」; run `scoring-platform crm provision`",
        (
            "Pipedrive has no deal field 「金額」; run `scoring-platform crm provision`, "
            "or make it under Settings, Data fields, Deal"
        ),
    ]
    assert pipedrive.provision(wrong[2:3]) == ["セグメント"]
    assert pipedrive.preflight(wrong[2:3]) == []


def test_two_values_on_one_field_make_none(shop: Company, stage: Stage) -> None:
    running = stage.play(shop, provisioned=False)
    wanted = [CrmField("ティア", "text", ""), CrmField("スコア", "number", ""), CrmField("ｽｺｱ ", "number", "")]
    with pytest.raises(PermanentError, match="no field was made, because Two values go to 「スコア」"):
        crm(running.url).provision(wanted)
    assert [call.method for call in running.calls if call.method == "POST"] == []


def test_the_case_and_width_of_a_name_make_no_difference(account: Running) -> None:
    wide = [CrmField("ｒｆｍ", "text", ""), CrmField("セグメント ", "choice", "", options=(" ロイヤル",))]
    assert crm(account.url).preflight(wide) == []
    [receipt] = crm(account.url).apply([write(1, properties={"rfm": "111", "ｾｸﾞﾒﾝﾄ": "ロイヤル"})])
    assert receipt.status == "acknowledged"


def test_a_missing_field_or_option_leaves_the_row_good(account: Running, tmp_path: Path) -> None:
    pipedrive = crm(account.url)
    rows = [write(1, properties={"ティア": "gold"}), write(2, properties={"セグメント": "休眠"}), write(3)]
    receipts = pipedrive.apply(rows)
    assert [(one.status, one.error_code) for one in receipts] == [
        ("retry", "FIELD_MISSING"),
        ("retry", "OPTION_MISSING"),
        ("acknowledged", None),
    ]
    assert "crm provision" in (receipts[0].error_text or "")
    assert paths(account, "GET").count(PERSON_FIELDS) == 2
    pipedrive.provision([CrmField("ティア", "text", ""), CrmField("セグメント", "choice", "", options=("休眠",))])
    assert statuses(pipedrive.apply(rows)) == {"acknowledged": 3}


def test_a_field_made_anew_meanwhile_is_looked_up_once_more(account: Running, tmp_path: Path) -> None:
    pipedrive = crm(account.url)
    pipedrive.apply([write(1)])
    code = pipedrive._books["contact"].code("RFM")
    for method, path, body in (
        ("DELETE", f"/api/v2/personFields/{code}", None),
        ("POST", "/api/v2/personFields", {"field_name": "Other", "field_type": "varchar"}),
        ("POST", "/api/v2/personFields", {"field_name": "RFM", "field_type": "varchar"}),
    ):
        pipedrive._api.call(method, path, cost=5, json=body)
    assert pipedrive.apply([write(2)])[0].status == "acknowledged"
    assert ours(tmp_path)["c0002"]["properties"]["RFM"] == "544"


def test_what_persons_hold_is_told_as_the_plan_has_it(account: Running) -> None:
    pipedrive = crm(account.url)
    tags = CrmField("タグ", "choices", "", options=("a", "b"))
    pipedrive.provision([tags])
    receipts = pipedrive.apply([write(1, properties={**write(1).properties, "タグ": "b;a"}), write(2)])
    records = {one.customer_id: one.destination_id or "" for one in receipts}
    account.calls.clear()
    held = pipedrive.held({**records, "gone": "9"}, [*write(1).properties, "タグ", "ない"])
    assert held == {
        "c0001": {**write(1).properties, "タグ": "b;a", "ない": None},
        "c0002": {**write(2).properties, "タグ": None, "ない": None},
    }
    assert paths(account, "GET") == [PERSONS]


DOCUMENTS = {"/api/v2": "pipedrive/persons.v2.json", "/v1": "pipedrive/users-webhooks-fields.v1.json"}
NOT_IN_THE_COPY = "/v1/notes"


def described(call: Call) -> tuple[dict[str, Any], str]:
    """The document a call belongs to, and its path there."""
    path = call.path.removeprefix("/pipedrive")
    base = next(base for base in DOCUMENTS if path.startswith(base))
    document = openapi(DOCUMENTS[base])
    known = re.sub(r"/persons/\d+", "/persons/{id}", path.removeprefix(base))
    known = re.sub(r"/personFields/[0-9a-f]{40}", "/personFields/{field_code}", known)
    assert known in document["paths"], f"{call.method} {path} is not described"
    return document, known


def closed(shape: Any) -> Any:
    """A schema that allows nothing it does not name."""
    if isinstance(shape, list):
        return [closed(part) for part in shape]
    if not isinstance(shape, dict):
        return shape
    inner = {key: closed(part) for key, part in shape.items()}
    return {"additionalProperties": False, **inner} if "properties" in shape else inner


@pytest.mark.needs_shared
def test_every_request_fits_the_published_documents(
    account: Running, shop: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scoring_platform.destinations.pipedrive_people.PAGE_SIZE", 30)
    pipedrive = crm(account.url)
    pipedrive.probe()
    tiers = CrmField("ティア", "choices", "", options=("金", "銀"))
    pipedrive.provision([tiers, replace(tiers, name="RFM2", kind="text", options=())])
    pipedrive.provision([replace(tiers, options=("金", "銀", "銅"))])
    [first] = pipedrive.apply([write(1, properties={"ティア": "金;銅", "スコア": 1})])
    pipedrive.apply([write(1, destination_id=first.destination_id), write(2, email=late_in_the_listing(shop))])
    pipedrive.apply([write(1, target="note", properties={"NPS スコア": 9})])
    checked = set()
    for call in account.calls:
        if call.path.endswith(NOT_IN_THE_COPY):
            continue
        document, path = described(call)
        check_query(Seen(call.method, call.path, call.query, {}, call.body), document, path)
        asked = document["paths"][path][call.method.lower()].get("requestBody")
        if asked is not None:
            jsonschema.validate(call.json, closed(asked["content"]["application/json"]["schema"]))
        checked.add((call.method, path))
    assert checked == {
        ("GET", "/users/me"),
        ("GET", "/personFields"),
        ("POST", "/personFields"),
        ("POST", "/personFields/{field_code}/options"),
        ("GET", "/persons"),
        ("GET", "/persons/search"),
        ("POST", "/persons"),
        ("PATCH", "/persons/{id}"),
    }
