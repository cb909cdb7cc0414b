"""Pipedrive: what each answer the sandbox never gives comes to."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import Response

from scoring_platform.destinations.protocol import CrmReceipt, CrmWrite
from scoring_platform.errors import BudgetExhaustedError, CredentialError
from scoring_platform_tests.destinations.pipedrive_company import (
    KEY,
    crm,
    statuses,
    write,
)
from scoring_platform_tests.http.loopback import Hang, Loopback, Reset, Seen, reply


def key_code(seen: Seen) -> Response | None:
    """What a scripted Pipedrive says before the first write: its fields, and that nobody is there."""
    if seen.method != "GET":
        return None
    if seen.path.endswith("/personFields"):
        field = {"field_name": KEY, "field_code": "k" * 40, "field_type": "varchar", "is_custom_field": True}
        return reply({"success": True, "data": [field]})
    return reply({"success": True, "data": []})


def bare(number: int) -> CrmWrite:
    return write(number, properties={})


def test_a_block_after_too_many_calls_is_waited_for(scripted: Loopback) -> None:
    blocked = Response("<html>Access denied</html>", 403, media_type="text/html")
    queue = [blocked, reply({"success": True, "data": {"id": 9}})]
    scripted.answer = lambda seen: key_code(seen) or queue.pop(0)
    assert crm(scripted.url).apply([bare(1)]) == [CrmReceipt("c0001", "acknowledged", "9")]


def test_a_429_that_means_the_budget_is_not_repeated(scripted: Loopback) -> None:
    spent = reply({"success": False}, 429, headers={"x-daily-ratelimit-token-remaining": "0", "retry-after": "9000"})
    scripted.answer = lambda seen: key_code(seen) or spent
    with pytest.raises(BudgetExhaustedError):
        crm(scripted.url).apply([bare(1)])
    assert len([seen for seen in scripted.seen if seen.method == "POST"]) == 1


@pytest.mark.parametrize(
    "trouble",
    [Hang(), Reset(), reply({"success": True}), reply({}, 502)],
    ids=["hangs", "resets", "says nothing", "breaks"],
)
def test_a_create_without_an_answer_is_never_repeated_blindly(scripted: Loopback, trouble: Any) -> None:
    scripted.answer = lambda seen: key_code(seen) or trouble
    [receipt] = crm(scripted.url, timeout=0.2).apply([bare(1)])
    assert (receipt.status, receipt.destination_id) == ("unknown", None)
    assert len([seen for seen in scripted.seen if seen.method == "POST"]) == 1
    looked = [seen.query for seen in scripted.seen if seen.path.endswith("/persons") and seen.method == "GET"]
    assert looked[-1]["sort_by"] == "update_time"


def test_rows_after_three_without_an_answer_wait_for_the_next_run(scripted: Loopback) -> None:
    known = [{"id": n, "emails": [], "custom_fields": {"k" * 40: f"c{n:04d}"}} for n in range(1, 11)]

    def answer(seen: Seen) -> Response | Hang:
        if seen.path.endswith("/persons"):
            return reply({"success": True, "data": known})
        return key_code(seen) or reply({}, 500)

    scripted.answer = answer
    receipts = crm(scripted.url).apply([write(n, destination_id=str(n), properties={}) for n in range(1, 11)])
    assert statuses(receipts) == {"retry": 10}
    assert len([seen for seen in scripted.seen if seen.method == "PATCH"]) == 3 * 3


def test_an_answer_about_somebody_else_is_no_acknowledgement(scripted: Loopback) -> None:
    known = {"id": 1, "emails": [], "custom_fields": {"k" * 40: "c0001"}}

    def answer(seen: Seen) -> Response:
        if seen.path.endswith("/persons"):
            return reply({"success": True, "data": [known]})
        return key_code(seen) or reply({"success": True, "data": {"id": 2}})

    scripted.answer = answer
    [receipt] = crm(scripted.url).apply([write(1, destination_id="1", properties={})])
    assert (receipt.status, receipt.error_code) == ("retry", "UNCONFIRMED")


FORBIDDEN = {"success": False, "error": "You do not have permissions to do this"}


def several(count: int) -> list[dict[str, Any]]:
    return [{"id": n, "emails": [], "custom_fields": {"k" * 40: f"c{n:04d}"}} for n in range(1, count + 1)]


def known(count: int) -> list[CrmWrite]:
    return [write(n, destination_id=str(n), properties={}) for n in range(1, count + 1)]


def test_one_person_we_may_not_edit_does_not_keep_the_others(scripted: Loopback) -> None:
    def answer(seen: Seen) -> Response:
        if seen.path.endswith("/persons"):
            return reply({"success": True, "data": several(4)})
        number = seen.path.rpartition("/")[2]
        good = reply({"success": True, "data": {"id": number}})
        return key_code(seen) or (reply(FORBIDDEN, 403) if number == "2" else good)

    scripted.answer = answer
    receipts = crm(scripted.url).apply(known(4))
    assert [one.status for one in receipts] == ["acknowledged", "retry", "acknowledged", "acknowledged"]
    assert receipts[1].error_code == "FORBIDDEN"


def test_who_may_edit_nobody_is_told_to_get_the_permission(scripted: Loopback) -> None:
    def answer(seen: Seen) -> Response:
        if seen.path.endswith("/persons"):
            return reply({"success": True, "data": several(4)})
        return key_code(seen) or reply(FORBIDDEN, 403)

    scripted.answer = answer
    with pytest.raises(CredentialError, match="missing permission"):
        crm(scripted.url).apply(known(4))
    assert len([seen for seen in scripted.seen if seen.method == "PATCH"]) == 3


def test_a_wrong_address_makes_no_row_dead(scripted: Loopback) -> None:
    scripted.answer = lambda seen: key_code(seen) or reply({"success": False, "error": "no such route"}, 404)
    [receipt] = crm(scripted.url).apply([bare(1)])
    assert receipt.status == "retry"
    assert "scoring.yaml" in (receipt.error_text or "")


def test_a_refusal_quotes_no_address(scripted: Loopback) -> None:
    refusal = {"success": False, "error": "emails: 'taro.yamada@@invalid' is invalid", "code": "ERR_SCHEMA"}
    scripted.answer = lambda seen: key_code(seen) or reply(refusal, 400)
    [receipt] = crm(scripted.url).apply([bare(1)])
    assert (receipt.status, receipt.error_code) == ("dead", "ERR_SCHEMA")
    assert receipt.error_text == "emails: '…' is invalid"
