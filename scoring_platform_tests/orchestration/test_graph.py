"""The graph of the packaged configuration: a change here is a change people see."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml

from scoring_platform.contracts.catalog import CATALOG
from scoring_platform.orchestration.build import build_definitions
from scoring_platform.settings import PACKAGED_CONFIG, load_settings
from scoring_platform_tests.end_to_end.fixtures import OpenShop

RAW = {
    "raw_consents": set(),
    "raw_crm_contacts": set(),
    "raw_crm_deals": set(),
    "raw_customers": set(),
    "raw_email_events": set(),
    "raw_events": set(),
    "raw_nps_responses": set(),
    "raw_order_items": {"raw_orders"},
    "raw_orders": set(),
    "raw_support_tickets": set(),
    "raw_web_activity": set(),
}
GROUPS = {
    "ingest": set(RAW),
    "profile": {"customer_identities", "customer_activity", "customer_profiles"},
    "nps": {"nps_responses"},
    "scores": {"score_models", "customer_scores", "score_changes"},
    "segments": {"customer_segments", "segment_transitions"},
    "activation": {"crm_sync_plan", "crm_sync"},
    "reporting": {"model_backtest", "daily_report", "report_delivery"},
}
RAW_CHECKS = {"no_quarantined_rows": False, "quarantine_share": True, "extract_not_empty": True}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_definitions(load_settings({}, home=tmp_path_factory.mktemp("home")))


def test_assets_by_group(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    found: dict[str, set[str]] = {}
    for key in graph.get_all_asset_keys():
        found.setdefault(graph.get(key).group_name, set()).add(key.to_user_string())

    assert found == GROUPS


def test_checks_and_which_of_them_block(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    found = {
        (key.asset_key.to_user_string(), key.name): graph.get_check_spec(key).blocking for key in graph.asset_check_keys
    }
    computed = set().union(*(names for group, names in GROUPS.items() if group not in ("ingest", "reporting")))
    expected = {(table, "contract"): True for table in computed}
    expected |= {(table, name): blocking for table in RAW for name, blocking in RAW_CHECKS.items()}
    expected |= {("customer_identities", "no_shared_identifiers"): False, ("model_backtest", "contract"): True}
    expected |= {("customer_activity", "history_complete"): True, ("crm_sync", "all_acknowledged"): False}
    expected |= {("model_backtest", "forecasts_hold"): False}

    assert found == expected


def test_jobs_schedules_and_sensors(definitions: dg.Definitions) -> None:
    jobs = {job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")}
    schedules = {schedule.name for schedule in definitions.schedules or ()}
    sensors = {sensor.name for sensor in definitions.sensors or ()}

    assert jobs == {"daily_scoring_job"}
    assert schedules == {"daily_scoring_schedule"}
    assert sensors == {"asset_check_alert_sensor"}


def test_nothing_depends_on_what_comes_later(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    parents = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }

    assert {name: parents[name] for name in RAW} == RAW
    assert parents["crm_sync"] == {"crm_sync_plan", "customer_profiles"}
    assert parents["report_delivery"] == {"daily_report"}
    assert "crm_sync" in parents["daily_report"]


def test_the_plan_waits_for_deals_only_where_values_stand_on_them(tmp_path: Path) -> None:
    written = yaml.safe_load(PACKAGED_CONFIG.read_text(encoding="utf-8"))
    path = tmp_path / "scoring.yaml"
    upstream = []
    for target in ("contact", "deal"):
        written["destinations"]["hubspot"]["fields"] = {"clv_12m": {"field": "clv_12m", "target": target}}
        path.write_text(yaml.safe_dump(written, allow_unicode=True), encoding="utf-8")
        graph = build_definitions(load_settings({}, home=tmp_path, config_path=path)).resolve_asset_graph()
        upstream.append({key.to_user_string() for key in graph.get(dg.AssetKey("crm_sync_plan")).parent_keys})

    assert upstream[1] - upstream[0] == {"raw_crm_deals"}
    assert "raw_crm_contacts" not in upstream[0]


def test_every_asset_says_what_a_person_wants_to_know(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        name = key.to_user_string()

        assert node.description, name
        assert node.owners == ["team:data"], name
        assert node.kinds, name
        assert node.is_partitioned, name
        assert node.backfill_policy == dg.BackfillPolicy.single_run(), name
        if name in CATALOG:
            schema = node.metadata["dagster/column_schema"]
            assert [column.name for column in schema.columns] == list(CATALOG[name].columns), name
            assert all(column.description for column in schema.columns), name


def test_what_is_made_every_morning_says_when_it_is_overdue(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    watched = {key.to_user_string() for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy}

    assert watched == set().union(*GROUPS.values()) - {"crm_sync_plan", "crm_sync", "report_delivery"}


def test_every_check_is_described(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()

    assert all(graph.get_check_spec(key).description for key in graph.asset_check_keys)


def test_a_raw_table_without_a_source_is_no_asset(open_shop: OpenShop) -> None:
    graph = build_definitions(open_shop().settings).resolve_asset_graph()
    names = {key.to_user_string() for key in graph.get_all_asset_keys()}

    assert {name for name in names if name.startswith("raw_")} == {"raw_orders"}
    assert names - {"raw_orders"} == set().union(*(group for name, group in GROUPS.items() if name != "ingest"))


def test_resources_show_no_secret(tmp_path: Path) -> None:
    secret = "pat-na1-0123456789"
    settings = load_settings({"SCORING_HUBSPOT_TOKEN": secret}, home=tmp_path)
    resources = build_definitions(settings).resources or {}

    assert set(resources) == {"lake", "ledger", "sources", "crm", "email", "slack"}
    assert secret not in str(resources) + repr(settings)
