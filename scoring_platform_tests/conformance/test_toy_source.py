"""A source is one module and one line: the example of the documentation is configured, run and published."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.tree import Lake
from scoring_platform_tests.guards.tree import REPOSITORY
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, reply, serving

DAY = date(2026, 3, 2)

REGISTERED = """
import sys

from loyalty import Loyalty, LoyaltySource
from scoring_platform.sources.registry import SOURCES, Vendor

SOURCES.update({
    %s
})

from scoring_platform.cli.main import main

main()
"""

CONFIGURATION = """
time_zone: Asia/Tokyo
history_start: 2026-03-01
sources:
  loyalty:
    endpoint: {endpoint}
    page_size: 2
activation: {{clock: data}}
"""


def shown(opening: str) -> str:
    """A block of code of the documentation, word for word."""
    text = (REPOSITORY / "docs" / "sources" / "README.md").read_text(encoding="utf-8")
    _, found, rest = text.partition(f"```python\n{opening}")
    code, closed, _ = rest.partition("```")
    assert found
    assert closed
    return opening + code


def card(number: int) -> dict[str, str]:
    """One thing somebody did with the loyalty card."""
    day = f"2026-03-0{number % 2 + 1}"
    return {"id": str(number), "member": f"m{number}@example.jp", "what": "points_redeemed", "at": f"{day}T03:00:00Z"}


def club(seen: Seen) -> Reply:
    """A loyalty club with five events, two a page."""
    if seen.headers.get("authorization") != "Bearer t0ken":
        return reply({"message": "who are you?"}, 401)
    if seen.path == "/me":
        return reply({"club": "Coffee Club"})
    start = int(seen.query.get("cursor", "0"))
    more = {"next": str(start + 2)} if start + 2 < 5 else {}
    return reply({"events": [card(number) for number in range(start, min(start + 2, 5))], **more})


@pytest.fixture(scope="module")
def vendor() -> Iterator[Loopback]:
    with serving() as loopback:
        loopback.answer = club
        yield loopback


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, vendor: Loopback) -> Path:
    made = tmp_path_factory.mktemp("toy")
    (made / "loyalty.py").write_text(shown("# scoring_platform/sources/loyalty.py\n"), encoding="utf-8")
    (made / "registered.py").write_text(REGISTERED % shown('"loyalty": '), encoding="utf-8")
    (made / "scoring.yaml").write_text(CONFIGURATION.format(endpoint=vendor.url), encoding="utf-8")
    return made


def command(folder: Path, *arguments: str, token: str = "t0ken") -> subprocess.CompletedProcess[str]:
    """Run ``scoring-platform`` in a process whose registry has the line."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "PYTHONPATH": f"{folder}:{REPOSITORY}",
        "SCORING_HOME": str(folder / "home"),
        "SCORING_CONFIG": str(folder / "scoring.yaml"),
        "SCORING_LOYALTY_TOKEN": token,
        "DAGSTER_HOME": str(REPOSITORY),
    }
    started = [sys.executable, str(folder / "registered.py"), *arguments]
    return subprocess.run(started, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def published(folder: Path) -> list[dict[str, Any]]:
    """The rows in the lake, in the order of their ids."""
    lake, contract = Lake(folder / "home" / "lake"), contract_of("raw_events")
    with duckdb.connect(config={"threads": 1}) as connection:
        rows: list[dict[str, Any]] = (
            DuckDBEngine(connection, lake).read(contract, lake.days("raw_events")).to_pyarrow().to_pylist()
        )
    return sorted(rows, key=lambda row: row["event_id"])


def test_the_run_publishes_its_rows_in_the_lake(folder: Path) -> None:
    done = command(folder, "run", "--date", str(DAY))

    assert done.returncode == 0, done.stdout + done.stderr
    rows = published(folder)
    assert [row["event_id"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert {(row["source"], row["kind"]) for row in rows} == {("loyalty", "points_redeemed")}
    assert {row["as_of"] for row in rows} == {date(2026, 3, 1), DAY}


def test_doctor_says_what_it_needs(folder: Path) -> None:
    refused = command(folder, "doctor", "--json", token="wrong")

    said = {one["system"]: one["says"] for one in json.loads(refused.stdout)}["loyalty"]
    assert refused.returncode == 1
    assert "Set SCORING_LOYALTY_TOKEN to a valid credential. It needs: scope read" in said
