"""A ledger that is only read keeps every byte, whoever else is at work in it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from scoring_platform.errors import ConfigurationError
from scoring_platform.ledger.models import ModelVersion, keep_version, newest_version
from scoring_platform.ledger.schema import SCHEMA, SCHEMA_VERSION
from scoring_platform.ledger.store import Ledger
from scoring_platform.ledger.untouched import copy_of_models

MONTH = date(2026, 4, 1)


def version(refit: int) -> ModelVersion:
    return ModelVersion(MONTH, "abc", refit, {"models": [{"n": refit}]}, datetime(2026, 4, 2, tzinfo=UTC))


def address(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """What is in a folder, and when it was last changed; not the index that SQLite keeps of a log in use."""
    files = [path for path in folder.iterdir() if not path.name.endswith("-shm")]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def seen(folder: Path) -> ModelVersion | None:
    with copy_of_models(address(folder)) as copy:
        return newest_version(copy, MONTH, "abc")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a ledger that keeps one version."""
    with Ledger(address(tmp_path)) as ledger:
        keep_version(ledger, version(0))
    return tmp_path


def test_versions_are_copied_and_nothing_beside_the_ledger_changes(folder: Path) -> None:
    before = contents(folder)

    with copy_of_models(address(folder)) as copy:
        assert newest_version(copy, MONTH, "abc") == version(0)
        keep_version(copy, version(1))
        assert newest_version(copy, MONTH, "abc") == version(1)

    assert contents(folder) == before
    assert list(before) == ["ledger.db"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_enough(folder: Path) -> None:
    folder.chmod(0o500)
    try:
        assert seen(folder) == version(0)
    finally:
        folder.chmod(0o700)


def test_a_writer_in_the_middle_of_its_work_is_not_waited_for(folder: Path) -> None:
    with Ledger(address(folder)) as ledger:
        keep_version(ledger, version(1))
        with ledger.writing() as connection:
            connection.execute(update(SCHEMA).values(version=SCHEMA_VERSION))
            before = contents(folder)
            assert seen(folder) == version(1), "what is committed counts, wherever it is"
            assert contents(folder) == before


def _write_and_die(url: str) -> None:
    ledger = Ledger(url).open()
    keep_version(ledger, version(1))
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_writer_had_committed_is_seen_and_left_where_it_is(folder: Path) -> None:
    killed = multiprocessing.get_context("spawn").Process(target=_write_and_die, args=(address(folder),))
    killed.start()
    killed.join()
    before = contents(folder)

    assert "ledger.db-wal" in before
    assert seen(folder) == version(1)
    assert contents(folder) == before


def test_a_ledger_that_is_not_there_has_no_versions_and_is_not_made(tmp_path: Path) -> None:
    assert seen(tmp_path / "nowhere") is None
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_has_no_versions(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()

    assert seen(tmp_path) is None


@pytest.mark.parametrize(
    ("broken", "words"),
    [("later", "layout 99, this version knows"), ("text", "cannot be read: file is not a database")],
)
def test_a_ledger_that_cannot_be_understood_is_refused(folder: Path, broken: str, words: str) -> None:
    if broken == "text":
        (folder / "ledger.db").write_text("not a database, whatever the name says" * 100)
    else:
        with Ledger(address(folder)) as ledger, ledger.writing() as connection:
            connection.execute(update(SCHEMA).values(version=99))

    with pytest.raises(ConfigurationError, match=words):
        seen(folder)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="SCORING_LEDGER_URL is not a database address"):
        copy_of_models("no address")
