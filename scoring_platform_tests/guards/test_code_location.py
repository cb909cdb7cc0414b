"""The code location and its instance load anywhere: no secrets, no sandbox running, state in one folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage

from scoring_platform.contracts.catalog import CATALOG
from scoring_platform_tests.guards.tree import REPOSITORY

ASK = """
import json
from scoring_platform.definitions import defs
graph = defs.resolve_asset_graph()
print(json.dumps({
    "assets": sorted(key.to_user_string() for key in graph.get_all_asset_keys()),
    "described": all(graph.get(key).description for key in graph.get_all_asset_keys()),
    "jobs": sorted(job.name for job in defs.resolve_all_job_defs() if not job.name.startswith("__")),
}))
"""


def bare_environment(home: Path) -> dict[str, str]:
    """Return what a service manager gives a process: where programs are, and where state goes."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "SCORING_HOME": str(home / "state")}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("home")
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=REPOSITORY,
        env=bare_environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_definitions_load_without_secrets_and_with_no_sandbox_running(loaded: dict[str, Any]) -> None:
    assert {"raw_orders", "customer_scores", "customer_segments"} <= set(loaded["assets"])
    assert "daily_scoring_job" in loaded["jobs"]


def test_every_asset_is_described_where_people_look(loaded: dict[str, Any]) -> None:
    assert loaded["described"]


def test_tables_and_their_assets_have_one_name(loaded: dict[str, Any]) -> None:
    raw = {name for name in loaded["assets"] if name.startswith("raw_")}

    assert raw <= set(CATALOG)


def test_the_workspace_names_the_code_location() -> None:
    workspace = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text(encoding="utf-8"))
    module = workspace["load_from"][0]["python_module"]

    assert module["module_name"] == "scoring_platform.definitions"
    assert (REPOSITORY / module["working_directory"]).samefile(REPOSITORY)


def test_the_instance_keeps_everything_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORING_DAGSTER_STORAGE", str(tmp_path / "dagster"))
    settings, _ = dagster_instance_config(str(REPOSITORY))
    storages = ("run_storage", "event_log_storage", "schedule_storage", "local_artifact_storage", "compute_logs")

    folders = [settings[name]["config"]["base_dir"] for name in storages]

    assert folders == [{"env": "SCORING_DAGSTER_STORAGE"}] * len(storages)


def test_the_instance_has_the_policies_the_platform_relies_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORING_DAGSTER_STORAGE", str(tmp_path / "dagster"))
    with dg.DagsterInstance.from_config(str(REPOSITORY)) as instance:
        queue = instance.get_concurrency_config().run_queue_config

        assert isinstance(instance.event_log_storage, ConsolidatedSqliteEventLogStorage)
        assert (instance.run_retries_enabled, instance.run_retries_max_retries) == (True, 2)
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert queue is not None
        assert queue.tag_concurrency_limits == [{"key": "scoring/lane", "value": "daily", "limit": 1}]
        assert instance.get_settings("sensors")["num_workers"] == 4
        assert instance.get_settings("freshness") == {"enabled": True}
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
    assert (tmp_path / "dagster" / "event_log.db").exists()
