"""Files of the sandbox's state folder.

Belongs here: where the state lives and how a file is replaced. Does not belong here: what is in the files.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def state_folder(home: Path) -> Path:
    """Return the folder that holds all state of the sandbox of ``home``, made if missing."""
    folder = home / "sandbox"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_atomically(path: Path, text: str) -> None:
    """Replace ``path`` so that a reader sees the old text or the new, never a part."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def create_once(path: Path, text: str) -> str:
    """Write ``path`` unless it exists, and return what it then holds; safe when two processes race."""
    if not path.exists():
        aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        aside.touch(mode=0o600)
        aside.write_text(text, encoding="utf-8")
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            aside.unlink()
    return path.read_text(encoding="utf-8")
