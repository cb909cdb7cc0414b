"""Pipedrive: one receipt per write whatever happens, nobody doubled, and as few calls as it takes."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scoring_platform.config.connections import PipedriveDestination
from scoring_platform.destinations.pipedrive import Pipedrive
from scoring_platform.destinations.protocol import CrmReceipt
from scoring_platform.errors import BudgetExhaustedError, CredentialError
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.credentials import CREDENTIALS
from scoring_platform.sandbox.limits import Limits
from scoring_platform.sandbox.pipedrive_outbox import persons, received
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
from scoring_platform_tests.destinations.running import Running, company


@pytest.fixture
def shop(tmp_path: Path) -> Company:
    opened = company(tmp_path)
    opened.clock.set(NOW)
    return opened


@pytest.fixture
def account(shop: Company, stage: Stage) -> Running:
    """The sandbox with our fields in place and nothing recorded yet."""
    return stage.play(shop)


def canonical(values: Any) -> str:
    return json.dumps(values, ensure_ascii=False, sort_keys=True)


def test_one_bad_row_of_a_hundred_leaves_ninety_nine_written(account: Running, tmp_path: Path) -> None:
    batch = [write(number) for number in range(100)]
    batch[41] = write(41, properties={"スコア": "a lot"})
    receipts = crm(account.url).apply(batch)
    assert [receipt.customer_id for receipt in receipts] == [one.customer_id for one in batch]
    assert statuses(receipts) == {"acknowledged": 99, "dead": 1}
    assert (receipts[41].status, receipts[41].error_code) == ("dead", "ERR_SCHEMA_VALIDATION_FAILED")
    assert "Expected number" in (receipts[41].error_text or "")
    assert ours(tmp_path).keys() == {one.customer_id for one in batch} - {"c0041"}


def test_what_arrives_is_the_plans_payload_in_names_and_labels(account: Running, tmp_path: Path) -> None:
    batch = [write(number) for number in range(3)]
    pipedrive = crm(account.url)
    receipts = pipedrive.apply(batch)
    later = write(1, destination_id=receipts[1].destination_id, properties={"スコア": None, "セグメント": "離脱阻止"})
    pipedrive.apply([later])
    got = received(tmp_path)
    assert [one["operation"] for one in got] == ["create", "create", "create", "update"]
    sent = [{**one.properties, KEY: one.customer_id} for one in batch] + [dict(later.properties)]
    assert [canonical(one["properties"]) for one in got] == [canonical(one) for one in sent]


def test_a_changed_person_takes_one_writing_call_and_a_hundred_one_reading_call(account: Running) -> None:
    known = crm(account.url).apply([write(number) for number in range(100)])
    account.calls.clear()
    again = [write(n, destination_id=known[n].destination_id, properties={"スコア": 7}) for n in range(100)]
    receipts = crm(account.url).apply(again)
    assert [one.destination_id for one in receipts] == [one.destination_id for one in known]
    assert sorted(paths(account, "PATCH")) == sorted(f"{PERSONS}/{one.destination_id}" for one in known)
    assert len(account.writes) == 100
    assert paths(account, "GET") == [PERSON_FIELDS, PERSONS]


def test_unknown_customers_of_a_small_company_are_looked_up_in_one_listing(account: Running) -> None:
    pipedrive = crm(account.url)
    for start in (0, 20, 40):
        pipedrive.apply([write(number) for number in range(start, start + 20)])
    assert len(account.writes) == 60
    assert PERSONS + "/search" not in paths(account, "GET")
    assert len(paths(account, "GET")) <= 1 + 3


def test_a_customer_unknown_among_very_many_is_searched_for(
    account: Running, shop: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scoring_platform.destinations.pipedrive_people.PAGE_SIZE", 30)
    adopted = late_in_the_listing(shop)
    pipedrive = crm(account.url)
    receipts = pipedrive.apply([write(1, email=adopted)])
    assert paths(account, "GET").count(PERSONS + "/search") == 2
    assert statuses(receipts) == {"acknowledged": 1}
    assert ours(tmp_path)["c0001"]["id"] == receipts[0].destination_id
    account.calls.clear()
    pipedrive.apply([write(1, properties={"スコア": 2})])
    assert len(persons(tmp_path)) == 1


def test_a_person_who_was_there_before_us_is_given_our_key_and_keeps_the_rest(
    account: Running, shop: Company, tmp_path: Path
) -> None:
    pipedrive = crm(account.url)
    before = pipedrive.find([shop.crm_seed()[7]])
    [receipt] = pipedrive.apply([write(1, email=f" {shop.crm_seed()[7].upper()}")])
    assert receipt == CrmReceipt("c0001", "acknowledged", before[shop.crm_seed()[7]])
    assert [call.method for call in account.writes] == ["PATCH"]
    assert account.writes[0].json.keys() == {"custom_fields"}
    assert ours(tmp_path)["c0001"]["properties"]["スコア"] == 1


def test_writing_the_same_again_makes_nobody_anew(account: Running, tmp_path: Path) -> None:
    for _ in range(2):
        receipts = crm(account.url).apply([write(number) for number in range(20)])
        assert statuses(receipts) == {"acknowledged": 20}
    assert len(persons(tmp_path)) == 20


def test_a_person_whose_key_was_wiped_is_found_by_record(account: Running, tmp_path: Path) -> None:
    pipedrive = crm(account.url)
    [first] = pipedrive.apply([write(1)])
    code = pipedrive._books["contact"].code(KEY)
    wiped = {"custom_fields": {code: None}, "emails": [{"value": "moved@example.jp"}]}
    pipedrive._api.call("PATCH", f"/api/v2/persons/{first.destination_id}", cost=5, json=wiped)
    [again] = crm(account.url).apply([write(1, destination_id=first.destination_id)])
    assert again == first
    assert ours(tmp_path)["c0001"]["id"] == first.destination_id


@pytest.mark.parametrize("fresh", [True, False], ids=["a new run", "the same run"])
def test_a_person_deleted_by_a_salesperson_is_made_anew(account: Running, tmp_path: Path, fresh: bool) -> None:
    pipedrive = crm(account.url)
    [first] = pipedrive.apply([write(1)])
    pipedrive._api.call("DELETE", f"/api/v2/persons/{first.destination_id}", cost=3)
    known = first.destination_id if fresh else None
    [again] = (crm(account.url) if fresh else pipedrive).apply([write(1, destination_id=known)])
    assert again.status == "acknowledged"
    assert again.destination_id != first.destination_id
    assert ours(tmp_path)["c0001"]["id"] == again.destination_id


def test_two_new_customers_with_one_address_give_one_person_and_one_reason(account: Running, tmp_path: Path) -> None:
    same = [write(1, email="family@example.jp"), write(2, email="Family@Example.jp "), write(3)]
    receipts = crm(account.url).apply(same)
    assert [receipt.status for receipt in receipts] == ["acknowledged", "dead", "acknowledged"]
    assert receipts[1].error_code == "DUPLICATE_EMAIL"
    assert len(persons(tmp_path)) == 2


@pytest.mark.parametrize("by", ["email", "destination_id"])
def test_a_person_of_another_customer_is_not_taken_over(account: Running, tmp_path: Path, by: str) -> None:
    pipedrive = crm(account.url)
    [first] = pipedrive.apply([write(1)])
    taken = write(2, email=write(1).email) if by == "email" else write(2, destination_id=first.destination_id)
    [receipt] = pipedrive.apply([taken])
    assert (receipt.status, receipt.error_code) == ("dead", "KEY_TAKEN")
    assert ours(tmp_path).keys() == {"c0001"}


@pytest.mark.parametrize(
    ("mode", "email", "code"),
    [
        ("upsert", None, "NO_EMAIL"),
        ("update_only", "new0001@example.jp", "NO_RECORD"),
        ("update_only", None, "NO_RECORD"),
    ],
)
def test_nobody_is_made_without_an_address_or_where_nobody_may_be_made(
    account: Running, mode: str, email: str | None, code: str
) -> None:
    [receipt] = crm(account.url, mode=mode).apply([write(1, email=email)])
    status = "absent" if code == "NO_RECORD" else "dead"
    assert (receipt.status, receipt.error_code) == (status, code)
    assert account.writes == []


def test_who_is_known_is_written_where_nobody_may_be_made(account: Running, shop: Company) -> None:
    receipts = crm(account.url, mode="update_only").apply([write(n, email=shop.crm_seed()[n]) for n in range(5)])
    assert statuses(receipts) == {"acknowledged": 5}
    assert {call.method for call in account.writes} == {"PATCH"}


def test_find_answers_in_the_spelling_it_was_asked(account: Running, shop: Company) -> None:
    known = shop.crm_seed()[3]
    found = crm(account.url).find([known.upper(), "nobody@example.jp", ""])
    assert found.keys() == {known.upper()}
    assert len(paths(account, "GET")) == 2


def test_a_refused_token_names_the_variable_to_set(account: Running) -> None:
    with pytest.raises(CredentialError, match="SCORING_PIPEDRIVE_API_TOKEN"):
        crm(account.url, token="wrong").apply([write(1)])


def test_the_probe_says_what_is_left_of_the_day(account: Running) -> None:
    assert crm(account.url).probe().startswith("pipedrive answers; 9,999,")


def test_a_token_that_ran_out_is_renewed_once_and_the_call_made_again(
    account: Running, shop: Company, tmp_path: Path
) -> None:
    pipedrive = crm(account.url, auth="oauth")
    assert statuses(pipedrive.apply([write(1)])) == {"acknowledged": 1}
    accepts, refusals = type(shop.tokens).accepts, iter([False])

    class Forgetful(type(shop.tokens)):  # type: ignore[misc]
        def accepts(self, system: str, token: str) -> bool:
            return next(refusals, True) and accepts(self, system, token)

    shop.tokens = Forgetful()
    account.calls.clear()
    assert statuses(pipedrive.apply([write(2)])) == {"acknowledged": 1}
    assert paths(account, "POST").count("/pipedrive/oauth/token") == 1
    assert ours(tmp_path).keys() == {"c0001", "c0002"}


def test_a_refused_refresh_token_names_its_variables(account: Running) -> None:
    settings = PipedriveDestination.model_validate({"auth": "oauth"})
    secrets = {**CREDENTIALS["pipedrive"], "refresh_token": "old"}
    with pytest.raises(CredentialError, match="SCORING_PIPEDRIVE_REFRESH_TOKEN"):
        Pipedrive.connect(settings, account.url, credential=secrets.__getitem__).apply([write(1)])


def test_a_spent_budget_stops_before_a_call_is_refused_and_the_rest_follows_the_next_day(
    stage: Stage, tmp_path: Path
) -> None:
    # The fields take 10 to look and 5 each to make, the customers 20 to look and 5 each: there is enough for eight.
    shop = company(tmp_path, limits=Limits(pipedrive_tokens_per_day=10 + 7 * 5 + 20 + 8 * 5))
    shop.clock.set(NOW)
    running = stage.play(shop, provisioned=False)
    crm(running.url).provision(FIELDS)
    receipts = crm(running.url).apply([write(number) for number in range(20)])
    done = [one for one in receipts if one.status == "acknowledged"]
    assert len(done) == 8
    assert {one.error_code for one in receipts if one not in done} == {"BudgetExhaustedError"}
    with pytest.raises(BudgetExhaustedError, match="run again after its reset"):
        crm(running.url).apply([write(number) for number in range(20)])
    assert len(persons(tmp_path)) == len(done)
    shop.clock.set(NOW + timedelta(days=1))
    shop_again = crm(running.url).apply([write(number) for number in range(8)])
    assert statuses(shop_again) == {"acknowledged": 8}
    assert len(ours(tmp_path)) == 8


def test_others_keep_their_share_of_the_budget(account: Running) -> None:
    pipedrive = crm(account.url, reserve_tokens=9_999_990)
    pipedrive.probe()
    with pytest.raises(BudgetExhaustedError, match="are kept for others"):
        pipedrive.apply([write(1)])
    assert account.writes == []
