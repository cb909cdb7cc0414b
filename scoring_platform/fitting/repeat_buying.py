"""The models of repeat buying side by side: fitted together, forecasting under one name each.

Belongs here: which models there are, when one can be used, their forecasts on the scale of scorecards. Does not belong
here: the models themselves, which of them is used for what.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from scoring_platform.fitting import bg_nbd, pareto_nbd
from scoring_platform.fitting.bg_nbd import BgNbd
from scoring_platform.fitting.histories import Floats, Histories
from scoring_platform.fitting.logistic import logit
from scoring_platform.fitting.maximise import Fit, Starts
from scoring_platform.fitting.pareto_nbd import ParetoNbd

BG_NBD, MBG_NBD, PARETO_NBD = "bg_nbd", "mbg_nbd", "pareto_nbd"
MODELS = (MBG_NBD, BG_NBD, PARETO_NBD)
"""In the order in which one is preferred where nothing tells them apart."""

ORDERS = "orders"
"""Name of the logarithm of expected purchases among the forecasts."""

Model = BgNbd | ParetoNbd
_STARTS: Mapping[str, Starts] = {BG_NBD: bg_nbd.STARTS, MBG_NBD: bg_nbd.STARTS, PARETO_NBD: pareto_nbd.STARTS}
_SEARCHED_ON = 3_000
"""Groups on which the several starts are tried; only the best of them goes on with all."""

_LEAST_ORDERS, MOST_ORDERS = 1e-5, 1e4


@dataclass(frozen=True)
class Fitted:
    """A model with its fit."""

    model: Model
    fit: Fit


Family = Mapping[str, Fitted]
"""Models by name."""


def fit_family(histories: Histories, *, near: Family | None = None) -> Family:
    """Fit every model; with ``near``, from the parameters that were right at about that time."""
    few = histories.every(_SEARCHED_ON)
    return {name: _fit(name, histories, few, None if near is None else near[name]) for name in MODELS}


def fit_one(name: str, histories: Histories, *, near: Fitted | None = None) -> Fitted:
    """Fit the model called ``name``."""
    return _fit(name, histories, histories.every(_SEARCHED_ON), near)


def _fit(name: str, histories: Histories, few: Histories, near: Fitted | None) -> Fitted:
    # A bound that an unusable fit ran into is no place to begin at.
    errors = near is None  # nobody asks how sure models of earlier days are
    if near is None or not near.fit.converged:
        near = _maximum(name, few, _STARTS[name], errors=errors)
        if few is histories:
            return near
    return _maximum(name, histories, (tuple(map(float, near.fit.parameters)),), errors=errors)


def _maximum(name: str, histories: Histories, starts: Starts, *, errors: bool) -> Fitted:
    if name == PARETO_NBD:
        return Fitted(*ParetoNbd.fit(histories, starts=starts, errors=errors))
    return Fitted(*BgNbd.fit(histories, modified=name == MBG_NBD, starts=starts, errors=errors))


def model_of(name: str, parameters: Mapping[str, float]) -> Model:
    """Return the model called ``name`` with its parameters by name."""
    if name == PARETO_NBD:
        return ParetoNbd(**parameters)
    return BgNbd(**parameters, modified=name == MBG_NBD)


def usable(family: Family) -> dict[str, Model]:
    """Return the models that forecast: a parameter on its bound, such as nobody ever leaving, does no harm here."""
    return {name: one.model for name, one in family.items() if np.isfinite(one.fit.log_likelihood)}


def forecasts(models: Mapping[str, Model], histories: Histories, horizon: float) -> dict[str, Floats]:
    """Return, for each customer, the logit of buying within ``horizon`` weeks by each model, and ``ORDERS``.

    Args:
        models: Models that can be used.
        histories: Of every customer.
        horizon: Weeks.
    """
    found = {name: logit(chances(model, histories, horizon)) for name, model in models.items()}
    if models:
        model = models[orders_forecast_of(models)]
        found[ORDERS] = np.log(np.clip(expected(model, histories, horizon), _LEAST_ORDERS, MOST_ORDERS))
    return found


def orders_forecast_of(models: Collection[str]) -> str:
    """Return the model behind ``ORDERS``: Pareto/NBD's expectation ranks best where it can be had."""
    return PARETO_NBD if PARETO_NBD in models else next(name for name in MODELS if name in models)


def chances(model: Model, histories: Histories, horizon: float) -> Floats:
    """Return each customer's chance of buying within ``horizon`` weeks."""
    return np.clip(np.nan_to_num(1 - model.p_none(histories, horizon), nan=0.5), 0.0, 1.0)


def expected(model: Model, histories: Histories, horizon: float) -> Floats:
    """Return the expected purchases of each customer within ``horizon`` weeks."""
    found = np.nan_to_num(model.expected(histories, horizon), nan=0.0, posinf=MOST_ORDERS, neginf=0.0)
    return np.clip(found, 0.0, MOST_ORDERS)
