"""Tables made of what vendors sent us: every event that was received is read, once, by the window it came in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.ledger.inbox import PAGE, Inbox, Post
from scoring_platform.ledger.schema import INBOX
from scoring_platform.ledger.store import Ledger
from scoring_platform.settings import load_settings
from scoring_platform.sources.protocol import Window
from scoring_platform.sources.registry import SOURCES
from scoring_platform_tests.conformance.world import FROM_INBOX, World, gives, latest

ARRIVED = datetime(2025, 11, 10, 12, tzinfo=UTC)
ROUND_IT = Window(ARRIVED - timedelta(hours=1), ARRIVED + timedelta(hours=1))
MANY = PAGE + 10

Event = dict[str, Any]


def opened_mail(number: int) -> Event:
    return {"email": f"a{number}@example.jp", "timestamp": 1_762_770_000 + number, "event": "open"}


def sent_form(number: int) -> Event:
    return {"email": f"a{number}@example.jp", "occurred_at": "2025-11-10T11:00:00Z", "kind": "form"}


def said_yes(number: int) -> Event:
    return {**sent_form(number), "kind": "consent", "channel": "email", "purpose": "marketing", "status": "granted"}


def said_nine(number: int) -> Event:
    return {"id": f"r{number}", "email": f"a{number}@example.jp", "nps_score": 9, "answered_at": "2025-11-10T11:00:00Z"}


EVENTS = {
    "sendgrid.raw_email_events": ("email", "sendgrid", opened_mail),
    "webhooks.raw_events": ("events", "website", sent_form),
    "webhooks.raw_consents": ("events", "website", said_yes),
    "nps.raw_nps_responses": ("nps", "survey", said_nine),
}
"""Kind and provider of each table's events, and how one looks."""


@pytest.fixture
def inbox(world: World) -> Iterator[Inbox]:
    """The inbox of the world's home, empty again after the test."""
    with Ledger(load_settings(world.environment("webhooks")).ledger_url) as ledger:
        yield Inbox(ledger)
        with ledger.writing() as connection:
            connection.execute(delete(INBOX))


def deliver(inbox: Inbox, name: str, count: int) -> None:
    kind, provider, event = EVENTS[name]
    events = [(f"{name}-{number:05d}", event(number)) for number in range(count)]
    inbox.store([Post(kind, provider, events)], clock=lambda: ARRIVED)


def test_every_source_with_an_inbox_is_examined_here() -> None:
    assert EVENTS.keys() == FROM_INBOX
    promised = {f"{name}.{table}" for name, vendor in SOURCES.items() if vendor.inbox for table in gives(name)}
    assert promised >= FROM_INBOX


@pytest.mark.parametrize("name", EVENTS)
def test_what_arrived_in_the_window_is_read_and_what_came_twice_is_there_once(
    world: World, inbox: Inbox, name: str
) -> None:
    for _ in range(2):
        deliver(inbox, name, MANY)

    rows = world.read(name, ROUND_IT).rows

    assert len(rows) == len(latest(name, rows)) == MANY
    assert {column for row in rows for column in row} <= set(contract_of(name.partition(".")[2]).given_columns)
    assert world.read(name, ROUND_IT).rows == rows


@pytest.mark.parametrize("name", EVENTS)
def test_two_windows_that_touch_lose_nothing(world: World, inbox: Inbox, name: str) -> None:
    deliver(inbox, name, 5)
    whole = latest(name, world.read(name, ROUND_IT).rows)

    halves = [Window(ROUND_IT.since, ARRIVED), Window(ARRIVED, ROUND_IT.until)]

    assert latest(name, [row for half in halves for row in world.read(name, half).rows]) == whole


@pytest.mark.parametrize("name", EVENTS)
def test_a_long_inbox_is_read_page_by_page(world: World, inbox: Inbox, name: str) -> None:
    deliver(inbox, name, MANY)

    sizes = [len(page) for page in world.fetch(name, ROUND_IT)]

    assert sum(sizes) == MANY
    assert max(sizes) <= PAGE


@pytest.mark.parametrize("name", EVENTS)
def test_nothing_is_asked_of_the_vendor_for_them(world: World, inbox: Inbox, name: str) -> None:
    deliver(inbox, name, 5)

    reading = world.read(name, ROUND_IT)

    assert reading.rows
    assert reading.exchanges == []
