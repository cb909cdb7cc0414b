"""Two processes write to one CRM and together stay within what it allows; its 429s are nobody's error."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import stamina
from starlette.routing import Mount

from scoring_platform.ledger.store import Ledger
from scoring_platform.sandbox.faults import Fault
from scoring_platform.sandbox.limits import Limits
from scoring_platform_tests.destinations.pipedrive_company import Stage, crm, ours, statuses, write
from scoring_platform_tests.destinations.running import company, serving

CALLS = 20
"""In any two seconds: fewer than the two make at once, and more than half of what they make in all."""

ROWS = 14

WRITING = """
import logging, sys
from scoring_platform.ledger.rates import Rates
from scoring_platform.ledger.store import Ledger
from scoring_platform_tests.destinations.pipedrive_company import crm, write
logging.basicConfig(level=logging.WARNING)
url, ledger, first, rows = sys.argv[1], Ledger(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
pipedrive = crm(url, memory=Rates(ledger, url))
print("ready", flush=True)
sys.stdin.readline()
receipts = pipedrive.apply([write(number) for number in range(first, first + rows)])
print(sum(receipt.status == "acknowledged" for receipt in receipts))
"""


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_two_processes_that_call_at_once_use_one_budget_and_never_exceed_it(tmp_path: Path, stage: Stage) -> None:
    shop = company(tmp_path / "shop", limits=Limits(pipedrive_per_two_seconds=CALLS))
    ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
    Ledger(ledger).open().close()
    with serving("/pipedrive", [Mount("", app=stage)]) as stage.running:
        stage.play(shop)
        command = [sys.executable, "-c", WRITING, stage.running.url, ledger]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes = [subprocess.Popen([*command, str(first), str(ROWS)], **pipes) for first in (0, ROWS)]  # type: ignore[call-overload]
        for one in processes:
            assert one.stdout.readline() == "ready\n"
        for one in processes:
            one.stdin.write("go\n")
            one.stdin.flush()
        told = [one.communicate(timeout=60) for one in processes]

    assert [out.strip() for out, _ in told] == [str(ROWS)] * 2
    assert not [err for _, err in told if err], "no call was refused, so nothing was worth a word"
    assert len(ours(tmp_path / "shop")) == 2 * ROWS


def test_a_429_is_waited_for_and_never_logged_as_an_error(
    tmp_path: Path, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    shop = company(tmp_path / "shop")
    with (
        serving("/pipedrive", [Mount("", app=stage)]) as stage.running,
        stamina.set_testing(True, attempts=3, cap=True),
    ):
        stage.play(shop)
        shop.faults.add(Fault("/pipedrive/api/v2/persons", "throttle", times=2))
        assert statuses(crm(stage.running.url).apply([write(number) for number in range(5)])) == {"acknowledged": 5}

    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert sum(" 429 " in record.getMessage() for record in caplog.records) == 2
