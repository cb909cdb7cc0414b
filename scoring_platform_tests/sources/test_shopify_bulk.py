"""Shopify in bulk: the operation and its ends, the file and its flaws, and the same rows as page by page."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response, StreamingResponse

from scoring_platform.errors import CredentialError, PermanentError, TransientError
from scoring_platform.sandbox.connection import Endpoint, ensure
from scoring_platform.sandbox.credentials import credential
from scoring_platform.sources.protocol import Window
from scoring_platform.sources.shopify import Shopify, ShopifySource
from scoring_platform_tests.http.loopback import Loopback, Reply, Reset, Seen, reply, serving
from scoring_platform_tests.sources.scenario import TOKYO, rows
from scoring_platform_tests.sources.shop import line, lined, listing, order, source

YEAR = Window(since=datetime(2025, 11, 21, tzinfo=UTC), until=datetime(2026, 11, 21, tzinfo=UTC))
FILE = "/file.jsonl"


@dataclass
class Time:
    """A clock that moves only by sleeping."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Shop:
    """A shop with bulk operations: what it answers to each question, in turn, the last answer for ever."""

    shopify: Shopify
    time: Time
    started: list[str]
    cancelled: list[str]


@pytest.fixture(scope="module")
def _storage() -> Iterator[Loopback]:
    with serving() as loopback:
        yield loopback


@pytest.fixture
def storage(_storage: Loopback) -> Loopback:
    """Where files lie: another host than the shop."""
    _storage.seen.clear()
    return _storage


def shop(
    server: Loopback,
    states: Sequence[dict[str, Any]],
    refusals: Sequence[list[dict[str, str]]] = (),
    **further: Any,
) -> Shop:
    answers, refused, started, cancelled = list(states), list(refusals), [], []

    def answer(operation: str, variables: dict[str, Any]) -> Reply:
        if operation == "CancelBulk":
            cancelled.append(variables["id"])
            return reply({"data": {"bulkOperationCancel": {"userErrors": []}}})
        if operation == "BulkState":
            state = answers.pop(0) if len(answers) > 1 else answers[0]
            return reply({"data": {"bulkOperation": state}})
        assert operation == "RunBulk"
        errors = refused.pop(0) if refused else []
        if not errors:
            started.append(variables["query"])
        named = None if errors else {"id": f"gid://shopify/BulkOperation/{len(started)}"}
        return reply({"data": {"bulkOperationRunQuery": {"bulkOperation": named, "userErrors": errors}}})

    time = Time()
    made = source(server, answer, **further)
    return Shop(replace(made, clock=lambda: time.now, sleep=time.sleep), time, started, cancelled)


def state(
    status: str, url: str | None = None, objects: int = 0, roots: int | None = None, **more: Any
) -> dict[str, Any]:
    counts = {"objectCount": str(objects), "rootObjectCount": str(objects if roots is None else roots)}
    return {"status": status, "errorCode": None, "url": url, **counts, **more}


def done(storage: Loopback, objects: int, roots: int | None = None) -> dict[str, Any]:
    return state("COMPLETED", f"{storage.url}{FILE}?signature=abc", objects, roots)


def jsonl(nodes: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(node, ensure_ascii=False).replace("/", "\\/").encode() + b"\n" for node in nodes)


def file(body: bytes, *, packed: bool = False) -> Response:
    headers = {"Content-Encoding": "gzip"} if packed else {}
    return Response(gzip.compress(body) if packed else body, media_type="application/jsonl", headers=headers)


def orders(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": f"gid://shopify/Order/{number}", **order(number)} for number in numbers]


def test_a_long_window_is_read_in_bulk_as_soon_as_the_operation_is_done(server: Loopback, storage: Loopback) -> None:
    storage.script([file(jsonl(orders(1, 2)))])
    found = shop(server, [state("CREATED"), state("RUNNING"), state("RUNNING"), done(storage, 2)])
    assert [row["order_id"] for row in rows(found.shopify, "raw_orders", YEAR)] == ["1", "2"]
    assert found.time.slept == [1, 2, 4]
    [asked] = found.started
    assert "updated_at:>='2025-11-21T00:00:00Z' AND updated_at:<'2026-11-21T00:00:00Z'" in asked


def test_rows_are_named_as_those_read_page_by_page(server: Loopback, storage: Loopback) -> None:
    paged = rows(source(server, lambda *_: listing("orders", [order(1)])), "raw_orders")
    storage.script([file(jsonl(orders(1)))])
    assert rows(shop(server, [done(storage, 1)]).shopify, "raw_orders", YEAR) == paged


@pytest.mark.parametrize(("days", "bulk_from_days", "in_bulk"), [(30, 31, False), (31, 31, True), (365, 0, False)])
def test_the_length_of_the_window_decides(
    server: Loopback, storage: Loopback, days: int, bulk_from_days: int, in_bulk: bool
) -> None:
    storage.script([file(jsonl(orders(1)))])
    found = shop(server, [done(storage, 1)], bulk_from_days=bulk_from_days)
    bulk = server.answer

    def answer(seen: Seen) -> Reply:
        paged = seen.path.endswith("graphql.json") and "query Orders" in seen.json["query"]
        return listing("orders", [order(1)]) if paged else bulk(seen)

    server.answer = answer
    window = Window(YEAR.until - timedelta(days=days), YEAR.until)
    assert len(rows(found.shopify, "raw_orders", window)) == 1
    assert bool(found.started) is in_bulk


def test_the_file_is_asked_for_with_its_whole_address_and_without_the_shops_token(
    server: Loopback, storage: Loopback
) -> None:
    storage.script([file(jsonl(orders(1)))])
    rows(shop(server, [done(storage, 1)]).shopify, "raw_orders", YEAR)
    [seen] = storage.seen
    assert (seen.path, seen.query) == (FILE, {"signature": "abc"})
    assert not {"x-shopify-access-token", "authorization", "cookie"} & seen.headers.keys()


@pytest.mark.parametrize("packed", [False, True])
def test_lines_find_their_order_wherever_it_stands_in_the_file(
    server: Loopback, storage: Loopback, packed: bool
) -> None:
    def bought(parent: int, number: int) -> dict[str, Any]:
        return {**line(number), "__parentId": f"gid://shopify/Order/{parent}"}

    first, second = ({key: value for key, value in lined(n, {}).items() if key != "lineItems"} for n in (1, 2))
    second["updatedAt"] = "2026-11-20T10:00:00Z"
    body = jsonl([bought(2, 21), first, bought(1, 11), second, bought(1, 12), bought(2, 22)])
    storage.script([file(body, packed=packed)])
    found = rows(shop(server, [done(storage, 6, 2)]).shopify, "raw_order_items", YEAR)
    assert {(row["order_id"], row["line_id"], row["updated_at"][11:13]) for row in found} == {
        ("1", "11", "09"),
        ("1", "12", "09"),
        ("2", "21", "10"),
        ("2", "22", "10"),
    }


def test_a_line_of_an_order_that_is_not_in_the_file_is_an_error(server: Loopback, storage: Loopback) -> None:
    storage.script([file(jsonl([{**line(1), "__parentId": "gid://shopify/Order/9"}]))])
    with pytest.raises(PermanentError, match="lines of orders that are not in it"):
        rows(shop(server, [done(storage, 1, 0)]).shopify, "raw_order_items", YEAR)


def test_other_line_separators_inside_a_text_end_no_line(server: Loopback, storage: Loopback) -> None:
    [odd] = orders(1)
    storage.script([file(jsonl([{**odd, "sourceName": "a\u2028b\u0085c"}]))])
    [found] = rows(shop(server, [done(storage, 1)]).shopify, "raw_orders", YEAR)
    assert found["channel"] == "a\u2028b\u0085c"


def test_no_file_means_no_rows_unless_objects_were_counted(server: Loopback) -> None:
    assert rows(shop(server, [state("COMPLETED")]).shopify, "raw_orders", YEAR) == []
    with pytest.raises(TransientError, match="counted 3 objects and has no file"):
        rows(shop(server, [state("COMPLETED", None, 3)]).shopify, "raw_orders", YEAR)


@pytest.mark.parametrize(
    "broken",
    [
        file(jsonl(orders(1, 2))),
        file(jsonl(orders(1, 2, 3))[:-20]),
        file(b""),
        reply({}, 503),
        reply({}, 429),
        Reset(),
    ],
    ids=["a line is missing", "the last line is cut", "empty", "server error", "throttled", "connection broke"],
)
def test_a_file_that_is_not_whole_is_asked_for_again_and_every_row_comes_once(
    server: Loopback, storage: Loopback, broken: Reply
) -> None:
    storage.script([broken, file(jsonl(orders(1, 2, 3)))])
    found = shop(server, [done(storage, 3)])
    assert [row["order_id"] for row in rows(found.shopify, "raw_orders", YEAR)] == ["1", "2", "3"]
    assert len(storage.seen) == 2
    assert len(found.started) == 1


def test_a_file_that_stays_cut_short_is_no_success(server: Loopback, storage: Loopback) -> None:
    storage.script([file(jsonl(orders(1, 2)))])
    with pytest.raises(TransientError, match="broke off after 2 of 3 objects"):
        rows(shop(server, [done(storage, 3)]).shopify, "raw_orders", YEAR)
    assert len(storage.seen) == 5


@pytest.mark.parametrize("status", [302, 403, 404])
def test_a_file_that_is_not_there_is_not_asked_for_again(server: Loopback, storage: Loopback, status: int) -> None:
    storage.script([reply({}, status, headers={"Location": "https://example.com/"})])
    with pytest.raises(PermanentError, match=f"answered {status} for the file") as caught:
        rows(shop(server, [done(storage, 1)]).shopify, "raw_orders", YEAR)
    assert "signature" not in str(caught.value)
    assert len(storage.seen) == 1


@pytest.mark.parametrize("url", ["http://storage.example.com/file.jsonl", "file:///etc/passwd"])
def test_a_file_at_an_unsafe_address_is_not_asked_for(server: Loopback, url: str) -> None:
    with pytest.raises(PermanentError, match="which is not https"):
        rows(shop(server, [state("COMPLETED", url, 1)]).shopify, "raw_orders", YEAR)


def test_a_failure_inside_the_shop_starts_one_more_operation_and_partial_data_is_never_read(
    server: Loopback, storage: Loopback
) -> None:
    storage.script([file(jsonl(orders(1)))])
    failed = state("FAILED", errorCode="INTERNAL_SERVER_ERROR", partialDataUrl=f"{storage.url}/partial")
    found = shop(server, [failed, done(storage, 1)])
    assert len(rows(found.shopify, "raw_orders", YEAR)) == 1
    assert len(found.started) == 2
    assert [seen.path for seen in storage.seen] == [FILE]
    with pytest.raises(TransientError, match=r"did not finish a bulk operation \(FAILED, TIMEOUT\)"):
        rows(shop(server, [state("FAILED", errorCode="TIMEOUT")]).shopify, "raw_orders", YEAR)


@pytest.mark.parametrize("status", ["CANCELED", "EXPIRED"])
def test_an_operation_that_ended_otherwise_is_left_to_the_next_run(server: Loopback, status: str) -> None:
    found = shop(server, [state("CANCELING"), state(status)])
    with pytest.raises(TransientError, match=status):
        rows(found.shopify, "raw_orders", YEAR)
    assert len(found.started) == 1


def test_a_missing_scope_is_a_credential_error_that_names_the_app(server: Loopback) -> None:
    denied = state("FAILED", errorCode="ACCESS_DENIED")
    with pytest.raises(CredentialError, match="SCORING_SHOPIFY_CLIENT_ID"):
        rows(shop(server, [denied]).shopify, "raw_orders", YEAR)


@pytest.mark.parametrize("code", ["OPERATION_IN_PROGRESS", "LIMIT_REACHED"])
def test_other_operations_are_waited_for_but_not_for_ever(server: Loopback, storage: Loopback, code: str) -> None:
    storage.script([file(jsonl(orders(1)))])
    busy = [{"code": code, "message": "A bulk operation is already in progress"}]
    found = shop(server, [done(storage, 1)], [busy, busy])
    assert len(rows(found.shopify, "raw_orders", YEAR)) == 1
    assert found.time.slept == [1, 2]
    with pytest.raises(TransientError, match="still busy with other bulk operations after 600 s"):
        rows(shop(server, [done(storage, 1)], [busy] * 999, bulk_wait_minutes=10).shopify, "raw_orders", YEAR)


def test_a_run_that_is_broken_off_leaves_nothing_that_the_next_one_would_need(
    server: Loopback, storage: Loopback
) -> None:
    storage.script([file(jsonl(orders(*range(1_500))))])
    found = shop(server, [done(storage, 1_500)])
    pages = found.shopify.fetch("raw_orders", YEAR)
    assert len(next(pages)) == 1_000
    pages.close()  # type: ignore[attr-defined]  # the protocol promises an iterator only; it is a generator
    assert len(rows(found.shopify, "raw_orders", YEAR)) == 1_500
    assert len(found.started) == 2


def test_a_query_the_shop_does_not_accept_is_permanent(server: Loopback) -> None:
    invalid = [{"code": "INVALID", "message": "Invalid bulk query"}]
    with pytest.raises(PermanentError, match="refused a bulk operation: Invalid bulk query"):
        rows(shop(server, [state("RUNNING")], [invalid]).shopify, "raw_orders", YEAR)


def test_an_operation_that_takes_too_long_is_cancelled_and_waits_stay_short(server: Loopback) -> None:
    found = shop(server, [state("RUNNING", None, 5)], bulk_wait_minutes=1, bulk_poll_seconds=4)
    with pytest.raises(TransientError, match=r"after 60 s and 5 objects.*bulk_wait_minutes"):
        rows(found.shopify, "raw_orders", YEAR)
    assert found.cancelled == ["gid://shopify/BulkOperation/1"]
    assert max(found.time.slept) == 4
    assert 60 <= found.time.now < 64


def test_memory_does_not_grow_with_the_file(server: Loopback, storage: Loopback) -> None:
    count = 3_000

    def lines() -> Iterator[bytes]:
        for number in range(count):
            [node] = orders(number)
            yield jsonl([{**node, "note": "x" * 2_000}])

    storage.answer = lambda _: StreamingResponse(lines(), media_type="application/jsonl")
    found = shop(server, [done(storage, count)])
    tracemalloc.start()
    read = sum(len(page) for page in found.shopify.fetch("raw_orders", YEAR))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read == count
    # The file has more than 7 MB.
    assert peak < 3_500_000


NOW = datetime(2025, 11, 20, 21, tzinfo=UTC)
ALL = Window(NOW - timedelta(days=400), NOW)
ATTRIBUTES = {"renewal_on": "custom.renewal_on", "account_number": "custom.account_number"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def company(home: Path) -> Iterator[Endpoint]:
    with ensure(home) as endpoint:
        endpoint.set_clock(NOW)
        yield endpoint


def sandboxed(company: Endpoint, home: Path, **settings: Any) -> Shopify:
    section = ShopifySource.model_validate({"endpoint": "sandbox", "attributes": ATTRIBUTES, **settings})
    return Shopify(section, company.url("shopify"), partial(credential, home, "shopify"), TOKYO, sleep=lambda _: None)


def distinct(found: list[dict[str, Any]]) -> set[str]:
    return {repr(sorted(row.items())) for row in found}


@pytest.mark.parametrize("table", ["raw_orders", "raw_order_items", "raw_customers", "raw_consents"])
def test_the_sandbox_gives_the_same_rows_in_bulk_and_page_by_page(table: str, company: Endpoint, home: Path) -> None:
    paged = rows(sandboxed(company, home, bulk_from_days=0), table, ALL)
    in_bulk = rows(sandboxed(company, home), table, ALL)
    assert len(in_bulk) == len(distinct(in_bulk)) > 250
    assert distinct(in_bulk) == distinct(paged)


def test_some_customers_of_the_sandbox_have_a_renewal_date_and_an_account_number(company: Endpoint, home: Path) -> None:
    found = [row["attributes"] for row in rows(sandboxed(company, home), "raw_customers", ALL)]
    kept = [attributes for attributes in found if attributes]
    assert len(found) / 8 < len(kept) < len(found) / 6
    assert all(attributes.keys() == ATTRIBUTES.keys() for attributes in kept)
    assert len({attributes["account_number"] for attributes in kept}) == len(kept)


def test_the_sandboxs_carts_are_completed_by_its_orders_and_never_before_their_time(
    company: Endpoint, home: Path
) -> None:
    found = rows(sandboxed(company, home), "raw_events", ALL)
    assert {row["properties"]["completed"] for row in found} == {True, False}
    assert max(row["occurred_at"] for row in found) <= "2025-11-20T21:00:00Z"
    totals = {(row["customer_ref"], row["total_amount"]) for row in rows(sandboxed(company, home), "raw_orders", ALL)}
    completed = [row for row in found if row["properties"]["completed"]]
    assert {(row["customer_ref"], row["properties"]["total"]) for row in completed} <= totals


@pytest.mark.parametrize("kind", ["status", "reset", "malformed", "html"])
def test_trouble_with_the_file_changes_no_row(kind: str, company: Endpoint, home: Path) -> None:
    expected = rows(sandboxed(company, home), "raw_customers", ALL)
    company.add_fault("/shopify/bulk", kind, times=2, status=503)
    found = rows(sandboxed(company, home), "raw_customers", ALL)
    company.clear_faults()
    assert found == expected
