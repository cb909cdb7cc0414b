"""Forecasts per customer: churn risk, expected orders, lifetime value, next order.

What is fitted (``fitting.forecast``) is applied here as arithmetic on columns: special functions come from two tables
that are joined (``fitting.tables``), points of the churn card are sums of steps.

Belongs here: parameters and measures to forecasts. Does not belong here: fitting, which version is in force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from scoring_platform.config.scoring import Churn, Clv
from scoring_platform.contracts.columns import MONEY
from scoring_platform.domain.running import shifted
from scoring_platform.fitting.forecast import TILT, Forecast
from scoring_platform.fitting.repeat_buying import ORDERS, orders_forecast_of
from scoring_platform.fitting.snapshots import WEEK

COLUMNS: Mapping[str, str] = {
    "p_alive": "float64",
    "expected_orders": "float64",
    "churn_risk": "float64",
    "churn_band": "string",
    "clv_12m": MONEY,
    "clv_low": MONEY,
    "clv_high": MONEY,
    "clv_rung": "string",
    "expected_next_order_on": "date",
}
SIGNALS: Mapping[str, Mapping[str, int]] = {
    "email": {"email_opens_90d": 1, "email_clicks_90d": 3},
    "web": {"web_sessions_90d": 1},
    "support": {"tickets_bad_90d": 1},
}
"""Measures of the churn card out of those of profiles: weighted sums."""

_FARTHEST_DAYS = 730
_DIGITS = 9
_MOST = 700.0
"""Greatest exponent that floating point can hold."""

_MOST_MONEY = 9e13
"""Rather less than the greatest amount that a column of money holds."""


@dataclass(frozen=True)
class Rules:
    """What is configured of forecasts."""

    churn: Churn
    clv: Clv


@dataclass(frozen=True)
class Tables:
    """Models tabulated on the pairs that occur; columns are named ``<column>_<model>``.

    Attributes:
        left: order_days, gap_days (first to last purchase), ``left_…``.
        ahead: order_days, tenure_days, ``alive_…``, ``rest_…``, ``later_…``, ``stay_…``, ``orders_…``, ``year_…``.
    """

    left: ir.Table
    ahead: ir.Table


def histories(measured: ir.Table) -> ir.Table:
    """Return rows of customers who have bought, with tenure_days and gap_days.

    Args:
        measured: as_of, order_days, first_order_on and last_order_on beside whatever else.
    """
    bought = measured.filter(measured.order_days > 0)
    return bought.mutate(
        tenure_days=bought.as_of.delta(bought.first_order_on, unit="day"),
        gap_days=bought.last_order_on.delta(bought.first_order_on, unit="day"),
    )


def signals(recent: ir.Table, configured: Sequence[str]) -> dict[str, ir.Value]:
    """Return the measures of the churn card that come from other sources than orders.

    Args:
        recent: The columns of profiles that ``SIGNALS`` names, and nps_score.
        configured: Parts that have a source.
    """
    found: dict[str, ir.Value] = {}
    for name, weights in SIGNALS.items():
        if name in configured:
            terms = [recent[column].cast("float64") * weight for column, weight in weights.items()]
            found[name] = sum(terms[1:], terms[0])
    if "nps" in configured:
        found["nps"] = recent.nps_score.cast("float64")
    return found


def forecasts(bought: ir.Table, tables: Tables, fitted: Forecast, rules: Rules) -> ir.Table:
    """Return forecasts of everyone who has bought: as_of, customer_id and ``COLUMNS``.

    Args:
        bought: ``histories`` with paid_days, paid_spend and the measures that the churn card reads.
        tables: Models tabulated for these rows.
        fitted: What was fitted.
        rules: Margin, discount, bands.
    """
    # Every row has its pairs. Inner joins an engine may reorder, and then joins the two tables with each other first.
    joined = bought.left_join(tables.left, ["order_days", "gap_days"])
    joined = joined.drop("order_days_right", "gap_days_right").left_join(tables.ahead, ["order_days", "tenure_days"])
    joined = joined.drop("order_days_right", "tenure_days_right")
    chances = {name: _chance(joined, name) for name in needs(fitted)}
    joined = joined.mutate(
        **{f"p_alive_{name}": alive for name, (alive, _) in chances.items()},
        **{f"again_{name}": again for name, (_, again) in chances.items()},
    )
    joined = joined.mutate(_points=_points(joined, fitted).round(_DIGITS))
    # Named, because a query repeats what has no name wherever it is used.
    joined = joined.mutate(
        _again=_probability(joined._points + (fitted.lasting + fitted.seasonal)),
        _lasting=_probability(joined._points + fitted.lasting),
    )
    again, lasting = joined._again, joined._lasting
    model = fitted.orders
    tilt = _tilt(again, joined[f"again_{model}"]) * fitted.scale
    tilt_year = _tilt(lasting, joined[f"again_{model}"]) * fitted.scale_year
    orders = joined[f"p_alive_{model}"] * joined[f"orders_{model}"] * tilt
    year = joined[f"p_alive_{model}"] * joined[f"year_{model}"] * tilt_year
    result = joined.mutate(
        p_alive=joined[f"p_alive_{model}"].round(_DIGITS),
        churn_risk=(1 - again).round(_DIGITS),
        # Whoever buys at all buys at least once.
        expected_orders=ibis.greatest(orders, again).round(_DIGITS),
        _clv=year * _value(joined, fitted) * rules.clv.margin,
        expected_next_order_on=_next_order(joined, fitted),
        clv_rung=ibis.literal(f"{fitted.clv_model}+{fitted.value.rung}"),
    )
    result = result.mutate(churn_band=_band(result.churn_risk, rules.churn), **_interval(result, fitted, rules.clv))
    return result.select("as_of", "customer_id", *COLUMNS)


def _chance(joined: ir.Table, name: str) -> tuple[ir.Value, ir.Value]:
    """Return the chance of still being a customer, and of buying within the horizon (see ``fitting.tables``)."""
    u = ibis.least(joined[f"left_{name}"] - joined[f"alive_{name}"], _MOST).exp()
    alive = _within(1 / (1 + u - joined[f"rest_{name}"]))
    none = alive * (joined[f"stay_{name}"] + u - joined[f"later_{name}"])
    return alive, _within(1 - none)


def _points(joined: ir.Table, fitted: Forecast) -> ir.Value:
    total: ir.Value = ibis.literal(fitted.intercept, type="float64")
    for name, slope in fitted.slopes.items():
        total = total + _on_scale(joined, name, fitted) * slope
    for name, card in fitted.bands.items():
        total = total + _steps(joined[name], card)
    return total


def _on_scale(joined: ir.Table, name: str, fitted: Forecast) -> ir.Value:
    """Return one forecast as the card reads it: a logit, or the logarithm of expected purchases."""
    if name != ORDERS:
        inside = _between(joined[f"again_{name}"], 1e-6, 1 - 1e-6)
        return (inside / (1 - inside)).ln()
    model = orders_forecast_of(fitted.models)
    return _between(joined[f"p_alive_{model}"] * joined[f"orders_{model}"], 1e-5, 1e4).ln()


def _steps(value: ir.Value, card: Mapping[str, Any]) -> ir.Value:
    """Return the points of a measure: those of the lowest band, and a step at every edge that is reached."""
    points = card["points"]
    total: ir.Value = ibis.literal(points[0], type="float64")
    for edge, below, above in zip(card["edges"], points, points[1:], strict=False):
        total = total + (value >= edge).cast("float64") * (above - below)
    return value.isnull().ifelse(ibis.literal(card["missing"], type="float64"), total)


def _value(joined: ir.Table, fitted: Forecast) -> ir.Value:
    """Return what a purchase is worth (``fitting.value.OrderValue``)."""
    n = joined.paid_days.cast("float64")
    total = joined.paid_spend.cast("float64")
    return (total + fitted.value.k * fitted.value.everybody) / (n + fitted.value.k)


def _interval(result: ir.Table, fitted: Forecast, clv: Clv) -> dict[str, ir.Value]:
    """Return the CLV and its interval, which always holds it."""
    value = ibis.least(result._clv, _MOST_MONEY).round(4)
    found = {"clv_12m": value.cast(MONEY)}
    spread = fitted.interval
    if spread is None:
        return found | {"clv_low": ibis.null(MONEY), "clv_high": ibis.null(MONEY)}
    # Strata are of undiscounted spend; half a year's discount is that of the middle of the year.
    height = result._clv * ((1 + clv.annual_discount_rate) ** 0.5 / clv.margin)
    place: Any = {"edges": list(spread.edges), "missing": spread.low[0]}
    low = _steps(height, place | {"points": list(spread.low)})
    high = _steps(height, place | {"points": list(spread.high)})
    return found | {
        "clv_low": (value * ibis.least(low, 1.0)).round(4).cast(MONEY),
        "clv_high": ibis.least(value * ibis.greatest(high, 1.0), _MOST_MONEY).round(4).cast(MONEY),
    }


def _next_order(joined: ir.Table, fitted: Forecast) -> ir.Value:
    """Return the day by which half of those who buy like this one would have bought again, were all customers still.

    The waiting time of a gamma-distributed rate with shape r + x and scale alpha + T has its median at
    (alpha + T) (2^(1 / (r + x)) - 1); null when it is more than two years ahead.
    """
    r, alpha = fitted.orders_parameters["r"], fitted.orders_parameters["alpha"]
    shape = joined.order_days.cast("float64") - 1 + r
    weeks = (joined.tenure_days.cast("float64") / WEEK + alpha) * (ibis.literal(2.0) ** (1 / shape) - 1)
    days = ibis.least(weeks * WEEK, _FARTHEST_DAYS + 1.0).ceil().cast("int64")
    day = shifted(joined.as_of, days)
    return (days <= _FARTHEST_DAYS).ifelse(day, ibis.null("date"))


def _band(risk: ir.Value, churn: Churn) -> ir.Value:
    return (risk >= churn.high).ifelse("high", (risk >= churn.medium).ifelse("medium", "low"))


def _tilt(chance: ir.Value, model: ir.Value) -> ir.Value:
    return _between(chance / ibis.greatest(model, 1e-6), 1 / TILT, TILT)


def _probability(logit: ir.Value) -> ir.Value:
    return 1 / (1 + (-_between(logit, -40.0, 40.0)).exp())


def _within(chance: ir.Value) -> ir.Value:
    return _between(chance, 0.0, 1.0)


def _between(value: ir.Value, low: float, high: float) -> ir.Value:
    """Return the value within limits; it is never null, for which ``clip`` looks and so repeats it six times."""
    return ibis.greatest(ibis.least(value, high), low)


def needs(fitted: Forecast) -> tuple[str, ...]:
    """Return the models that have to be tabulated."""
    return tuple(sorted({*fitted.models, fitted.orders}))
