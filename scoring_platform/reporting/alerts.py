"""The alert in Slack when an asset check fails: what, where, what it blocks and how to mend it.

Belongs here: the message of one failed check. Does not belong here: deciding whether to alert, sending.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

from scoring_platform.reporting.blocks import (
    MAX_MESSAGE_TEXT,
    MAX_SECTION_TEXT,
    Block,
    SlackMessage,
    bullets,
    button,
    clipped,
    context,
    escape,
    fields,
    header,
    section,
)
from scoring_platform.reporting.data import Language
from scoring_platform.reporting.formats import ABSENT, Formats
from scoring_platform.reporting.words import Words

MAX_SAMPLE_KEYS = 5
MAX_BLOCKED = 12
MAX_KEY = 200

Severity = Literal["error", "warn"]


@dataclass(frozen=True)
class FailedCheck:
    """One failed asset check.

    Attributes:
        severity: ``error`` stopped the publication, ``warn`` did not.
        table: The table, as its asset is named.
        day: The partition; None for a table without days.
        check: Name of the check.
        description: What failed, in a sentence without personal data.
        sample_keys: Keys of offending rows, masked by the caller.
        failed_rows: How many rows failed; None when the check does not count rows.
        blocked: Tables that are not updated because of it.
        run_url: The run in the Dagster UI; None when it has no address.
        command: What to type once the cause is mended.
    """

    severity: Severity
    table: str
    day: date | None
    check: str
    description: str
    sample_keys: tuple[str, ...] = ()
    failed_rows: int | None = None
    blocked: tuple[str, ...] = ()
    run_url: str | None = None
    command: str | None = None


def render_alert(failed: FailedCheck, language: Language) -> SlackMessage:
    """Return the message about one failed check."""
    words = Words(language)
    # The currency plays no part in an alert; only dates and counts are written.
    formats = Formats(language, "JPY")
    title = words.say(f"alert.{failed.severity}")
    day = formats.day(failed.day) if failed.day else ABSENT
    parts = [header(f"{title}{words.say('colon')}{failed.table}"), fields(_facts(failed, words, day))]
    parts.extend(_details(failed, words, formats))
    parts.extend(button(words.say("alert.open_run"), failed.run_url))
    text = f"{title}{words.say('colon')}{failed.table} {day} {failed.check} {failed.description}"
    return SlackMessage(text=clipped(escape(text), MAX_MESSAGE_TEXT), blocks=parts)


def _facts(failed: FailedCheck, words: Words, day: str) -> list[str]:
    facts = {
        "alert.severity": words.say(f"alert.severity_{failed.severity}"),
        "alert.day": day,
        "alert.table": failed.table,
        "alert.check": failed.check,
    }
    return [f"*{escape(words.say(key))}*\n{escape(value)}" for key, value in facts.items()]


def _details(failed: FailedCheck, words: Words, formats: Formats) -> Iterator[Block]:
    rest = words.say("and_more", count="{count}")
    yield section(f"*{escape(words.say('alert.failed'))}*\n{escape(failed.description)}")
    if failed.sample_keys:
        keys = [_code(key) for key in failed.sample_keys[:MAX_SAMPLE_KEYS]]
        yield section(f"*{escape(_sample_title(failed, words, formats))}*\n{bullets(keys, limit=len(keys), rest=rest)}")
    if failed.blocked:
        lines = bullets((_code(table) for table in failed.blocked), limit=MAX_BLOCKED, rest=rest)
        yield section(f"*{escape(words.say('alert.blocks'))}*\n{lines}")
    else:
        yield context(escape(words.say("alert.blocks_none")))
    if failed.command:
        yield section(f"*{escape(words.say('alert.command'))}*\n{_fenced(failed.command)}")


def _sample_title(failed: FailedCheck, words: Words, formats: Formats) -> str:
    if failed.failed_rows is None:
        return words.say("alert.samples_only")
    return words.say("alert.samples", failed.failed_rows, count=formats.integer(failed.failed_rows))


def _code(text: str) -> str:
    # A backtick inside would end the code span.
    return f"`{clipped(escape(text.replace('`', chr(39))), MAX_KEY)}`"


def _fenced(command: str) -> str:
    fence = "```"
    room = MAX_SECTION_TEXT - MAX_KEY
    return f"{fence}{clipped(escape(command.replace(fence, chr(39))), room)}{fence}"
