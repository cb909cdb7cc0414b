"""kill -9 at random moments of a sync: the CRM ends in exactly the planned state, and no record is made twice."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from scoring_platform.sandbox.pipedrive_outbox import persons
from scoring_platform.sandbox.salesforce_store import received
from scoring_platform_tests.end_to_end.crm_shop import SECTIONS, crm_home, judge, planned, start_sync, sync
from scoring_platform_tests.end_to_end.platform import Platform

PATIENCE_SECONDS = 600.0
# Pipedrive takes persons one by one and few in a second.
FEW = {"hubspot": 400, "salesforce": 400, "pipedrive": 60}
MANY = {"hubspot": 5_000, "salesforce": 5_000, "pipedrive": 800}


def killed(process: subprocess.Popen[str], moment: float) -> bool:
    """Kill the process without warning after ``moment`` seconds; return whether it was still at work."""
    try:
        process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    return False


def seconds_of(process: subprocess.Popen[str]) -> float:
    started = time.monotonic()
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, out + err
    return time.monotonic() - started


def in_the_crm(platform: Platform, crm: str) -> list[dict[str, Any]]:
    """Records of the sandbox's CRM that carry our key, in the terms of the plan."""
    return READERS[crm](platform)


def hubspot(platform: Platform) -> list[dict[str, Any]]:
    return platform.contacts()


def salesforce(platform: Platform) -> list[dict[str, Any]]:
    return [one for one in received(platform.root / "sandbox") if one.get(KEYS["salesforce"])]


def pipedrive(platform: Platform) -> list[dict[str, Any]]:
    found = [one["properties"] for one in persons(platform.root / "sandbox")]
    return [one for one in found if one.get(KEYS["pipedrive"])]


READERS = {"hubspot": hubspot, "salesforce": salesforce, "pipedrive": pipedrive}
KEYS = {"hubspot": "customer_key", "salesforce": "Customer_Key__c", "pipedrive": "顧客キー"}


def end_as_planned(platform: Platform, crm: str, plan: dict[str, dict[str, Any]]) -> None:
    records = in_the_crm(platform, crm)
    times = Counter(str(one[KEYS[crm]]) for one in records)

    assert max(times.values()) == 1, "a record was made twice"
    found = {one[KEYS[crm]]: one for one in records}
    assert found.keys() == plan.keys()
    assert {who: {name: found[who].get(name) for name in payload} for who, payload in plan.items()} == plan


def disturbed(root: Path, crm: str, *, rows: int, kills: int, seed: int) -> None:
    """Sync ``rows`` rows while being killed ``kills`` times, then once in peace."""
    platform, chance = crm_home(root, crm), Random(seed)
    with platform.company():
        judge(platform, [number % 97 for number in range(rows)])
        plan = planned(platform)
        done = 0
        while done < kills:
            if not killed(start_sync(platform), 1.5 + chance.random() * 2.5):
                # It came to its end: everything changes, and there is work again.
                end_as_planned(platform, crm, plan)
                judge(platform, [(number * (done + 3)) % 97 for number in range(rows)])
                plan |= {who: plan.get(who, {}) | payload for who, payload in planned(platform).items()}
            done += 1
        sync(platform)
        end_as_planned(platform, crm, plan)
        assert sync(platform).counts == {}, "nothing is left to do"


@pytest.mark.parametrize("crm", SECTIONS)
def test_a_sync_that_is_killed_ends_as_planned(tmp_path: Path, crm: str) -> None:
    disturbed(tmp_path, crm, rows=FEW[crm], kills=2, seed=1)


@pytest.mark.drill
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("crm", SECTIONS)
def test_a_sync_of_thousands_of_rows_killed_at_fifty_moments_ends_as_planned(tmp_path: Path, crm: str) -> None:
    disturbed(tmp_path, crm, rows=MANY[crm], kills=50, seed=2)
