"""Fitting forecasts: which customers and days are read for it, and the result as rows of score_models.

Belongs here: the sample, the log of its purchases, further measures on past days. Does not belong here: the models
(``fitting``), when a version is made (``models``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np

from scoring_platform.domain.forecasts import SIGNALS, signals
from scoring_platform.domain.measures import counts, latest_answers
from scoring_platform.domain.profiles import RECENT, RECENT_DAYS
from scoring_platform.fitting.backtest import Backtest
from scoring_platform.fitting.forecast import Fits
from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.log import PurchaseLog
from scoring_platform.fitting.maximise import Fit
from scoring_platform.fitting.procedure import fit_forecast
from scoring_platform.fitting.repeat_buying import Fitted
from scoring_platform.pipeline.step import Step

SAMPLE = 25_000
"""Customers that models are fitted to; of more, those whose ids have the least hashes."""

_EPOCH = date(1970, 1, 1)
_SALT = "fit|"


def fit(step: Step, through: date, *, configured: list[str]) -> Fits:
    """Fit forecasts to what is known of purchases up to the end of ``through``.

    Args:
        step: Reads the lake.
        through: The last day that counts.
        configured: Parts of the score that have a source.
    """
    facts = _facts(step, through)
    sample = step.engine.materialise(sampled(facts.filter(facts.purchase)))
    bought = facts.semi_join(sample, "customer_id").order_by("customer_id", "active_on").to_pyarrow()
    ids = sorted(set(bought["customer_id"].to_pylist()))
    number = {one: place for place, one in enumerate(ids)}
    log = PurchaseLog(
        customer=np.array([number[one] for one in bought["customer_id"].to_pylist()], dtype=np.int64),
        day=bought["active_on"].to_numpy(zero_copy_only=False).astype("datetime64[D]").astype(np.int64),
        bought=bought["purchase"].to_numpy(zero_copy_only=False).astype(bool),
        net=bought["net"].to_numpy(zero_copy_only=False).astype(np.float64),
        size=len(ids),
    )
    wanted = [name for name in (*SIGNALS, "nps") if name in configured]

    def measured(day: int) -> Mapping[str, Floats]:
        return _measures(step, sample, number, _EPOCH + timedelta(days=day), wanted) if wanted else {}

    return fit_forecast(
        log,
        (through - _EPOCH).days,
        horizon=step.config.scoring.horizon_days,
        fewest=step.config.rfm.minimum_buyers,
        signals=measured,
    )


def _facts(step: Step, through: date) -> ir.Table:
    """Days with purchases or refunds up to ``through``: customer_id, active_on, purchase, net."""
    activity = step.everything("customer_activity", last=through)
    bought = activity.filter((activity.orders > 0) | (activity.refunds > 0))
    net = (bought.revenue - bought.refunds).cast("float64")
    return bought.select("customer_id", "active_on", purchase=bought.purchase_day == 1, net=net)


def sampled(rows: ir.Table) -> ir.Table:
    """Return those of the customers in ``rows`` that stand for all: customer_id."""
    buyers = rows.select("customer_id").distinct()
    # A hash of the id, not of the engine: the same customers everywhere, whoever else there is.
    hashed = buyers.mutate(place=(ibis.literal(_SALT) + buyers.customer_id).hexdigest("md5"))
    return hashed.order_by("place", "customer_id").limit(SAMPLE).select("customer_id")


def _measures(
    step: Step, sample: ir.Table, number: Mapping[str, int], day: date, wanted: list[str]
) -> Mapping[str, Floats]:
    """Return what other sources knew of the sample on a past day; NaN where there is no answer."""
    days = step.as_days([day])
    activity = step.everything("customer_activity", first=day - timedelta(days=RECENT_DAYS - 1), last=day)
    recent = counts(activity.semi_join(sample, "customer_id"), days, window_days=RECENT_DAYS, columns=RECENT)
    answers = latest_answers(step.read("nps_responses", [step.last]).semi_join(sample, "customer_id"), days)
    known = days.table.cross_join(sample).left_join(recent, ["as_of", "customer_id"])
    known = known.drop("as_of_right", "customer_id_right")
    known = known.left_join(answers, ["as_of", "customer_id"])
    known = known.mutate(**{name: known[name].fill_null(0) for name in RECENT})
    rows = known.select("customer_id", **signals(known, wanted)).to_pyarrow()
    places = np.array([number[one] for one in rows["customer_id"].to_pylist()], dtype=np.int64)
    found: dict[str, Floats] = {}
    for name in wanted:
        values = np.full(len(number), np.nan)
        values[places] = rows[name].to_numpy(zero_copy_only=False).astype(np.float64)
        found[name] = values
    return found


def rows_of(fits: Fits, through: date) -> list[dict[str, Any]]:
    """Return what was fitted as rows of score_models, without configuration."""
    rows = [_btyd_row(name, one, fits, through) for name, one in fits.family.items()]
    if fits.gamma_gamma is not None:
        rows.append(_row("gamma_gamma", ("p", "q", "v"), fits.gamma_gamma, fits.paid, fits.forecast.value.rung))
    forecast = fits.forecast
    contests = {name: asdict(one) for name, one in fits.churn.contests.items()}
    deviations = [one.value for one in fits.churn.deviations]
    rows.append(
        {
            "model": "churn",
            "parameters": json.dumps(forecast.plain(), sort_keys=True),
            "sample_size": fits.customers,
            "log_likelihood": None,
            "standard_errors": None,
            "diagnostics": json.dumps({"contests": contests, "levels": deviations}, sort_keys=True),
            "rung": forecast.rung,
            "reason": forecast.reason,
        }
    )
    return rows


def backtests_of(fits: Fits) -> list[dict[str, Any]]:
    """Return how earlier forecasts would have done, as rows of model_backtest without as_of."""
    rows = []
    for one in fits.earlier:
        made_on = _EPOCH + timedelta(days=one.on)
        rows.append(backtest_row(one.model, one.days, made_on, made_on + timedelta(days=1), one.result))
    return rows


def backtest_row(model: str, days: int, made_on: date, fitted_for: date, result: Backtest) -> dict[str, Any]:
    """Return one forecast's figures as JSON can hold them, for model_backtest."""
    plain = result.plain()
    return {
        **plain,
        "calibration": json.dumps(plain["calibration"]),
        "model": model,
        "horizon_days": days,
        "fitted_for": fitted_for.isoformat(),
        "made_on": made_on.isoformat(),
    }


def _btyd_row(name: str, one: Fitted, fits: Fits, through: date) -> dict[str, Any]:
    names = ("r", "alpha", "s", "beta") if name == "pareto_nbd" else ("r", "alpha", "a", "b")
    used = "expected orders and CLV" if name == fits.forecast.orders else ""
    row = _row(name, names, one.fit, fits.customers, "fitted" if one.fit.converged else "doubtful")
    return row | {"reason": "; ".join(filter(None, [f"purchases up to {through}", one.fit.reason, used]))}


def _row(model: str, names: tuple[str, ...], fit: Fit, size: int, rung: str) -> dict[str, Any]:
    errors = {
        name: None if np.isnan(value) else float(value) for name, value in zip(names, fit.standard_errors, strict=True)
    }
    return {
        "model": model,
        "parameters": json.dumps(dict(zip(names, map(float, fit.parameters), strict=True)), sort_keys=True),
        "sample_size": size,
        "log_likelihood": float(fit.log_likelihood) if np.isfinite(fit.log_likelihood) else None,
        "standard_errors": json.dumps(errors, sort_keys=True),
        "diagnostics": json.dumps({"converged": fit.converged}),
        "rung": rung,
        "reason": fit.reason or "maximum likelihood",
    }
