"""Versions that are held back say when they no longer need to be, and the two lists of versions agree."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

from scoring_platform_tests.guards.tree import REPOSITORY

# The release of Ibis whose calls DuckDB 2 and sqlglot 30 removed.
LAST_IBIS_THAT_NEEDS_THE_PINS = Version("12.0.0")
HELD_BACK = ("duckdb", "sqlglot")


def project() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


def locked() -> dict[str, dict[str, set[str]]]:
    """Return name, version and hashes of every locked package, our own apart."""
    found: dict[str, dict[str, set[str]]] = {}
    for package in tomllib.loads((REPOSITORY / "uv.lock").read_text(encoding="utf-8"))["package"]:
        if "virtual" in package["source"] or "editable" in package["source"]:
            continue
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        found.setdefault(package["name"], {})[package["version"]] = {file["hash"] for file in files}
    return found


def exported() -> dict[str, dict[str, set[str]]]:
    """Return the same from requirements.txt."""
    text = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[str, dict[str, set[str]]] = {}
    for line in text.splitlines():
        named = re.match(r"([a-z0-9._-]+)==([^\s;]+)", line)
        if named:
            found.setdefault(named[1], {})[named[2]] = set(re.findall(r"--hash=(sha256:\w+)", line))
    return found


def test_duckdb_and_sqlglot_are_held_back_only_while_ibis_needs_it() -> None:
    pins = [Requirement(text) for text in project()["project"]["dependencies"]]
    held = {pin.name for pin in pins if pin.name in HELD_BACK and any(part.operator == "<" for part in pin.specifier)}

    if Version(version("ibis-framework")) > LAST_IBIS_THAT_NEEDS_THE_PINS:
        assert not held, f"the pin can go: try {', '.join(sorted(held))} without an upper limit, then remove this test"
    assert held == set(HELD_BACK)


def test_installed_versions_are_below_the_pins() -> None:
    assert Version(version("duckdb")) < Version("2")
    assert Version(version("sqlglot")) < Version("29")


def test_the_list_for_machines_without_uv_agrees_with_the_lock() -> None:
    assert exported() == locked(), "the lists differ; run: make lock"


def test_the_lock_names_only_the_public_index() -> None:
    text = (REPOSITORY / "uv.lock").read_text(encoding="utf-8")

    assert set(re.findall(r'registry = "([^"]+)"', text)) == {"https://pypi.org/simple"}
    assert not re.findall(r'path = "[^"]+\.(?:whl|tar\.gz)"', text)
