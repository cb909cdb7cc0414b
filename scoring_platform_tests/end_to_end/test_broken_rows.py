"""Bad rows: set aside with a warning, or stopping the day, and the on-call hears of it once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import ibis
import ibis.expr.types as ir
import pytest
import stamina

from scoring_platform.orchestration.build import build_definitions
from scoring_platform.orchestration.sensors import run_evaluations, untold_evaluations
from scoring_platform.pipeline import profile
from scoring_platform.pipeline.step import Step
from scoring_platform_tests.end_to_end.fixtures import SHOP_START, orders_of, shop, write_orders
from scoring_platform_tests.end_to_end.platform import Platform

YESTERDAY = SHOP_START + timedelta(days=6)
DAY = YESTERDAY + timedelta(days=1)
AFTER_PROFILES = {"customer_scores", "customer_segments", "segment_transitions", "crm_sync", "daily_report"}


@pytest.fixture(scope="module")
def shop_after_a_week(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A shop after seven good days, with a Slack workspace that is running."""
    platform = shop(
        tmp_path_factory.mktemp("week"),
        destinations={"slack": {"endpoint": "sandbox", "channel": "C0MARKETING", "alert_channel": "C0ONCALL"}},
        report={"language": "en"},
    )
    platform.set_clock(DAY)
    write_orders(platform, orders_of(SHOP_START, 7))
    with platform.company():
        done = platform.command("run", "--date", str(YESTERDAY))
        assert done.code == 0, done.said
        yield platform


@pytest.fixture
def week(shop_after_a_week: Platform, tmp_path: Path) -> Platform:
    """A copy of it, whose Slack is that of the original."""
    original = shop_after_a_week
    copied = original.copy(tmp_path / "home")
    (copied.root / "sandbox").rename(tmp_path / "unused")
    (copied.root / "sandbox").symlink_to(original.root / "sandbox")
    data = tmp_path / "data"
    data.mkdir()
    return Platform(copied.root, tmp_path / "scoring.yaml").with_text(original.config.read_text(encoding="utf-8"))


def day_orders(day: date, *, broken: int = 0) -> list[dict[str, Any]]:
    rows = orders_of(SHOP_START, (day - SHOP_START).days + 1, per_day=6)
    for row in rows[-broken:] if broken else []:
        row["total_amount"] = ""
        row["email"] = "someone.secret@example.jp"
    return rows


def evaluations(platform: Platform) -> dict[str, dg.AssetCheckEvaluation]:
    """Checks of the newest run that did not pass."""
    with platform.instance() as instance:
        run = instance.get_runs(limit=1)[0]
        found = [one.evaluation for one in run_evaluations(instance, run.run_id)]
    return {f"{one.asset_key.to_user_string()}.{one.check_name}": one for one in found if not one.passed}


def started_steps(platform: Platform) -> set[str]:
    with platform.instance() as instance:
        run = instance.get_runs(limit=1)[0]
        records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_START).records
    return {str(record.event_log_entry.step_key) for record in records}


def alerts_about(platform: Platform, words: str, *, since: int) -> list[str]:
    texts = [json.dumps(one, ensure_ascii=False) for one in platform.messages("C0ONCALL")[since:]]
    return [text for text in texts if words in text]


def test_a_broken_raw_row_is_set_aside_with_a_warning_and_the_day_goes_on(week: Platform) -> None:
    heard = len(week.messages("C0ONCALL"))
    write_orders(week, day_orders(DAY, broken=1))

    done = week.command("run", "--date", str(DAY))

    assert done.code == 0, done.said
    assert "warning: raw_orders.no_quarantined_rows: 1 rows set aside" in done.out
    assert {key: one.severity for key, one in evaluations(week).items()} == {
        "raw_orders.no_quarantined_rows": dg.AssetCheckSeverity.WARN
    }
    assert len(week.rows("raw_orders", DAY)) == 5
    assert week.lake.version("quarantine/raw_orders", DAY) is not None
    told = alerts_about(week, "no_quarantined_rows", since=heard)
    assert len(told) == 1
    assert "someone.secret" not in told[0] + done.said


def test_too_many_broken_rows_stop_the_day_and_leave_the_rest_as_it_was(week: Platform) -> None:
    heard, before = len(week.messages("C0ONCALL")), week.versions()
    write_orders(week, day_orders(DAY, broken=6))

    done = week.command("run", "--date", str(DAY))

    assert done.code == 1
    assert "FAILED CHECK: raw_orders.quarantine_share" in done.said
    assert "Traceback" not in done.said
    assert "someone.secret" not in done.said
    published = {key: version for key, version in week.versions().items() if not key[0].startswith("quarantine/")}
    assert published == {key: version for key, version in before.items() if not key[0].startswith("quarantine/")}
    assert week.lake.version("quarantine/raw_orders", DAY) is not None, "the rows are kept, with their reason"
    assert started_steps(week) == {"raw_orders"}
    assert len(alerts_about(week, "quarantine_share", since=heard)) == 1

    again = week.command("run", "--date", str(DAY))
    assert again.code == 1
    assert len(alerts_about(week, "quarantine_share", since=heard)) == 1, "one message per problem and window"

    write_orders(week, day_orders(DAY))
    mended = week.command("run", "--date", str(DAY))
    assert mended.code == 0, mended.said
    assert week.lake.version("customer_segments", DAY) is not None
    told = alerts_about(week, "quarantine_share", since=heard)
    assert len(told) == 2, "and one when it is over"
    assert "✅" in told[1]


def test_a_broken_derived_row_stops_everything_after_it_and_shows_the_rows_masked(
    week: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, before = len(week.messages("C0ONCALL")), week.versions("customer_profiles", "customer_segments")
    write_orders(week, day_orders(DAY))
    right = profile.customer_profiles

    def broken(step: Step) -> ir.Table:
        rows = right(step)
        return rows.mutate(orders=ibis.literal(-1, type="int64"))

    monkeypatch.setattr(profile, "customer_profiles", broken)
    done = week.command("run", "--date", str(DAY))

    assert done.code == 1
    assert "FAILED CHECK: customer_profiles.contract" in done.said
    assert "orders is below 0" in done.said
    assert "Traceback" not in done.said
    failed = evaluations(week)["customer_profiles.contract"]
    assert failed.severity == dg.AssetCheckSeverity.ERROR
    assert failed.blocking
    shown = str(failed.metadata)
    assert "p***@***.jp" in shown
    assert "@example.jp" not in shown + done.said
    assert f"scoring-platform run --date {DAY}" in shown
    assert week.versions("customer_profiles", "customer_segments") == before
    assert started_steps(week) & AFTER_PROFILES == set()
    told = alerts_about(week, "customer_profiles", since=heard)
    assert len(told) == 1
    assert f"scoring-platform run --date {DAY}" in told[0]


def test_the_sensor_tells_what_no_command_has_told_and_forgets_nothing_while_slack_is_down(week: Platform) -> None:
    heard = len(week.messages("C0ONCALL"))
    write_orders(week, day_orders(DAY, broken=1))
    settings = week.settings
    definitions = build_definitions(settings)
    sensor = definitions.resolve_sensor_def("asset_check_alert_sensor")
    with week.instance() as instance, week.company() as endpoint, stamina.set_testing(True):
        before = untold_evaluations(instance, 0)[1]
        job = definitions.resolve_job_def("daily_scoring_job")
        job.execute_in_process(instance=instance, partition_key=str(DAY), run_config=QUIET)

        def look(cursor: str) -> tuple[str, str | None]:
            with dg.build_sensor_context(
                instance=instance, cursor=cursor, resources=dict(definitions.resources or {})
            ) as context:
                skipped: Any = sensor(context)
                return str(skipped.skip_message), context.cursor

        endpoint.add_fault("/slack/api/chat.postMessage", "status", times=20)
        down, kept = look(str(before))
        endpoint.clear_faults()
        assert down.startswith("Slack did not take the alerts, they wait")
        assert kept == str(before), "nothing counts as told"
        assert alerts_about(week, "no_quarantined_rows", since=heard) == []

        up, moved = look(str(before))
        assert "1 sent" in up
        assert int(moved or 0) > before
        assert len(alerts_about(week, "no_quarantined_rows", since=heard)) == 1

        assert look(str(moved)) == ("no check was evaluated since the last look", moved)
        repeated, _ = look(str(before))
        assert "0 sent" in repeated, "told once in its window, however often it is looked at"


QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def test_a_day_without_its_history_fails_with_the_command_that_loads_it(tmp_path: Path) -> None:
    platform = shop(tmp_path)
    write_orders(platform, orders_of(SHOP_START, 8))
    definitions = build_definitions(platform.settings)
    with platform.instance() as instance:
        job = definitions.resolve_job_def("daily_scoring_job")
        result = job.execute_in_process(
            instance=instance, partition_key=str(DAY), run_config=QUIET, raise_on_error=False
        )
        checks = [one.evaluation for one in run_evaluations(instance, result.run_id)]

    failed = [one for one in checks if not one.passed]
    assert not result.success
    assert [(one.check_name, one.severity) for one in failed] == [("history_complete", dg.AssetCheckSeverity.ERROR)]
    assert f"raw_orders lacks 7 of 8 days ({SHOP_START} to {YESTERDAY})" in str(failed[0].description)
    assert f"scoring-platform run --date {DAY}" in str(failed[0].description)
    assert "customer_activity" not in platform.lake.tables()

    done = platform.command("run", "--date", str(DAY))
    assert done.code == 0, done.said
    assert platform.lake.version("customer_segments", DAY) is not None


def test_a_row_dated_in_the_future_is_set_aside(tmp_path: Path) -> None:
    platform = shop(tmp_path)
    rows = orders_of(SHOP_START, 2)
    ahead = datetime.now(UTC) + timedelta(days=3)
    rows.append({**rows[-1], "order_id": "later", "ordered_at": f"{ahead:%Y-%m-%d %H:%M:%S}"})
    write_orders(platform, rows)

    done = platform.command("run", "--date", str(SHOP_START + timedelta(days=1)))

    assert done.code == 0, done.said
    assert platform.lake.days("quarantine/raw_orders") == [ahead.date()], "it waits on its own day"
    assert all(row["order_id"] != "later" for row in platform.rows("raw_orders"))
