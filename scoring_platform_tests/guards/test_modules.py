"""Modules stay small and say what belongs in them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from scoring_platform_tests.guards.tree import PACKAGE, REPOSITORY, TESTS, modules, named

LONGEST_MODULE = 400
READS_THE_ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
MAY_READ_THE_ENVIRONMENT = {"scoring_platform/settings.py"}
# Folders that exist on one person's machine only; a documented example says /path/to/….
MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(?:home|Users|root|work|mnt|private)/\w")
TEXT_FILES = ("*.md", "*.yaml", "*.toml", "*.py", "*.html", "*.j2", "Makefile", "run")


def uses_of_the_environment(tree: ast.Module) -> list[int]:
    """Return the lines that read or write the environment through ``os``, however it was imported."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in READS_THE_ENVIRONMENT:
            lines.append(node.lineno)
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            lines += [node.lineno for name in node.names if name.name in READS_THE_ENVIRONMENT]
    return lines


def tracked_text() -> list[Path]:
    own = [REPOSITORY / "docs", REPOSITORY / ".ci", REPOSITORY / "benchmarks", PACKAGE, TESTS]
    below = [path for root in own for pattern in TEXT_FILES for path in root.rglob(pattern)]
    top = [path for pattern in TEXT_FILES for path in REPOSITORY.glob(pattern)]
    return sorted({*below, *top} - {Path(__file__)})


def test_only_the_settings_touch_the_environment() -> None:
    found = {
        f"{named(path)}:{line}"
        for path in modules(PACKAGE)
        if named(path) not in MAY_READ_THE_ENVIRONMENT
        for line in uses_of_the_environment(ast.parse(path.read_text(encoding="utf-8")))
    }

    assert not found, "read the environment in settings.py only, and pass what was read"


@pytest.mark.parametrize(
    "code",
    ["import os\nos.environ['A']", "from os import getenv", "import os as o\no.getenv('A')", "from os import environ"],
)
def test_the_guard_sees_every_way_to_the_environment(code: str) -> None:
    assert uses_of_the_environment(ast.parse(code))


def test_every_module_with_code_says_what_belongs_in_it() -> None:
    trees = {named(path): ast.parse(path.read_text(encoding="utf-8")) for path in modules(PACKAGE)}
    silent = [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)]

    assert not silent


def test_no_module_has_two_subjects() -> None:
    lengths = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules(PACKAGE, TESTS)}
    long = {name: length for name, length in lengths.items() if length > LONGEST_MODULE}

    assert not long, f"past {LONGEST_MODULE} lines a file has two subjects"


def test_modules_that_define_assets_let_dagster_see_their_annotations() -> None:
    """Dagster looks at the context's annotation itself, which the future import would turn into text."""
    blind = [
        named(path)
        for path in modules(PACKAGE / "orchestration")
        if "from __future__ import annotations" in (text := path.read_text(encoding="utf-8"))
        and re.search(r"^\s*@dg\.(asset|multi_asset|op|asset_check|sensor|schedule)\b", text, flags=re.MULTILINE)
        and re.search(r"context: dg\.\w+Context", text)
    ]

    assert not blind


def test_nothing_names_a_folder_of_one_machine() -> None:
    found = [
        f"{named(path)}:{number}"
        for path in tracked_text()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]

    assert not found


@pytest.mark.parametrize("line", ["root: /home/someone/data", 'open("/root/x")', "see /Users/someone"])
def test_the_guard_knows_a_machine_path_when_it_sees_one(line: str) -> None:
    assert MACHINE_PATH.search(line)
