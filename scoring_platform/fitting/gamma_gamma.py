"""Gamma-Gamma: what a customer spends per purchase (Fader & Hardie, note 025).

Belongs here: this model. Does not belong here: how often a customer buys, the search for parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, gammaln

from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.maximise import Fit, maximise

STARTS = ((6.0, 4.0, 15.0), (1.0, 2.0, 1.0), (2.0, 10.0, 20.0))


@dataclass(frozen=True)
class GammaGamma:
    """A model with its parameters; money is in the unit it was fitted in.

    Attributes:
        p: Shape of a purchase's value.
        q: Shape of its scale over customers.
        v: Scale of that (money).
    """

    p: float
    q: float
    v: float

    @classmethod
    def fit(cls, x: Floats, mean: Floats, n: Floats | None = None) -> tuple[GammaGamma, Fit]:
        """Fit by maximum likelihood.

        Args:
            x: Purchases per customer that ``mean`` is taken over; at least 1.
            mean: Mean value of a purchase; greater than 0.
            n: Customers with these values; 1 each by default.
        """
        counts = np.ones_like(mean) if n is None else n
        # The scale of money is taken out, so that yen and euros are searched alike.
        unit = float(np.average(mean, weights=counts)) / 30

        found = maximise(
            lambda parameters: cls.at(parameters).likelihood(x, mean / unit, counts),
            STARTS,
            customers=float(counts.sum()),
        )
        scale = np.array([1.0, 1.0, unit])
        shift = float(counts.sum()) * np.log(unit)
        fit = Fit(
            found.parameters * scale,
            found.log_likelihood - shift,
            found.standard_errors * scale,
            found.converged,
            found.reason,
        )
        return cls.at(fit.parameters), fit

    @classmethod
    def at(cls, parameters: Floats) -> GammaGamma:
        """Return the model with ``parameters`` p, q, v."""
        p, q, v = (float(value) for value in parameters)
        return cls(p, q, v)

    def log_likelihoods(self, x: Floats, mean: Floats) -> Floats:
        """Return the log-likelihood of each customer's mean value."""
        px = self.p * x
        logs = gammaln(px + self.q) - gammaln(px) - gammaln(self.q) + self.q * np.log(self.v)
        return np.asarray(logs + (px - 1) * np.log(mean) + px * np.log(x) - (px + self.q) * np.log(self.v + x * mean))

    def expected_value(self, x: Floats, mean: Floats) -> Floats:
        """Return the expected value of a purchase; without one (x = 0), that of everybody.

        Where q <= 1 the population has no mean: the customer's own mean stands alone, and NaN without one.
        """
        if self.q <= 1:
            return np.where(x > 0, mean, np.nan)
        own = np.where(x > 0, mean, 0.0)
        return np.asarray(self.p * (self.v + x * own) / (self.p * x + self.q - 1))

    def likelihood(self, x: Floats, mean: Floats, n: Floats) -> tuple[float, Floats]:
        """Return the log-likelihood of all customers and its gradient in p, q, v."""
        px, both = self.p * x, np.log(self.v + x * mean)
        gradient = np.array(
            [
                x * (digamma(px + self.q) - digamma(px) + np.log(mean) + np.log(x) - both),
                digamma(px + self.q) - digamma(self.q) + np.log(self.v) - both,
                self.q / self.v - (px + self.q) / (self.v + x * mean),
            ]
        )
        return float(n @ self.log_likelihoods(x, mean)), gradient @ n
