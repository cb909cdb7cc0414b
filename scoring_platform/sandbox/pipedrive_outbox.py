"""What the sandbox's Pipedrive received and has: for tests and the demo, server running or not.

Belongs here: reading it from the state folder, in the names people see. Does not belong here: receiving it.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from scoring_platform.sandbox.pipedrive_rules import in_words
from scoring_platform.sandbox.pipedrive_store import DATABASE, Kind, PipedriveStore


def received(state_dir: Path) -> list[dict[str, Any]]:
    """Return the writes that were carried out, in order: operation, id, and for records the ``properties``.

    Properties are custom fields by name with the values as sent, options as their labels: what a plan's payload holds,
    and our key with it where it was given. Notes have their ``content`` and ``person_id``.
    """
    with closing(PipedriveStore(state_dir / DATABASE)) as store:
        return store.received()


def persons(state_dir: Path) -> list[dict[str, Any]]:
    """Return what clients have made of persons; see ``records``."""
    return records(state_dir, "persons")


def records(state_dir: Path, kind: Kind) -> list[dict[str, Any]]:
    """Return what clients have made of records: ``id``, ``properties`` by name, and what else was written."""
    with closing(PipedriveStore(state_dir / DATABASE)) as store:
        fields = store.fields(kind)
        return [
            {**item, "id": str(key), "properties": in_words(item.get("custom_fields", {}), fields)}
            for key, item in store.records(kind).items()
            if not item.get("is_deleted")
        ]


def notes(state_dir: Path) -> list[dict[str, Any]]:
    """Return the notes there are: ``id``, ``person_id``, ``content``."""
    with closing(PipedriveStore(state_dir / DATABASE)) as store:
        return [{**item, "id": str(key)} for key, item in store.notes().items() if item["active_flag"]]
