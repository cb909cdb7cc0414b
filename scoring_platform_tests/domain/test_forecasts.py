"""Forecasts as the engine computes them: those of the models, and what holds for every customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.config.scoring import Churn, Clv
from scoring_platform.contracts.columns import MONEY
from scoring_platform.domain.forecasts import COLUMNS, Rules, Tables, forecasts, histories, needs
from scoring_platform.fitting import repeat_buying as btyd
from scoring_platform.fitting.churn import TYPICAL
from scoring_platform.fitting.forecast import Fits, Forecast
from scoring_platform.fitting.histories import Floats, Histories
from scoring_platform.fitting.log import PurchaseLog
from scoring_platform.fitting.logistic import logit, probability
from scoring_platform.fitting.procedure import fit_forecast
from scoring_platform.fitting.snapshots import WEEK, Snapshot
from scoring_platform.fitting.tables import YEAR_WEEKS, ahead, left
from scoring_platform.fitting.value import Interval, OrderValue
from scoring_platform_tests.domain.tables import DAY, Database, before, frame
from scoring_platform_tests.fitting.logs import shop_log

RULES = Rules(Churn(), Clv(annual_discount_rate=0.0))
PARAMETERS = {
    "bg_nbd": ("r", "alpha", "a", "b"),
    "mbg_nbd": ("r", "alpha", "a", "b"),
    "pareto_nbd": ("r", "alpha", "s", "beta"),
}
VALUE = OrderValue("gamma_gamma", "", 30.0, 2.0)
INTERVAL = Interval((50.0, 200.0), (0.0, 0.2, 0.4), (3.0, 2.0, 0.9), 365, 500)
ALONE = Forecast(
    horizon=90,
    inner=90,
    rung="repeat_buying",
    reason="",
    models={"mbg_nbd": dict(TYPICAL)},
    slopes={"mbg_nbd": 1.0},
    bands={},
    intercept=0.0,
    lasting=0.0,
    seasonal=0.0,
    orders="mbg_nbd",
    orders_reason="",
    orders_parameters=dict(TYPICAL),
    scale=1.0,
    scale_year=1.0,
    value=VALUE,
    interval=INTERVAL,
)
"""A forecast by one model, as it is."""


@dataclass(frozen=True)
class Bought:
    """A customer in days: repeat purchases, from first to last, from first to today; what was paid."""

    x: int
    gap: int
    tenure: int
    paid_days: int = 1
    paid: float = 40.0


def by_model(name: str, parameters: Sequence[float], horizon: int = 90) -> Forecast:
    """A forecast by the model called ``name`` alone."""
    named = dict(zip(PARAMETERS[name], map(float, parameters), strict=True))
    return replace(
        ALONE, horizon=horizon, models={name: named}, slopes={name: 1.0}, orders=name, orders_parameters=named
    )


def single(customers: Sequence[Bought]) -> Histories:
    """Histories in the order of the customers, not grouped."""
    x, t_x, end = np.array([[one.x, one.gap / WEEK, one.tenure / WEEK] for one in customers]).T
    return Histories(x, t_x, end, np.ones(len(customers)))


def table_of(customers: Sequence[Bought], measures: Mapping[str, Floats] | None = None) -> ir.Table:
    """Profiles of ``customers``, named by their places, with measures of the churn card."""
    extra = measures or {}
    rows = [
        {
            "as_of": DAY,
            "customer_id": f"{place:05}",
            "order_days": one.x + 1,
            "first_order_on": before(one.tenure),
            "last_order_on": before(one.tenure - one.gap),
            "paid_days": one.paid_days,
            "paid_spend": Decimal(f"{one.paid:.4f}"),
            **{name: None if np.isnan(values[place]) else float(values[place]) for name, values in extra.items()},
        }
        for place, one in enumerate(customers)
    ]
    days = {"as_of": "date", "first_order_on": "date", "last_order_on": "date"}
    kinds = {"customer_id": "string", "order_days": "int64", "paid_days": "int64", "paid_spend": MONEY}
    return frame({**days, **kinds, **dict.fromkeys(extra, "float64")}, rows)


def tables_of(customers: Sequence[Bought], fitted: Forecast, discount: float) -> Tables:
    """The models of ``fitted`` on the pairs that occur."""
    behind = sorted({(one.x, one.gap) for one in customers})
    forward = sorted({(one.x, one.tenure) for one in customers})
    horizon = fitted.horizon / WEEK
    until = max(tenure for _, tenure in forward) / WEEK + horizon
    lefts: list[dict[str, Any]] = [{"order_days": x + 1, "gap_days": gap} for x, gap in behind]
    aheads: list[dict[str, Any]] = [{"order_days": x + 1, "tenure_days": tenure} for x, tenure in forward]
    for name in needs(fitted):
        model = btyd.model_of(name, fitted.models.get(name) or fitted.orders_parameters)
        x, gap = np.array(behind, dtype=np.float64).T
        for row, value in zip(lefts, left(model, x, gap / WEEK, until=until), strict=True):
            row[f"left_{name}"] = float(value)
        x, tenure = np.array(forward, dtype=np.float64).T
        found = ahead(model, x, tenure / WEEK, horizon=horizon, until=until, discount=discount)
        columns = {"alive": found.alive, "rest": found.rest, "later": found.rest_later}
        columns |= {"stay": found.stay, "orders": found.orders, "year": found.year}
        for column, values in columns.items():
            for row, value in zip(aheads, values, strict=True):
                row[f"{column}_{name}"] = float(value)
    return Tables(_floats(lefts, "gap_days"), _floats(aheads, "tenure_days"))


def _floats(rows: list[dict[str, Any]], other: str) -> ir.Table:
    whole = {"order_days", other}
    return frame({name: "int64" if name in whole else "float64" for name in rows[0]}, rows)


def scored(
    db: Database,
    customers: Sequence[Bought],
    fitted: Forecast,
    rules: Rules = RULES,
    measures: Mapping[str, Floats] | None = None,
) -> list[dict[str, Any]]:
    """Forecasts of ``customers`` in their order."""
    tables = tables_of(customers, fitted, rules.clv.annual_discount_rate)
    rows = db.rows(forecasts(histories(table_of(customers, measures)), tables, fitted, rules))
    return sorted(rows, key=lambda row: row["customer_id"])


def column(rows: Sequence[Mapping[str, Any]], name: str) -> Floats:
    return np.array([float(row[name]) for row in rows])


def people(seed: int) -> list[Bought]:
    """Customers of every kind: new, silent, daily, of ten years."""
    chance = np.random.default_rng(seed)
    found = []
    for tenure in map(int, chance.choice([0, 1, 6, 7, 30, 90, 365, 1_000, 4_000], 60)):
        x = int(min(tenure, chance.choice([0, 0, 1, 2, 5, 30, 400, 4_000])))
        gap = int(chance.integers(x, tenure + 1)) if x else 0
        found.append(Bought(x, gap, tenure, int(chance.integers(0, x + 2)), float(10 ** chance.uniform(-4, 6))))
    return found


seeds = st.integers(0, 100_000)
parameters = st.tuples(*[st.floats(0.02, 50)] * 4)


@pytest.mark.parametrize("name", PARAMETERS)
@given(seed=seeds, given_parameters=parameters, horizon=st.integers(1, 730))
@settings(max_examples=5, deadline=None)
def test_the_engine_computes_what_the_models_say(
    db: Database, name: str, seed: int, given_parameters: tuple[float, ...], horizon: int
) -> None:
    customers, fitted = people(seed), by_model(name, given_parameters, horizon)
    model = btyd.model_of(name, fitted.orders_parameters)
    rows, known, weeks = scored(db, customers, fitted), single(customers), horizon / WEEK
    again = probability(logit(btyd.chances(model, known, weeks)))
    expected = btyd.expected(model, known, weeks) * np.clip(
        again / np.maximum(btyd.chances(model, known, weeks), 1e-6), 0.25, 4
    )

    # Forecasts are published with nine decimals.
    assert column(rows, "p_alive") == pytest.approx(model.p_alive(known), rel=1e-9, abs=2e-9)
    assert 1 - column(rows, "churn_risk") == pytest.approx(again, rel=1e-9, abs=2e-9)
    assert column(rows, "expected_orders") == pytest.approx(np.maximum(expected, again), rel=2e-9, abs=2e-9)


@pytest.mark.parametrize("name", PARAMETERS)
def test_lifetime_value_is_purchases_of_a_year_times_what_one_is_worth(db: Database, name: str) -> None:
    customers = [Bought(0, 0, 50, 0, 0), Bought(3, 200, 220, 4, 100), Bought(20, 380, 400, 20, 9_000)]
    fitted = by_model(name, (0.6, 8.0, 0.7, 6.0))
    model = btyd.model_of(name, fitted.orders_parameters)
    n, mean = np.array([0.0, 4, 20]), np.array([0.0, 25, 450])
    year = btyd.expected(model, single(customers), YEAR_WEEKS) * VALUE.of(n, mean)
    rows = scored(db, customers, fitted)
    margin = scored(db, customers, fitted, Rules(Churn(), Clv(margin=0.25, annual_discount_rate=0.0)))
    later = scored(db, customers, fitted, Rules(Churn(), Clv(annual_discount_rate=0.2)))

    assert column(rows, "clv_12m") == pytest.approx(year, rel=1e-6, abs=1e-4)
    assert column(margin, "clv_12m") == pytest.approx(year / 4, rel=1e-6, abs=1e-4)
    assert (column(later, "clv_12m") < year).all()
    assert (column(later, "clv_12m") > year / 1.2).all()


@lru_cache
def fitted_shop() -> tuple[Fits, Snapshot, list[Bought]]:
    """A shop whose card has bands of every kind, some without an answer."""
    log = shop_log(700, 1_000, 5)
    chance = np.random.default_rng(6)
    email = chance.poisson(2, log.size).astype(np.float64)
    nps = np.where(chance.uniform(size=log.size) < 0.6, np.nan, chance.integers(0, 11, log.size))
    fits = fit_forecast(log, 999, horizon=60, fewest=50, signals=lambda _: {"email": email, "nps": nps})
    known = log.snapshot(999, season=60, signals=lambda _: {"email": email, "nps": nps})
    return fits, known, _customers(log, known)


@lru_cache
def shop_rows(db: Database) -> list[dict[str, Any]]:
    """Forecasts of everybody in that shop."""
    fits, known, customers = fitted_shop()
    return scored(db, customers, fits.forecast, measures=known.measures())


def _customers(log: PurchaseLog, known: Snapshot) -> list[Bought]:
    counts, means = log.spending(999)
    columns = (known.order_days - 1, known.first - known.last, known.first, counts, counts * means)
    return [
        Bought(int(x), int(gap), int(tenure), int(paid), float(total))
        for x, gap, tenure, paid, total in zip(*columns, strict=True)
    ]


def test_the_churn_card_gives_the_chances_it_was_fitted_to_give(db: Database) -> None:
    fits, known, _ = fitted_shop()
    rows = shop_rows(db)

    assert {"recency", "season", "email", "nps"} <= set(fits.forecast.bands), "without bands this would prove little"
    assert np.isnan(known.measures()["season"]).any()
    assert 1 - column(rows, "churn_risk") == pytest.approx(fits.churn.chances(known, 60), abs=3e-9)


def test_what_holds_for_every_customer_of_a_shop(db: Database) -> None:
    fits, _, customers = fitted_shop()
    rows = shop_rows(db)
    risk, orders = column(rows, "churn_risk"), column(rows, "expected_orders")

    assert len(rows) == len(customers)
    assert fits.forecast.interval is not None
    assert ((risk >= 0) & (risk <= 1)).all()
    assert (orders >= 1 - risk - 1e-9).all()
    assert all(Decimal(0) <= row["clv_low"] <= row["clv_12m"] <= row["clv_high"] for row in rows)
    assert {row["clv_rung"] for row in rows} == {f"{fits.forecast.orders}+{fits.forecast.value.rung}"}
    later = [row["expected_next_order_on"] for row in rows if row["expected_next_order_on"]]
    assert DAY <= min(later) <= max(later) <= DAY + timedelta(days=730)


tiny_or_huge = st.floats(-6, 6).map(lambda power: float(10**power))


@given(
    seed=seeds,
    name=st.sampled_from(sorted(PARAMETERS)),
    extreme=st.tuples(*[tiny_or_huge] * 4),
    scale=st.sampled_from([0.0, 1.0, 7.0]),
    everybody=st.sampled_from([0.0, 1e-4, 30.0, 1e12]),
    low=st.floats(0, 1e3),
)
@settings(max_examples=10, deadline=None)
def test_no_parameters_give_nonsense(
    db: Database,
    seed: int,
    name: str,
    extreme: tuple[float, ...],
    scale: float,
    everybody: float,
    low: float,
) -> None:
    fitted = replace(
        by_model(name, extreme),
        scale=scale,
        scale_year=scale,
        value=OrderValue("mean", "", everybody, 1.0),
        interval=Interval((50.0,), (low, 0.1), (low, 1e3), 90, 100),
    )
    for row in scored(db, people(seed), fitted):
        for forecast in ("p_alive", "churn_risk", "expected_orders", "clv_12m", "clv_low", "clv_high"):
            assert np.isfinite(float(row[forecast])), forecast
            assert row[forecast] >= 0, forecast
        assert row["churn_risk"] <= 1
        assert row["p_alive"] <= 1
        assert row["expected_orders"] >= 1 - row["churn_risk"] - 1e-9
        assert row["clv_low"] <= row["clv_12m"] <= row["clv_high"]


def test_the_interval_is_that_of_the_height_of_the_forecast(db: Database) -> None:
    customers = [Bought(0, 0, 300, 1, 30), Bought(3, 200, 220, 4, 120), Bought(20, 380, 400, 20, 9_000)]
    rows = scored(db, customers, by_model("mbg_nbd", (0.6, 8.0, 0.7, 6.0)))
    values = column(rows, "clv_12m")
    strata = np.searchsorted([50, 200], values, side="right")

    assert strata.tolist() == [0, 1, 2]
    assert column(rows, "clv_low") == pytest.approx(values * [0, 0.2, 0.4], abs=1e-3)
    # The forecast itself is always inside, though nine of ten of the highest spent less.
    assert column(rows, "clv_high") == pytest.approx(values * [3, 2, 1], abs=1e-3)


def test_without_an_interval_its_ends_are_null(db: Database) -> None:
    (row,) = scored(db, [Bought(3, 200, 220)], replace(ALONE, interval=None))

    assert (row["clv_low"], row["clv_high"]) == (None, None)
    assert row["clv_12m"] > 0


def test_the_next_order_is_the_median_of_the_wait_and_null_beyond_two_years(db: Database) -> None:
    weekly, rare, never = Bought(50, 350, 351), Bought(2, 700, 720), Bought(0, 0, 3_000)
    rows = scored(db, [weekly, rare, never], by_model("mbg_nbd", (0.5, 6.0, 0.7, 6.0)))
    waits = [(row["expected_next_order_on"] - DAY).days if row["expected_next_order_on"] else None for row in rows]

    def median(one: Bought) -> int:
        return int(np.ceil(7 * (6.0 + one.tenure / 7) * (2 ** (1 / (0.5 + one.x)) - 1)))

    assert waits == [median(weekly), median(rare), None]
    assert median(never) > 730


@pytest.mark.parametrize(
    ("medium", "high", "bands"),
    [(0.5, 0.8, ["low", "medium", "high"]), (0.0, 0.0, ["high"] * 3), (1.0, 1.0, ["low"] * 3)],
)
def test_bands_are_those_of_the_configuration(db: Database, medium: float, high: float, bands: list[str]) -> None:
    customers = [Bought(40, 360, 362), Bought(2, 100, 150), Bought(2, 100, 700)]
    rows = scored(db, customers, ALONE, Rules(Churn(medium=medium, high=high), Clv()))

    assert [row["churn_band"] for row in rows] == bands, column(rows, "churn_risk")


def test_who_never_bought_has_no_forecast(db: Database) -> None:
    nobody = table_of([Bought(0, 0, 10)]).mutate(order_days=0)
    tables = tables_of([Bought(0, 0, 10)], ALONE, 0.0)

    assert db.rows(forecasts(histories(nobody), tables, ALONE, RULES)) == []
    assert set(COLUMNS) < set(forecasts(histories(nobody), tables, ALONE, RULES).columns)
