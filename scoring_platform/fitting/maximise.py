"""Maximum likelihood of positive parameters.

Belongs here: the search for the maximum and what is known about it. Does not belong here: any likelihood.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.float64]
Likelihood = Callable[[Floats], tuple[float, Floats]]
"""Parameters to the log-likelihood of all customers and its gradient."""

Starts = Sequence[Sequence[float]]
"""Parameters from which the search begins."""

_LEAST, _MOST = np.log(1e-6), np.log(1e6)
_FLAT = 1e-3
"""Gradient per customer, in the logarithms of the parameters, below which a point counts as a maximum."""

_VAGUE = 3.0
"""Standard error of the logarithm of a parameter (a factor of twenty) from which it counts as not known at all."""

_STEP = 1e-5

_NOWHERE = 1e10
"""What is minimised where the likelihood is not finite."""


@dataclass(frozen=True)
class Fit:
    """The result of a fit.

    Attributes:
        parameters: The parameters, in the order of the model.
        log_likelihood: Of all customers; minus infinity when none was found that is finite.
        standard_errors: Of the parameters, by the curvature at the maximum; NaN where it has none.
        converged: Whether it is a maximum inside the bounds.
        reason: Why it is none; empty when it is.
    """

    parameters: Floats
    log_likelihood: float
    standard_errors: Floats
    converged: bool
    reason: str = ""


def maximise(likelihood: Likelihood, starts: Starts, *, customers: float, errors: bool = True) -> Fit:
    """Return the highest maximum found from ``starts``; without ``errors`` nothing is said of how sure it is.

    The search is over the logarithms of the parameters, so that they stay positive, and the likelihood is taken per
    customer, so that its steps do not depend on how many there are.
    """

    def objective(logs: Floats) -> tuple[float, Floats]:
        parameters = np.exp(logs)
        value, gradient = likelihood(parameters)
        if not np.isfinite(value) or not np.isfinite(gradient).all():
            return _NOWHERE, np.zeros_like(logs)
        return -value / customers, -gradient * parameters / customers

    bounds = [(_LEAST, _MOST)] * len(starts[0])
    options = {"maxiter": 500, "ftol": 1e-14, "gtol": 1e-9, "maxcor": 20}
    found = [
        minimize(objective, np.log(start), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        for start in starts
    ]
    best = min(found, key=lambda one: float(one.fun))
    logs, parameters = np.asarray(best.x), np.exp(np.asarray(best.x))
    spread = _standard_errors(objective, logs, customers) if errors else np.full(len(logs), np.nan)
    reason = _reason(logs, objective(logs)[1], float(best.fun))
    if not reason and errors and not (spread < _VAGUE).all():
        reason = "the purchases do not determine the parameters"
    log_likelihood = -float(best.fun) * customers if best.fun < _NOWHERE else -np.inf
    return Fit(parameters, log_likelihood, spread * parameters, not reason, reason)


def _reason(logs: Floats, gradient: Floats, value: float) -> str:
    if value >= _NOWHERE:
        return "the likelihood is not finite"
    if (logs <= _LEAST + 1e-9).any() or (logs >= _MOST - 1e-9).any():
        return "a parameter lies on its bound"
    if np.abs(gradient).max() > _FLAT:
        return "the search did not end at a maximum"
    return ""


def _standard_errors(objective: Callable[[Floats], tuple[float, Floats]], logs: Floats, customers: float) -> Floats:
    """Standard errors of the logarithms, from differences of the gradient."""
    size = len(logs)
    curvature = np.empty((size, size))
    for place in range(size):
        step = np.zeros(size)
        step[place] = _STEP
        curvature[place] = (objective(logs + step)[1] - objective(logs - step)[1]) / (2 * _STEP)
    curvature = (curvature + curvature.T) / 2 * customers
    try:
        variances = np.diag(np.linalg.inv(curvature))
    except np.linalg.LinAlgError:
        return np.full(size, np.nan)
    return np.sqrt(np.where(variances > 0, variances, np.nan))
