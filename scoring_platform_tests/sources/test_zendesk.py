"""Zendesk: the cursor export with its sideloads, and the naming of fields."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scoring_platform.contracts.raw import RAW_SUPPORT_TICKETS
from scoring_platform.errors import CredentialError, PermanentError
from scoring_platform.sources.protocol import Window
from scoring_platform.sources.zendesk import Zendesk, ZendeskSource, first_reply_at, satisfaction
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, reply
from scoring_platform_tests.sources.scenario import TOKYO, WINDOW, credential, rows
from scoring_platform_tests.sources.vendor_specs import check_query, openapi

EXPORT = "/api/v2/incremental/tickets/cursor"
SPEC = "zendesk/support.json"
TARO = {"id": 900, "email": "taro@example.jp"}


def source(server: Loopback, *pages: Reply, users: Reply | None = None) -> Zendesk:
    """A Zendesk that gives ``pages`` in turn and ``users`` when asked for more of them."""
    queue = list(pages)

    def answer(seen: Seen) -> Reply:
        if seen.path == "/oauth/tokens":
            wanted = {"grant_type": "client_credentials", "scope": "read", "client_id": "secret-client_id"}
            assert seen.json == {**wanted, "client_secret": "secret-client_secret"}
            return reply({"access_token": "zt", "token_type": "bearer", "expires_in": 7200})
        assert seen.headers["authorization"] == "Bearer zt"
        if seen.path.endswith("show_many"):
            assert users is not None
            return users
        return queue.pop(0) if len(queue) > 1 else queue[0]

    server.answer = answer
    settings = ZendeskSource.model_validate({"endpoint": server.url, "page_size": 2})
    return Zendesk(settings, server.url, credential, TOKYO)


def ticket(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "created_at": "2026-11-19T10:00:00Z",
        "updated_at": "2026-11-20T08:00:00Z",
        "status": "solved",
        "priority": "high",
        "requester_id": 900,
        "satisfaction_rating": {"score": "good", "comment": "Great"},
        **changes,
    }


def export(tickets: list[dict[str, Any]], cursor: str = "c", *, end: bool = True, **more: Any) -> Reply:
    return reply({"tickets": tickets, "users": [TARO], "after_cursor": cursor, "end_of_stream": end, **more})


def exported(server: Loopback) -> list[Seen]:
    return [seen for seen in server.seen if seen.path == EXPORT]


METRICS = {"reply_time_in_minutes": {"calendar": 90, "business": 30}, "solved_at": "2026-11-20T08:00:00Z"}


@pytest.mark.parametrize("place", ["inside", "beside"])
def test_a_ticket_keeps_its_values_under_our_names(server: Loopback, place: str) -> None:
    if place == "inside":
        page = export([ticket(1, metric_set=METRICS)])
    else:
        page = export([ticket(1)], metric_sets=[{"ticket_id": 1, **METRICS}])
    [found] = rows(source(server, page), "raw_support_tickets")
    assert found == {
        "ticket_id": "1",
        "email": "taro@example.jp",
        "created_at": "2026-11-19T10:00:00Z",
        "updated_at": "2026-11-20T08:00:00Z",
        "status": "solved",
        "priority": "high",
        "satisfaction": "good",
        "first_reply_at": datetime(2026, 11, 19, 11, 30, tzinfo=UTC),
        "solved_at": "2026-11-20T08:00:00Z",
    }
    assert found.keys() == RAW_SUPPORT_TICKETS.columns.keys() - {"source"}


@pytest.mark.parametrize(
    ("measured", "waited"),
    [
        ({"reply_time_in_seconds": {"calendar": 30}, "reply_time_in_minutes": {"calendar": 0}}, timedelta(seconds=30)),
        ({"reply_time_in_seconds": {"calendar": None}, "reply_time_in_minutes": {"calendar": 2}}, timedelta(minutes=2)),
        ({"reply_time_in_minutes": {"calendar": 0}}, timedelta(0)),
        ({"reply_time_in_minutes": {"calendar": None}}, None),
        ({"reply_time_in_minutes": None}, None),
        ({}, None),
    ],
)
def test_the_first_reply_is_the_opening_plus_the_calendar_reply_time(
    measured: dict[str, Any], waited: timedelta | None
) -> None:
    opened = datetime(2026, 11, 19, 10, tzinfo=UTC)
    assert first_reply_at(ticket(1), measured) == (None if waited is None else opened + waited)


def test_an_unreadable_opening_leaves_the_first_reply_open_and_passes_through(server: Loopback) -> None:
    page = export([ticket(1, created_at="soon", metric_set=METRICS)])
    [found] = rows(source(server, page), "raw_support_tickets")
    assert (found["created_at"], found["first_reply_at"]) == ("soon", None)


@pytest.mark.parametrize(
    ("rating", "expected"),
    [
        ({"score": "good"}, "good"),
        ({"score": "bad"}, "bad"),
        ({"score": "good_with_comment"}, "good"),
        ({"score": "good_without_comment"}, "good"),
        ({"score": "bad_with_comment"}, "bad"),
        ({"score": "bad_without_comment"}, "bad"),
        ({"score": "offered"}, None),
        ({"score": "unoffered"}, None),
        ({"score": None}, None),
        (None, None),
    ],
)
def test_only_a_given_rating_counts(rating: dict[str, Any] | None, expected: str | None) -> None:
    assert satisfaction(ticket(1, satisfaction_rating=rating)) == expected


def test_the_export_starts_with_a_time_and_goes_on_with_cursors_as_documented(server: Loopback) -> None:
    pages = [export([ticket(1)], "c1", end=False), export([ticket(2)], "c2", end=False), export([ticket(3)], "c3")]
    assert [row["ticket_id"] for row in rows(source(server, *pages), "raw_support_tickets")] == ["1", "2", "3"]
    first, *others = exported(server)
    assert first.query["start_time"] == str(int(WINDOW.since.timestamp()))
    assert [seen.query["cursor"] for seen in others] == ["c1", "c2"]
    for seen in exported(server):
        check_query(seen, openapi(SPEC), EXPORT)


def test_a_very_short_window_starts_early_enough_for_the_export(server: Loopback) -> None:
    until = WINDOW.until
    short = Window(since=until - timedelta(seconds=5), until=until)
    rows(source(server, export([])), "raw_support_tickets", short)
    assert int(exported(server)[0].query["start_time"]) == int(until.timestamp()) - 61


def test_an_export_without_end_is_noticed_by_its_cursor(server: Loopback) -> None:
    numbers = iter(range(99))
    found = source(server)
    token = server.answer

    def answer(seen: Seen) -> Reply:
        return token(seen) if seen.path == "/oauth/tokens" else export([ticket(next(numbers))], "same", end=False)

    server.answer = answer
    with pytest.raises(PermanentError, match=r"zendesk GET .* gave the same page cursor twice"):
        rows(found, "raw_support_tickets")


def test_requesters_that_did_not_come_along_are_asked_for(server: Loopback) -> None:
    page = export([ticket(1), ticket(2, requester_id=901), ticket(3, requester_id=902)])
    users = reply({"users": [{"id": 901, "email": "hanako@example.jp"}]})
    found = rows(source(server, page, users=users), "raw_support_tickets")
    assert [row["email"] for row in found] == ["taro@example.jp", "hanako@example.jp", None]
    [asked] = [seen for seen in server.seen if seen.path.endswith("show_many")]
    assert asked.query == {"ids": "901,902"}
    check_query(asked, openapi(SPEC), asked.path)


def test_a_deleted_ticket_is_kept_while_it_says_who_and_when(server: Loopback) -> None:
    deleted = [
        ticket(1, status="deleted"),
        ticket(2, status="deleted", requester_id=None),
        ticket(3, status="deleted", created_at=None),
    ]
    found = rows(source(server, export(deleted)), "raw_support_tickets")
    assert [(row["ticket_id"], row["status"]) for row in found] == [("1", "deleted")]


def test_too_many_calls_are_waited_for(server: Loopback) -> None:
    busy = reply({"error": "APIRateLimitExceeded"}, 429, headers={"Retry-After": "17"})
    assert len(rows(source(server, busy, export([ticket(1)])), "raw_support_tickets")) == 1


def test_a_wrong_client_names_the_variables(server: Loopback) -> None:
    found = source(server, export([]))
    server.script([reply({"error": "invalid_client"}, 401)])
    with pytest.raises(CredentialError, match="SCORING_ZENDESK_CLIENT_ID and SCORING_ZENDESK_CLIENT_SECRET"):
        rows(found, "raw_support_tickets")


def test_the_probe_names_our_role(server: Loopback) -> None:
    assert source(server, reply({"user": {"id": 1, "role": "admin"}})).probe() == "zendesk: signed in with role admin"
