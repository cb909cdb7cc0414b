"""The inbox: each event once, read by the time it came, in pages that stay small."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event as listening
from sqlalchemy import update

from scoring_platform.ledger import inbox as module
from scoring_platform.ledger.extracts import advance_watermarks
from scoring_platform.ledger.inbox import DeadLetter, Inbox, Post, Stored, read_through
from scoring_platform.ledger.schema import INBOX
from scoring_platform.ledger.store import Ledger

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def inbox(ledger: Ledger) -> Inbox:
    return Inbox(ledger)


def arrive(inbox: Inbox, *keys: str, at: datetime = NOON, kind: str = "events", provider: str = "website") -> Stored:
    post = Post(kind, provider, [(key, {"id": key}) for key in keys])
    return inbox.store([post], clock=lambda: at)[0]


def keys(inbox: Inbox, since: datetime = NOON, until: datetime = NOON + HOUR) -> list[str]:
    return [event.key for page in inbox.read("events", "website", since=since, until=until) for event in page]


def test_an_event_is_stored_once_per_kind_and_provider(inbox: Inbox) -> None:
    assert arrive(inbox, "a", "b", "a") == Stored(accepted=2, duplicates=1)
    assert arrive(inbox, "b", "c", at=NOON + HOUR) == Stored(accepted=1, duplicates=1)
    assert arrive(inbox, "a", provider="shop") == arrive(inbox, "a", kind="email") == Stored(1, 0)
    assert sorted(keys(inbox)) == ["a", "b"], "the time of arrival is that of the first delivery"


def test_several_posts_are_stored_all_or_none(inbox: Inbox) -> None:
    good, bad = Post("events", "website", [("a", {})]), Post("events", "website", [("b", {"when": NOON})])  # no JSON

    with pytest.raises(Exception, match="not JSON serializable"):
        inbox.store([good, bad])
    assert inbox.waiting("events", "website").count == 0


def test_events_are_read_by_the_time_they_came_from_the_start_up_to_the_end(inbox: Inbox) -> None:
    arrive(inbox, "late", at=NOON + HOUR)
    arrive(inbox, "first")
    arrive(inbox, "before", at=NOON - timedelta(microseconds=1))
    arrive(inbox, "last", at=NOON + HOUR - timedelta(microseconds=1))

    assert keys(inbox) == ["first", "last"]


def test_pages_are_small_and_events_of_one_instant_are_not_lost_between_them(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    arrive(inbox, *(f"a{number}" for number in range(7)))
    arrive(inbox, *(f"b{number}" for number in range(4)), at=NOON + timedelta(minutes=1))
    pages = list(inbox.read("events", "website", since=NOON, until=NOON + HOUR))

    assert [len(page) for page in pages] == [3, 3, 3, 2]
    assert len(set(keys(inbox))) == 11
    assert pages[0][0].received_at == NOON


def test_reading_finds_its_page_in_the_index_without_sorting(inbox: Inbox, ledger: Ledger) -> None:
    asked: list[tuple[str, Any]] = []
    arrive(inbox, "a")
    engine = ledger._opened()
    listening.listen(engine, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))
    keys(inbox)
    statement, parameters = next(one for one in asked if "FROM inbox" in one[0])
    with ledger.reading() as connection:
        plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all())

    assert "inbox_by_arrival" in plan
    assert "TEMP B-TREE" not in plan


def test_what_waits_is_what_came_since_and_is_not_marked(inbox: Inbox, ledger: Ledger) -> None:
    assert inbox.waiting("events", "website") == module.Waiting(0, None)
    arrive(inbox, "a")
    arrive(inbox, "b", at=NOON + HOUR)
    assert inbox.waiting("events", "website") == module.Waiting(2, NOON)
    assert inbox.waiting("events", "website", since=NOON + HOUR) == module.Waiting(1, NOON + HOUR)
    assert inbox.last_arrival("events", "website") == NOON + HOUR
    assert inbox.last_arrival("email", "website") is None
    with ledger.writing() as connection:
        connection.execute(update(INBOX).where(INBOX.c.key == "a").values(processed_at=NOON))
    assert inbox.waiting("events", "website") == module.Waiting(1, NOON + HOUR)


def test_a_source_has_been_read_up_to_the_least_of_its_tables(ledger: Ledger) -> None:
    tables = {"raw_events", "raw_consents"}
    assert read_through(ledger, "webhooks", tables) is None
    advance_watermarks(ledger, {("webhooks", "raw_events"): NOON + HOUR})
    assert read_through(ledger, "webhooks", tables) is None
    advance_watermarks(ledger, {("webhooks", "raw_consents"): NOON})
    assert read_through(ledger, "webhooks", tables) == NOON
    assert read_through(ledger, "webhooks", set()) is None


def test_a_dead_letter_is_kept_once_and_shortened(inbox: Inbox) -> None:
    letters = [DeadLetter("r" * 1_000, "b" * 100_000), DeadLetter("other", "b")]
    for _ in range(3):
        inbox.store([Post("events", "website", dead=letters)], clock=lambda: NOON)
    newest, oldest = inbox.dead_letters(most=10)

    assert (newest.reason, newest.body, newest.received_at) == ("other", "b", NOON)
    assert (len(oldest.reason), len(oldest.body)) == (500, 65_536)
    assert len(inbox.dead_letters(most=1)) == 1


def test_proving_that_it_can_be_written_leaves_nothing(inbox: Inbox, ledger: Ledger) -> None:
    inbox.prove_writable()
    inbox.prove_writable()

    with ledger.reading() as connection:
        assert connection.execute(INBOX.select()).all() == []
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(Exception, match="readonly"):
        inbox.prove_writable()
