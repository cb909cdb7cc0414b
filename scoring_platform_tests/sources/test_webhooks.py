"""Generic webhooks as a source: from a signed request to rows, whoever the sender is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scoring_platform.ledger.inbox import Inbox, Post
from scoring_platform.sources.files import Files
from scoring_platform.sources.opening import open_source
from scoring_platform.sources.protocol import Source, Window
from scoring_platform.sources.webhooks import Webhooks, WebhooksSource, at_path
from scoring_platform_tests.scenario import Home, close_home, days_from, open_home
from scoring_platform_tests.sources.scenario import TOKYO, WINDOW, credential, rows
from scoring_platform_tests.webhooks.scenario import configured, form, receiving

DAY = timedelta(days=1)
EVENT = {"id": "e1", "kind": "form", "occurred_at": "2026-11-20T10:00:00Z"}
CONSENT = {**EVENT, "kind": "consent", "email": "a@example.jp"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    opened = open_home(tmp_path / "home")
    yield opened
    close_home(opened)


def source(home: Home, *events: Any, at: datetime = WINDOW.since, **section: Any) -> Webhooks:
    """A source whose provider ``website`` sent ``events``."""
    inbox = Inbox(home.ledger)
    keyed = [(str(event.get("id", number)), event) for number, event in enumerate(events)]
    inbox.store([Post("events", "website", keyed)], clock=lambda: at)
    settings = WebhooksSource.model_validate({"providers": {"website": section}})
    return Webhooks(settings, "", credential, TOKYO, inbox)


def one(given: Source, table: str = "raw_events") -> dict[str, Any]:
    (row,) = rows(given, table)
    return row


# Naming


def test_an_event_becomes_a_row_with_everything_else_among_its_properties(home: Home) -> None:
    event = {**EVENT, "email": "a@example.jp", "client_id": 7, "properties": {"form": "trial"}, "campaign": "spring"}

    assert one(source(home, event)) == {
        "event_id": "website:e1",
        "customer_ref": None,
        "email": "a@example.jp",
        "client_id": 7,
        "kind": "form",
        "occurred_at": "2026-11-20T10:00:00Z",
        "properties": {"campaign": "spring", "form": "trial"},
    }


@pytest.mark.parametrize("properties", [["a"], "text", 5])
def test_properties_that_are_no_object_stay_as_sent(home: Home, properties: Any) -> None:
    assert one(source(home, {**EVENT, "properties": properties}))["properties"] == properties


def test_a_foreign_sender_is_read_by_its_own_names(home: Home) -> None:
    fields = {
        "id": "event.uuid", "kind": "event.type", "occurred_at": "created", "email": "data.contacts.0.email",
        "customer_ref": "data.account", "properties": "data.answers",
    }  # fmt: skip
    event = {
        "event": {"uuid": "u1", "type": "webinar"},
        "created": 1_790_000_000,
        "data": {"contacts": [{"email": "a@example.jp"}], "account": "c1", "answers": {"rating": 5}},
        "region": "jp",
    }
    row = one(source(home, event, fields=fields, times="seconds"))

    assert (row["kind"], row["email"], row["customer_ref"]) == ("webinar", "a@example.jp", "c1")
    assert row["occurred_at"] == datetime.fromtimestamp(1_790_000_000, UTC)
    assert row["properties"] == {"region": "jp", "rating": 5}


@pytest.mark.parametrize(
    ("times", "sent", "read"),
    [
        ("milliseconds", 1_790_000_000_500, datetime.fromtimestamp(1_790_000_000.5, UTC)),
        ("milliseconds", "2026-11-20", "2026-11-20"),
        ("text", 1_790_000_000, 1_790_000_000),
        ("seconds", 2**62, 2**62),
        ("seconds", True, True),
    ],
)
def test_a_counted_time_is_an_instant_where_the_provider_counts(home: Home, times: str, sent: Any, read: Any) -> None:
    assert one(source(home, {**EVENT, "occurred_at": sent}, times=times))["occurred_at"] == read


def test_a_sender_that_names_no_kind_has_a_usual_one(home: Home) -> None:
    assert one(source(home, {"id": "e1", "occurred_at": "2026-11-20"}, default_kind="form"))["kind"] == "form"


@pytest.mark.parametrize(
    "consent",
    [
        {**CONSENT, "channel": "email", "purpose": "marketing", "status": "granted"},
        {**CONSENT, "properties": {"channel": "email", "purpose": "marketing", "status": "granted"}},
    ],
)
def test_a_consent_is_no_event_but_a_decision(home: Home, consent: Any) -> None:
    given = source(home, consent, {**EVENT, "id": "e2"})

    assert one(given, "raw_consents") == {
        "event_id": "website:e1",
        "subject": "a@example.jp",
        "channel": "email",
        "purpose": "marketing",
        "status": "granted",
        "occurred_at": "2026-11-20T10:00:00Z",
    }
    assert one(given)["event_id"] == "website:e2"


def test_a_consent_without_an_address_is_the_customers(home: Home) -> None:
    assert one(source(home, {**CONSENT, "email": "", "customer_ref": "c1"}), "raw_consents")["subject"] == "c1"


@pytest.mark.parametrize("path", ["a.b.c", "a.2", "a.x", "x", "a.0.0", "b.c.0"])
def test_a_path_that_leads_nowhere_finds_nothing(path: str) -> None:
    assert at_path({"a": [1, {"b": 2}], "b": {"c": "text"}}, path) is None


# Finding


def test_the_window_is_about_arrival_and_reaches_back_a_day_for_fast_clocks(home: Home) -> None:
    given = source(home, {**EVENT, "id": "new"})
    for key, at in {"ahead": WINDOW.since - DAY, "old": WINDOW.since - DAY * 2, "next": WINDOW.until}.items():
        source(home, {**EVENT, "id": key}, at=at)

    assert [row["event_id"] for row in rows(given, "raw_events")] == ["website:ahead", "website:new"]


def test_only_configured_providers_are_read(home: Home) -> None:
    given = source(home, EVENT)
    given.inbox.store([Post("events", "other", [("x", EVENT)]), Post("email", "website", [("y", EVENT)])])

    assert len(rows(given, "raw_events", Window(WINDOW.since, datetime.now(UTC) + DAY))) == 1


def test_the_probe_says_how_many_wait_and_when_the_last_came(home: Home) -> None:
    assert source(home).probe() == "webhooks: 0 events wait for the next run, none has come yet"
    words = source(home, EVENT, {**EVENT, "id": "e2"}, at=WINDOW.since).probe()
    assert words == "webhooks: 2 events wait for the next run, the last came at 2026-11-20T00:00:00+00:00"


# From the request to the published day


def test_a_posted_event_becomes_a_row_of_its_own_day_once_however_late_and_often_it_comes(
    home: Home, tmp_path: Path
) -> None:
    settings = configured(tmp_path)
    now = datetime.now(UTC)
    today = now.astimezone(TOKYO).date()
    days = days_from(today - DAY * 4, 4)
    late, yesterday = days[1], days[-1]

    def load(which: Any, table: str) -> Any:
        given = open_source(settings, "webhooks")
        assert not isinstance(given, Files)
        return home.load(which, table=table, sources=[given], now=datetime.now(UTC))

    with receiving(settings) as desk:
        assert desk.post(form(1, occurred_at=f"{yesterday}T12:00:00+09:00")).status_code == 200
        assert desk.post(form(9, occurred_at="the other day")).status_code == 200
        load(days, "raw_events")
        assert [row["event_id"] for row in home.rows("raw_events")] == ["website:f1"]
        assert home.reasons("raw_events") == ["occurred_at is not a time"]

        touched = []
        for _ in range(2):
            desk.post(form(2, occurred_at=f"{late}T23:59:00+09:00", properties={"名": "値"}))
            decision = {"channel": "email", "purpose": "marketing", "status": "denied"}
            desk.post(form(3, kind="consent", occurred_at=f"{yesterday}T09:00:00+09:00", **decision))
            load(days, "raw_consents")
            touched.append(load(yesterday, "raw_events").touched)
        assert touched == [(late,), ()]

    found = {row["event_id"]: row for row in home.rows("raw_events")}
    assert sorted(found) == ["website:f1", "website:f2"]
    assert found["website:f2"]["as_of"] == late
    assert found["website:f2"]["source"] == "webhooks"
    assert found["website:f2"]["properties"] == '{"名": "値"}'
    (consent,) = home.rows("raw_consents")
    assert (consent["subject"], consent["status"], consent["as_of"]) == ("a@example.jp", "denied", yesterday)
