"""Forecasts keep what they promise where the truth is known: the sandbox company, and shops true to a model."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.log import PurchaseLog
from scoring_platform.fitting.metrics import spearman
from scoring_platform.sandbox.population import DEFAULT_SEED, Population
from scoring_platform.sandbox.truth import ahead, purchases
from scoring_platform_tests.fitting.shops import KINDS, Kind, true_shop
from scoring_platform_tests.pipeline.promises import (
    COVERAGE,
    Published,
    Tenth,
    covered,
    day_number,
    published,
    tenths,
    tolerance,
)
from scoring_platform_tests.pipeline.scenario import open_shop

HORIZON, YEAR = 90, 365
ON, LATER = date(2026, 6, 30), date(2026, 10, 31)
PLAIN = ""


def company_log(population: Population, through: date) -> tuple[PurchaseLog, pd.Index]:
    """Return what the sandbox company sold, and the names of its customers."""
    sold = purchases(population, through)
    numbers, names = pd.factorize(sold["customer"], sort=True)
    days = sold["day"].to_numpy().astype("datetime64[D]").astype(np.int64)
    order = np.lexsort((days, numbers))
    net = sold["net"].to_numpy(dtype=np.float64)
    log = PurchaseLog(numbers[order], days[order], np.ones(len(days), dtype=bool), net[order], len(names))
    return log, pd.Index(names)


def company(root: Path, seed: int, on: date) -> tuple[Published, Floats]:
    """Return what is published about customers of the sandbox company, and their true chances.

    Guests are drawn by lot for every order, whatever they bought before: they are among the customers and in the fit,
    but there is no truth about one of them.
    """
    population = Population(seed=seed)
    log, names = company_log(population, on + timedelta(days=YEAR))
    with open_shop(root, PLAIN) as shop:
        found = published(shop, log, on)
    chances = ahead(population, on, HORIZON).set_index("customer")["chance"].reindex(names[found.customer])
    true = chances.to_numpy(dtype=np.float64)
    known = ~np.isnan(true)
    assert known.mean() > 0.85
    return found.of(known), true[known]


def shop_of(root: Path, kind: Kind, seed: int, *, size: int, days: int = 4 * YEAR) -> Published:
    """Return what is published about a shop true to a model a year before its end."""
    log = true_shop(kind, size, days, seed)
    moved = PurchaseLog(log.customer, log.day + day_number(ON) + YEAR - days, log.bought, log.net, log.size)
    with open_shop(root, PLAIN) as shop:
        return published(shop, moved, ON)


def miscalibrated(found: Published, *, looks: int) -> list[Tenth]:
    """Return the tenths whose share of buyers is too far from the forecast to be chance."""
    return [one for one in tenths(found.chance, (found.bought > 0).astype(np.float64), looks=looks) if not one.holds]


def missed(found: Published, *, looks: int) -> float:
    """Return by how much less than stated the intervals cover, beyond what chance may do; 0 or less is right."""
    spread = found.fits.forecast.interval
    assert spread is not None
    share = covered(found.value, found.low, found.high)
    return COVERAGE - tolerance([len(found.value), spread.n], looks=looks) - share


def test_the_sandbox_company_is_forecast_as_promised(tmp_path: Path) -> None:
    found, true = company(tmp_path, DEFAULT_SEED, ON)

    assert len(found.chance) > 1_500
    assert miscalibrated(found, looks=1) == []
    assert missed(found, looks=1) <= 0
    assert (spearman(found.chance, true) or 0) > 0.5


SEEDS = range(1, 11)


@pytest.mark.drill
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
def test_other_companies_are_forecast_as_promised(tmp_path: Path, seed: int) -> None:
    found, _ = company(tmp_path, seed, LATER)

    assert miscalibrated(found, looks=len(SEEDS)) == []
    assert missed(found, looks=len(SEEDS)) <= 0


SHOPS = [(kind, seed) for kind in KINDS for seed in range(1, 5)]


@pytest.mark.drill
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "seed"), SHOPS)
def test_shops_true_to_a_model_are_forecast_as_promised(tmp_path: Path, kind: Kind, seed: int) -> None:
    found = shop_of(tmp_path, kind, seed, size=8_000)

    assert miscalibrated(found, looks=len(SHOPS)) == []
    assert missed(found, looks=len(SHOPS)) <= 0


@pytest.mark.drill
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_intervals_are_no_wider_than_stated_unless_nearly_all_spend_nothing(tmp_path: Path, kind: Kind) -> None:
    found = shop_of(tmp_path, kind, 1, size=8_000)
    tenth = np.array_split(np.argsort(found.clv, kind="stable"), 10)
    kept = np.concatenate([part for part in tenth if (found.value[part] == 0).mean() < COVERAGE * 0.9])
    spread = found.fits.forecast.interval
    assert spread is not None
    beyond = tolerance([len(kept), spread.n * len(kept) // len(found.value)], looks=len(KINDS))

    assert covered(found.value[kept], found.low[kept], found.high[kept]) <= COVERAGE + beyond
