"""kill -9 wherever it hurts, then the same command again: the end is that of a run nobody disturbed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from random import Random

import dagster as dg
import pytest

from scoring_platform.orchestration.runs import fail_orphans
from scoring_platform.sandbox.connection import Endpoint
from scoring_platform_tests.end_to_end.platform import Platform, packaged, write_config

DAY = date(2025, 10, 24)
START = date(2025, 10, 20)
POLL_SECONDS = 0.01
PATIENCE_SECONDS = 90

Reached = Callable[[Platform, Endpoint], bool]


def published(table: str) -> Reached:
    return lambda platform, endpoint: platform.lake.version_id(table, DAY) is not None


def history_begun(platform: Platform, endpoint: Endpoint) -> bool:
    return bool(platform.lake.days("raw_orders"))


def crm_half_written(platform: Platform, endpoint: Endpoint) -> bool:
    calls = sum(one["count"] for one in endpoint.requests() if "/contacts/batch/" in one["path"] and one["writes"])
    return bool(calls >= 3)


def mail_out(platform: Platform, endpoint: Endpoint) -> bool:
    return bool(platform.mails())


POINTS: tuple[Reached, ...] = (history_begun, published("customer_profiles"), crm_half_written, mail_out)


def small(root: Path) -> Platform:
    """A home of few days, one source, small CRM batches."""
    written = packaged()
    written["sources"] = {"shopify": {"endpoint": "sandbox"}}
    written["destinations"]["hubspot"]["batch_size"] = 40
    written["destinations"]["slack"].pop("alert_channel")
    platform = Platform(root / "home", write_config(root / "scoring.yaml", written, history_start=START))
    platform.set_clock(DAY)
    return platform


def kill_when(platform: Platform, endpoint: Endpoint, reached: Reached) -> bool:
    """Start the run and kill it without warning at the point; return whether it was still running then."""
    process = platform.start("run", "--date", str(DAY))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and not reached(platform, endpoint):
        assert time.monotonic() < deadline, "the point was never reached"
        time.sleep(POLL_SECONDS)
    return _kill(process)


def _kill(process: subprocess.Popen[str]) -> bool:
    running = process.poll() is None
    if running:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return running


def same_rows(one: Platform, other: Platform) -> None:
    """Compare two homes row by row; when a row was sent is a time, and may differ."""
    assert one.lake.tables() == other.lake.tables()
    for name in one.lake.tables():
        assert one.lake.days(name) == other.lake.days(name), name
        if name != "crm_sync":
            assert one.versions(name) == other.versions(name), name
    synced = [[(row["customer_id"], row["status"]) for row in home.rows("crm_sync", DAY)] for home in (one, other)]
    assert synced[0] == synced[1]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    platform = small(tmp_path_factory.mktemp("undisturbed"))
    with platform.company():
        done = platform.command("run", "--date", str(DAY))
    assert done.code == 0, done.said
    return platform


def end_state_is_that_of(undisturbed: Platform, platform: Platform) -> None:
    same_rows(platform, undisturbed)
    assert platform.contacts() == undisturbed.contacts()
    assert 1 <= len(platform.mails()) <= 2
    assert 1 <= len(platform.messages("C0MARKETING")) - len(_alerts(platform)) <= 2
    assert len({mail["Message-ID"] for mail in platform.mails()}) == 1, "a repeat carries the same id"


def _alerts(platform: Platform) -> list[object]:
    return [one for one in platform.messages("C0MARKETING") if "no_quarantined_rows" in str(one)]


@pytest.mark.parametrize("points", [POINTS[2:3], pytest.param(POINTS, marks=pytest.mark.drill)], ids=["once", "often"])
@pytest.mark.timeout(600)
def test_a_run_that_is_killed_ends_like_one_nobody_disturbed(
    tmp_path: Path, undisturbed: Platform, points: Sequence[Reached]
) -> None:
    platform = small(tmp_path)
    with platform.company() as endpoint:
        hit = [kill_when(platform, endpoint, point) for point in points]
        assert hit == [True] * len(points), "every kill hit a running run"
        last = platform.command("run", "--date", str(DAY))

    assert last.code == 0, last.said
    end_state_is_that_of(undisturbed, platform)
    with platform.instance() as instance:
        left = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        failed = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
        assert left == [], "the next command fails the orphans of killed ones"
        assert len(failed) == len(points)
        assert fail_orphans(instance, platform.root) == 0


def test_a_run_told_to_stop_says_so_and_leaves_no_orphan(tmp_path: Path) -> None:
    platform = small(tmp_path)
    with platform.company() as endpoint:
        process = platform.start("run", "--date", str(DAY))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while process.poll() is None and not history_begun(platform, endpoint):
            assert time.monotonic() < deadline, "the run never began"
            time.sleep(POLL_SECONDS)
        process.terminate()
        out, err = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 1, out + err
    assert "interrupted; running the day again is safe" in err
    assert "Traceback" not in out + err
    with platform.instance() as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]


@pytest.mark.drill
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(4))
def test_a_run_killed_at_random_moments_ends_like_one_nobody_disturbed(
    tmp_path: Path, undisturbed: Platform, seed: int
) -> None:
    random, platform = Random(seed), small(tmp_path)
    with platform.company():
        for _ in range(8):
            process = platform.start("run", "--date", str(DAY))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(random.uniform(3, 25))
            _kill(process)
        last = platform.command("run", "--date", str(DAY))

    assert last.code == 0, last.said
    end_state_is_that_of(undisturbed, platform)
