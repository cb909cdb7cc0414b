"""Pareto/NBD: buying at a gamma-distributed rate, for a gamma-distributed rate of leaving (Schmittlein et al. 1987).

The likelihood is written as an integral over the moment of leaving, taken by quadrature: the closed form needs 2F1 at
arguments where it loses all digits, and has no closed gradient. Fader & Hardie's note on deriving the Pareto/NBD model
has both forms.

Belongs here: this model. Does not belong here: the search for parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import digamma, gammaln

from scoring_platform.fitting.histories import Floats, Histories
from scoring_platform.fitting.maximise import Fit, Starts, maximise

STARTS = ((0.5, 10.0, 0.6, 12.0), (1.0, 30.0, 0.5, 50.0), (0.3, 3.0, 1.0, 5.0))
NODES = 40
"""Points of the quadrature; in the logarithm of time the integrand is smooth, and half of them give eight digits."""

_DEEP = 40.0
"""Fall of the logarithm of the integrand from which the rest adds nothing."""

_FLAT = 1e-3

CHUNK = 2_000
"""Groups integrated at a time: what that takes stays in the processor's cache."""


@dataclass(frozen=True)
class _Integral:
    """The integral of each group, and at its nodes: what is added up, alpha + u, beta + u and their logarithms."""

    log: Floats
    terms: Floats
    buying: Floats
    leaving: Floats
    log_buying: Floats
    log_leaving: Floats


@dataclass(frozen=True)
class ParetoNbd:
    """A model with its parameters; times are in the unit it was fitted in.

    Attributes:
        r: Shape of the rates of buying.
        alpha: Scale of the rates of buying (a time).
        s: Shape of the rates of leaving.
        beta: Scale of the rates of leaving (a time).
    """

    r: float
    alpha: float
    s: float
    beta: float

    @classmethod
    def fit(cls, histories: Histories, *, starts: Starts = STARTS, errors: bool = True) -> tuple[ParetoNbd, Fit]:
        """Fit by maximum likelihood."""
        found = maximise(
            lambda parameters: cls.at(parameters).likelihood(histories),
            starts,
            customers=histories.customers,
            errors=errors,
        )
        return cls.at(found.parameters), found

    @classmethod
    def at(cls, parameters: Floats) -> ParetoNbd:
        """Return the model with ``parameters`` r, alpha, s, beta."""
        r, alpha, s, beta = (float(value) for value in parameters)
        return cls(r, alpha, s, beta)

    def log_likelihoods(self, h: Histories) -> Floats:
        """Return the log-likelihood of one customer of each group."""
        return self._common(h) + np.logaddexp(self.log_alive(h.x, h.T), self.log_left(h.x, h.t_x, h.T))

    def p_alive(self, h: Histories) -> Floats:
        """Return the probability of still being a customer at T."""
        alive = self.log_alive(h.x, h.T)
        return np.exp(alive - np.logaddexp(alive, self.log_left(h.x, h.t_x, h.T)))

    def p_none(self, h: Histories, horizon: float) -> Floats:
        """Return the probability of no purchase in (T, T + horizon]: the likelihood of the longer silence."""
        later = Histories(h.x, h.t_x, h.T + horizon, h.n)
        return np.exp(np.minimum(self.log_likelihoods(later) - self.log_likelihoods(h), 0.0))

    def expected(self, h: Histories, horizon: float) -> Floats:
        """Return the expected number of purchases in (T, T + horizon]."""
        return self.p_alive(h) * self.expected_alive(h.x, h.T, horizon)

    def expected_alive(self, x: Floats, T: Floats, horizon: float) -> Floats:  # noqa: N803
        """Return the expected number of purchases in (T, T + horizon] of one who is still a customer."""
        rate = (self.r + x) / (self.alpha + T)
        return rate * _mean_stay(self.s, self.beta + T, horizon)

    def expected_new(self, t: Floats) -> Floats:
        """Return the expected repeat purchases of a new customer in (0, t]."""
        return self.r / self.alpha * _mean_stay(self.s, np.full_like(t, self.beta), t)

    def _common(self, h: Histories) -> Floats:
        common = gammaln(self.r + h.x) - gammaln(self.r)
        return np.asarray(common + self.r * np.log(self.alpha) + self.s * np.log(self.beta))

    def _terms(self, h: Histories) -> tuple[Floats, Floats, Floats]:
        """Logarithms of the chances of being alive at T and of having left before; gradient of the latter."""
        parts = [self._left(h.x[at], h.t_x[at], h.T[at]) for at in _slices(len(h.x))]
        return (
            self.log_alive(h.x, h.T),
            np.concatenate([part[0] for part in parts]),
            np.concatenate([part[1] for part in parts], axis=1),
        )

    def log_alive(self, x: Floats, T: Floats) -> Floats:  # noqa: N803
        """Return the logarithm of the chance of the purchases and of staying up to T, without what is common."""
        return np.asarray(-(self.r + x) * np.log(self.alpha + T) - self.s * np.log(self.beta + T))

    def log_left(self, x: Floats, after: Floats, until: Floats) -> Floats:
        """Return the logarithm of the chance of having left in (after, until], without what is common."""
        return np.concatenate([self._at(x[part], after[part], until[part]).log for part in _slices(len(x))])

    def _left(self, x: Floats, t_x: Floats, T: Floats) -> tuple[Floats, Floats]:  # noqa: N803
        """Return the logarithm of the integral and its gradient in the parameters."""
        found = self._at(x, t_x, T)
        share = found.terms / found.terms.sum(axis=1)[:, None]
        gradient = np.array(
            [
                -(share * found.log_buying).sum(axis=1),
                -(self.r + x) * (share / found.buying).sum(axis=1),
                1 / self.s - (share * found.log_leaving).sum(axis=1),
                -(self.s + 1) * (share / found.leaving).sum(axis=1),
            ]
        )
        return found.log, gradient

    def _at(self, x: Floats, t_x: Floats, T: Floats) -> _Integral:  # noqa: N803
        """Integrate over the moment u of leaving in (t_x, T]: s (alpha + u)^-(r + x) (beta + u)^-(s + 1)."""
        points, weights = _quadrature()
        offset, gap = min(self.alpha, self.beta), abs(self.alpha - self.beta)
        low, high = np.log(offset + t_x), np.log(offset + T)
        # The logarithm of the integrand falls ever faster, so that nodes further out than this would be wasted.
        fall = (offset + t_x) * ((self.r + x) / (self.alpha + t_x) + (self.s + 1) / (self.beta + t_x)) - 1
        half = np.minimum(high - low, _DEEP / np.maximum(fall, _FLAT)) / 2
        log_near = low[:, None] + half[:, None] * (points + 1)
        near = np.exp(log_near)
        far = near + gap
        pair, logs = (near, far), (log_near, np.log(far))
        if self.beta < self.alpha:
            pair, logs = pair[::-1], logs[::-1]
        heights = log_near - (self.r + x)[:, None] * logs[0] - (self.s + 1) * logs[1]
        most = heights.max(axis=1)
        terms = weights * np.exp(heights - most[:, None])
        with np.errstate(divide="ignore"):
            log = np.log(self.s) + np.log(half) + most + np.log(terms.sum(axis=1))
        return _Integral(log, terms, *pair, *logs)

    def likelihood(self, h: Histories) -> tuple[float, Floats]:
        """Return the log-likelihood of all customers and its gradient in r, alpha, s, beta."""
        alive, left, of_left = self._terms(h)
        total = np.logaddexp(alive, left)
        share = np.exp(left - total)
        of_alive = np.array(
            [
                -np.log(self.alpha + h.T),
                -(self.r + h.x) / (self.alpha + h.T),
                -np.log(self.beta + h.T),
                -self.s / (self.beta + h.T),
            ]
        )
        ones = np.ones_like(h.x)
        of_common = np.array(
            [
                digamma(self.r + h.x) - digamma(self.r) + np.log(self.alpha),
                self.r / self.alpha * ones,
                np.log(self.beta) * ones,
                self.s / self.beta * ones,
            ]
        )
        gradient = of_common + (1 - share) * of_alive + share * of_left
        return float(h.n @ (self._common(h) + total)), gradient @ h.n


def _mean_stay(s: float, scale: Floats, horizon: float | Floats) -> Floats:
    """Return the mean time, up to ``horizon``, that one stays whose rate of leaving is gamma (s, scale)."""
    near = np.log1p(horizon / scale)
    if abs(s - 1) < 1e-9:
        return np.asarray(scale * near)
    return np.asarray(scale / (s - 1) * -np.expm1((1 - s) * near))


def _slices(count: int) -> list[slice]:
    return [slice(start, start + CHUNK) for start in range(0, max(count, 1), CHUNK)]


@lru_cache(maxsize=1)
def _quadrature() -> tuple[Floats, Floats]:
    points, weights = np.polynomial.legendre.leggauss(NODES)
    return points, weights
