"""Folders and files that only their owner may read, whatever the umask: the home and what it holds is personal data.

Belongs here: making them. Does not belong here: what they are for. One that is there already stays as it is: whoever
runs the platform may have shared it on purpose.
"""

from __future__ import annotations

import os
from pathlib import Path

_FOLDER = 0o700
_FILE = 0o600


def make_folder(path: Path) -> None:
    """Make ``path`` for its owner alone; parents that are missing are made as usual."""
    try:
        path.mkdir(_FOLDER, parents=True)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    path.chmod(_FOLDER)  # a umask that takes from the owner too


def make_file(path: Path) -> None:
    """Make an empty file for its owner alone."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, _FILE)
    finally:
        os.close(descriptor)
