"""Failed checks as messages to the on-call: one per problem and window, and one when it is over.

Belongs here: evaluation to message, and the order of sending and recording. Does not belong here: when evaluations are
looked at (``sensors``, the command line), how a message looks (``reporting.alerts``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import dagster as dg

from scoring_platform.destinations.slack import Slack
from scoring_platform.ledger.alerts import alert_sent, decide_alert, read_alerts, resolve_alert
from scoring_platform.ledger.store import Ledger
from scoring_platform.orchestration.checks import INERT, TOLD_BEFORE
from scoring_platform.reporting.alerts import FailedCheck, render_alert
from scoring_platform.settings import Settings


@dataclass(frozen=True)
class Evaluated:
    """One evaluation of one check."""

    run_id: str
    evaluation: dg.AssetCheckEvaluation

    @property
    def table(self) -> str:
        """The asset's name."""
        return self.evaluation.asset_key.to_user_string()

    @property
    def problem(self) -> str:
        """What makes two failures the same problem: the table and the check."""
        return f"check:{self.table}:{self.evaluation.check_name}"


def tell(
    evaluated: Iterable[Evaluated], *, settings: Settings, ledger: Ledger, slack: Slack, now: datetime
) -> dict[str, int]:
    """Send what the on-call should know and return counts: sent, suppressed, resolved.

    A window opens, and a problem is closed, only after Slack accepted the message.

    Raises:
        SourceError: Slack did not take a message; what was sent before is recorded, the rest can be told again.
    """
    section = settings.config.destinations.slack
    counts = {"sent": 0, "suppressed": 0, "resolved": 0}
    if section is None:
        return counts
    channel = section.alert_channel or section.channel
    window = timedelta(minutes=settings.config.alerts.window_minutes)
    still_open = read_alerts(ledger, state="open")
    for problem, group in _by_problem(evaluated).items():
        if all(INERT in one.evaluation.metadata for one in group):
            continue
        failed = [one for one in group if not one.evaluation.passed]
        if not failed:
            if problem in still_open:
                slack.post(channel, f"✅ {group[-1].table}: {group[-1].evaluation.check_name}")
                resolve_alert(ledger, problem)
                counts["resolved"] += 1
            continue
        counts["suppressed"] += len(failed) - 1  # a range of days fails day by day: one message for all of them
        if problem in still_open and all(TOLD_BEFORE in one.evaluation.metadata for one in failed):
            counts["suppressed"] += 1
            continue
        if not decide_alert(ledger, problem, window=window, now=now).send:
            counts["suppressed"] += 1
            continue
        message = render_alert(failed_check(_worst(failed), settings), settings.config.report.language)
        slack.post(channel, message.text, message.blocks)
        alert_sent(ledger, problem, now=now)
        counts["sent"] += 1
    return counts


def _by_problem(evaluated: Iterable[Evaluated]) -> dict[str, list[Evaluated]]:
    groups: dict[str, list[Evaluated]] = {}
    for one in evaluated:
        groups.setdefault(one.problem, []).append(one)
    return groups


def _worst(failed: list[Evaluated]) -> Evaluated:
    """The latest error, or the latest warning when there is none."""
    errors = [one for one in failed if one.evaluation.severity == dg.AssetCheckSeverity.ERROR]
    return (errors or failed)[-1]


def failed_check(one: Evaluated, settings: Settings) -> FailedCheck:
    """Return the failure in the words of an alert."""
    evaluation = one.evaluation
    partition = evaluation.partition
    day = date.fromisoformat(partition) if partition and len(partition) == len("2026-01-01") else None
    error = evaluation.severity == dg.AssetCheckSeverity.ERROR
    base = settings.config.report.dagster_url.rstrip("/")
    return FailedCheck(
        severity="error" if error else "warn",
        table=one.table,
        day=day,
        check=evaluation.check_name,
        description=evaluation.description or "",
        run_url=f"{base}/runs/{one.run_id}",
        command=f"scoring-platform run --date {day}" if error and day else None,
    )
