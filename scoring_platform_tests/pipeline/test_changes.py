"""Why scores moved: the causes add up exactly, and one cause alone gets all of the change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from scoring_platform.domain.changes import CAUSES
from scoring_platform.pipeline.changes import score_changes
from scoring_platform.pipeline.models import refit
from scoring_platform_tests.domain.tables import noon
from scoring_platform_tests.pipeline.scenario import Shop, bustle, open_shop

EVE, DAY = date(2026, 4, 2), date(2026, 4, 3)
FEW = "rfm: {minimum_buyers: 5}"
HEAVY_ON_MAIL = FEW + "\nscoring: {weights: {email: 60}}"


@contextmanager
def shop_of(root: Path, more: str = FEW) -> Iterator[Shop]:
    """Give a shop whose configuration is kept, as runs keep it."""
    with open_shop(root, more) as shop:
        shop.settings.loaded.archive(shop.settings.home / "config")
        yield shop


def moved(shop: Shop, *days: date) -> dict[Any, dict[str, Any]]:
    """Run ``days``, publish their changes, and return these by day and customer."""
    shop.compute(*days)
    shop.write("score_changes", score_changes(shop.step(*days)), days)
    return {(row["as_of"], row["customer_id"]): row for row in shop.rows("score_changes", *days)}


def causes(rows: dict[Any, dict[str, Any]]) -> set[str]:
    """Return the causes that moved anybody."""
    return {cause for row in rows.values() for cause in CAUSES if row[cause]}


def check_sums(shop: Shop, rows: dict[Any, dict[str, Any]]) -> None:
    """Check that the causes add up to the published totals, before and after."""
    total = {
        (row["as_of"], row["customer_id"]): round(row["total_score"] * 100) for row in shop.rows("customer_scores")
    }
    assert rows
    for (day, customer), row in rows.items():
        assert row["total_after"] == total[day, customer]
        assert row["total_before"] == total.get((day - timedelta(days=1), customer), 0)
        assert row["total_after"] == row["total_before"] + sum(row[cause] for cause in CAUSES)


def test_causes_add_up_and_one_alone_gets_all_of_the_change(tmp_path: Path) -> None:
    with shop_of(tmp_path) as shop:
        bustle(shop, seed=3, people=20, last=DAY)
        shop.publish(DAY)
        shop.publish_states([EVE, DAY])
        shop.compute(EVE)
        plain = moved(shop, DAY)
        check_sums(shop, plain)
        assert {"ageing", "own_events"} <= causes(plain) <= {"ageing", "own_events", "first_seen"}

        shop.order("r1", EVE - timedelta(days=3), 5_000)
        shop.publish(DAY)
        late = moved(shop, DAY)
        check_sums(shop, late)
        changed = {key for key in late if late[key]["late_data"]}
        assert len(changed) == 1
        assert without(late, changed) == without(plain, changed)

        shop.compute(EVE)
        refit(shop.step(DAY), DAY)
        modelled = moved(shop, DAY)
        check_sums(shop, modelled)
        assert causes(modelled) - causes(plain) == {"model_version"}

    with shop_of(tmp_path, HEAVY_ON_MAIL) as shop:
        weighed = moved(shop, DAY)
        check_sums(shop, weighed)
        assert "configuration" in causes(weighed)
        assert not causes(weighed) & {"late_data", "merges"}


def without(rows: dict[Any, dict[str, Any]], keys: set[Any]) -> dict[Any, dict[str, Any]]:
    """Leave some rows out."""
    return {key: row for key, row in rows.items() if key not in keys}


def test_a_merge_alone_gets_all_of_the_change(tmp_path: Path) -> None:
    with shop_of(tmp_path) as shop:
        for ref in ("a", "b", "c"):
            email = f"{ref}@example.jp"
            shop.add("raw_customers", {"customer_ref": ref, "email": email, "as_of": EVE - timedelta(days=5)})
            shop.order(ref, EVE - timedelta(days=4 + len(shop.facts["raw_orders"])), 20_000, email=email)
        shop.publish(EVE)
        shop.compute(EVE)
        shop.add("raw_crm_contacts", {"crm_id": "k", "email": "a@example.jp", "as_of": DAY, "updated_at": noon(DAY)})
        shop.add("raw_events", {"email": "a@example.jp", "customer_ref": "b", "kind": "form", "as_of": DAY})
        shop.publish(DAY)
        rows = moved(shop, DAY)
        check_sums(shop, rows)
        assert len(rows) == 2
        assert causes(rows) <= {"merges", "ageing", "own_events"}
        assert sum(1 for row in rows.values() if row["merges"]) == 1


def test_without_the_day_before_it_starts_from_that_day_as_now_known(tmp_path: Path) -> None:
    with shop_of(tmp_path) as shop:
        bustle(shop, seed=3, people=20, last=DAY)
        shop.publish(DAY)
        rows = moved(shop, DAY)
        assert {row["total_before"] for row in rows.values()} != {0}
        for row in rows.values():
            assert row["total_after"] == row["total_before"] + sum(row[cause] for cause in CAUSES)
        assert not causes(rows) & {"late_data", "merges", "configuration"}
