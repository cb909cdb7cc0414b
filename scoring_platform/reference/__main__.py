"""Writes the reference pages: ``python -m scoring_platform.reference FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from scoring_platform.reference.pages import write_pages


def main(arguments: list[str]) -> int:
    """Write the pages into the folder named first and return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m scoring_platform.reference FOLDER\n")
        return 2
    for path in write_pages(Path(arguments[0])):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
