"""What holds personal data is its owner's alone from the beginning, whatever the umask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scoring_platform.ledger.inbox import Inbox, Post
from scoring_platform.ledger.private import make_file, make_folder
from scoring_platform.ledger.store import Ledger
from scoring_platform.settings import enter_environment, load_settings


@pytest.fixture(params=[0o000, 0o022, 0o377], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> str:
    """The rights of ``path``, in octal."""
    return oct(path.stat().st_mode & 0o777)


@pytest.mark.usefixtures("_umask")
def test_the_ledger_with_the_inbox_and_what_lies_beside_it_is_its_owners(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Ledger(f"sqlite:///{home / 'ledger.db'}") as ledger:
        event = {"email": "a@example.jp"}
        Inbox(ledger).store([Post("events", "website", [("1", event)])], clock=lambda: datetime(2026, 3, 2, tzinfo=UTC))
        found = {path.name: mode(path) for path in home.iterdir()}
    assert found == dict.fromkeys(["ledger.db", "ledger.db-wal", "ledger.db-shm"], "0o600")
    assert mode(home) == "0o700"


@pytest.mark.usefixtures("_umask")
def test_a_command_makes_the_home_for_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SCORING_HOME", "SCORING_CONFIG", "SCORING_DAGSTER_STORAGE", "DAGSTER_HOME"):
        monkeypatch.setenv(name, str(tmp_path))  # so that it is put back
    home = tmp_path / "home"
    enter_environment(load_settings({}, home=home))
    assert (mode(home), mode(home / "dagster")) == ("0o700", "0o700")


def test_a_home_that_was_shared_on_purpose_stays_shared(tmp_path: Path) -> None:
    shared, ledger = tmp_path / "home", tmp_path / "home" / "ledger.db"
    shared.mkdir()
    ledger.touch()
    shared.chmod(0o750)
    ledger.chmod(0o640)
    make_folder(shared)
    make_file(ledger)
    with Ledger(f"sqlite:///{ledger}"):
        assert (mode(shared), mode(ledger)) == ("0o750", "0o640")


def test_a_file_in_the_place_of_the_home_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "home")
