"""model_backtest: published forecasts that have come due against the facts, beside those made again at fitting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from scoring_platform.pipeline.backtest import model_backtest, newest
from scoring_platform_tests.domain.tables import table
from scoring_platform_tests.pipeline.scenario import Shop, open_shop

MADE = date(2026, 3, 1)
HORIZON = 10
DAY = MADE + timedelta(days=HORIZON)
PEOPLE = 60
FEW_BUYERS = f"rfm: {{minimum_buyers: 5}}\nscoring: {{horizon_days: {HORIZON}}}"


def purchase(customer: str, day: date, amount: int) -> dict[str, Any]:
    return {
        "customer_id": customer, "as_of": day, "active_on": day, "orders": 1, "purchase_day": 1, "revenue": amount,
    }  # fmt: skip


def profile(customer: str, day: date) -> dict[str, Any]:
    consent = {"consent_email_marketing": "unknown", "consent_web_tracking": "unknown"}
    return {"as_of": day, "customer_id": customer, **consent}


def forecast(customer: str, **changes: Any) -> dict[str, Any]:
    row = {
        "as_of": MADE, "customer_id": customer, "horizon_days": HORIZON, "churn_risk": 0.5, "expected_orders": 0.5,
        "clv_12m": 100, "clv_low": 10, "clv_high": 200, "model_version": "2026-03-none-0", "total_score": 50,
    }  # fmt: skip
    return row | changes


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """People of whom every second bought on the first day of the horizon; one bought a day too late, one too early."""
    people = [f"c{number:02}" for number in range(PEOPLE)]
    facts = [purchase(one, MADE + timedelta(days=1), 100) for one in people[::2]]
    facts += [purchase(people[1], DAY + timedelta(days=1), 1), purchase(people[3], MADE, 1)]
    facts += [purchase(people[0], DAY, 100)]
    with open_shop(tmp_path, FEW_BUYERS) as shop:
        days = [MADE + timedelta(days=number) for number in range(-40, HORIZON + 2)]
        shop.write("customer_activity", table("customer_activity", *facts), days)
        gone = [*people, "merged away"]
        shop.write("customer_scores", table("customer_scores", *(forecast(one) for one in gone)), [MADE])
        there = [profile(one, DAY) for one in people]
        shop.write("customer_profiles", table("customer_profiles", *there), [DAY])
        shop.write("nps_responses", table("nps_responses"), [DAY])
        yield shop


def rows(shop: Shop, *days: date) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = model_backtest(shop.step(*days)).to_pyarrow().to_pylist()
    return found


def test_a_published_forecast_is_judged_by_what_happened_within_its_horizon(shop: Shop) -> None:
    (found,) = [row for row in rows(shop, DAY) if row["published"]]
    (decile,) = {(one["forecast"], one["actual"]) for one in json.loads(found["calibration"])}

    assert (found["model"], found["horizon_days"], found["made_on"]) == ("churn", HORIZON, MADE)
    assert found["fitted_for"] == date(2026, 3, 1)
    assert found["n"] == PEOPLE, "who has become part of another is left out"
    assert decile == (0.5, 0.5)
    assert found["brier"] == pytest.approx(0.25)
    assert found["auc"] == pytest.approx(0.5)
    assert found["total_error"] == pytest.approx(0.5 * PEOPLE / (PEOPLE / 2 + 1) - 1)
    assert found["breach"] == ""


def test_a_forecast_that_has_not_come_due_or_was_for_another_horizon_is_not_judged(shop: Shop) -> None:
    changed = [forecast(f"c{number:02}", horizon_days=30) for number in range(PEOPLE)]
    early = DAY - timedelta(days=1)
    shop.write("customer_profiles", table("customer_profiles", profile("c00", early)), [early])

    assert not [row for row in rows(shop, early) if row["published"]]
    shop.write("customer_scores", table("customer_scores", *changed), [MADE])
    assert not [row for row in rows(shop, DAY) if row["published"]]


def test_a_clv_is_judged_after_a_year_with_its_interval(shop: Shop) -> None:
    due = MADE + timedelta(days=365)
    there = [profile(f"c{number:02}", due) for number in range(PEOPLE)]
    shop.write("customer_profiles", table("customer_profiles", *there), [due])
    shop.write("nps_responses", table("nps_responses"), [due])
    (found,) = [row for row in rows(shop, due) if row["published"]]

    assert (found["model"], found["horizon_days"]) == ("clv", 365)
    assert found["auc"] is None
    assert found["coverage"] == pytest.approx(0.5), "all who bought are inside 10 to 200, who did not are below"


def test_days_of_a_range_have_the_backtests_of_single_days(shop: Shop) -> None:
    other = DAY - timedelta(days=1)
    shop.write("customer_profiles", table("customer_profiles", profile("c00", other)), [other])
    shop.write("nps_responses", table("nps_responses"), [other])
    at_once = rows(shop, other, DAY)

    assert at_once == [*rows(shop, other), *rows(shop, DAY)]


def test_only_the_newest_forecast_of_each_kind_speaks() -> None:
    def row(model: str, made_on: date, breach: str, *, published: bool = False) -> dict[str, Any]:
        return {"model": model, "horizon_days": 90, "made_on": made_on, "breach": breach, "published": published}

    old, new = date(2026, 1, 1), date(2026, 4, 1)
    given = [row("churn", new, "", published=True), row("churn", old, "off"), row("bg_nbd", new, "off")]

    assert newest(given) == [given[0]]
    assert newest([*given, row("clv", old, "off")])[1]["breach"] == "off"
