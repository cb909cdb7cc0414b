"""The ledger itself: durable, shared by processes, refusing what it does not understand."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text, update

from scoring_platform.errors import ConfigurationError
from scoring_platform.ledger.extracts import advance_watermarks, read_watermarks
from scoring_platform.ledger.schema import SCHEMA
from scoring_platform.ledger.store import Ledger

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_a_commit_is_on_disk_before_it_returns(ledger: Ledger) -> None:
    with ledger.reading() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 30_000


def test_a_ledger_of_another_layout_is_refused(ledger: Ledger, url: str) -> None:
    with ledger.writing() as connection:
        connection.execute(update(SCHEMA).values(version=99))
    with pytest.raises(ConfigurationError, match="has layout 99"):
        Ledger(url).open()


@pytest.mark.parametrize("address", ["no address", "cobol://127.0.0.1/ledger"])
def test_a_wrong_address_names_the_variable(address: str) -> None:
    with pytest.raises(ConfigurationError, match="SCORING_LEDGER_URL"):
        Ledger(address).open()


def test_a_failed_transaction_leaves_nothing(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError), ledger.writing() as connection:  # noqa: PT012 - the two lines are one transaction
        connection.execute(text("INSERT INTO leases VALUES ('a', 'me', '2026-01-01 00:00:00')"))
        raise RuntimeError
    with ledger.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM leases")).scalar() == 0


def test_a_closed_ledger_opens_again_when_used(ledger: Ledger) -> None:
    advance_watermarks(ledger, {("shop", "raw_orders"): NOON})
    ledger.close()
    assert read_watermarks(ledger) == {("shop", "raw_orders"): NOON}


MANY = """
import sys
from datetime import UTC, datetime, timedelta
from scoring_platform.ledger.leases import acquire_lease
from scoring_platform.ledger.store import Ledger
with Ledger(sys.argv[1]) as ledger:
    for number in range(10):
        acquire_lease(ledger, f"{sys.argv[2]}-{number}", holder="x", ttl=timedelta(1), now=datetime.now(UTC))
    won = acquire_lease(ledger, "the one", holder=sys.argv[2], ttl=timedelta(1), now=datetime.now(UTC))
    print("won" if won else "lost")
"""


def test_processes_that_open_a_new_ledger_at_once_all_get_in_and_one_wins_the_lease(url: str) -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", MANY, url, str(number)], stdout=subprocess.PIPE, text=True)
        for number in range(4)
    ]
    said = [one.communicate(timeout=60)[0].strip() for one in running]
    assert sorted(said) == ["lost", "lost", "lost", "won"]
    with Ledger(url) as ledger, ledger.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM leases")).scalar() == 41


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from scoring_platform.ledger.extracts import advance_watermarks
from scoring_platform.ledger.store import Ledger
ledger = Ledger(sys.argv[1])
advance_watermarks(ledger, {("shop", "kept"): datetime(2026, 11, 20, 12, tzinfo=UTC)})
with ledger.writing() as connection:
    connection.exec_driver_sql("INSERT INTO extracts VALUES ('shop', 'lost', '2026-11-20 12:00:00.000000')")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_keeps_what_was_committed_and_nothing_else(url: str, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    subprocess.run([sys.executable, "-c", KILLED, url], check=False, timeout=30)
    with Ledger(url) as ledger:
        assert read_watermarks(ledger) == {("shop", "kept"): NOON}
