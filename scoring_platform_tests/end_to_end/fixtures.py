"""Fixtures of whole homes. A folder's conftest imports those it needs.

Two mornings of the sandbox company are prepared once for all test processes; a test that changes them takes a copy.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from scoring_platform_tests.end_to_end.platform import Done, Platform, packaged, write_config

DAY = date(2025, 11, 8)
"""A day on which orders without an amount and in an unknown currency and a malformed address come in."""
DAY_BEFORE = DAY - timedelta(days=1)
HISTORY_START = date(2025, 10, 25)


@dataclass(frozen=True)
class Mornings:
    """A home after two mornings, and what the commands said; read it, copy it, never change it."""

    platform: Platform
    first: Done
    second: Done
    requests: list[dict[str, Any]]


@pytest.fixture(scope="session")
def mornings(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Mornings:
    """Two mornings of the sandbox company: the first run with its history, then the day after."""
    own = tmp_path_factory.getbasetemp()
    shared = (own if worker_id == "master" else own.parent) / "mornings"
    shared.mkdir(exist_ok=True)
    config = shared / "scoring.yaml"
    platform = Platform(shared / "home", config)
    with _alone(shared / "lock"):
        if not (shared / "said.json").exists():
            write_config(config, packaged(), history_start=HISTORY_START)
            (shared / "said.json").write_text(json.dumps(_two_mornings(platform)))
    said = json.loads((shared / "said.json").read_text())
    return Mornings(platform, Done(**said["first"]), Done(**said["second"]), said["requests"])


def _two_mornings(platform: Platform) -> dict[str, Any]:
    said: dict[str, Any] = {}
    platform.set_clock(DAY_BEFORE)
    with platform.company():
        said["first"] = asdict(platform.command("run", "--date", str(DAY_BEFORE)))
    platform.set_clock(DAY)
    with platform.company() as endpoint:
        said["second"] = asdict(platform.command("run", "--date", str(DAY)))
        said["requests"] = endpoint.requests()
    return said


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def own_mornings(mornings: Mornings, tmp_path: Path) -> Platform:
    """A copy of the two mornings that a test may change."""
    return mornings.platform.copy(tmp_path / "home")


@pytest.fixture(scope="module")
def module_mornings(mornings: Mornings, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """A copy of the two mornings that the tests of one module change in turn."""
    return mornings.platform.copy(tmp_path_factory.mktemp("mornings") / "home")


OpenShop = Callable[..., Platform]


@pytest.fixture
def open_shop(tmp_path: Path) -> OpenShop:
    """Make a home that reads a CSV of orders, with further top-level keys of the configuration."""

    def make(name: str = "shop", **changes: Any) -> Platform:
        return shop(tmp_path / name, **changes)

    return make


SHOP_START = date(2026, 3, 2)
ORDERS_SQL = "SELECT * FROM read_csv('orders*.csv', all_varchar = true, union_by_name = true)"


def shop(root: Path, **changes: Any) -> Platform:
    """Return a home below ``root`` that reads ``orders*.csv``."""
    (root / "data").mkdir(parents=True, exist_ok=True)
    files = {"root": "data", "tables": {"raw_orders": {"sql": ORDERS_SQL}}}
    written = {
        "time_zone": "Asia/Tokyo",
        "history_start": SHOP_START,
        "sources": {"files": files},
        "activation": {"clock": "data"},
    }
    return Platform(root / "home", write_config(root / "scoring.yaml", written, **changes))


def write_orders(platform: Platform, rows: list[dict[str, Any]], name: str = "orders.csv") -> None:
    """Write the shop's orders, the columns of the first row."""
    lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
    (platform.config.parent / "data" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def orders_of(first: date, days: int, *, per_day: int = 6, customers: int = 23) -> list[dict[str, Any]]:
    """Return a regular log: ``per_day`` paid orders a day."""
    rows = []
    for number in range(days * per_day):
        day, who = first + timedelta(days=number // per_day), (number * 7) % customers
        rows.append(
            {
                "order_id": f"o{number:05d}",
                "customer_ref": f"c{who:03d}",
                "email": f"person{who:03d}@example.jp",
                "ordered_at": f"{day} {9 + number % per_day:02d}:30:00",
                "status": "paid",
                "currency": "JPY",
                "total_amount": 500 + (number * 137) % 9000,
                "refunded_amount": 0,
            }
        )
    return rows
