"""A range of days in one run gives the same rows as its days run one by one."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import ibis.expr.types as ir
import pytest

from scoring_platform.orchestration.build import build_definitions
from scoring_platform.pipeline import scores
from scoring_platform.pipeline.step import Step
from scoring_platform_tests.end_to_end.fixtures import SHOP_START, orders_of, shop, write_orders
from scoring_platform_tests.end_to_end.platform import REPOSITORY, Platform

HISTORY_DAYS = 29
FIRST = SHOP_START + timedelta(days=HISTORY_DAYS)
DERIVED_UNTIL_TRANSITIONS = (
    "raw_orders", "customer_identities", "customer_activity", "nps_responses", "score_models", "customer_profiles",
    "customer_scores", "score_changes", "customer_segments", "segment_transitions",
)  # fmt: skip
IN_PIECES = ("customer_identities", "customer_activity", "customer_profiles", "customer_scores", "customer_segments")
CDNOW = REPOSITORY.parent / "shared" / "data" / "cdnow" / "cdnow_master.csv.gz"


def lively_log(days: int) -> list[dict[str, Any]]:
    """A log in which people arrive, merge, return goods and fall silent, across the end of a month."""
    random, rows = Random(7), orders_of(SHOP_START, days)
    for number, row in enumerate(rows):
        if number % 11 == 0:
            row["customer_ref"], row["email"] = "", f"guest{number:03d}@example.com"
        if number % 13 == 0:
            row["refunded_amount"] = row["total_amount"]
        if number % 17 == 0:
            row["email"] = f"person{(number // 17) % 5:03d}@example.jp"
        if number > 100 and row["customer_ref"] in ("c001", "c004"):
            row["status"] = "cancelled"
        row["ordered_at"] = f"{row['ordered_at'][:10]} {random.randrange(24):02d}:{random.randrange(60):02d}:00"
    return rows


def run(platform: Platform, days: list[date]) -> None:
    """Run the tables that a range must give alike."""
    outcome = platform.make(days, *DERIVED_UNTIL_TRANSITIONS)
    assert outcome.success, outcome.failures


def load_facts(platform: Platform, last: date) -> None:
    """Load all facts first: who is who is answered by today's graph, so both ways must know the same facts."""
    start = platform.settings.config.history_start
    wanted = [start + timedelta(days=offset) for offset in range((last - start).days + 1)]
    assert platform.make(wanted, "raw_orders").success


def compare(one_by_one: Platform, at_once: Platform, days: list[date]) -> None:
    """Every table, row by row."""
    for table in DERIVED_UNTIL_TRANSITIONS:
        for day in days:
            assert at_once.rows(table, day) == one_by_one.rows(table, day), (table, day)
    assert at_once.versions() == one_by_one.versions()


def run_both_ways(one_by_one: Platform, at_once: Platform, days: list[date]) -> None:
    for platform in (one_by_one, at_once):
        load_facts(platform, days[-1])
    for day in days:
        run(one_by_one, [day])
    run(at_once, days)
    compare(one_by_one, at_once, days)


def shops(root: Path, days: int, **changes: Any) -> tuple[Platform, Platform]:
    homes = []
    for name in ("one_by_one", "at_once"):
        platform = shop(root / name, rfm={"minimum_buyers": 10}, **changes)
        write_orders(platform, lively_log(days))
        homes.append(platform)
    return homes[0], homes[1]


def test_a_range_gives_the_same_rows_as_its_single_days(tmp_path: Path) -> None:
    days = [FIRST + timedelta(days=offset) for offset in range(2)]
    one_by_one, at_once = shops(tmp_path, HISTORY_DAYS + 6)

    run_both_ways(one_by_one, at_once, days)

    assert days[0].month != days[-1].month, "the range crosses the end of a month, where models change"
    assert any(at_once.rows("segment_transitions", day) for day in days)


def test_a_range_sends_nothing_and_reports_nothing(tmp_path: Path) -> None:
    _, platform = shops(tmp_path, HISTORY_DAYS + 6)

    done = platform.command("backfill", "--from", str(FIRST), "--to", str(FIRST + timedelta(days=1)))

    assert done.code == 0, done.said
    assert platform.lake.days("customer_segments") == [FIRST, FIRST + timedelta(days=1)]
    assert "crm_sync_plan" not in platform.lake.tables()
    assert not platform.settings.reports_root.exists()


def start_again(platform: Platform, days: list[date]) -> None:
    """Run the backfill that was interrupted once more; what it had published stays as the first run left it."""
    before = {(name, day): made_by(platform, name, day) for name in IN_PIECES for day in days}
    made = {place: run_id for place, run_id in before.items() if run_id is not None}
    assert made, "something was done before"

    again = platform.command("backfill", "--from", str(days[0]), "--to", str(days[-1]))

    assert again.code == 0, again.said
    assert {place: made_by(platform, *place) for place in made} == made
    assert "was done already" in again.said


def made_by(platform: Platform, table: str, day: date) -> str | None:
    version = platform.lake.version(table, day)
    return str(version.info["run_id"]) if version else None


def test_an_interrupted_range_goes_on_after_the_pieces_that_were_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [FIRST + timedelta(days=offset) for offset in range(4)]
    undisturbed, platform = shops(tmp_path, HISTORY_DAYS + 6, engine={"range_days": 2})
    assert undisturbed.command("backfill", "--from", str(days[0]), "--to", str(days[-1])).code == 0

    whole = scores.customer_scores

    def interrupted(step: Step) -> ir.Table:
        if step.days[0] > days[0]:
            raise SystemError
        return whole(step)

    with monkeypatch.context() as patch:
        patch.setattr(scores, "customer_scores", interrupted)
        failed = platform.command("backfill", "--from", str(days[0]), "--to", str(days[-1]))
    assert failed.code == 1, failed.said
    assert platform.lake.days("customer_scores") == days[:2], failed.said

    start_again(platform, days)
    compare(undisturbed, platform, days)

    refit = platform.command("models", "refit", "--through", str(days[-1]), "--json")
    assert platform.command("backfill", "--from", str(days[0]), "--to", str(days[-1])).code == 0
    assert {row["model_version"] for row in platform.rows("customer_scores", days[-1])} == {
        json.loads(refit.out)["version"]
    }


@pytest.mark.drill
@pytest.mark.timeout(1200)
def test_a_range_that_is_killed_again_and_again_ends_like_one_nobody_disturbed(tmp_path: Path) -> None:
    days = [FIRST + timedelta(days=offset) for offset in range(12)]
    undisturbed, platform = shops(tmp_path, HISTORY_DAYS + 14, engine={"range_days": 3})
    assert undisturbed.command("backfill", "--from", str(days[0]), "--to", str(days[-1])).code == 0

    for table, day in (("customer_profiles", days[2]), ("customer_scores", days[5]), ("customer_segments", days[8])):
        kill_when_published(platform, days, table, day)
    start_again(platform, days)
    compare(undisturbed, platform, days)


def kill_when_published(platform: Platform, days: list[date], table: str, day: date) -> None:
    process = platform.start("backfill", "--from", str(days[0]), "--to", str(days[-1]))
    while process.poll() is None and platform.lake.version_id(table, day) is None:
        time.sleep(0.01)
    assert process.poll() is None, "it was still running"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.drill
@pytest.mark.timeout(1200)
def test_thirty_days_at_once_are_thirty_single_days(tmp_path: Path) -> None:
    one_by_one, at_once = shops(tmp_path, HISTORY_DAYS + 32)

    run_both_ways(one_by_one, at_once, [FIRST + timedelta(days=offset) for offset in range(30)])


@pytest.mark.drill
@pytest.mark.needs_shared
@pytest.mark.timeout(2400)
@pytest.mark.skipif(not CDNOW.exists(), reason="needs ../shared/data/cdnow")
def test_thirty_days_of_a_real_log_at_once_are_thirty_single_days(tmp_path: Path) -> None:
    example = REPOSITORY / "docs" / "examples" / "cdnow.yaml"
    one_by_one, at_once = (Platform(tmp_path / name, example) for name in ("one_by_one", "at_once"))

    run_both_ways(one_by_one, at_once, [date(1997, 9, 1) + timedelta(days=offset) for offset in range(30)])


def test_the_tables_compared_are_those_of_the_graph_before_activation(tmp_path: Path) -> None:
    graph = build_definitions(shop(tmp_path).settings).resolve_asset_graph()
    before = {
        key.to_user_string()
        for key in graph.get_all_asset_keys()
        if graph.get(key).group_name not in ("activation", "reporting")
    }

    assert before == set(DERIVED_UNTIL_TRANSITIONS)
