"""Forecasts as runs make them: by the version of their month, whatever else is computed with them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pytest

from scoring_platform.domain.forecasts import COLUMNS
from scoring_platform.pipeline import fits, identities, models, nps, profile, scores
from scoring_platform.pipeline import forecasts as pipeline
from scoring_platform_tests.domain.tables import table
from scoring_platform_tests.pipeline.scenario import Shop, bustle, open_shop

FEW_BUYERS = "rfm: {minimum_buyers: 5}\nscoring: {horizon_days: 10}"
APRIL, MAY = DAYS = [date(2026, 4, 30), date(2026, 5, 1)]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A busy shop over six weeks, computed up to the profiles of ``DAYS``."""
    with open_shop(tmp_path_factory.mktemp("given"), FEW_BUYERS) as shop:
        bustle(shop, seed=4, people=140, last=MAY)
        shop.publish(MAY)
        shop.publish_states(DAYS)
        step = shop.step(*DAYS)
        shop.write("customer_identities", identities.resolve(step).on(step), DAYS)
        wanted = profile.activity_days(step)
        shop.write("customer_activity", profile.customer_activity(step, wanted), wanted)
        shop.write("nps_responses", nps.nps_responses(step), DAYS)
        shop.write("customer_profiles", profile.customer_profiles(step), DAYS)
        return shop.settings.lake_root


@contextmanager
def busy(root: Path, lake: Path) -> Iterator[Shop]:
    """That shop, with a ledger of its own."""
    with open_shop(root, FEW_BUYERS) as shop:
        shutil.copytree(lake, shop.settings.lake_root, symlinks=True)
        yield shop


def forecasts(shop: Shop, *days: date) -> list[dict[str, Any]]:
    """Forecasts of ``days``, computed as one run."""
    step = shop.step(*days)
    profiles, fitted = step.read("customer_profiles", days), models.forecasts_for(step, days)
    return in_order(pipeline.forecasts(step, profiles, fitted, models.configured_parts(step)))


def in_order(rows: ir.Table) -> list[dict[str, Any]]:
    return sorted(rows.to_pyarrow().to_pylist(), key=lambda row: (row["as_of"], row.get("customer_id")))


def versions(shop: Shop, *days: date) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = models.score_models(shop.step(*days)).to_pyarrow().to_pylist()
    return found


def test_a_range_gives_the_forecasts_of_its_single_days(tmp_path: Path, lake: Path) -> None:
    with busy(tmp_path / "range", lake) as shop:
        at_once, made = forecasts(shop, *DAYS), versions(shop, *DAYS)
    with busy(tmp_path / "days", lake) as shop:
        later, earlier = forecasts(shop, MAY), forecasts(shop, APRIL)
        made_singly = [row for day in DAYS for row in versions(shop, day)]

    assert [*earlier, *later] == at_once
    assert made_singly == made
    assert len({row["version"] for row in made}) == 2, "the range spans two model months"
    (rung,) = {row["rung"] for row in made if row["model"] == "churn" and row["as_of"] == MAY}
    assert rung in {"scorecard", "repeat_buying", "calibrated_recency"}, "a horizon has closed to learn from"


def test_forecasts_of_buyers_hold_together_and_prospects_have_none(tmp_path: Path, lake: Path) -> None:
    with busy(tmp_path, lake) as shop:
        bought = {row["customer_id"]: row["order_days"] for row in shop.rows("customer_profiles", MAY)}
        rows = in_order(scores.customer_scores(shop.step(MAY)))
    buyers = [row for row in rows if bought[row["customer_id"]]]
    prospects = [row for row in rows if not bought[row["customer_id"]]]

    assert buyers
    assert prospects
    assert {row[name] for row in prospects for name in COLUMNS} == {None}
    for row in buyers:
        assert 0 <= row["p_alive"] <= 1
        assert 0 <= row["churn_risk"] <= 1
        assert row["expected_orders"] >= 1 - row["churn_risk"] - 1e-9
        assert Decimal(0) <= row["clv_low"] <= row["clv_12m"] <= row["clv_high"]
        assert row["expected_next_order_on"] is None or row["expected_next_order_on"] >= MAY


def test_a_version_is_fitted_once_per_month_whatever_comes_late_until_it_is_refitted(
    tmp_path: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[date] = []
    day = date(2026, 4, 5)
    late = [
        {"customer_id": f"late{n}", "as_of": day, "active_on": day, "orders": 1, "purchase_day": 1, "revenue": 5_000}
        for n in range(300)
    ]

    def noted(step: Any, through: date, **rest: Any) -> Any:
        fitted.append(through)
        return fits.fit(step, through, **rest)

    monkeypatch.setattr(models, "fit", noted)
    with busy(tmp_path, lake) as shop:
        before, scored = versions(shop, *DAYS), forecasts(shop, MAY)
        shop.write("customer_activity", table("customer_activity", *late), [day])
        assert versions(shop, *DAYS) == before
        assert forecasts(shop, MAY) == scored, "profiles that did not change are forecast alike"
        assert fitted == [date(2026, 3, 31), date(2026, 4, 30)]

        made = models.refit(shop.step(MAY), MAY)
        after, rescored = versions(shop, *DAYS), forecasts(shop, MAY)

    old, new = ([row for row in rows if row["as_of"] == MAY and row["model"] == "churn"] for rows in (before, after))
    assert fitted[2:] == [MAY]
    assert (made.replaces, made.version) == (old[0]["version"], new[0]["version"])
    assert old[0]["version"] != new[0]["version"]
    assert new[0]["sample_size"] > old[0]["sample_size"] + 200, "only the new version sees what came late"
    assert rescored != scored
    assert [row for row in after if row["as_of"] == APRIL] == [row for row in before if row["as_of"] == APRIL]
