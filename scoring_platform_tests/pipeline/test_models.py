"""Frozen versions: made once per month and configuration."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from scoring_platform.ledger.models import ModelVersion, keep_version
from scoring_platform.pipeline import models
from scoring_platform.pipeline.step import span
from scoring_platform_tests.domain.tables import noon, table
from scoring_platform_tests.pipeline.scenario import START, Shop, open_shop

MARCH, APRIL = date(2026, 3, 31), date(2026, 4, 5)


def buyers(shop: Shop, count: int, day: date = START) -> None:
    """``count`` customers with one order each, of 1, 2, 3, …"""
    rows = [
        {"customer_id": f"c{n}", "as_of": day, "active_on": day, "orders": 1, "purchase_day": 1, "revenue": n}
        for n in range(1, count + 1)
    ]
    shop.write("customer_activity", table("customer_activity", *rows), [day])


def made(shop: Shop, day: date) -> dict[str, Any]:
    """The cut-offs' row of score_models in force on ``day``."""
    rows = models.score_models(shop.step(day)).to_pyarrow().to_pylist()
    (row,) = [row for row in rows if row["model"] == "rfm_cutoffs"]
    return {**row, "cut_offs": json.loads(row["parameters"])}


def test_cut_offs_are_fifths_of_the_buyers_up_to_the_month_before(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        buyers(shop, 100)
        buyers(shop, 500, APRIL)
        found = made(shop, APRIL)

    assert (found["sample_size"], found["rung"], found["fitted_for"]) == (100, "quantiles", date(2026, 4, 1))
    assert [float(limit) for limit in found["cut_offs"]["monetary"]] == [20, 40, 60, 80]
    assert [float(limit) for limit in found["cut_offs"]["recency_days"]] == [(MARCH - START).days] * 4
    assert str(MARCH) in found["reason"]


def test_too_few_buyers_get_the_configured_cut_offs_and_the_reason_says_so(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        buyers(shop, 49)
        found = made(shop, APRIL)

    assert (found["sample_size"], found["rung"]) == (49, "fixed")
    assert [float(limit) for limit in found["cut_offs"]["frequency"]] == [1, 2, 4, 8]
    assert "49 buyers" in found["reason"]
    assert "50" in found["reason"]


def test_a_version_is_frozen_for_its_month(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        buyers(shop, 100)
        first = made(shop, APRIL)
        buyers(shop, 60)
        again, next_month = made(shop, APRIL), made(shop, date(2026, 5, 1))

    assert again == first
    assert next_month["version"] != first["version"]
    assert (first["sample_size"], next_month["sample_size"]) == (100, 60)


def test_another_configuration_of_bands_is_another_version_and_other_settings_are_not(tmp_path: Path) -> None:
    def version(more: str) -> str:
        with open_shop(tmp_path, more) as shop:
            return str(made(shop, APRIL)["version"])

    plain = version("")
    assert version("activation: {max_age_days: 1}") == plain
    assert version("rfm: {minimum_buyers: 7}") != plain
    assert plain.startswith("2026-04-")


def test_each_day_of_a_range_has_the_version_of_its_month(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        buyers(shop, 60)
        rows = models.score_models(shop.step(*span(MARCH, MARCH + timedelta(days=1)))).to_pyarrow().to_pylist()
        limits = models.cut_off_table(shop.step(MARCH), span(MARCH, MARCH + timedelta(days=1))).to_pyarrow().to_pylist()

    assert {row["as_of"]: row["fitted_for"].month for row in rows} == {MARCH: 3, MARCH + timedelta(days=1): 4}
    assert {row["as_of"]: row["model_version"] for row in limits} == {row["as_of"]: row["version"] for row in rows}


def test_of_two_runs_that_make_a_version_at_once_the_first_counts(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        mine, other = (
            ModelVersion(month=date(2026, 4, 1), inputs="x", refit=0, payload={"n": n}, made_at=noon(APRIL))
            for n in (1, 2)
        )

        assert keep_version(shop.ledger, mine) == mine
        assert keep_version(shop.ledger, other) == mine


def test_on_the_last_day_of_a_month_it_is_known_what_the_next_cut_offs_move(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        buyers(shop, 100)
        assert made(shop, MARCH)["rung"] == "fixed", "there was nobody before March"
        coming = models.next_cut_offs(shop.step(MARCH))
        buyers(shop, 400, APRIL - timedelta(days=5))

        assert coming is not None
        assert (coming.since, coming.buyers) == (date(2026, 4, 1), 100)
        # All of 100 spent at most 100, the lowest fixed band; by fifths, eighty of them leave it.
        assert coming.moved["monetary"] == 80
        assert made(shop, APRIL)["sample_size"] == 100, "what was announced is what comes"
        assert models.next_cut_offs(shop.step(MARCH - timedelta(days=1))) is None
