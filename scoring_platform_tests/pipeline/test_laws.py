"""Laws that hold for every customer of a multitude, whatever happened: sums, row order, strangers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.domain.changes import CAUSES
from scoring_platform.lake.engine import literal
from scoring_platform.lake.views import CONTRIBUTIONS, MASKED, refresh_views
from scoring_platform.pipeline import models, scores
from scoring_platform.pipeline.changes import score_changes
from scoring_platform_tests.pipeline.multitude import day_of, found, multitude, open_accounts, put
from scoring_platform_tests.pipeline.scenario import START, Shop, open_shop

SHORT = (date(2026, 3, 31), date(2026, 4, 1))
"""Nothing special; then all at once: late purchases, merges, cut-offs of a new month, other weights."""

DAYS = (date(2026, 4, 29), date(2026, 4, 30), date(2026, 5, 1))
"""Nothing special; late purchases and merges; a new month and other weights. Enough has happened to learn a card."""

PLAIN = "scoring: {horizon_days: 10}"
HEAVY_ON_MAIL = "scoring: {horizon_days: 10, weights: {email: 60}}"
STRANGERS = 1_000
_SHUFFLED = ("customer_activity", "customer_profiles", "customer_identities", "nps_responses")


@dataclass(frozen=True)
class World:
    """A multitude after three days.

    Attributes:
        root: Its folder.
        customers: Accounts there are.
        days: The days that were run.
    """

    root: Path
    customers: int
    days: Sequence[date]

    @property
    def last(self) -> date:
        """The last of them."""
        return self.days[-1]

    @property
    def lake(self) -> Path:
        """Root of the lake."""
        return self.root / "home" / "lake"


LONG = [pytest.mark.drill, pytest.mark.timeout(1_200)]


@pytest.fixture(
    scope="module",
    params=[pytest.param((3_000, SHORT), id="3,000"), pytest.param((100_000, DAYS), id="100,000", marks=LONG)],
)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A multitude that lived through some days, each run by itself."""
    customers, days = request.param
    root, chance = tmp_path_factory.mktemp("world"), np.random.default_rng(20)
    with _opened(root, PLAIN) as shop:
        found(shop, multitude(chance, customers, days[-1], prefix="r"), days[-1], states=days)
        shop.compute(days[0])
        _surprise(shop, chance, customers, days[1])
        for day in days[1:-1]:
            _run(shop, day)
    with _opened(root, HEAVY_ON_MAIL) as shop:
        _run(shop, days[-1])
        refresh_views(shop.engine.lake)
    return World(root, customers, days)


@contextmanager
def _opened(root: Path, more: str) -> Iterator[Shop]:
    """Give a shop whose configuration is kept, as runs keep it."""
    with open_shop(root, more) as shop:
        shop.settings.loaded.archive(shop.settings.home / "config")
        yield shop


def _surprise(shop: Shop, chance: np.random.Generator, customers: int, day: date) -> None:
    """Let purchases of days ago turn up, and let some accounts turn out to be one person's."""
    count = customers // 100
    who, when = chance.integers(0, customers, count), day_of(chance.integers(0, (day - START).days, count))
    late = {
        "order_id": np.char.add("late", np.arange(count).astype(str)),
        "customer_ref": np.char.add("r", who.astype(str)),
        "as_of": when,
        "status": np.full(count, "paid"),
        "total_amount_reporting": chance.integers(1_000, 50_000, count),
    }
    put(shop, "raw_orders", late, sorted(set(when.tolist())))
    pairs = chance.permutation(customers)[: 2 * (customers // 200)].reshape(2, -1).astype(str)
    links = {
        "event_id": np.char.add("link", np.arange(pairs.shape[1]).astype(str)),
        "customer_ref": np.char.add("r", pairs[0]),
        "email": np.char.add(np.char.add("r", pairs[1]), "@example.jp"),
        "kind": np.full(pairs.shape[1], "form"),
        "as_of": np.full(pairs.shape[1], np.datetime64(day)),
    }
    put(shop, "raw_events", links, [day])


def _run(shop: Shop, day: date) -> None:
    shop.compute(day)
    shop.write("score_changes", score_changes(shop.step(day)), [day])


@pytest.fixture
def warehouse(world: World) -> Iterator[duckdb.DuckDBPyConnection]:
    """The views anybody reads."""
    with duckdb.connect(str(world.lake.parent / MASKED), read_only=True) as connection:
        yield connection


def test_contributions_of_every_customer_add_up_to_the_total(world: World, warehouse: Any) -> None:
    parts = f"SELECT as_of, customer_id, sum(points) AS points, count(*) AS parts FROM {CONTRIBUTIONS} GROUP BY ALL"
    total, fitting, least = warehouse.execute(f"""
        SELECT count(*), count(*) FILTER (parts = 7 AND points = total_score * 100), min(n)
        FROM ({parts}) FULL JOIN customer_scores USING (as_of, customer_id)
        JOIN (SELECT as_of, count(*) AS n FROM customer_scores GROUP BY as_of) USING (as_of)
    """).fetchone()

    assert fitting == total
    assert least >= world.customers * 0.65, "most had come by the first day"


def test_causes_add_up_for_every_customer_on_every_day(world: World, warehouse: Any) -> None:
    causes = " + ".join(f"changes.{cause}" for cause in CAUSES)
    rows, wrong, unexplained = warehouse.execute(f"""
        SELECT count(*), count(*) FILTER (
            total_after <> total_before + {causes} OR total_after <> today.total_score * 100
            OR total_before <> coalesce(eve.total_score * 100, 0)), count(*) FILTER (changes.customer_id IS NULL)
        FROM score_changes AS changes
        FULL JOIN (FROM customer_scores WHERE as_of > DATE '{world.days[0]}') AS today USING (as_of, customer_id)
        LEFT JOIN customer_scores AS eve ON eve.customer_id = today.customer_id AND eve.as_of = today.as_of - 1
    """).fetchone()
    moved = {
        day: {cause for cause, count in zip(CAUSES, counts, strict=True) if count}
        for day, *counts in warehouse.execute(
            f"SELECT as_of, {', '.join(f'count_if({cause} <> 0)' for cause in CAUSES)} FROM score_changes GROUP BY ALL"
        ).fetchall()
    }

    assert rows
    assert (wrong, unexplained) == (0, 0)
    usual = {"first_seen", "ageing", "own_events"}
    surprise, change = {"late_data", "merges"}, {"configuration", "model_version"}
    expected = dict.fromkeys(world.days[1:], usual)
    expected[world.days[1]] = expected[world.days[1]] | surprise
    expected[world.last] = expected[world.last] | change
    assert moved == expected


def test_the_order_of_rows_and_the_number_of_threads_change_nothing(world: World, tmp_path: Path) -> None:
    with open_shop(tmp_path, HEAVY_ON_MAIL) as shop:
        shutil.copytree(world.lake, shop.settings.lake_root, symlinks=True)
        for name in _SHUFFLED:
            _shuffle(shop.settings.lake_root / name)
        shop.engine.connection.execute("SET threads = 2")
        # Nothing is kept in the ledger: models are fitted anew, to shuffled rows.
        for name, compute in (("score_models", models.score_models), ("customer_scores", scores.customer_scores)):
            shop.write(name, compute(shop.step(world.last)), [world.last])
            assert _differences(shop, name, world) == [], name


def _shuffle(folder: Path) -> None:
    """Write every file anew with its rows in another order."""
    files = sorted(file.resolve() for file in folder.glob("as_of=*/*.parquet"))
    moved = 0
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SELECT setseed(0.5)")
        for file in files:
            rows, path = f"SELECT * FROM read_parquet({literal(str(file))})", literal(f"{file}.new")
            before = connection.execute(rows).fetchall()
            connection.execute(f"COPY ({rows} ORDER BY random()) TO {path} (FORMAT parquet)")
            Path(f"{file}.new").replace(file)
            moved += before != connection.execute(rows).fetchall()
    assert moved > 0.9 * len(files)


def test_strangers_move_nobody_within_a_month(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.root / "home", tmp_path / "home", symlinks=True)
    shutil.copy(world.root / "ledger.db", tmp_path / "ledger.db")
    strangers = multitude(np.random.default_rng(7), STRANGERS, world.last, prefix="stranger")
    with open_shop(tmp_path, HEAVY_ON_MAIL) as shop:
        before = len(shop.rows("customer_scores", world.last))
        for name, facts in strangers.items():
            if name != "raw_customers":
                put(shop, name, facts, sorted(set(facts["as_of"].tolist())))
        open_accounts(shop, strangers["raw_customers"], [world.last])
        shop.compute(world.last)

        for name in ("score_models", "customer_scores", "customer_segments"):
            assert _differences(shop, name, world, lost_only=True) == [], name
        assert len(shop.rows("customer_scores", world.last)) == before + STRANGERS


def _differences(shop: Shop, name: str, world: World, *, lost_only: bool = False) -> list[Any]:
    """Rows of the last day that were otherwise in another lake, all columns compared to the last bit."""
    columns = ", ".join(contract_of(name).schema)
    now, then = (
        f"SELECT {columns} FROM read_parquet({literal(f'{root}/{name}/as_of={world.last}/*.parquet')})"
        for root in (shop.settings.lake_root, world.lake)
    )
    ways = [f"({then} EXCEPT ALL {now})"] if lost_only else [f"({then} EXCEPT ALL {now})", f"({now} EXCEPT ALL {then})"]
    assert shop.engine.connection.execute(f"SELECT count(*) FROM ({then})").fetchone() != (0,)
    return shop.engine.connection.execute(f"{' UNION ALL '.join(ways)} LIMIT 5").fetchall()
