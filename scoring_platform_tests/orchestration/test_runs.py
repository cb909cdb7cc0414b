"""Runs of a process that is gone, and runs that are still at work."""

from __future__ import annotations

import signal
import threading
import uuid
from pathlib import Path

import dagster as dg
import pytest
from dagster._utils.interrupts import raise_interrupts_as

from scoring_platform.orchestration.build import build_definitions
from scoring_platform.orchestration.runs import STARTED_HERE, Runner, fail_orphans, stoppable
from scoring_platform.orchestration.turns import alive, is_alive, turn
from scoring_platform_tests.end_to_end.fixtures import SHOP_START, OpenShop, orders_of, write_orders


def left_started(instance: dg.DagsterInstance, definitions: dg.Definitions, **tags: str) -> str:
    """Record a run as a killed process leaves it."""
    job = definitions.resolve_job_def("daily_scoring_job")
    return instance.create_run_for_job(
        job, run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.STARTED, tags=tags
    ).run_id


def test_orphans_fail_and_a_run_at_work_does_not(open_shop: OpenShop) -> None:
    platform = open_shop()
    definitions = build_definitions(platform.settings)
    with platform.instance() as instance:
        gone, working = (left_started(instance, definitions, **STARTED_HERE) for _ in range(2))
        of_the_daemon = left_started(instance, definitions)
        with alive(platform.root, working):
            assert fail_orphans(instance, platform.root, own_only=True) == 1
            assert _status(instance, of_the_daemon) == dg.DagsterRunStatus.STARTED
            assert fail_orphans(instance, platform.root) == 1

            assert _status(instance, gone) == dg.DagsterRunStatus.FAILURE
            assert _status(instance, of_the_daemon) == dg.DagsterRunStatus.FAILURE
            assert _status(instance, working) == dg.DagsterRunStatus.STARTED


def _status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_only_one_has_the_turn_and_the_next_waits_for_it(tmp_path: Path) -> None:
    order: list[str] = []
    began = threading.Event()

    def second() -> None:
        began.set()
        with turn(tmp_path, "crm_sync"):
            order.append("second")

    with turn(tmp_path, "crm_sync"):
        waiting = threading.Thread(target=second)
        waiting.start()
        began.wait(5)
        with turn(tmp_path, "report_delivery"):
            order.append("another name does not wait")
        order.append("first")
    waiting.join(5)

    assert order == ["another name does not wait", "first", "second"]


def test_a_run_is_alive_only_while_its_process_says_so(tmp_path: Path) -> None:
    assert not is_alive(tmp_path, "r1")
    with alive(tmp_path, "r1"):
        assert is_alive(tmp_path, "r1")
    assert not is_alive(tmp_path, "r1")
    assert list((tmp_path / "locks").iterdir()) == [], "nothing is left behind"


def test_a_runner_reports_each_step_and_the_reason_of_a_failure(open_shop: OpenShop) -> None:
    platform = open_shop()
    said: list[str] = []
    with platform.instance() as instance:
        runner = Runner(platform.settings, instance, say=said.append)
        failed = runner.run([SHOP_START], tables=["raw_orders"])
        assert not failed.success
        assert "No files found" in failed.failures["raw_orders"]
        assert "FAILED raw_orders" in said[0]

        write_orders(platform, orders_of(SHOP_START, 2))
        made = runner.run([SHOP_START], tables=["raw_orders"])
        assert made.success
        assert made.failures == {}
        assert set(made.seconds) == {"raw_orders"}
        assert "ok     raw_orders" in said[1]
        assert {one.evaluation.check_name for one in made.checks} == {
            "no_quarantined_rows", "quarantine_share", "extract_not_empty",
        }  # fmt: skip


class Cleared:
    """An object during whose clearing away somebody asks to stop."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_a_signal_that_comes_while_an_object_is_cleared_away_is_not_lost() -> None:
    with stoppable(), raise_interrupts_as(dg.DagsterExecutionInterruptedError):
        Cleared()
        with pytest.raises(dg.DagsterExecutionInterruptedError):
            threading.Event().wait(20)
