"""The writer: many requests in one commit, each answered after it, none suffering for another."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError, StatementError

from scoring_platform.errors import TransientError
from scoring_platform.ledger.inbox import Inbox, Post, Stored
from scoring_platform.ledger.store import Ledger
from scoring_platform.webhooks import writer as module
from scoring_platform.webhooks.writer import Writer
from scoring_platform_tests.webhooks.scenario import form


@dataclass(frozen=True)
class Watched(Inbox):
    """An inbox that holds back its first commit, records all, and fails as told."""

    released: threading.Event = field(default_factory=threading.Event)
    sizes: list[int] = field(default_factory=list)
    poison: str = ""
    error: Exception = field(default_factory=lambda: StatementError("no", "", {}, ValueError()))

    def store(self, posts: Sequence[Post], **options: object) -> list[Stored]:
        assert self.released.wait(10)
        if any(key == self.poison for post in posts for key, _ in post.events):
            raise self.error
        self.sizes.append(len(posts))
        return super().store(posts)


def post(key: str) -> Post:
    return Post("events", "website", [(key, form())])


def outcome(answer: Future[Stored]) -> Stored | str:
    try:
        return answer.result(10)
    except TransientError as error:
        return str(error)


NEW, FAILED = Stored(1, 0), "the inbox cannot be written"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_what_arrives_during_a_commit_is_committed_together_and_answered_afterwards(ledger: Ledger) -> None:
    inbox = Watched(ledger)
    writer = Writer(inbox)
    answers = [writer.submit(post(f"f{number}")) for number in range(30)]
    assert not any(answer.done() for answer in answers), "nothing is on disk yet"
    inbox.released.set()

    assert [outcome(answer) for answer in answers] == [NEW] * 30
    assert sum(inbox.sizes) == 30
    assert len(inbox.sizes) <= 2
    writer.close()


def test_one_request_that_cannot_be_stored_does_not_harm_the_others(ledger: Ledger) -> None:
    inbox = Watched(ledger, poison="bad")
    writer = Writer(inbox)
    answers = [writer.submit(post(key)) for key in ("f1", "f2", "bad", "f3")]
    inbox.released.set()

    assert [outcome(answer) for answer in answers] == [NEW, NEW, FAILED, NEW]
    writer.close()


def test_a_dead_disk_fails_all_at_once_and_the_next_request_is_tried_again(ledger: Ledger) -> None:
    inbox = Watched(ledger, poison="bad", error=OperationalError("disk", {}, ValueError()))
    writer = Writer(inbox)
    first = writer.submit(post("f0"))
    together = [writer.submit(post(key)) for key in ("f1", "bad")]
    inbox.released.set()

    assert outcome(first) in (NEW, FAILED)
    assert [outcome(answer) for answer in together] == [FAILED, FAILED]
    assert outcome(writer.submit(post("f1"))) == NEW
    writer.close()


def test_a_request_that_gave_up_is_left_out(ledger: Ledger) -> None:
    inbox = Watched(ledger)
    writer = Writer(inbox)
    first, gone, last = (writer.submit(post(key)) for key in ("f1", "f2", "f3"))
    cancelled = gone.cancel()
    inbox.released.set()

    assert outcome(last) == NEW
    assert outcome(first) == NEW
    assert cancelled
    assert sum(inbox.sizes) == 2
    writer.close()


def test_too_many_waiting_requests_are_refused_at_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    monkeypatch.setattr(module, "MOST_TOGETHER", 1)
    inbox = Watched(ledger)
    writer = Writer(inbox)
    accepted: list[Future[Stored]] = []
    with pytest.raises(TransientError, match="too many"):
        accepted.extend(writer.submit(post(f"f{number}")) for number in range(6))
    inbox.released.set()
    writer.close()

    assert sum(inbox.sizes) in (3, 4), "stopping writes what waits"
