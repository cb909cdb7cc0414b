"""Runs started from the command line: the daily job for a day or a range, in this process, on the real instance.

Belongs here: starting, following and summing up a run. Does not belong here: which days are run (``cli``).
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from scoring_platform.errors import ScoringError
from scoring_platform.orchestration.alerts import Evaluated
from scoring_platform.orchestration.assets.activation import RELEASE_TAG
from scoring_platform.orchestration.assets.factory import PROGRESS
from scoring_platform.orchestration.build import build_definitions
from scoring_platform.orchestration.jobs import DAILY_SCORING_JOB, LANE
from scoring_platform.orchestration.sensors import TOLD, run_evaluations
from scoring_platform.orchestration.turns import alive, is_alive, turn
from scoring_platform.settings import Settings

Say = Callable[[str], None]

STARTED_HERE = {"scoring/started_by": "command"}
"""Tag of the runs that commands execute in their own process."""

_FOLLOW_SECONDS = 0.2
_AGAIN_SECONDS = 0.05
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class RunOutcome:
    """What a run came to.

    Attributes:
        run_id: The run in Dagster.
        success: Whether every step succeeded.
        failures: Step and what went wrong, in words.
        checks: Every check evaluated.
        seconds: Time per step.
    """

    run_id: str
    success: bool
    failures: dict[str, str] = field(default_factory=dict)
    checks: Sequence[Evaluated] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def failed_checks(self) -> list[Evaluated]:
        """Checks that did not pass, warnings included."""
        return [one for one in self.checks if not one.evaluation.passed]


class Runner:
    """Runs the daily job of one home."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance, *, say: Say) -> None:
        self._settings = settings
        self._definitions = build_definitions(settings)
        self._instance = instance
        self._say = say

    def run(self, days: Sequence[date], *, tables: Sequence[str] | None = None, release: str = "") -> RunOutcome:
        """Run the job for ``days`` (one, or a range without gaps) and follow it until it ends.

        Args:
            days: Days to run.
            tables: Only these assets; all by default.
            release: Streams that a past day may send, separated by commas.
        """
        run_id = str(uuid.uuid4())
        job = self._definitions.resolve_job_def(DAILY_SCORING_JOB)
        tags = {**LANE, **STARTED_HERE, **({RELEASE_TAG: release} if release else {})}
        if len(days) > 1:
            tags |= {
                "dagster/asset_partition_range_start": days[0].isoformat(),
                "dagster/asset_partition_range_end": days[-1].isoformat(),
            }
        with alive(self._settings.home, run_id), self._followed(run_id), stoppable():
            result = job.execute_in_process(
                instance=self._instance,
                run_id=run_id,
                partition_key=days[0].isoformat() if len(days) == 1 else None,
                asset_selection=None if tables is None else [dg.AssetKey(name) for name in tables],
                tags=tags,
                run_config=_QUIET,
                raise_on_error=False,
            )
        return self._outcome(run_id, success=result.success)

    def mark_told(self, run_id: str) -> None:
        """Record that the on-call was told of a run's failed checks, so that the sensor does not repeat it."""
        self._instance.add_run_tags(run_id, TOLD)

    def _outcome(self, run_id: str, *, success: bool) -> RunOutcome:
        failures: dict[str, str] = {}
        started: dict[str, float] = {}
        seconds: dict[str, float] = {}
        outside: dg.DagsterEvent | None = None
        ends = {*_STEPS, dg.DagsterEventType.RUN_FAILURE}
        for record in self._instance.get_records_for_run(run_id, of_type=ends).records:
            entry = record.event_log_entry
            event = entry.dagster_event
            if event is None or event.step_key is None:
                if event is not None and event.is_job_failure:
                    outside = event
                continue
            if event.is_step_start:
                started[event.step_key] = entry.timestamp
            elif event.is_step_success or event.is_step_failure:
                seconds[event.step_key] = entry.timestamp - started.get(event.step_key, entry.timestamp)
            if event.is_step_failure:
                failures[event.step_key] = _words(event.step_failure_data.error)
        if outside is not None and not failures:  # a resource that cannot be made, an interrupt
            failures["the run"] = _words(outside.job_failure_data.error) or str(outside.message)
        return RunOutcome(run_id, success, failures, run_evaluations(self._instance, run_id), seconds)

    @contextmanager
    def _followed(self, run_id: str) -> Iterator[None]:
        """Say each finished step, and each piece of a range, while the run goes on."""
        done, pieces = threading.Event(), _Saying(self._say)
        follower = threading.Thread(target=self._follow, args=(run_id, done), daemon=True)
        follower.start()
        PROGRESS.addHandler(pieces)
        try:
            yield
        finally:
            PROGRESS.removeHandler(pieces)
            done.set()
            follower.join()

    def _follow(self, run_id: str, done: threading.Event) -> None:
        started: dict[str, float] = {}
        cursor: str | None = None
        last = False
        while not last:
            last = done.wait(_FOLLOW_SECONDS)
            page = self._instance.get_records_for_run(run_id, cursor=cursor, of_type=_STEPS)
            cursor = page.cursor
            for record in page.records:
                event, at = record.event_log_entry.dagster_event, record.event_log_entry.timestamp
                if event is None or event.step_key is None:
                    continue
                if event.is_step_start:
                    started[event.step_key] = at
                else:
                    mark = "ok    " if event.is_step_success else "FAILED"
                    self._say(f"  {mark} {event.step_key:<22} {at - started.get(event.step_key, at):6.1f} s")


@contextmanager
def stoppable() -> Iterator[None]:
    """Repeat a signal to stop that came while Python was clearing away an object: raised there it would be lost."""
    usual = sys.unraisablehook

    def again(lost: sys.UnraisableHookArgs) -> None:
        if isinstance(lost.exc_value, dg.DagsterExecutionInterruptedError):
            threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            usual(lost)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = usual


class _Saying(logging.Handler):
    """Says what is logged."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Say the words of a record."""
        self._say(f"         {record.getMessage()}")


_STEPS = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE}


def _family(error: type[Exception]) -> set[str]:
    return {error.__name__}.union(*(_family(one) for one in error.__subclasses__()))


def _words(error: SerializableErrorInfo | None) -> str:
    """Return the message of a failure: the platform's own words, which hold no personal data, else the innermost."""
    if error is None:
        return ""
    own = _family(ScoringError)
    while error.cause is not None and error.cls_name not in own:
        error = error.cause
    if error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
        return "interrupted; running the day again is safe"
    text = error.message.strip()
    name, _, message = text.partition(": ")
    return message or name


@contextmanager
def open_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """Give the instance of DAGSTER_HOME, closed afterwards.

    Dagster makes its databases on first use and two processes that do so at once can fail: one at a time per home.
    """
    with turn(home, "dagster"):
        instance = dg.DagsterInstance.get()
        instance.get_runs(limit=1)
        instance.get_records_for_run(run_id="", limit=1)
    with instance:
        yield instance


def fail_orphans(instance: dg.DagsterInstance, home: Path, *, own_only: bool = False) -> int:
    """Mark runs whose process is gone as failed, so that they hold nobody up; return how many.

    Args:
        instance: The instance.
        home: Home of the platform; commands that are still at work show it there.
        own_only: Only runs that commands started: the daemon, which may be up, looks after its own.
    """
    tags = STARTED_HERE if own_only else None
    open_runs = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING], tags=tags)
    left = [run for run in instance.get_runs(open_runs) if not is_alive(home, run.run_id)]
    for run in left:
        instance.report_run_failed(run, message="The process that ran this is gone; running the day again is safe.")
    return len(left)
