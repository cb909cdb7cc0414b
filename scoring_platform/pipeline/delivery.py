"""The report's way to people: one mail and one Slack message per day, however often the day is run.

Belongs here: keys, and what each channel is given. Does not belong here: the once-only record
(``destinations.delivery``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from scoring_platform.destinations.delivery import Sending, deliver_once
from scoring_platform.destinations.email import Mailer, compose, message_id_for
from scoring_platform.destinations.slack import Slack
from scoring_platform.pipeline.step import Step
from scoring_platform.reporting.data import ReportData
from scoring_platform.reporting.email_body import render_email
from scoring_platform.reporting.slack_blocks import render_slack

NOT_CONFIGURED = "not configured"


def deliver_by_email(step: Step, mailer: Mailer | None, data: ReportData) -> str:
    """Send the report by e-mail unless it was sent; return what happened.

    Raises:
        SourceError: The mail server did not take it.
    """
    section = step.config.destinations.email
    if mailer is None or section is None:
        return NOT_CONFIGURED
    body = render_email(data)

    def send(sending: Sending) -> str:
        message = compose(
            body.subject,
            body.html,
            text=body.text,
            images=body.images,
            sender=section.sender,
            recipients=section.recipients,
            message_id=message_id_for(sending.key, section.sender),
            date=step.now,
        )
        refused = mailer.send(message)
        return f"{message['Message-ID']}" + (f" ({len(refused)} recipients refused)" if refused else "")

    return _delivered(step, f"report:{data.as_of}:email", send, kind="email")


def deliver_by_slack(step: Step, slack: Slack | None, data: ReportData) -> str:
    """Post the summary to Slack unless it was posted; return what happened.

    Raises:
        SourceError: Slack did not take it.
    """
    section = step.config.destinations.slack
    if slack is None or section is None:
        return NOT_CONFIGURED
    message = render_slack(data)

    def send(sending: Sending) -> str:
        del sending  # the day in the heading tells a repeat
        return slack.post(section.channel, message.text, message.blocks)

    return _delivered(step, f"report:{data.as_of}:slack", send, kind="slack")


def _delivered(step: Step, key: str, send: Callable[[Sending], str], *, kind: str) -> str:
    found = deliver_once(step.ledger, key, send, kind=kind, now=lambda: datetime.now(UTC))
    return found.status if found.destination_id is None else f"{found.status}: {found.destination_id}"
