"""The list of generated pages.

Belongs here: which page comes from where. Does not belong here: what is on a page.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scoring_platform.reference.configuration import configuration_page
from scoring_platform.reference.segments import segments_page
from scoring_platform.reference.tables import tables_page

PAGES: dict[str, Callable[[], str]] = {
    "configuration.md": configuration_page,
    "segments.md": segments_page,
    "tables.md": tables_page,
}


def write_pages(folder: Path) -> list[Path]:
    """Write every page into ``folder`` and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, page in PAGES.items():
        path = folder / name
        path.write_text(page(), encoding="utf-8")
        written.append(path)
    return written
