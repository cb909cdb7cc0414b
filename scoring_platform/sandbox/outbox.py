"""What the sandbox company received: for tests, the demo and ``make ui``.

Belongs here: reading the kept messages, mails and contacts from the state folder, server running or not. Does not
belong here: receiving them.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

MESSAGES = "slack/messages.jsonl"
MAIL = "mail"
_CRM = "hubspot.db"


def messages(state_dir: Path) -> list[dict[str, Any]]:
    """Return the Slack messages in order of posting, each as last edited."""
    path = state_dir / MESSAGES
    if not path.exists():
        return []
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        message = json.loads(line)
        latest[message["channel"], message["ts"]] = message
    return list(latest.values())


def mails(state_dir: Path) -> list[EmailMessage]:
    """Return the mails in order of arrival."""
    parser = BytesParser(policy=policy.default)
    paths = sorted((state_dir / MAIL).glob("*.eml"))
    return [parser.parsebytes(path.read_bytes()) for path in paths]


def contacts(state_dir: Path) -> list[dict[str, str]]:
    """Return the CRM's contacts; see ``crm_records``."""
    return crm_records(state_dir, "contacts")


def crm_records(state_dir: Path, kind: str) -> list[dict[str, str]]:
    """Return the CRM's stored records of a kind as their properties, with ``id``, ``createdAt`` and ``updatedAt``."""
    path = state_dir / _CRM
    if not path.exists():
        return []
    statement = "SELECT id, properties, created_at, updated_at FROM records WHERE kind = ? AND archived = 0 ORDER BY id"
    database = sqlite3.connect(path)
    try:
        rows = database.execute(statement, (kind,)).fetchall()
    finally:
        database.close()
    return [{**json.loads(row[1]), "id": str(row[0]), "createdAt": row[2], "updatedAt": row[3]} for row in rows]


def append_line(path: Path, message: Mapping[str, Any]) -> None:
    """Add one line to a file of JSON lines, on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(message, ensure_ascii=False) + "\n")
        lines.flush()
        os.fsync(lines.fileno())
