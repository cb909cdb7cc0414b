"""Salesforce files: a job that is complete is no success, and no row is lost or doubled on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from scoring_platform.destinations.protocol import CrmReceipt
from scoring_platform.destinations.salesforce_bulk import Operation, files, read_csv
from scoring_platform.destinations.salesforce_records import Input
from scoring_platform.errors import BudgetExhaustedError
from scoring_platform_tests.destinations.salesforce_org import (
    COLLECTIONS,
    DATA,
    JOBS,
    Org,
    OrgStage,
    client,
    statuses,
    write,
    writes,
)
from scoring_platform_tests.http.loopback import Loopback, Reset, Seen, page, reply

ROWS = 300
"""Rows of a file in these tests, where files begin at 200."""


def jobs(org: Org) -> list[str]:
    """The writing calls about jobs, without the numbers of the jobs."""
    found = [call for call in org.writes if call.path.startswith(JOBS)]
    return [f"{call.method} {'batches' if call.path.endswith('batches') else 'job'}" for call in found]


def test_three_thousand_rows_take_one_job_and_few_looks(org: Org) -> None:
    receipts = org.client().apply(writes(3000))
    assert statuses(receipts) == {"acknowledged": 3000}
    assert [receipt.customer_id for receipt in receipts] == [one.customer_id for one in writes(3000)]
    assert jobs(org) == ["POST job", "PUT batches", "PATCH job"]
    assert len(org.writes) == 3
    assert len(org.queries) <= 3, "one pass over all contacts takes fewer calls than asking for each"
    assert org.ours()["c02999"]["LastName"] == "new02999"
    assert org.sleeps == []


def test_the_same_again_in_a_file_changes_nothing_and_knows_every_record(org: Org) -> None:
    crm = org.client(bulk_from=200)
    first = crm.apply(writes(ROWS))
    everyone = org.everyone()
    again = crm.apply([write(number, destination_id=one.destination_id) for number, one in enumerate(first)])
    assert again == first
    assert org.everyone() == everyone


def test_bad_lines_are_named_and_the_others_are_written(org: Org) -> None:
    batch = writes(ROWS)
    batch[7] = write(7, properties={"RFM_Code__c": "much too long"})
    batch[8] = write(8, properties={"Churn_Band__c": "extreme"})
    batch[9] = write(9, email="taro.yamada@@invalid")
    receipts = org.client(bulk_from=200).apply(batch)
    assert statuses(receipts) == {"acknowledged": ROWS - 3, "dead": 3}
    codes = ["STRING_TOO_LONG", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "INVALID_EMAIL_ADDRESS"]
    assert [receipt.error_code for receipt in receipts[7:10]] == codes
    assert receipts[8].error_text == "Churn_Band__c: bad value for restricted picklist field: extreme:Churn_Band__c"
    assert "taro" not in str(receipts)
    assert len(org.ours()) == ROWS - 3


def test_none_clears_in_a_file_and_what_a_row_does_not_name_stays(org: Org) -> None:
    crm = org.client(bulk_from=200)
    crm.apply(writes(ROWS))
    batch = writes(ROWS)
    batch[5] = write(5, properties={"Segment__c": None, "RFM_Code__c": "a,b"})
    assert statuses(crm.apply(batch)) == {"acknowledged": ROWS}
    got = org.ours()["c00005"]
    assert (got["Segment__c"], got["RFM_Code__c"], got["Total_Score__c"]) == (None, "a,b", 5)
    assert org.ours()["c00006"].get("RFM_Code__c") is None
    assert org.ours()["c00006"]["Segment__c"] == "loyal"


def test_update_only_writes_files_by_record(org: Org) -> None:
    known = org.client(bulk_from=200).apply(writes(ROWS))
    org.running.calls.clear()
    batch = [write(number, destination_id=one.destination_id) for number, one in enumerate(known)]
    receipts = org.client(bulk_from=200, mode="update_only").apply([*batch, write(9999)])
    assert statuses(receipts) == {"acknowledged": ROWS, "absent": 1}
    assert receipts[:ROWS] == known
    assert receipts[ROWS].error_code == "NO_RECORD"
    assert org.writes[0].json == {
        "object": "Contact",
        "operation": "update",
        "contentType": "CSV",
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }
    assert org.writes[1].body.startswith(b"Id,Total_Score__c,")


def test_a_few_contacts_to_adopt_among_many_rows_are_written_beside_the_file(org: Org) -> None:
    staff = org.everyone()[:5]
    adopted = [write(9000 + number, email=one["Email"]) for number, one in enumerate(staff)]
    receipts = org.client(bulk_from=200).apply([*writes(ROWS), *adopted])
    assert statuses(receipts) == {"acknowledged": ROWS + 5}
    assert [one.destination_id for one in receipts[ROWS:]] == [one["Id"] for one in staff]
    assert [call.path for call in org.writes if call.path.startswith(COLLECTIONS)] == [COLLECTIONS]


def test_a_job_is_looked_at_with_growing_pauses(org_stage: OrgStage, tmp_path: Path) -> None:
    org = org_stage.open(tmp_path, salesforce_bulk_looks=8)
    assert statuses(org.client(bulk_from=200).apply(writes(ROWS))) == {"acknowledged": ROWS}
    assert org.sleeps == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_a_missing_field_fails_the_job_and_the_rows_stay_good(org: Org) -> None:
    batch = [write(number, properties={"Tier__c": "gold"}) for number in range(ROWS)]
    receipts = org.client(bulk_from=200).apply(batch)
    assert statuses(receipts) == {"retry": ROWS}
    assert "Field name not found : Tier__c" in (receipts[0].error_text or "")
    assert "crm provision" in (receipts[0].error_text or "")
    assert org.contacts() == []


@pytest.mark.parametrize(
    "trouble",
    [
        {"kind": "status", "status": 503},
        {"kind": "throttle"},
        {"kind": "timeout"},
        {"kind": "reset"},
        {"kind": "truncated"},
        {"kind": "status", "status": 401},
    ],
    ids=["503", "throttled", "timeout", "reset", "half an answer", "an old token"],
)
def test_trouble_on_the_way_of_a_job_leaves_every_row_acknowledged_and_nobody_doubled(
    org: Org, trouble: dict[str, Any]
) -> None:
    before = len(org.everyone())
    # Create, upload, close, look, read the results: each call goes wrong once.
    for turn in range(5):
        org.fault(JOBS, **trouble, skip=turn)
        crm = org.client(bulk_from=200, timeout=0.3)
        receipts = crm.apply(writes(ROWS, turn * ROWS))
        # What is told "retry" was not told otherwise; the next round is what the platform does with it.
        again = [one for one, got in zip(writes(ROWS, turn * ROWS), receipts, strict=True) if got.status == "retry"]
        assert statuses(receipts).keys() <= {"acknowledged", "retry"}
        assert not again or statuses(crm.apply(again)) == {"acknowledged": len(again)}
        org.company.faults.clear()
    assert len(org.ours()) == 5 * ROWS
    assert len(org.everyone()) == before + 5 * ROWS


def test_an_upload_without_an_answer_begins_another_job(org: Org) -> None:
    org.fault(JOBS, "reset", skip=1)
    assert statuses(org.client(bulk_from=200).apply(writes(ROWS))) == {"acknowledged": ROWS}
    assert jobs(org) == ["POST job", "PUT batches", "PATCH job", "POST job", "PUT batches", "PATCH job"]
    assert [call.json for call in org.writes if call.method == "PATCH"] == [
        {"state": "Aborted"},
        {"state": "UploadComplete"},
    ]


class KilledError(Exception):
    """The process ended here."""


def test_a_run_that_is_killed_while_a_job_runs_loses_and_doubles_nothing(org_stage: OrgStage, tmp_path: Path) -> None:
    def kill(_: float) -> None:
        raise KilledError

    org = org_stage.open(tmp_path, salesforce_bulk_looks=1)
    before = len(org.everyone())
    with pytest.raises(KilledError):
        client(org.running.url, bulk_from=200, sleep=kill).apply(writes(ROWS))
    left_behind = next(call.path for call in org.running.calls if call.path.endswith("/batches")).split("/")[-2]
    assert org.ask("GET", f"/jobs/ingest/{left_behind}")["state"] == "JobComplete", "it runs without us"
    receipts = org.client(bulk_from=200).apply(writes(ROWS))
    assert statuses(receipts) == {"acknowledged": ROWS}
    assert len(org.everyone()) == before + ROWS


def job_of(scripted: Loopback, *, state: str, files: dict[str, Callable[[], Any]], counts: tuple[int, int]) -> None:
    """Answer as an organisation that knows nobody and whose job ends as ``state``."""
    shown = {"id": "750", "state": state, "operation": "upsert", "object": "Contact"}
    shown_counts = {"numberRecordsProcessed": counts[0], "numberRecordsFailed": counts[1], "errorMessage": "it stopped"}

    def answer(seen: Seen) -> Any:
        ending = seen.path.rpartition("/")[2]
        if ending == "token":
            return reply({"access_token": "t", "instance_url": scripted.url})
        if ending == "query":
            return reply({"totalSize": 0, "done": True, "records": []})
        if ending == "batches":
            return Response(status_code=201)
        return files[ending]() if ending in files else reply({**shown, **shown_counts})

    scripted.answer = answer


HEAD = '"sf__Id","{}","Customer_Key__c"\n'


def lines(kind: str, numbers: range, *, value: str = "true") -> str:
    """A result file of these customers."""
    head = HEAD.format("sf__Error" if kind == "failed" else "sf__Created")
    return head + "".join(f'"003{number}","{value}","c{number:05d}"\n' for number in numbers)


def csv(text: str) -> Callable[[], Any]:
    return lambda: page(text, kind="text/csv")


def rest(numbers: range) -> str:
    """The lines a job did not come to."""
    return '"Customer_Key__c"\n' + "".join(f'"c{number:05d}"\n' for number in numbers)


@pytest.mark.parametrize("state", ["Failed", "Aborted"])
def test_a_job_that_ends_early_leaves_what_it_did_not_come_to_to_be_tried_again(scripted: Loopback, state: str) -> None:
    found = {
        "successfulResults": csv(lines("successful", range(100))),
        "failedResults": csv(lines("failed", range(100, 110), value="UNABLE_TO_LOCK_ROW:it is locked:--")),
        "unprocessedrecords": csv(rest(range(110, 290))),
    }
    job_of(scripted, state=state, files=found, counts=(110, 10))
    receipts = client(scripted.url, bulk_from=200).apply(writes(ROWS))
    assert statuses(receipts[:100]) == {"acknowledged": 100}
    assert statuses(receipts[100:290]) == {"retry": 190}
    assert receipts[120].error_code == "UNPROCESSED"
    assert receipts[120].error_text == f"The job ended as {state} before it came to this row: it stopped"
    assert statuses(receipts[290:]) == {"unknown": 10}


def test_a_complete_job_whose_files_leave_rows_out_acknowledges_only_those_that_stand_in_them(
    scripted: Loopback,
) -> None:
    found = {"successfulResults": csv(lines("successful", range(200))), "unprocessedrecords": csv("")}
    job_of(scripted, state="JobComplete", files=found, counts=(200, 0))
    receipts = client(scripted.url, bulk_from=200).apply(writes(ROWS))
    assert statuses(receipts) == {"acknowledged": 200, "unknown": 100}


def test_a_result_file_with_fewer_lines_than_were_counted_is_asked_for_again(scripted: Loopback) -> None:
    texts = [lines("successful", range(250)), lines("successful", range(ROWS))]
    found = {"successfulResults": lambda: page(texts.pop(0), kind="text/csv")}
    job_of(scripted, state="JobComplete", files=found, counts=(ROWS, 0))
    assert statuses(client(scripted.url, bulk_from=200).apply(writes(ROWS))) == {"acknowledged": ROWS}


def test_what_the_first_file_acknowledged_is_kept_when_the_second_cannot_be_read(scripted: Loopback) -> None:
    found = {"successfulResults": csv(lines("successful", range(200))), "failedResults": Reset}
    job_of(scripted, state="JobComplete", files=found, counts=(ROWS, 100))
    receipts = client(scripted.url, bulk_from=200).apply(writes(ROWS))
    assert statuses(receipts) == {"acknowledged": 200, "retry": 100}
    spent = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]
    job_of(
        scripted, state="JobComplete", files={**found, "failedResults": lambda: reply(spent, 403)}, counts=(300, 100)
    )
    receipts = client(scripted.url, bulk_from=200).apply(writes(ROWS))
    assert statuses(receipts) == {"acknowledged": 200, "retry": 100}
    assert receipts[299].error_code == "BudgetExhaustedError"


def test_an_allowance_that_is_spent_before_the_job_stops_at_once(org: Org) -> None:
    org.fault(JOBS, "exhausted", times=100)
    with pytest.raises(BudgetExhaustedError):
        org.client(bulk_from=200).apply(writes(ROWS))
    assert jobs(org) == ["POST job"]


def test_a_job_that_was_begun_is_ended_with_what_is_left_to_others(org_stage: OrgStage, tmp_path: Path) -> None:
    org = org_stage.open(tmp_path, salesforce_per_day=10)
    crm = org.client(bulk_from=200, reserve=0.6)
    assert statuses(crm.apply(writes(ROWS))) == {"acknowledged": ROWS}
    calls = len(org.running.calls)
    with pytest.raises(BudgetExhaustedError, match="no call was made"):
        crm.apply(writes(ROWS))
    assert len(org.running.calls) == calls == 8


def test_a_job_that_never_ends_is_left_to_itself_after_hours(scripted: Loopback) -> None:
    job_of(scripted, state="InProgress", files={}, counts=(0, 0))
    sleeps: list[float] = []
    receipts = client(scripted.url, bulk_from=200, sleep=sleeps.append).apply(writes(ROWS))
    assert statuses(receipts) == {"retry": ROWS}
    assert receipts[0].error_code == "UNFINISHED"
    assert 3 * 3600 <= sum(sleeps) < 3 * 3600 + 60


def test_files_stay_below_their_size_and_every_row_is_in_one() -> None:
    inputs = [Input(f"c{number}", {"Name": "a" * 50}) for number in range(100)]
    made = list(files(inputs, Operation("Contact", "Key__c"), limit=1000))
    assert len(made) > 5
    assert [row for rows, _ in made for row in rows] == inputs
    assert all(len(file) <= 1000 and file.startswith(b"Key__c,Name\n") for _, file in made)


def test_values_with_commas_quotes_and_line_ends_come_through_a_file() -> None:
    value = 'say "hi",\nthen go'
    [(_, file)] = files([Input("c1", {"Name": value, "Other": ""})], Operation("Contact", "Key__c"))
    assert read_csv(file.decode()) == [{"key__c": "c1", "name": value, "other": "#N/A"}]


@pytest.mark.parametrize("text", ['"a","b"\n"1","2', '"a","b"\n"1"'])
def test_a_file_that_was_cut_is_no_file(text: str) -> None:
    with pytest.raises(ValueError, match="it "):
        read_csv(text)


def test_many_customers_are_found_by_one_pass_and_few_by_asking(org: Org) -> None:
    crm = org.client()
    known = crm.apply(writes(2100))
    org.running.calls.clear()
    crm.apply(writes(2100))
    assert [query.partition(" FROM")[0] for query in org.queries[:1]] == ["SELECT COUNT()"]
    assert all("ORDER BY Id LIMIT" in query for query in org.queries[1:])
    org.running.calls.clear()
    again = crm.apply(writes(3))
    assert again == known[:3]
    assert len(org.queries) == 1
    assert CrmReceipt("c00000", "acknowledged", known[0].destination_id) == again[0]


def test_a_look_up_that_is_refused_says_where(org: Org) -> None:
    org.fault(f"{DATA}/query", "exhausted")
    with pytest.raises(BudgetExhaustedError, match="query"):
        org.client().apply(writes(2100))
