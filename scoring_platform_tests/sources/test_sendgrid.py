"""SendGrid: webhook events from the inbox, suppression lists, and the naming of fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from scoring_platform.contracts.raw import RAW_CONSENTS, RAW_EMAIL_EVENTS
from scoring_platform.errors import CredentialError, PermanentError
from scoring_platform.ledger.inbox import Inbox, Post
from scoring_platform.ledger.store import Ledger
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.event_webhook import EventWebhook
from scoring_platform.sources.sendgrid import (
    DECISIONS,
    KINDS,
    LISTS,
    Sendgrid,
    SendgridSource,
    campaign_id,
    instant_text,
    verdict,
)
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, reply
from scoring_platform_tests.sources.scenario import TOKYO, WINDOW, credential, rows
from scoring_platform_tests.sources.vendor_specs import check_query, openapi

SPEC = "sendgrid/suppressions.v3.json"
NOON = WINDOW.since + timedelta(hours=12)
AT = 1790000000
AT_TEXT = "2026-09-21T14:13:20+00:00"
UNSUBSCRIBES, SPAM = LISTS


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        yield Inbox(ledger)


def source(server: Loopback, inbox: Inbox, **settings: Any) -> Sendgrid:
    section = SendgridSource.model_validate({"endpoint": server.url, "page_size": 2, **settings})
    return Sendgrid(section, server.url, credential, TOKYO, inbox)


def receive(inbox: Inbox, *events: Mapping[str, Any], at: datetime = NOON) -> None:
    """Put events in the inbox as the receiver does."""
    inbox.store([Post("email", "sendgrid", [(event["sg_event_id"], event) for event in events])], clock=lambda: at)


def event(what: str, key: str = "ev1==", **more: Any) -> dict[str, Any]:
    return {"email": "taro@example.jp", "timestamp": AT, "event": what, "sg_event_id": key, **more}


def serve(server: Loopback, lists: Mapping[str, list[dict[str, Any]]]) -> None:
    def answer(seen: Seen) -> Reply:
        start, limit = int(seen.query.get("offset", 0)), int(seen.query["limit"])
        return reply(lists.get(seen.path, [])[start : start + limit])

    server.answer = answer


@pytest.mark.parametrize(("what", "kind"), KINDS.items())
def test_each_webhook_event_becomes_its_kind(server: Loopback, inbox: Inbox, what: str, kind: str) -> None:
    receive(inbox, event(what, category="spring"))
    [found] = rows(source(server, inbox), "raw_email_events")
    assert found == {
        "event_id": "ev1==",
        "email": "taro@example.jp",
        "campaign_id": "spring",
        "kind": kind,
        "machine": None,
        "occurred_at": AT_TEXT,
    }
    assert found.keys() == RAW_EMAIL_EVENTS.columns.keys() - {"source"}


@pytest.mark.parametrize("what", ["deferred", "dropped", "group_resubscribe", "account_status_change", "", None, ["x"]])
def test_what_happened_to_no_mail_is_no_row(server: Loopback, inbox: Inbox, what: Any) -> None:
    receive(inbox, event(what))
    assert rows(source(server, inbox), "raw_email_events") == []


def test_an_open_by_a_proxy_is_told_from_one_by_a_person(server: Loopback, inbox: Inbox) -> None:
    told = [event("open", "a", sg_machine_open=True), event("open", "b", sg_machine_open=False), event("open", "c")]
    receive(inbox, *told, event("click", "d", sg_machine_open=True))
    found = rows(source(server, inbox), "raw_email_events")
    assert {row["event_id"]: row["machine"] for row in found} == {"a": True, "b": False, "c": None, "d": None}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"category": "spring"}, "spring"),
        ({"category": ["spring", "sale"]}, "spring"),
        ({"category": []}, None),
        ({"category": ""}, None),
        ({"category": "spring", "singlesend_id": "s-1"}, "s-1"),
        ({"category": "spring", "mc_auto_id": "a-1"}, "a-1"),
        ({"category": ["spring"], "marketing_campaign_id": 12}, "12"),
    ],
)
def test_the_campaign_is_its_id_or_the_first_category(fields: dict[str, Any], expected: str | None) -> None:
    assert campaign_id(fields) == expected


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (AT, AT_TEXT),
        (str(AT), AT_TEXT),
        (None, None),
        ("soon", "soon"),
        ("nan", "nan"),
        (10**30, "1" + "0" * 30),
        ({"at": 1}, "{'at': 1}"),
    ],
)
def test_a_time_is_read_and_what_is_none_is_left_for_the_ingest_step(given: object, text: str | None) -> None:
    assert instant_text(given) == text


def test_an_event_without_an_address_or_a_time_stays_a_row(server: Loopback, inbox: Inbox) -> None:
    receive(inbox, {"event": "open", "sg_event_id": "e"})
    [found] = rows(source(server, inbox), "raw_email_events")
    assert (found["event_id"], found["email"], found["occurred_at"]) == ("e", None, None)


def test_events_are_read_by_the_time_they_arrived_and_a_day_further_back(server: Loopback, inbox: Inbox) -> None:
    moments = {
        "before": WINDOW.since - timedelta(days=1, seconds=1),
        "first": WINDOW.since - timedelta(days=1),
        "last": WINDOW.until - timedelta(seconds=1),
        "after": WINDOW.until,
    }
    for key, at in moments.items():
        receive(inbox, event("open", key), at=at)
    assert [row["event_id"] for row in rows(source(server, inbox), "raw_email_events")] == ["first", "last"]
    assert server.seen == []


def test_events_of_another_provider_are_not_ours(server: Loopback, inbox: Inbox) -> None:
    inbox.store([Post("email", "other", [("e", event("open"))])], clock=lambda: NOON)
    assert rows(source(server, inbox), "raw_email_events") == []


@pytest.mark.parametrize(("what", "status"), DECISIONS.items())
def test_a_decision_by_webhook_is_a_consent(server: Loopback, inbox: Inbox, what: str, status: str) -> None:
    serve(server, {})
    receive(inbox, event(what), event("open", "other"))
    [found] = rows(source(server, inbox), "raw_consents")
    assert {name: value for name, value in found.items() if name != "event_id"} == {
        "subject": "taro@example.jp",
        "channel": "email",
        "purpose": "marketing",
        "status": status,
        "occurred_at": AT_TEXT,
    }
    assert found.keys() == RAW_CONSENTS.columns.keys() - {"source"}


@pytest.mark.parametrize(("path", "what"), LISTS.items())
def test_a_suppression_and_the_webhook_event_of_it_are_one_decision(
    server: Loopback, inbox: Inbox, path: str, what: str
) -> None:
    serve(server, {path: [{"created": AT, "email": "Taro@Example.jp", "ip": "192.0.2.1"}]})
    receive(inbox, event(what))
    pushed, pulled = rows(source(server, inbox), "raw_consents")
    assert pushed["event_id"] == pulled["event_id"]
    assert (pulled["status"], pulled["occurred_at"]) == ("revoked", AT_TEXT)


def test_decisions_of_different_kinds_people_or_seconds_differ(server: Loopback, inbox: Inbox) -> None:
    entry = {"created": AT, "email": "taro@example.jp"}
    others = [{**entry, "created": AT + 1}, {**entry, "email": "hana@example.jp"}]
    serve(server, {UNSUBSCRIBES: [entry, *others], SPAM: [entry]})
    assert len({row["event_id"] for row in rows(source(server, inbox), "raw_consents")}) == 4


def test_lists_are_read_page_by_page_for_the_window(server: Loopback, inbox: Inbox) -> None:
    entries = [{"created": AT + n, "email": f"p{n}@example.jp"} for n in range(4)]
    serve(server, {UNSUBSCRIBES: entries, SPAM: entries[:1]})
    found = rows(source(server, inbox), "raw_consents")
    assert [row["subject"] for row in found] == [f"p{n}@example.jp" for n in (0, 1, 2, 3, 0)]
    calls = [(seen.path, seen.query["offset"]) for seen in server.seen]
    assert calls == [(UNSUBSCRIBES, "0"), (UNSUBSCRIBES, "2"), (UNSUBSCRIBES, "4"), (SPAM, "0")]
    assert {(seen.query["start_time"], seen.query["end_time"]) for seen in server.seen} == {
        ("1795132800", "1795219200")
    }


def test_the_calls_are_those_the_vendor_documents(server: Loopback, inbox: Inbox) -> None:
    serve(server, {})
    rows(source(server, inbox, page_size=500), "raw_consents")
    source(server, inbox).probe()
    assert len(server.seen) == 3
    for seen in server.seen:
        check_query(seen, openapi(SPEC), seen.path)
        assert seen.headers["authorization"] == "Bearer secret-api_key"


def test_a_page_given_twice_stops_the_reading(server: Loopback, inbox: Inbox) -> None:
    server.answer = lambda _: reply([{"created": AT, "email": f"p{n}@example.jp"} for n in range(2)])
    with pytest.raises(PermanentError, match="unsubscribes gave the same page of 2 rows twice"):
        rows(source(server, inbox), "raw_consents")


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"X-RateLimit-Reset": "1795132807", "Date": "Fri, 20 Nov 2026 00:00:00 GMT"}, 7.0),
        ({"X-RateLimit-Reset": "1795132700", "Date": "Fri, 20 Nov 2026 00:00:00 GMT"}, None),
        ({"X-RateLimit-Reset": "soon", "Date": "Fri, 20 Nov 2026 00:00:00 GMT"}, None),
        ({"X-RateLimit-Reset": "1795132807", "Date": "today"}, None),
        ({"Retry-After": "3", "X-RateLimit-Reset": "1795132807", "Date": "Fri, 20 Nov 2026 00:00:00 GMT"}, 3.0),
        ({}, None),
    ],
)
def test_the_wait_is_the_vendors_by_the_vendors_clock(headers: dict[str, str], wait: float | None) -> None:
    found = verdict(httpx.Response(429, headers=headers))
    assert found is not None
    assert (found.kind, found.wait) == ("throttled", wait)
    assert verdict(httpx.Response(200)) is None


def test_a_throttle_is_waited_for(server: Loopback, inbox: Inbox) -> None:
    busy = reply({"errors": [{"message": "too many requests", "field": None, "help": None}]}, 429)
    server.script([busy, reply([])])
    assert source(server, inbox).probe() == "sendgrid: the suppression lists can be read, no webhook event yet"
    assert len(server.seen) == 2


def test_a_whole_minute_until_the_reset_is_waited_for(server: Loopback, inbox: Inbox) -> None:
    reset = {"X-RateLimit-Reset": "1795132861", "Date": "Fri, 20 Nov 2026 00:00:00 GMT"}
    server.script([reply({}, 429, headers=reset), reply([])])
    assert source(server, inbox).probe()


def test_the_probe_says_when_the_webhook_was_last_heard_of(server: Loopback, inbox: Inbox) -> None:
    server.script([reply([])])
    receive(inbox, event("open"))
    assert source(server, inbox).probe().endswith("last webhook event 2026-11-20T12:00:00+00:00")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_the_variable(server: Loopback, inbox: Inbox, status: int) -> None:
    server.script([reply({"errors": [{"message": "access forbidden", "field": None, "help": None}]}, status)])
    with pytest.raises(CredentialError, match=r"access forbidden\. .*SCORING_SENDGRID_API_KEY"):
        rows(source(server, inbox), "raw_consents")


@pytest.mark.parametrize("body", [{"result": []}, [{"created": AT}], ["taro"]])
def test_an_answer_of_another_shape_is_permanent(server: Loopback, inbox: Inbox, body: Any) -> None:
    server.script([reply(body)])
    with pytest.raises(PermanentError, match="raw_consents in a shape it does not document"):
        rows(source(server, inbox), "raw_consents")


def test_more_entries_than_a_page_can_have_are_refused() -> None:
    with pytest.raises(ValidationError):
        SendgridSource.model_validate({"page_size": 501})


def test_what_the_sandbox_sends_is_read_back_whole(server: Loopback, inbox: Inbox, tmp_path: Path) -> None:
    server.answer = lambda _: reply({})
    company = Company.open(tmp_path / "sandbox")
    company.clock.set(datetime(2025, 11, 20, tzinfo=UTC))
    delivered = EventWebhook(company).deliver(f"{server.url}/webhooks/email/sendgrid")
    for seen in server.seen:
        receive(inbox, *seen.json)

    found = rows(source(server, inbox), "raw_email_events")

    kinds = Counter(row["kind"] for row in found)
    assert len({row["event_id"] for row in found}) == len(found) == delivered
    assert kinds["sent"] == kinds["delivered"] + kinds["bounce"] > 100
    assert kinds["open"] > kinds["click"] > 0
    assert {row["machine"] for row in found if row["kind"] == "open"} == {True, False}
    assert {row["campaign_id"] for row in found} == {"Welcome 1", "Welcome 2", "After your order"}
