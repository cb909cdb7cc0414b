"""Intercom: the searches, whose address a conversation has, and the naming of fields."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from scoring_platform.contracts.raw import RAW_CONSENTS, RAW_SUPPORT_TICKETS
from scoring_platform.errors import CredentialError, PermanentError
from scoring_platform.sources.intercom import Intercom, IntercomSource, classify, satisfaction
from scoring_platform.sources.protocol import Window
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, reply
from scoring_platform_tests.sources.scenario import TOKYO, WINDOW, credential, rows
from scoring_platform_tests.sources.vendor_specs import check_body, openapi

SPEC = "intercom/conversations-contacts.v2.15.json"
CONVERSATIONS, CONTACTS = "/conversations/search", "/contacts/search"
OPENED = datetime(2026, 11, 19, 10, tzinfo=UTC)


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def source(server: Loopback, *pages: Reply, contacts: list[dict[str, Any]] | None = None) -> Intercom:
    """An Intercom that gives ``pages`` of conversations in turn, and of ``contacts`` those that are asked for."""
    queue, known = list(pages), contacts or []

    def answer(seen: Seen) -> Reply:
        assert seen.headers["authorization"] == "Bearer secret-token"
        assert seen.headers["intercom-version"] == "2.15"
        if seen.path == CONVERSATIONS:
            return queue.pop(0) if len(queue) > 1 else queue[0]
        query = seen.json["query"]
        wanted = query["value"] if query["operator"] == "IN" else [contact["id"] for contact in known]
        return listing("data", [contact for contact in known if contact["id"] in wanted])

    server.answer = answer
    settings = IntercomSource.model_validate({"endpoint": server.url, "page_size": 2})
    return Intercom(settings, server.url, credential, TOKYO)


def listing(name: str, items: list[dict[str, Any]], cursor: str | None = None) -> Reply:
    following = {} if cursor is None else {"next": {"page": 2, "starting_after": cursor}}
    kind = "conversation.list" if name == "conversations" else "list"
    pages = {"type": "pages", "page": 1, "per_page": 2, "total_pages": 1, **following}
    return reply({"type": kind, name: items, "total_count": len(items), "pages": pages})


def conversation(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "type": "conversation",
        "id": str(number),
        "created_at": seconds(OPENED),
        "updated_at": seconds(OPENED + timedelta(hours=22)),
        "state": "closed",
        "priority": "priority",
        "source": {"type": "email", "id": "1", "author": {"type": "user", "id": "c1", "email": "taro@example.jp"}},
        "contacts": {"type": "contact.list", "contacts": [{"type": "contact", "id": "c1", "external_id": "70"}]},
        "conversation_rating": {"rating": 5, "remark": "Great"},
        "statistics": {
            "type": "conversation_statistics",
            "first_admin_reply_at": seconds(OPENED + timedelta(hours=2)),
            "last_close_at": seconds(OPENED + timedelta(hours=20)),
        },
        **changes,
    }


def by_team(number: int, contact: str | None) -> dict[str, Any]:
    """A conversation that an agent began."""
    agent = {"type": "admin", "id": "8", "email": "agent@example.com"}
    people = [] if contact is None else [{"type": "contact", "id": contact, "external_id": None}]
    listed = {"type": "contact.list", "contacts": people}
    return conversation(number, source={"type": "conversation", "id": "1", "author": agent}, contacts=listed)


def contact(key: str, **changes: Any) -> dict[str, Any]:
    return {
        "type": "contact",
        "id": key,
        "email": f"{key}@example.com",
        "updated_at": seconds(OPENED),
        "unsubscribed_from_emails": True,
        "marked_email_as_spam": False,
        **changes,
    }


def test_a_conversation_keeps_its_values_under_our_names(server: Loopback) -> None:
    [found] = rows(source(server, listing("conversations", [conversation(1)])), "raw_support_tickets")
    assert found == {
        "ticket_id": "1",
        "email": "taro@example.jp",
        "created_at": OPENED,
        "updated_at": OPENED + timedelta(hours=22),
        "status": "closed",
        "priority": "priority",
        "satisfaction": "good",
        "first_reply_at": OPENED + timedelta(hours=2),
        "solved_at": OPENED + timedelta(hours=20),
    }
    assert found.keys() == RAW_SUPPORT_TICKETS.columns.keys() - {"source"}


def test_one_that_was_opened_again_is_not_solved_and_one_without_statistics_has_no_times(server: Loopback) -> None:
    listed = [conversation(1, state="open"), conversation(2, statistics=None, conversation_rating=None)]
    again, plain = rows(source(server, listing("conversations", listed)), "raw_support_tickets")
    assert (again["status"], again["solved_at"]) == ("open", None)
    assert (plain["first_reply_at"], plain["solved_at"], plain["satisfaction"]) == (None, None, None)


@pytest.mark.parametrize("value", ["soon", None, 10**15])
def test_an_unreadable_time_passes_through_to_be_set_aside(server: Loopback, value: object) -> None:
    [found] = rows(source(server, listing("conversations", [conversation(1, created_at=value)])), "raw_support_tickets")
    assert found["created_at"] == value


@pytest.mark.parametrize(
    ("rating", "word"), [(5, "good"), (4, "good"), (3, None), (2, "bad"), (1, "bad"), (None, None)]
)
def test_three_stars_are_neither_good_nor_bad(rating: int | None, word: str | None) -> None:
    assert satisfaction(conversation(1, conversation_rating={"rating": rating})) == word


def test_the_window_is_asked_for_in_whole_seconds_and_pages_by_cursor_as_documented(server: Loopback) -> None:
    first = listing("conversations", [conversation(1), conversation(2)], "c1")
    found = rows(source(server, first, listing("conversations", [conversation(3)])), "raw_support_tickets")
    assert [row["ticket_id"] for row in found] == ["1", "2", "3"]
    since, until = server.seen[0].json["query"]["value"]
    assert (since["operator"], since["value"]) == (">", seconds(WINDOW.since) - 1)
    assert (until["operator"], until["value"]) == ("<", seconds(WINDOW.until))
    assert [seen.json["pagination"] for seen in server.seen] == [
        {"per_page": 2},
        {"per_page": 2, "starting_after": "c1"},
    ]
    for seen in server.seen:
        check_body(seen.json, openapi(SPEC), "search_request")


def test_customers_whose_address_is_not_shown_are_asked_for_together(server: Loopback) -> None:
    page = listing("conversations", [conversation(1), by_team(2, "c2"), by_team(3, "c3"), by_team(4, "c2")])
    desk = source(server, page, contacts=[contact("c2"), contact("c3")])
    found = {row["ticket_id"]: row["email"] for row in rows(desk, "raw_support_tickets")}
    assert found == {"1": "taro@example.jp", "2": "c2@example.com", "3": "c3@example.com", "4": "c2@example.com"}
    [asked] = [seen for seen in server.seen if seen.path == CONTACTS]
    assert asked.json["query"] == {"field": "id", "operator": "IN", "value": ["c2", "c3"]}
    check_body(asked.json, openapi(SPEC), "search_request")


def test_many_customers_are_asked_for_in_several_calls(server: Loopback) -> None:
    page = listing("conversations", [by_team(n, f"c{n:03d}") for n in range(120)])
    desk = source(server, page, contacts=[contact(f"c{n:03d}") for n in range(120)])
    assert len(rows(desk, "raw_support_tickets")) == 120
    assert [len(seen.json["query"]["value"]) for seen in server.seen[1:]] == [50, 50, 20]


def test_a_conversation_of_nobody_we_can_know_is_no_row(server: Loopback) -> None:
    page = listing("conversations", [by_team(1, None), by_team(2, "gone"), by_team(3, "visitor"), conversation(4)])
    desk = source(server, page, contacts=[contact("visitor", email=None)])
    assert [row["ticket_id"] for row in rows(desk, "raw_support_tickets")] == ["4"]


def test_who_wants_no_more_mails_has_taken_back_consent(server: Loopback) -> None:
    people = [contact("c1"), contact("c2", unsubscribed_from_emails=False, marked_email_as_spam=True)]
    found = rows(source(server, contacts=[*people, contact("c3", email=None)]), "raw_consents")
    assert found[0] == {
        "event_id": f"c1:email:revoked:{seconds(OPENED)}",
        "subject": "c1@example.com",
        "channel": "email",
        "purpose": "marketing",
        "status": "revoked",
        "occurred_at": OPENED,
    }
    assert [row["subject"] for row in found] == ["c1@example.com", "c2@example.com"]
    assert set(found[0]) == set(RAW_CONSENTS.given_columns)


def test_contacts_are_asked_for_from_the_day_before_since_whole_days_are_compared(server: Loopback) -> None:
    half_past = Window(since=WINDOW.since + timedelta(hours=23, minutes=59), until=WINDOW.until)
    rows(source(server), "raw_consents", half_past)
    [seen] = server.seen
    check_body(seen.json, openapi(SPEC), "search_request")
    changed, gone = seen.json["query"]["value"]
    [since] = changed["value"]
    # The search begins with the day after this one, wherever on earth the workspace is.
    assert since["value"] <= seconds(half_past.since - timedelta(hours=25))
    assert gone["operator"] == "OR"
    assert {part["field"]: part["value"] for part in gone["value"]} == {
        "unsubscribed_from_emails": True,
        "marked_email_as_spam": True,
    }


def test_a_cursor_that_comes_twice_is_noticed(server: Loopback) -> None:
    numbers = iter(range(99))
    desk = source(server)
    server.answer = lambda _: listing("conversations", [conversation(next(numbers))], "same")
    with pytest.raises(PermanentError, match=r"intercom POST .* gave the same page cursor twice"):
        rows(desk, "raw_support_tickets")


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"X-RateLimit-Reset": str(seconds(OPENED) + 7), "Date": format_datetime(OPENED, usegmt=True)}, 7.0),
        ({"X-RateLimit-Reset": str(seconds(OPENED) - 7), "Date": format_datetime(OPENED, usegmt=True)}, 0.0),
        ({"X-RateLimit-Reset": str(seconds(OPENED)), "Retry-After": "3"}, 3.0),
    ],
)
def test_a_throttled_call_waits_until_the_allowance_is_back(headers: dict[str, str], wait: float) -> None:
    verdict = classify(httpx.Response(429, headers=headers))
    assert verdict is not None
    assert (verdict.kind, verdict.wait) == ("throttled", wait)


@pytest.mark.parametrize("headers", [{}, {"X-RateLimit-Reset": "soon"}])
def test_without_a_readable_reset_the_common_rules_hold(headers: dict[str, str]) -> None:
    assert classify(httpx.Response(429, headers=headers)) is None


def test_a_throttled_call_is_repeated(server: Loopback) -> None:
    errors = {"type": "error.list", "errors": [{"code": "rate_limit_exceeded", "message": "Rate limit exceeded"}]}
    throttled = reply(errors, 429, headers={"X-RateLimit-Reset": "1"})
    desk = source(server, throttled, listing("conversations", [conversation(1)]))
    assert len(rows(desk, "raw_support_tickets")) == 1


def test_a_refused_token_names_its_variable(server: Loopback) -> None:
    desk = source(server)
    errors = {"type": "error.list", "errors": [{"code": "unauthorized", "message": "Access Token Invalid"}]}
    server.answer = lambda _: reply(errors, 401)
    with pytest.raises(CredentialError, match=r"Access Token Invalid.*SCORING_INTERCOM_TOKEN"):
        rows(desk, "raw_support_tickets")


@pytest.mark.parametrize("body", [{}, {"conversations": [{"id": "1"}]}, [], "text"])
def test_an_answer_of_another_shape_is_an_error_and_no_empty_table(server: Loopback, body: Any) -> None:
    desk = source(server)
    server.answer = lambda _: reply(body)
    with pytest.raises(PermanentError, match="intercom"):
        rows(desk, "raw_support_tickets")


def test_the_probe_names_the_workspace(server: Loopback) -> None:
    desk = source(server)
    server.answer = lambda _: reply({"type": "admin", "id": "1", "app": {"type": "app", "name": "Coffee"}})
    assert desk.probe() == "intercom: workspace Coffee, API 2.15"
    assert [(seen.method, seen.path) for seen in server.seen] == [("GET", "/me")]


@pytest.mark.parametrize(("schema", "thing"), [("conversation_list_item", conversation(1)), ("contact", contact("c1"))])
def test_what_these_tests_answer_is_what_the_vendor_answers(schema: str, thing: dict[str, Any]) -> None:
    document = openapi(SPEC)
    rooted = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    assert [error.message for error in Draft202012Validator(rooted).iter_errors(thing)] == []
    assert thing.keys() <= document["components"]["schemas"][schema]["properties"].keys()
