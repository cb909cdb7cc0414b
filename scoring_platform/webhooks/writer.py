"""Writes what requests bring into the inbox, several requests in one commit.

Belongs here: one thread that gathers whatever waits, commits it and answers each request afterwards. Does not belong
here: SQL (``ledger.inbox``), HTTP (``receiver``).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from scoring_platform.errors import ScoringError, TransientError
from scoring_platform.ledger.inbox import Inbox, Post, Stored

MOST_TOGETHER = 200
"""Requests in one commit."""

MOST_WAITING = 2_000
"""Requests that wait; one more is refused, so that a dead disk does not fill the memory."""

FAILURES = (SQLAlchemyError, ScoringError, OSError)
"""What the ledger raises when it cannot be written."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Job:
    post: Post
    answer: Future[Stored] = field(default_factory=Future)


class Writer:
    """The only writer of this process.

    Args:
        inbox: Where to.
        clock: What is recorded as the time of arrival.
    """

    def __init__(self, inbox: Inbox, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._inbox = inbox
        self._clock = clock
        self._waiting: deque[_Job] = deque()
        self._lock = Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="webhook-writer")

    def submit(self, post: Post) -> Future[Stored]:
        """Return what comes true once ``post`` is on disk, or fails with TransientError when it is not.

        Raises:
            TransientError: Too much waits already.
        """
        job = _Job(post)
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                msg = "too many requests wait for the inbox"
                raise TransientError(msg)
            self._waiting.append(job)
        # One turn per request: a turn takes all that waits, and those after it find less or nothing.
        self._thread.submit(self._turn)
        return job.answer

    def prove_writable(self) -> Future[None]:
        """Return what comes true once something was written and taken back."""
        return self._thread.submit(self._inbox.prove_writable)

    def close(self) -> None:
        """Write what waits, then stop."""
        self._thread.shutdown(wait=True)

    def _turn(self) -> None:
        with self._lock:
            taken = [self._waiting.popleft() for _ in range(min(MOST_TOGETHER, len(self._waiting)))]
        # Whoever gave up meanwhile gets no answer, and the sender will try again.
        jobs = [job for job in taken if job.answer.set_running_or_notify_cancel()]
        if jobs:
            self._write(jobs)

    def _write(self, jobs: Sequence[_Job]) -> None:
        try:
            stored = self._inbox.store([job.post for job in jobs], clock=self._clock)
        except FAILURES as error:
            if len(jobs) > 1 and not isinstance(error, OperationalError):
                # Not the disk but what one of them brought: the others must not suffer for it.
                for job in jobs:
                    self._write([job])
                return
            # The kind only: the text quotes what was to be written.
            _log.error("the inbox cannot be written: %s; %d requests were refused", type(error).__name__, len(jobs))
            for job in jobs:
                job.answer.set_exception(TransientError("the inbox cannot be written"))
            return
        except BaseException as error:
            for job in jobs:
                job.answer.set_exception(error)
            raise
        for job, one in zip(jobs, stored, strict=True):
            job.answer.set_result(one)
