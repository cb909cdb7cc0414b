"""Salesforce when calls go wrong, tokens end and allowances are spent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scoring_platform.errors import BudgetExhaustedError, ConfigurationError, CredentialError, PermanentError
from scoring_platform.http.salesforce import audience
from scoring_platform.sandbox.credentials import CREDENTIALS, salesforce_key
from scoring_platform_tests.destinations.salesforce_org import (
    COLLECTIONS,
    DATA,
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
from scoring_platform_tests.http.loopback import Hang, Loopback, Seen, reply
from scoring_platform_tests.http.loopback import serving as serving_scripted

TOKEN = "/salesforce/services/oauth2/token"


PASSING: dict[str, dict[str, Any]] = {
    "500": {"kind": "status", "status": 500},
    "503": {"kind": "status", "status": 503, "retry_after": 3},
    "429": {"kind": "status", "status": 429},
    "too many calls at once": {"kind": "throttle"},
    "a timeout": {"kind": "timeout"},
    "a broken connection": {"kind": "reset"},
    "half an answer": {"kind": "truncated"},
    "nothing": {"kind": "empty"},
    "a web page": {"kind": "html", "status": 200},
    "an old token": {"kind": "status", "status": 401},
}


@pytest.mark.parametrize("trouble", PASSING)
def test_trouble_that_passes_leaves_every_row_acknowledged_and_nobody_doubled(
    org: Org, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(org.everyone())
    # A refused sign-in is for a person; any other call may go wrong in any of these ways.
    paths = [COLLECTIONS, f"{DATA}/query", *([] if trouble == "an old token" else [TOKEN])]
    for turn, path in enumerate(paths):
        org.fault(path, **PASSING[trouble])
        receipts = org.client(timeout=0.4).apply(writes(60, turn * 60))
        assert statuses(receipts) == {"acknowledged": 60}
    assert len(org.ours()) == 60 * len(paths)
    assert len(org.everyone()) == before + 60 * len(paths)
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


def test_an_answer_lost_after_the_rows_were_written_doubles_nobody(org: Org) -> None:
    org.fault(UPSERT, "truncated", times=3)
    before = len(org.everyone())
    with pytest.raises(PermanentError):
        org.client().apply(writes(20))
    assert len(org.everyone()) == before + 20, "Salesforce had written them"
    receipts = org.client().apply(writes(20))
    assert statuses(receipts) == {"acknowledged": 20}
    assert len(org.everyone()) == before + 20


def test_trouble_that_stays_leaves_every_row_to_be_tried_again(org: Org) -> None:
    org.fault(COLLECTIONS, "status", status=503, times=100)
    receipts = org.client().apply(writes(30))
    assert statuses(receipts) == {"retry": 30}
    assert "503" in (receipts[0].error_text or "")


def test_a_token_is_asked_for_once_and_again_only_when_it_is_refused(org: Org) -> None:
    def tokens() -> int:
        return len([call for call in org.running.calls if call.path.endswith("/token")])

    crm = org.client()
    crm.apply(writes(3))
    crm.apply(writes(3))
    assert tokens() == 1
    org.fault(COLLECTIONS, "status", status=401)
    assert statuses(crm.apply(writes(3))) == {"acknowledged": 3}
    assert tokens() == 2
    org.fault(COLLECTIONS, "status", status=401, times=2)
    with pytest.raises(CredentialError, match="SCORING_SALESFORCE_CLIENT_SECRET"):
        crm.apply(writes(3))


def test_signing_in_with_a_signed_assertion_works_and_a_strange_key_is_refused(org: Org, tmp_path: Path) -> None:
    def secrets(folder: Path) -> Callable[[str], str]:
        return {**CREDENTIALS["salesforce"], "private_key": salesforce_key(folder)}.__getitem__

    assert "answers" in org.client(login="jwt", credential=secrets(org.company.state_dir)).probe()
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(CredentialError, match="SCORING_SALESFORCE_PRIVATE_KEY"):
        org.client(login="jwt", credential=secrets(other)).probe()
    with pytest.raises(ConfigurationError, match="SCORING_SALESFORCE_PRIVATE_KEY") as wrong:
        org.client(login="jwt", credential=lambda _: "not-a-key").probe()
    assert "not-a-key" not in str(wrong.value)


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://acme.my.salesforce.com", "https://login.salesforce.com"),
        ("https://acme--dev.sandbox.my.salesforce.com", "https://test.salesforce.com"),
        ("https://test.salesforce.com", "https://test.salesforce.com"),
    ],
)
def test_an_assertion_is_addressed_to_the_sign_in_of_its_organisation(endpoint: str, expected: str) -> None:
    assert audience(endpoint) == expected


def test_a_wrong_secret_names_the_variables_to_set(org: Org) -> None:
    with pytest.raises(CredentialError, match="SCORING_SALESFORCE_CLIENT_ID and SCORING_SALESFORCE_CLIENT_SECRET"):
        org.client(credential=lambda _: "wrong").apply([write(1)])


def test_a_spent_allowance_stops_at_once(org: Org) -> None:
    org.fault(UPSERT, "exhausted", times=100)
    with pytest.raises(BudgetExhaustedError, match="TotalRequests"):
        org.client().apply(writes(3))
    assert len(org.writes) == 1


def test_what_was_acknowledged_before_the_allowance_was_spent_is_not_lost(org: Org) -> None:
    org.fault(UPSERT, "exhausted", times=100, skip=1)
    receipts = org.client().apply(writes(300))
    assert statuses(receipts) == {"acknowledged": 200, "retry": 100}
    assert receipts[299].error_code == "BudgetExhaustedError"


def test_the_share_of_the_allowance_that_is_left_to_others_is_left(org_stage: OrgStage, tmp_path: Path) -> None:
    org = org_stage.open(tmp_path, salesforce_per_day=10)
    crm = org.client(reserve=0.6)
    crm.probe()
    assert statuses(crm.apply([write(1)])) == {"acknowledged": 1}
    with pytest.raises(BudgetExhaustedError, match="4 of the organisation's 10 calls"):
        crm.probe()
    assert len(org.running.calls) == 5, "one for the token, four that count"


def taken(seen: Seen) -> list[dict[str, Any]]:
    return [{"id": f"003{one['Customer_Key__c']}", "success": True, "errors": []} for one in seen.json["records"]]


def answering(scripted: Loopback, answers: list[Callable[[Seen], Any]]) -> list[Seen]:
    """Answer writes in turn, the last way for ever, and find nobody; return the writes."""
    sent: list[Seen] = []

    def answer(seen: Seen) -> Any:
        if "/query" in seen.path:
            return nobody()
        sent.append(seen)
        return (answers.pop(0) if len(answers) > 1 else answers[0])(seen)

    scripted.answer = token_or(scripted, answer)
    return sent


def test_calls_go_where_the_token_is_good(scripted: Loopback) -> None:
    with serving_scripted() as sign_in:
        given = {"access_token": "t", "instance_url": scripted.url, "token_type": "Bearer"}
        sign_in.answer = lambda _: reply(given)
        sent = answering(scripted, [lambda seen: reply(taken(seen))])
        assert statuses(client(sign_in.url).apply([write(1)])) == {"acknowledged": 1}
        assert [seen.path for seen in sign_in.seen] == ["/services/oauth2/token"]
    assert [seen.headers["authorization"] for seen in sent] == ["Bearer t"]


def test_a_locked_record_is_sent_once_more_and_the_others_are_not(scripted: Loopback) -> None:
    def one_locked(seen: Seen) -> Any:
        results = taken(seen)
        locked = {"statusCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access", "fields": []}
        results[3] = {"success": False, "errors": [locked]}
        return reply(results)

    sent = answering(scripted, [one_locked, lambda seen: reply(taken(seen))])
    sleeps: list[float] = []
    assert statuses(client(scripted.url, sleep=sleeps.append).apply(writes(10))) == {"acknowledged": 10}
    assert [len(seen.json["records"]) for seen in sent] == [10, 1]
    assert sleeps == [2.0]
    sent = answering(
        scripted,
        [
            one_locked,
            lambda _: reply(
                [
                    {
                        "success": False,
                        "errors": [
                            {"statusCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access"}
                        ],
                    }
                ]
            ),
        ],
    )
    assert statuses(client(scripted.url).apply(writes(10))) == {"acknowledged": 9, "retry": 1}
    assert len(sent) == 2


def test_an_answer_with_fewer_results_than_records_acknowledges_nobody(scripted: Loopback) -> None:
    sent = answering(scripted, [lambda seen: reply(taken(seen)[:-1])])
    receipts = client(scripted.url).apply(writes(10))
    assert statuses(receipts) == {"retry": 10}
    assert len(sent) == 3


def test_a_result_that_says_neither_yes_nor_no_is_unknown(scripted: Loopback) -> None:
    answering(scripted, [lambda seen: reply([*taken(seen)[:1], {"success": False, "errors": []}])])
    receipts = client(scripted.url).apply(writes(2))
    assert [receipt.status for receipt in receipts] == ["acknowledged", "unknown"]


def test_a_crm_that_never_answers_leaves_every_row_to_be_tried_again(scripted: Loopback) -> None:
    sent = answering(scripted, [lambda _: Hang()])
    receipts = client(scripted.url, timeout=0.1).apply(writes(3))
    assert statuses(receipts) == {"retry": 3}
    assert "did not answer" in (receipts[0].error_text or "")
    assert len(sent) == 3


def test_a_record_deleted_after_we_looked_is_looked_for_again(scripted: Loopback) -> None:
    deleted = {"success": False, "errors": [{"statusCode": "ENTITY_IS_DELETED", "message": "entity is deleted"}]}
    found = {"Id": "003SB0000000001YAA", "Email": "new00001@example.jp", "AccountId": None, "Customer_Key__c": None}

    def answer(seen: Seen) -> Any:
        if "/query" not in seen.path:
            return reply([deleted])
        gone = any("/composite" in one.path for one in scripted.seen)
        is_it = "new00001" in seen.query["q"] and not gone
        return reply({"totalSize": 1, "done": True, "records": [found]}) if is_it else nobody()

    scripted.answer = token_or(scripted, answer)
    [receipt] = client(scripted.url, mode="update_only").apply([write(1)])
    assert (receipt.status, receipt.error_code) == ("absent", "NO_RECORD")


def test_a_conflict_that_cannot_be_looked_into_now_is_looked_into_later(scripted: Loopback) -> None:
    clash = {"statusCode": "DUPLICATE_VALUE", "message": "duplicate value found: Customer_Key__c"}
    spent = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]

    def answer(seen: Seen) -> Any:
        sent = [one for one in scripted.seen if "/composite" in one.path]
        if "/query" in seen.path:
            return reply(spent, 403) if sent else nobody()
        return reply([*taken(seen)[:-1], {"success": False, "errors": [clash]}])

    scripted.answer = token_or(scripted, answer)
    receipts = client(scripted.url).apply(writes(5))
    assert [one.status for one in receipts] == ["acknowledged"] * 4 + ["retry"]
    assert receipts[4].error_code == "DUPLICATE_VALUE"
