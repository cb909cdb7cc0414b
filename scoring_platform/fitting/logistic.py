"""Logistic regression with a ridge towards given coefficients.

Belongs here: the search for coefficients. Does not belong here: what the columns mean.
"""

from __future__ import annotations

import numpy as np

from scoring_platform.fitting.histories import Floats

_ROUNDS = 50
_DONE = 1e-8


def probability(logits: Floats) -> Floats:
    """Return the probability of each logit."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -40, 40))))


def logit(probabilities: Floats) -> Floats:
    """Return the logit of each probability, which is kept a millionth away from 0 and 1."""
    inside = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(inside / (1 - inside)))


def losses(logits: Floats, y: Floats) -> Floats:
    """Return the logarithmic loss of each forecast."""
    return np.asarray(np.logaddexp(0, logits) - y * logits)


def ridge_logistic(X: Floats, y: Floats, *, towards: Floats, penalty: Floats) -> Floats:  # noqa: N803
    """Return the coefficients that minimise the loss plus half of the penalised squared distances.

    Newton's method with halved steps; the loss is convex, so it always ends at the one minimum.

    Args:
        X: Customers by columns.
        y: 1 or 0 per customer.
        towards: Coefficients that the ridge pulls to.
        penalty: Strength of the pull per column, greater than 0.
    """

    def loss(at: Floats) -> float:
        return float(losses(X @ at, y).sum() + 0.5 * (penalty * (at - towards) ** 2).sum())

    found, value = towards.copy(), loss(towards)
    for _ in range(_ROUNDS):
        p = probability(X @ found)
        gradient = X.T @ (p - y) + penalty * (found - towards)
        curvature = (X * (p * (1 - p))[:, None]).T @ X + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while loss(found - size * step) > value and size > 1e-6:
            size /= 2
        found = found - size * step
        before, value = value, loss(found)
        if before - value < _DONE * max(1.0, value):
            break
    return found
