"""The lake's folders: immutable versions and the links that publish them.

A day is published at ``<table>/as_of=YYYY-MM-DD``, a relative link to a version folder under ``.versions``. Publishing
swaps the link in one step, so a reader sees the old day or the new one and a killed run leaves the old one. Readers
resolve links once (``pin``) and then read files that never change.

Belongs here: names, links, versions and their collection. Does not belong here: what is in the files (see ``engine``).
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from scoring_platform.errors import ConfigurationError

CURRENT = "current"
KEEP_UNLINKED = timedelta(hours=1)
KEEP_STAGED = timedelta(days=1)
_INFO = "_version.json"
_FLUSH_ONE_BY_ONE = 32


@dataclass(frozen=True)
class Version:
    """One immutable version of one published day.

    Attributes:
        table: The table.
        day: The business day; None for an unpartitioned table.
        folder: Where its Parquet files are.
    """

    table: str
    day: date | None
    folder: Path

    @property
    def version(self) -> str:
        """Fingerprint of its rows: equal rows give an equal version."""
        return self.folder.name

    @property
    def files(self) -> list[str]:
        """The Parquet files, by absolute path."""
        return sorted(f"{self.folder}/{name}" for name in os.listdir(self.folder) if name.endswith(".parquet"))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self._recorded["rows"])

    @property
    def info(self) -> Mapping[str, Any]:
        """What was recorded with it, such as ``config_version`` and ``inputs``."""
        return {name: value for name, value in self._recorded.items() if name != "rows"}

    @cached_property
    def _recorded(self) -> dict[str, Any]:
        recorded: dict[str, Any] = json.loads((self.folder / _INFO).read_text(encoding="utf-8"))
        return recorded


class Lake:
    """The tree of published days under one root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def days(self, table: str, *, first: date | None = None, last: date | None = None) -> list[date]:
        """Return the published days of ``table`` within [first, last], oldest first."""
        try:
            names = os.listdir(self.root / table)
        except FileNotFoundError:
            return []
        days = sorted(date.fromisoformat(name[6:]) for name in names if name.startswith("as_of="))
        return [day for day in days if (first is None or day >= first) and (last is None or day <= last)]

    def tables(self) -> list[str]:
        """Return the names of all tables with at least one published day."""
        if not self.root.is_dir():
            return []
        names = sorted(path.name for path in self.root.iterdir() if path.is_dir() and not path.name.startswith("."))
        return [name for name in names if self.days(name) or self.version_id(name, None)]

    def latest(self, table: str, *, last: date | None = None) -> date | None:
        """Return the greatest published day of ``table`` up to ``last``."""
        days = self.days(table, last=last)
        return days[-1] if days else None

    def version(self, table: str, day: date | None) -> Version | None:
        """Resolve the published version of one day once; None when it is not published."""
        link = self._link(table, day)
        try:
            target = os.readlink(link)
        except FileNotFoundError:
            return None
        return Version(table, day, Path(os.path.normpath(f"{link.parent}/{target}")))

    def version_id(self, table: str, day: date | None) -> str | None:
        """Return only the fingerprint of a published day, without reading its folder."""
        try:
            return os.path.basename(os.readlink(self._link(table, day)))
        except FileNotFoundError:
            return None

    def pin(self, table: str, days: Iterable[date]) -> list[Version]:
        """Resolve many days at once; unpublished ones are left out."""
        found = (self.version(table, day) for day in days)
        return [version for version in found if version is not None]

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Give an empty folder on the same file system, removed afterwards."""
        folder = self.root / ".staging" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(
        self, table: str, day: date | None, staged: Path, *, version: str, rows: int, info: Mapping[str, Any]
    ) -> Version:
        """Make the Parquet files in the folder ``staged`` the published day.

        The caller has flushed the files (``flush``). A version that is already there is used again: only what is
        recorded with it is renewed.
        """
        label = CURRENT if day is None else f"as_of={day.isoformat()}"
        folder = self.root / ".versions" / table / label / version
        _write_info(staged, rows, info)
        _place(staged, folder)
        self._swap(table, day, folder)
        if not folder.is_dir():  # it was unlinked for long, and collected just before the swap
            _place(staged, folder)
        return Version(table, day, folder)

    def restore(self, table: str, day: date) -> Version:
        """Publish again the version that the latest one replaced.

        Raises:
            ConfigurationError: No replaced version is kept any more.
        """
        linked = self.version_id(table, day)
        parent = self.root / ".versions" / table / f"as_of={day.isoformat()}"
        kept = [path for path in _folders(parent) if path.name != linked]
        if not kept:
            hours = f"{KEEP_UNLINKED} after replacement"
            msg = f"{table} {day}: no replaced version is kept; versions are collected {hours}"
            raise ConfigurationError(msg)
        newest = max(kept, key=lambda path: path.stat().st_mtime)
        self._swap(table, day, newest)
        return self.pin(table, [day])[0]

    def collect(self, now: datetime) -> int:
        """Remove versions unlinked for an hour and staging folders left by killed runs; return how many."""
        removed = 0
        staging = self.root / ".staging"
        for folder in _folders(staging):
            removed += _remove_older(folder, now - KEEP_STAGED, through=staging)
        versions = self.root / ".versions"
        for label in _labels(versions):
            day = None if label.name == CURRENT else date.fromisoformat(label.name[6:])
            linked = self.version_id(str(label.parent.relative_to(versions)), day)
            for name in sorted(set(os.listdir(label)) - {linked}):
                removed += _remove_older(label / name, now - KEEP_UNLINKED, through=staging)
        return removed

    def _link(self, table: str, day: date | None) -> Path:
        return self.root / table / (CURRENT if day is None else f"as_of={day.isoformat()}")

    def _swap(self, table: str, day: date | None, folder: Path) -> None:
        link = self._link(table, day)
        link.parent.mkdir(parents=True, exist_ok=True)
        replaced = self.version_id(table, day)
        if replaced == folder.name:
            return
        partial = link.parent / f".{link.name}.{uuid.uuid4().hex}"
        os.symlink(os.path.relpath(folder, link.parent), partial)
        os.replace(partial, link)
        if replaced is not None:  # its hour begins now
            os.utime(folder.parent / replaced)


def _labels(versions: Path) -> Iterator[Path]:
    """Give the folders that hold the versions of one day, without looking into the versions."""
    for parent, names, _ in os.walk(versions):
        labels = [name for name in names if name == CURRENT or name.startswith("as_of=")]
        names[:] = [name for name in names if name not in labels]
        yield from (Path(parent, label) for label in sorted(labels))


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _place(staged: Path, folder: Path) -> None:
    """Make ``staged`` the version ``folder``; where the same rows are there already, renew what is recorded."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(staged, folder)
    except OSError:
        if not folder.is_dir():
            raise
        os.replace(shutil.copyfile(staged / _INFO, folder / f"{_INFO}.{uuid.uuid4().hex}"), folder / _INFO)
        os.utime(folder)


def _remove_older(folder: Path, limit: datetime, *, through: Path) -> int:
    """Remove ``folder`` if nothing touched it since ``limit``; it vanishes in one step, never file by file."""
    doomed = through / uuid.uuid4().hex
    try:
        if folder.stat().st_mtime >= limit.timestamp():
            return 0
        through.mkdir(exist_ok=True)
        os.rename(folder, doomed)
    except FileNotFoundError:
        return 0
    shutil.rmtree(doomed, ignore_errors=True)
    return 1


def flush(folder: Path) -> None:
    """Bring the files below ``folder`` to the disk, before a link may point at them."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    if len(files) > _FLUSH_ONE_BY_ONE:  # one call for the whole system is cheaper than thousands
        os.sync()
        return
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _write_info(folder: Path, rows: int, info: Mapping[str, Any]) -> None:
    partial = folder / f"{_INFO}.{uuid.uuid4().hex}"
    partial.write_text(json.dumps({"rows": rows, **info}, default=str), encoding="utf-8")
    partial.replace(folder / _INFO)
