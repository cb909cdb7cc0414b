"""Every benchmark runs, at a size that takes seconds, and finds what it must find."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner

from benchmarks import crm, daily, extract, identities, models, scale
from scoring_platform_tests.guards.tree import REPOSITORY

TINY = {
    "identities": (identities.main, ["--people", "100"]),
    "extract": (extract.main, ["--orders", "1000"]),
    "models": (models.main, ["--customers", "1000", "--days", "200", "--alone"]),
    "crm": (crm.main, ["--crm", "salesforce"]),
    "daily": (daily.main, ["--customers", "100", "--days", "31"]),
    "scale": (scale.main, ["--customers", "500", "--months", "2", "--range", "3"]),
}


@pytest.mark.drill
@pytest.mark.parametrize("name", TINY)
def test_the_benchmark_runs(name: str) -> None:
    command, arguments = TINY[name]
    result = CliRunner().invoke(command, arguments)

    assert result.exit_code == 0, result.output
    assert re.search(r"peak", result.output)


def test_every_benchmark_is_run_here_by_make_and_told_of_in_the_documents() -> None:
    # A peer that is compared with runs in an environment of its own, started by the benchmark.
    modules = [path for path in (REPOSITORY / "benchmarks").glob("*.py") if "@click.command" in path.read_text("utf-8")]
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    page = (REPOSITORY / "docs" / "benchmarks.md").read_text(encoding="utf-8")

    assert {path.stem for path in modules} == set(TINY)
    for name, (command, _) in TINY.items():
        options = [name for option in command.params if isinstance(option, click.Option) for name in option.opts]
        assert f"-m benchmarks.{name}" in makefile
        assert f"-m benchmarks.{name}" in page
        assert all(f"`{option}" in page for option in options)
