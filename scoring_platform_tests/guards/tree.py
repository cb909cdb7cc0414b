"""Where the guards look: the repository, the package, its modules."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "scoring_platform"
TESTS = REPOSITORY / "scoring_platform_tests"


def modules(*roots: Path) -> list[Path]:
    """Return every Python file below ``roots``, in a fixed order."""
    return sorted(path for root in roots for path in root.rglob("*.py"))


def named(path: Path) -> str:
    """Return ``path`` as a person would say it: relative to the repository."""
    return path.relative_to(REPOSITORY).as_posix()
