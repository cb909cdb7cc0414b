"""Pipedrive when things go wrong on the way: everybody is written in the end, and nobody twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scoring_platform.destinations.pipedrive import Pipedrive
from scoring_platform.destinations.pipedrive_people import People
from scoring_platform.destinations.protocol import CrmWrite
from scoring_platform.errors import BudgetExhaustedError, PermanentError
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.faults import Fault
from scoring_platform.sandbox.pipedrive_outbox import notes, received
from scoring_platform_tests.destinations.pipedrive_company import FIELDS, Stage, crm, ours, write
from scoring_platform_tests.destinations.running import Running, company

MOST_RUNS = 12

FAULTS: dict[str, dict[str, Any]] = {
    "429": {"kind": "throttle"},
    "429 with a time": {"kind": "throttle", "retry_after": 3},
    "500": {"kind": "status", "status": 500},
    "503 as a web page": {"kind": "html", "status": 503},
    "a block": {"kind": "html", "status": 403},
    "no answer": {"kind": "timeout"},
    "a broken line": {"kind": "reset"},
    "half an answer": {"kind": "truncated"},
    "nothing": {"kind": "empty"},
    "an error called a success": {"kind": "error_body"},
}
PATIENCE = {"no answer": 0.12}
"""Seconds to wait for an answer."""


class Losing:
    """Carries some writes out and breaks the connection before the answer is through."""

    def __init__(self, app: ASGIApp, places: set[int]) -> None:
        self._app = app
        self._places = places
        self._seen = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        self._seen += 1
        lost = self._seen in self._places

        async def said(message: Message) -> None:
            if not lost:
                await send(message)

        await self._app(scope, receive, said)
        if lost:
            headers = [(b"content-type", b"application/json"), (b"content-length", b"4096")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"success":', "more_body": True})


@pytest.fixture
def shop(tmp_path: Path) -> Company:
    return company(tmp_path)


@pytest.fixture
def account(shop: Company, stage: Stage) -> Running:
    """The sandbox with its faults before it, and our fields in place."""
    return stage.play(shop)


def written(url: str, rows: list[CrmWrite], *, timeout: float = 5.0) -> dict[str, str]:
    """Apply ``rows`` run by run until all are acknowledged; return the record of each."""
    records: dict[str, str] = {}
    for _ in range(MOST_RUNS):
        due = [row for row in rows if row.customer_id not in records]
        if not due:
            break
        pipedrive = crm(url, timeout=timeout)
        for start in range(0, len(due), pipedrive.batch_size):
            records |= applied(pipedrive, due[start : start + pipedrive.batch_size])
        pipedrive.close()
    assert records.keys() == {row.customer_id for row in rows}
    return records


def applied(pipedrive: Pipedrive, batch: list[CrmWrite]) -> dict[str, str]:
    try:
        receipts = pipedrive.apply(batch)
    except PermanentError:  # the questions before the first write were answered with nonsense: nothing was done
        return {}
    assert [one.customer_id for one in receipts] == [one.customer_id for one in batch]
    assert {one.status for one in receipts} <= {"acknowledged", "retry", "unknown"}
    return {one.customer_id: one.destination_id or "" for one in receipts if one.status == "acknowledged"}


@pytest.mark.parametrize("trouble", FAULTS)
def test_everybody_is_written_in_the_end_and_nobody_twice(
    account: Running, shop: Company, tmp_path: Path, trouble: str
) -> None:
    before = crm(account.url).apply([write(number) for number in range(15)])
    known = [write(n, destination_id=before[n].destination_id, properties={"スコア": 99}) for n in range(15)]
    adopted = [write(n, email=shop.crm_seed()[n]) for n in range(20, 30)]
    for skip in (1, 3, 8, 9, 15, 21):
        shop.faults.add(Fault("/pipedrive/api/v2/persons", **FAULTS[trouble], times=4, skip=skip))

    rows = [*known, *adopted, *(write(n) for n in range(30, 45))]
    records = written(account.url, rows, timeout=PATIENCE.get(trouble, 5.0))

    people = ours(tmp_path)
    assert {customer: people[customer]["id"] for customer in records} == records
    assert len(people) == 40
    made = [one["properties"]["顧客キー"] for one in received(tmp_path) if one["operation"] == "create"]
    assert sorted(made) == sorted(write(n).customer_id for n in [*range(15), *range(30, 45)])
    assert {people[row.customer_id]["properties"]["スコア"] for row in known} == {99}


def test_what_was_carried_out_though_no_answer_came_is_found_and_not_repeated(
    shop: Company, stage: Stage, tmp_path: Path
) -> None:
    made = len([field for field in FIELDS if field.target == "contact"])
    running = stage.play(shop, Middleware(Losing, places={made + place for place in (2, 3, 9, 20)}))
    receipts = crm(running.url).apply([write(number) for number in range(20)])
    assert {one.status for one in receipts} == {"acknowledged"}
    assert {one.customer_id: one.destination_id for one in receipts} == {
        key: person["id"] for key, person in ours(tmp_path).items()
    }
    assert len([one for one in received(tmp_path) if one["operation"] == "create"]) == 20


def test_a_create_of_an_earlier_run_is_found_by_the_next_one(account: Running, shop: Company, tmp_path: Path) -> None:
    # Nothing answers any more after the person was made: not even the question whether it was.
    shop.faults.add(Fault("/pipedrive/api/v2/persons", "truncated", times=1, skip=1))
    shop.faults.add(Fault("/pipedrive/api/v2/persons", "status", times=100, skip=1))
    [first] = crm(account.url).apply([write(1)])
    assert (first.status, first.destination_id) == ("unknown", None)
    shop.faults.clear()
    [second] = crm(account.url).apply([write(1)])
    assert second.status == "acknowledged"
    assert ours(tmp_path)["c0001"]["id"] == second.destination_id
    assert [one["operation"] for one in received(tmp_path)] == ["create", "update"]


def test_what_was_acknowledged_before_the_budget_was_spent_is_not_lost(
    account: Running, shop: Company, tmp_path: Path
) -> None:
    pipedrive = crm(account.url)
    pipedrive.apply([write(0)])
    shop.faults.add(Fault("/pipedrive/api/v2/persons", "exhausted", times=100, skip=6))
    receipts = pipedrive.apply([write(number) for number in range(1, 21)])
    done = [one for one in receipts if one.status == "acknowledged"]
    assert 1 <= len(done) < 20
    assert {one.error_code for one in receipts if one not in done} == {"BudgetExhaustedError"}
    with pytest.raises(BudgetExhaustedError):
        pipedrive.apply([write(number) for number in range(1, 21)])
    shop.faults.clear()
    assert len(written(account.url, [write(number) for number in range(21)])) == 21
    assert len(ours(tmp_path)) == 21


@pytest.mark.parametrize("trouble", ["500", "half an answer", "no answer", "429"])
def test_a_note_is_there_once_whatever_happens(account: Running, shop: Company, tmp_path: Path, trouble: str) -> None:
    crm(account.url).apply([write(number) for number in range(8)])
    for skip in (0, 2, 5):
        shop.faults.add(Fault("/pipedrive/v1/notes", **FAULTS[trouble], times=3, skip=skip))
    rows = [write(n, target="note", properties={"NPS スコア": n}) for n in range(8)]
    records = written(account.url, rows, timeout=PATIENCE.get(trouble, 5.0))
    assert sorted(records.values()) == sorted(note["id"] for note in notes(tmp_path))
    assert len(notes(tmp_path)) == 8


def test_a_person_made_just_before_is_found_though_searching_does_not_tell_yet(
    account: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scoring_platform.destinations.pipedrive_people.PAGE_SIZE", 30)
    crm(account.url).apply([write(1)])
    monkeypatch.setattr(People, "_search", lambda *_: [])
    receipts = crm(account.url).apply([write(1), write(2)])
    assert {one.status for one in receipts} == {"acknowledged"}
    assert len(ours(tmp_path)) == 2
