"""Forecasts of the run's days: the versions in force, their tables, and the measures they read.

Belongs here: one computation per version, tabulating for the customers there are. Does not belong here: formulas
(``domain.forecasts``), fitting (``fits``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from scoring_platform.domain import forecasts as domain
from scoring_platform.fitting.forecast import Forecast
from scoring_platform.fitting.log import YEAR
from scoring_platform.fitting.repeat_buying import model_of
from scoring_platform.fitting.snapshots import WEEK
from scoring_platform.fitting.tables import ahead, left
from scoring_platform.pipeline.step import Step

_KEYS = ["as_of", "customer_id"]
_HISTORY = ["order_days", "first_order_on", "last_order_on", "paid_days", "paid_spend"]


def forecasts(
    step: Step, measured: ir.Table, versions: Sequence[tuple[Forecast, Sequence[date]]], configured: Collection[str]
) -> ir.Table:
    """Return as_of, customer_id and forecasts of everyone who has bought.

    Args:
        step: Computes.
        measured: Rows of profiles, or like them.
        versions: What was fitted, and the days on which that is in force.
        configured: Parts of the score that have a source.
    """
    extra = domain.signals(measured, list(configured))
    known = step.engine.materialise(domain.histories(measured.select(*_KEYS, *_HISTORY, **extra)))
    parts = []
    for fitted, days in versions:
        own = known.filter(known.as_of.isin(list(days))) if len(versions) > 1 else known
        own = _with_purchase_measures(own)
        if "season" in fitted.bands:
            own = own.left_join(_season(step, days, fitted.horizon), _KEYS).drop("as_of_right", "customer_id_right")
            there = own.first_order_on <= own.as_of - ibis.interval(days=YEAR)
            own = own.mutate(season=there.ifelse(own.season.fill_null(0).cast("float64"), ibis.null("float64")))
        own = step.engine.materialise(own)
        rules = domain.Rules(step.config.churn, step.config.clv)
        parts.append(step.engine.materialise(domain.forecasts(own, _tables(step, own, fitted), fitted, rules)))
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def _with_purchase_measures(bought: ir.Table) -> ir.Table:
    """Put beside each row what ``fitting.snapshots.purchase_measures`` returns."""
    recency = bought.as_of.delta(bought.last_order_on, unit="day").cast("float64")
    tenure, frequency = bought.tenure_days.cast("float64"), bought.order_days.cast("float64")
    return bought.mutate(
        recency=recency, frequency=frequency, tenure=tenure, silence=recency * frequency / (tenure + WEEK)
    )


def _season(step: Step, days: Sequence[date], horizon: int) -> ir.Table:
    """Return purchase days within (D − 365, D − 365 + horizon] per day D and customer: as_of, customer_id, season."""
    first, season = min(days) - timedelta(days=YEAR - 1), min(horizon, YEAR)
    activity = step.everything("customer_activity", first=first, last=max(days) - timedelta(days=YEAR - season))
    bought = activity.filter(activity.purchase_day == 1).select("customer_id", "active_on")
    table = step.days_table(days)
    begin = table.as_of - ibis.interval(days=YEAR)
    end = table.as_of - ibis.interval(days=YEAR - season)
    found = table.join(bought, [bought.active_on > begin, bought.active_on <= end])
    return found.group_by(_KEYS).aggregate(season=found.count())


def _tables(step: Step, bought: ir.Table, fitted: Forecast) -> domain.Tables:
    """Tabulate the models that ``fitted`` needs on the pairs that occur in ``bought``."""
    behind = _pairs(bought, "gap_days")
    before = _pairs(bought, "tenure_days")
    horizon = fitted.horizon / WEEK
    until = float(before["tenure_days"].max(initial=0.0)) / WEEK + horizon
    lefts = {"order_days": behind["order_days"], "gap_days": behind["gap_days"]}
    aheads = {"order_days": before["order_days"], "tenure_days": before["tenure_days"]}
    for name in domain.needs(fitted):
        parameters = fitted.models.get(name) or fitted.orders_parameters
        model = model_of(name, parameters)
        lefts[f"left_{name}"] = left(model, behind["order_days"] - 1, behind["gap_days"] / WEEK, until=until)
        found = ahead(
            model,
            before["order_days"] - 1,
            before["tenure_days"] / WEEK,
            horizon=horizon,
            until=until,
            discount=step.config.clv.annual_discount_rate,
        )
        aheads |= {
            f"alive_{name}": found.alive,
            f"rest_{name}": found.rest,
            f"later_{name}": found.rest_later,
            f"stay_{name}": found.stay,
            f"orders_{name}": found.orders,
            f"year_{name}": found.year,
        }
    return domain.Tables(_table(step, lefts, "gap_days"), _table(step, aheads, "tenure_days"))


def _pairs(bought: ir.Table, other: str) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    rows = bought.select("order_days", other).distinct().order_by("order_days", other).to_pyarrow()
    return {name: rows[name].to_numpy(zero_copy_only=False).astype(np.float64) for name in ("order_days", other)}


def _table(step: Step, columns: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]], other: str) -> ir.Table:
    whole = {"order_days", other}
    arrays = {name: pa.array(values.astype(np.int64) if name in whole else values) for name, values in columns.items()}
    return step.engine.materialise(ibis.memtable(pa.table(arrays)))
