"""One morning of every asset, on the running sandbox company, in a real Dagster instance."""

from __future__ import annotations

import json
from datetime import timedelta
from html.parser import HTMLParser

import dagster as dg
import duckdb
import pyarrow.parquet as pq
import pytest

from scoring_platform.contracts.catalog import CATALOG
from scoring_platform.orchestration.build import build_definitions
from scoring_platform.orchestration.sensors import run_evaluations
from scoring_platform.sandbox.population import Population
from scoring_platform_tests.end_to_end.fixtures import DAY, DAY_BEFORE, Mornings


@pytest.fixture(scope="module")
def evaluations(mornings: Mornings) -> list[dg.AssetCheckEvaluation]:
    """Every check of the second morning's run."""
    with mornings.platform.instance() as instance:
        newest = instance.get_runs(limit=1)[0]
        assert newest.tags["dagster/partition"] == str(DAY)
        return [one.evaluation for one in run_evaluations(instance, newest.run_id)]


def test_both_mornings_end_well_and_nothing_is_said_on_stderr(mornings: Mornings) -> None:
    assert (mornings.first.code, mornings.second.code) == (0, 0)
    assert mornings.first.err + mornings.second.err == ""
    assert f"Loading the history 2025-10-25 to {DAY_BEFORE - timedelta(days=1)} (13 days)" in mornings.first.out


def test_every_asset_has_its_day(mornings: Mornings) -> None:
    definitions = build_definitions(mornings.platform.settings)
    keys = definitions.resolve_asset_graph().get_all_asset_keys()
    with mornings.platform.instance() as instance:
        made = {key for key in keys if str(DAY) in instance.get_materialized_partitions(key)}

    assert made == keys
    assert len(made) == 25


def test_every_table_of_the_graph_is_in_the_lake_for_the_day(mornings: Mornings) -> None:
    keys = build_definitions(mornings.platform.settings).resolve_asset_graph().get_all_asset_keys()
    tables = {key.to_user_string() for key in keys} & set(CATALOG)

    assert {name for name in tables if mornings.platform.lake.version(name, DAY) is None} == set()


def test_no_blocking_check_fails_and_warnings_fail_exactly_for_the_planted_rows(
    mornings: Mornings, evaluations: list[dg.AssetCheckEvaluation]
) -> None:
    planted = Population().planted(DAY)
    # An order dated ahead is wrong only while that time has not come, and it came long ago.
    tables = {table for table, rows in planted.items() if any(row.kind != "future" for row in rows)}
    failed = {(one.asset_key.to_user_string(), one.check_name): one.severity for one in evaluations if not one.passed}

    assert failed == {(table, "no_quarantined_rows"): dg.AssetCheckSeverity.WARN for table in tables}
    assert len(evaluations) > 35


def test_the_quarantine_of_the_day_holds_exactly_the_planted_rows(mornings: Mornings) -> None:
    planted = Population().planted(DAY)
    for table, rows in planted.items():
        ids = {row.record_id for row in rows if row.dated_on == DAY}
        payloads = _quarantined(mornings, table)

        assert len(payloads) == len(ids), table
        assert all(any(number in payload for payload in payloads) for number in ids), table


def _quarantined(mornings: Mornings, table: str) -> list[str]:
    version = mornings.platform.lake.version(f"quarantine/{table}", DAY)
    assert version is not None
    return [payload for file in version.files for payload in pq.read_table(file)["payload"].to_pylist()]


def test_check_metadata_of_a_warning_says_why_without_personal_data(
    evaluations: list[dg.AssetCheckEvaluation],
) -> None:
    shown = [one for one in evaluations if not one.passed and one.asset_key.to_user_string() == "raw_email_events"]
    text = str(shown[0].metadata)

    assert "email" in text
    assert "taro" not in text


def test_contacts_of_the_crm_equal_what_was_planned(mornings: Mornings) -> None:
    plan = mornings.platform.rows("crm_sync_plan", DAY_BEFORE) + mornings.platform.rows("crm_sync_plan", DAY)
    planned: dict[str, dict[str, str]] = {}
    for row in plan:
        if row["operation"] != "skip":
            planned.setdefault(row["customer_id"], {}).update(json.loads(row["payload"]))
    contacts = {one["customer_key"]: one for one in mornings.platform.contacts()}

    assert set(contacts) == set(planned)
    for customer, payload in planned.items():
        assert {name: contacts[customer].get(name) for name in payload} == payload


def test_every_planned_row_was_acknowledged(mornings: Mornings) -> None:
    rows = mornings.platform.rows("crm_sync", DAY)

    assert {row["status"] for row in rows} == {"acknowledged"}


def test_scores_add_up_for_everyone(mornings: Mornings) -> None:
    rows = mornings.platform.rows("customer_scores", DAY)
    parts = [name for name in rows[0] if name.startswith("points_")]

    assert all(sum(row[part] for part in parts) == row["total_score"] * 100 for row in rows)
    assert len(rows) == len({row["customer_id"] for row in mornings.platform.rows("customer_segments", DAY)})


def test_each_morning_one_mail_arrives_in_html_and_text_with_its_pictures_inside(mornings: Mornings) -> None:
    mails = mornings.platform.mails()
    dates = [f"{day.year}年{day.month}月{day.day}日" for day in (DAY_BEFORE, DAY)]
    assert [date in str(mail["Subject"]) for mail, date in zip(mails, dates, strict=True)] == [True, True]
    assert len({mail["Message-ID"] for mail in mails}) == 2
    newest = mails[-1]
    html = newest.get_body(("html",)).get_content()
    text = newest.get_body(("plain",)).get_content()
    pictures = {
        str(part["Content-ID"]).strip("<>"): part for part in newest.walk() if part.get_content_maintype() == "image"
    }
    used = [source.removeprefix("cid:") for source in _sources(html)]

    assert newest["To"] == "marketing@example.jp"
    assert pictures
    assert set(used) == set(pictures), "every picture is inside and used"
    assert all(part.get_content()[:4] == b"\x89PNG" for part in pictures.values())
    assert "ロイヤル" in html
    assert "ロイヤル" in text or "総合" in text or "セグメント" in text


def _sources(html: str) -> list[str]:
    class Images(HTMLParser):
        found: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            if tag == "img":
                self.found.append(dict(attributes).get("src") or "")

    reader = Images()
    reader.feed(html)
    return reader.found


def test_each_morning_one_summary_is_posted_and_alerts_go_to_the_on_call(mornings: Mornings) -> None:
    summaries = mornings.platform.messages("C0MARKETING")
    alerts = mornings.platform.messages("C0ONCALL")

    assert len(summaries) == 2
    assert all(one["blocks"] for one in summaries)
    assert alerts
    assert all("raw_" in json.dumps(one) for one in alerts)


def test_a_source_that_nobody_has_posted_to_is_not_said_to_be_missing(mornings: Mornings) -> None:
    page = (mornings.platform.settings.reports_root / str(DAY) / "index.html").read_text(encoding="utf-8")

    assert "最近のデータなし" in page, "the source of posted answers is there, and quiet"
    assert "NPS回答（nps）" not in page, "no point to look at"


def test_the_report_page_is_there_and_opens_by_itself(mornings: Mornings) -> None:
    page = mornings.platform.settings.reports_root / str(DAY) / "index.html"
    html = page.read_text(encoding="utf-8")

    assert "さくら珈琲" in html
    assert not [source for source in _sources(html) if not source.startswith("data:")], "nothing is loaded from outside"
    assert str(page) in mornings.second.out


def test_tables_can_be_queried_with_sql_and_personal_data_is_masked(mornings: Mornings) -> None:
    with duckdb.connect(str(mornings.platform.root / "warehouse.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT email FROM customer_profiles WHERE email IS NOT NULL LIMIT 5").fetchall()

    assert rows
    assert all("***@***" in row[0] for row in rows)


def test_parts_and_causes_add_up_to_every_total(mornings: Mornings) -> None:
    with duckdb.connect(str(mornings.platform.root / "warehouse.duckdb"), read_only=True) as connection:
        parts = connection.execute(
            "SELECT count(*), count(*) FILTER (n = 7 AND points = total_score * 100) FROM customer_scores JOIN "
            "(SELECT as_of, customer_id, count(*) AS n, sum(points) AS points FROM score_contributions GROUP BY ALL) "
            "USING (as_of, customer_id)"
        ).fetchone()
        causes = connection.execute(
            "SELECT count(*), count(*) FILTER (total_after = total_score * 100 AND total_after = total_before + "
            "first_seen + late_data + merges + configuration + score_changes.model_version + ageing + own_events) "
            "FROM score_changes JOIN customer_scores USING (as_of, customer_id)"
        ).fetchone()
        bought = connection.execute(
            "SELECT count(*), count(*) FILTER (churn_risk BETWEEN 0 AND 1 AND isfinite(expected_orders) "
            "AND expected_orders >= 1 - churn_risk - 1e-9 AND clv_12m >= 0 AND clv_rung IS NOT NULL) "
            "FROM customer_scores WHERE recency_days IS NOT NULL"
        ).fetchone()

    for found in (parts, causes, bought):
        assert found is not None
        assert found[0] > 0
        assert found[0] == found[1]
