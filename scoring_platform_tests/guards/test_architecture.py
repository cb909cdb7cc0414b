"""Who may import whom is a contract in pyproject.toml; here it is kept, and shown to bite."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scoring_platform_tests.guards.tree import PACKAGE, REPOSITORY

LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint(config: Path, root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT, "--config", str(config), "--no-cache"],
        cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_import_contracts_are_kept() -> None:
    done = lint(REPOSITORY / "pyproject.toml", REPOSITORY)

    assert done.returncode == 0, done.stdout


def test_every_package_stands_under_the_dagster_contract_or_may_import_it() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    about_dagster = [contract for contract in contracts if "dagster" in contract.get("forbidden_modules", [])]
    kept_from = {module for contract in about_dagster for module in contract["source_modules"]}
    parts = {
        path.name.removesuffix(".py")
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }

    free = {f"scoring_platform.{part}" for part in parts - {"__init__"}} - kept_from

    assert free == {"scoring_platform.orchestration", "scoring_platform.definitions"}


@pytest.mark.parametrize("imported", ["dagster", "duckdb", "scoring_platform.settings"])
def test_an_impure_domain_would_be_noticed(tmp_path: Path, imported: str) -> None:
    """A domain with one forbidden import, under the contract as it stands in pyproject.toml."""
    config = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    contract = next(entry for entry in config["contracts"] if entry["source_modules"] == ["scoring_platform.domain"])
    for name in {"domain", *(module.partition(".")[2] for module in contract["forbidden_modules"] if "." in module)}:
        (tmp_path / "scoring_platform" / name).mkdir(parents=True)
        (tmp_path / "scoring_platform" / name / "__init__.py").touch()
    (tmp_path / "scoring_platform" / "__init__.py").touch()
    (tmp_path / "scoring_platform" / "domain" / "scores.py").write_text(f"import {imported}\n")
    written = tmp_path / "contract.toml"
    forbidden = ", ".join(f'"{module}"' for module in contract["forbidden_modules"])
    written.write_text(
        '[tool.importlinter]\nroot_package = "scoring_platform"\ninclude_external_packages = true\n'
        f'[[tool.importlinter.contracts]]\nname = "pure"\ntype = "forbidden"\n'
        f'source_modules = ["scoring_platform.domain"]\nforbidden_modules = [{forbidden}]\n'
    )

    done = lint(written, tmp_path)

    assert done.returncode != 0
    assert imported in done.stdout
