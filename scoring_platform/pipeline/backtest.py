"""model_backtest: forecasts that have come due, against what happened.

Of each model there is the forecast as it was published a horizon ago, where that day is in the lake, and forecasts made
again at fitting time from the facts up to an earlier day, so that a home of one day has a backtest too.

Belongs here: which forecasts have come due, their customers and outcomes. Does not belong here: figures
(``fitting.backtest``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.contracts.columns import MONEY
from scoring_platform.domain.running import shifted
from scoring_platform.fitting.backtest import CHURN, CLV, Backtest, Foreseen, backtest, backtest_value
from scoring_platform.fitting.forecast import FEWEST
from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.log import YEAR
from scoring_platform.pipeline.fits import backtest_row, sampled
from scoring_platform.pipeline.models import backtests_for, fitted_for, version_named
from scoring_platform.pipeline.step import Step

_KEY = ("model", "horizon_days", "fitted_for")
Row = dict[str, Any]


def model_backtest(step: Step) -> ir.Table:
    """Backtests of the run's days."""
    horizon = step.config.scoring.horizon_days
    repeated, buying, value = backtests_for(step, step.days), _due(step, horizon), _due(step, YEAR)
    rows = []
    for day in step.days:
        found = [row | {"published": False} for row in repeated[day]]
        if day in buying:
            found.append(_published(step, CHURN, horizon, day, buying[day]))
        if day in value:
            found.append(_published(step, CLV, YEAR, day, value[day]))
        # Of two with one key the published one stays: it was there.
        rows += [{"as_of": day, **row} for row in {tuple(row[name] for name in _KEY): row for row in found}.values()]
    dates = ("made_on", "fitted_for")
    plain = [row | {name: date.fromisoformat(row[name]) for name in dates} for row in rows]
    kinds = {"as_of": "date", **dict(contract_of("model_backtest").schema.items())}
    return step.engine.materialise(ibis.memtable(plain, schema=ibis.schema(kinds)))


def newest(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the newest of the forecasts that scores give, one of each model and horizon."""
    found: dict[tuple[str, int], Mapping[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["made_on"], row["published"])):
        if row["model"] in {CHURN, CLV}:
            found[row["model"], row["horizon_days"]] = row
    return list(found.values())


def _published(step: Step, model: str, days: int, day: date, rows: pa.Table) -> Row:
    made_on = day - timedelta(days=days)
    name = rows["model_version"][0].as_py()
    version = version_named(step, name)
    fitted = fitted_for(version) if version else date.fromisoformat(f"{name[:7]}-01")
    result = _of_buying(rows) if model == CHURN else _of_value(step, rows)
    return backtest_row(model, days, made_on, fitted, result) | {"published": True}


def _of_buying(rows: pa.Table) -> Backtest:
    foreseen = Foreseen(1 - _floats(rows, "churn_risk"), _floats(rows, "expected_orders"), _floats(rows, "clv_12m"))
    return backtest(foreseen, _floats(rows, "bought"), _floats(rows, "spent"))


def _of_value(step: Step, rows: pa.Table) -> Backtest:
    low, high = _floats(rows, "clv_low"), _floats(rows, "clv_high")
    spent = np.maximum(_floats(rows, "discounted"), 0.0) * step.config.clv.margin
    known = not np.isnan(low).any()
    inside = ((spent >= low) & (spent <= high)).astype(np.float64) if known else None
    return backtest_value(_floats(rows, "clv_12m"), spent, inside=inside)


def _floats(rows: pa.Table, name: str) -> Floats:
    return np.asarray(rows[name].cast("float64").to_numpy(), dtype=np.float64)


def _due(step: Step, days: int) -> dict[date, pa.Table]:
    """Return, per day of the run, forecasts published ``days`` earlier beside what happened since.

    Customers who have become part of another since then are left out: what they did is that other's now.
    """
    made = [day - timedelta(days=days) for day in step.days]
    published = step.lake.days("customer_scores", first=made[0], last=made[-1])
    if not published:
        return {}
    scores = step.read("customer_scores", published)
    forecast = scores.filter(scores.churn_risk.notnull())
    if days != YEAR:  # a CLV is of a year whatever the horizon of the churn risk was
        forecast = forecast.filter(forecast.horizon_days == days)
    forecast = forecast.select(
        "customer_id", "churn_risk", "expected_orders", "clv_12m", "clv_low", "clv_high", "model_version",
        made_on=forecast.as_of, as_of=shifted(forecast.as_of, days),
    )  # fmt: skip
    there = step.read("customer_profiles", step.days).select("as_of", "customer_id")
    forecast = forecast.semi_join(there, ["as_of", "customer_id"])
    forecast = step.engine.materialise(forecast.semi_join(sampled(forecast), "customer_id"))
    rows = step.engine.materialise(_with_outcome(step, forecast, days)).order_by("as_of", "customer_id").to_pyarrow()
    found = {day: rows.filter(pc.equal(rows["as_of"], pa.scalar(day))) for day in step.days}
    return {day: own for day, own in found.items() if len(own) >= FEWEST}


def _with_outcome(step: Step, forecast: ir.Table, days: int) -> ir.Table:
    """Put purchase days, net spend, and net spend discounted to the day of the forecast beside each row."""
    first = step.days[0] - timedelta(days=days - 1)
    activity = step.everything("customer_activity", first=first, last=step.last)
    net = (activity.revenue - activity.refunds).cast(MONEY)
    facts = activity.select("customer_id", "active_on", "purchase_day", net=net)
    keys = forecast.select("as_of", "made_on", who=forecast.customer_id)
    known = keys.inner_join(
        facts, [keys.who == facts.customer_id, facts.active_on > keys.made_on, facts.active_on <= keys.as_of]
    )
    age = known.active_on.delta(known.made_on, unit="day").cast("float64")
    later = ibis.literal(1 + step.config.clv.annual_discount_rate) ** (-(age / YEAR))
    sums = known.group_by("as_of", customer_id=known.who).aggregate(
        bought=known.purchase_day.sum(), spent=known.net.sum(),
        discounted=(known.net.cast("float64") * later).round(4).cast(MONEY).sum(),
    )  # fmt: skip
    joined = forecast.left_join(sums, ["as_of", "customer_id"])
    joined = joined.drop([name for name in joined.columns if name.endswith("_right")])
    return joined.mutate(**{name: joined[name].fill_null(0) for name in ("bought", "spent", "discounted")})
