"""NPS as a note: one per person, readable, rewritten and never repeated."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from scoring_platform.destinations.pipedrive_notes import page_of, shown
from scoring_platform.destinations.protocol import CrmReceipt, CrmWrite, Value
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.pipedrive_outbox import notes, persons, received
from scoring_platform_tests.destinations.pipedrive_company import Stage, crm, write
from scoring_platform_tests.destinations.running import Running, company

NOTES = "/pipedrive/v1/notes"
ANSWER: dict[str, Value] = {"NPS スコア": 9, "NPS セグメント": "promoter", "主要テーマ": "配送;価格 <&>"}


@pytest.fixture
def shop(tmp_path: Path) -> Company:
    return company(tmp_path)


@pytest.fixture
def account(shop: Company, stage: Stage) -> Running:
    """The sandbox with two of our persons and no note yet."""
    running = stage.play(shop)
    crm(running.url).apply([write(1), write(2)])
    running.calls.clear()
    return running


def note(number: int, known: str | None = None, **changes: Value) -> CrmWrite:
    return write(number, target="note", destination_id=known, properties=changes or ANSWER)


def test_the_answer_stands_in_one_note_that_a_person_can_read(account: Running, tmp_path: Path) -> None:
    [receipt] = crm(account.url).apply([note(1)])
    [made] = notes(tmp_path)
    assert receipt == CrmReceipt("c0001", "acknowledged", made["id"])
    assert str(made["person_id"]) == next(one["id"] for one in persons(tmp_path) if "new0001" in one["name"])
    words = html.unescape(re.sub(r"<[^>]+>", " ", made["content"])).split()
    assert words == [
        "NPS", "スコア:", "9", "NPS", "セグメント:", "promoter", "主要テーマ:", "配送;", "価格", "<&>",
        "scoring-platform", "·", "c0001",
    ]  # fmt: skip
    assert "<&>" not in made["content"]
    assert made["content"].startswith("<table><tbody><tr><td><b>NPS スコア:</b></td><td>9</td></tr>")


def test_a_known_note_is_rewritten_in_place_and_keeps_what_is_not_written(account: Running, tmp_path: Path) -> None:
    [first] = crm(account.url).apply([note(1)])
    account.calls.clear()
    [again] = crm(account.url).apply([note(1, first.destination_id, **{"NPS スコア": 3, "主要テーマ": None})])
    assert again == first
    assert [(call.method, call.path) for call in account.calls] == [
        ("GET", f"{NOTES}/{first.destination_id}"),
        ("PUT", f"{NOTES}/{first.destination_id}"),
    ]
    [made] = notes(tmp_path)
    assert shown(made["content"]) == {"NPS スコア": "3", "NPS セグメント": "promoter"}


def test_a_note_whose_receipt_was_lost_is_found_by_its_line(account: Running, tmp_path: Path) -> None:
    [first] = crm(account.url).apply([note(1)])
    [again] = crm(account.url).apply([note(1, None, **{"NPS スコア": 3})])
    assert again == first
    assert len(notes(tmp_path)) == 1


def test_a_note_that_shows_it_already_is_not_written(account: Running, tmp_path: Path) -> None:
    [first] = crm(account.url).apply([note(1)])
    account.calls.clear()
    assert crm(account.url).apply([note(1, first.destination_id)]) == [first]
    assert account.writes == []
    assert len(received(tmp_path)) == 3


@pytest.mark.parametrize("fate", ["deleted", "rewritten by a person"])
def test_a_note_that_is_ours_no_more_is_left_alone_and_another_one_made(
    account: Running, tmp_path: Path, fate: str
) -> None:
    pipedrive = crm(account.url)
    [first] = pipedrive.apply([note(1)])
    path = f"/v1/notes/{first.destination_id}"
    if fate == "deleted":
        pipedrive._api.call("DELETE", path, cost=6)
    else:
        pipedrive._api.call("PUT", path, cost=10, json={"content": "Called, nobody there"})
    [again] = crm(account.url).apply([note(1, first.destination_id)])
    assert again.status == "acknowledged"
    assert again.destination_id != first.destination_id
    contents = {one["id"]: one["content"] for one in notes(tmp_path)}
    assert contents.get(first.destination_id or "", "Called, nobody there") == "Called, nobody there"


def test_the_notes_of_salespeople_are_read_to_the_end_and_left_alone(
    account: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scoring_platform.destinations.pipedrive_notes.PAGE_SIZE", 2)
    pipedrive = crm(account.url)
    person = int(next(one["id"] for one in persons(tmp_path) if "new0001" in one["name"]))
    for text in ("Called", "Wrote", "scoring-platform · c00011", "Met", page_of("c0001", {"NPS スコア": "1"}), "Won"):
        pipedrive._api.call("POST", "/v1/notes", cost=10, json={"content": text, "person_id": person})
    before = notes(tmp_path)
    [receipt] = pipedrive.apply([note(1)])
    assert receipt.destination_id == before[4]["id"]
    after = notes(tmp_path)
    assert [one["content"] for one in after if one["id"] != receipt.destination_id] == [
        "Called", "Wrote", "scoring-platform · c00011", "Met", "Won",
    ]  # fmt: skip


def test_a_note_makes_no_person_and_takes_nobody_elses(account: Running, tmp_path: Path) -> None:
    taken = write(7, target="note", email=write(1).email, properties=ANSWER)
    nobody = write(6, target="note", email=None, properties=ANSWER)
    receipts = crm(account.url).apply([note(5), nobody, taken, note(2)])
    assert [(one.status, one.error_code) for one in receipts] == [
        ("retry", "NO_RECORD"),
        ("dead", "NO_EMAIL"),
        ("dead", "KEY_TAKEN"),
        ("acknowledged", None),
    ]
    assert len(persons(tmp_path)) == 2
    assert len(notes(tmp_path)) == 1


def test_a_note_waits_for_the_person_only_where_one_may_be_made(account: Running) -> None:
    [receipt] = crm(account.url, mode="update_only").apply([note(5)])
    assert (receipt.status, receipt.error_code) == ("absent", "NO_RECORD")
    pipedrive = crm(account.url)
    assert pipedrive.apply([note(5)])[0].status == "retry"
    pipedrive.apply([write(5)])
    assert pipedrive.apply([note(5)])[0].status == "acknowledged"


def test_a_person_without_our_key_gets_the_note_and_keeps_having_none(account: Running, shop: Company) -> None:
    [receipt] = crm(account.url).apply([write(9, target="note", email=shop.crm_seed()[4], properties=ANSWER)])
    assert receipt.status == "acknowledged"
    assert [call.path for call in account.writes] == [NOTES]


def test_two_customers_of_one_person_do_not_overwrite_each_other(account: Running, shop: Company) -> None:
    pair = [write(n, target="note", email=shop.crm_seed()[4], properties=ANSWER) for n in (8, 9)]
    receipts = crm(account.url).apply(pair)
    assert [(one.status, one.error_code) for one in receipts] == [("acknowledged", None), ("dead", "DUPLICATE_EMAIL")]


@pytest.mark.parametrize(
    "content",
    [
        "<div><b>NPS スコア:</b> 9<br><b>主要テーマ:</b> 配送; 価格 &lt;&amp;&gt;</div><p>scoring-platform · c1</p>",
        page_of("c1", {"NPS スコア": "9", "主要テーマ": "配送; 価格 <&>", "空": ""}),
    ],
)
def test_what_a_note_shows_is_read_whatever_became_of_its_tags(content: str) -> None:
    assert shown(content) == {"NPS スコア": "9", "主要テーマ": "配送; 価格 <&>"}
