"""BG/NBD and its variant MBG/NBD: buying at a gamma-distributed rate, leaving with a beta-distributed chance.

In BG/NBD a customer may leave after every repeat purchase (Fader, Hardie & Lee 2005, Marketing Science 24(2)); in
MBG/NBD after the first purchase too (Batislam, Denizel & Filiztekin 2007; Hoppe & Wagner 2007). Likelihoods are in the
numerically stable form of Hardie's note 027.

Belongs here: these two models, which differ in where leaving begins. Does not belong here: the search for parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, gammaln, hyp2f1

from scoring_platform.fitting.histories import Floats, Histories
from scoring_platform.fitting.maximise import Fit, Starts, maximise

STARTS = ((0.5, 5.0, 0.8, 2.0), (1.0, 20.0, 0.5, 5.0), (0.2, 2.0, 2.0, 2.0))
_NEAR_ONE = 1e-5
_NEAR_NOTHING = 1e-9


@dataclass(frozen=True)
class BgNbd:
    """A model with its parameters; times are in the unit it was fitted in.

    Attributes:
        r: Shape of the rates of buying.
        alpha: Scale of the rates of buying (a time).
        a: First parameter of the chances of leaving.
        b: Second parameter of the chances of leaving.
        modified: Whether customers may leave after their first purchase (MBG/NBD).
    """

    r: float
    alpha: float
    a: float
    b: float
    modified: bool = False

    @classmethod
    def fit(
        cls, histories: Histories, *, modified: bool = False, starts: Starts = STARTS, errors: bool = True
    ) -> tuple[BgNbd, Fit]:
        """Fit by maximum likelihood."""
        found = maximise(
            lambda parameters: cls.at(parameters, modified=modified).likelihood(histories),
            starts,
            customers=histories.customers,
            errors=errors,
        )
        return cls.at(found.parameters, modified=modified), found

    @classmethod
    def at(cls, parameters: Floats, *, modified: bool = False) -> BgNbd:
        """Return the model with ``parameters`` r, alpha, a, b."""
        r, alpha, a, b = (float(value) for value in parameters)
        return cls(r, alpha, a, b, modified)

    def log_likelihoods(self, h: Histories) -> Floats:
        """Return the log-likelihood of one customer of each group."""
        common, alive, gone = self._terms(h)
        return np.asarray(common + np.logaddexp(alive, gone))

    def p_alive(self, h: Histories) -> Floats:
        """Return the probability of still being a customer at T."""
        _, alive, gone = self._terms(h)
        return np.asarray(np.exp(alive - np.logaddexp(alive, gone)))

    def p_none(self, h: Histories, horizon: float) -> Floats:
        """Return the probability of no purchase in (T, T + horizon]."""
        stays = ((self.alpha + h.T) / (self.alpha + h.T + horizon)) ** (self.r + h.x)
        alive = self.p_alive(h)
        return np.asarray(1 - alive * (1 - stays))

    def expected(self, h: Histories, horizon: float) -> Floats:
        """Return the expected number of purchases in (T, T + horizon]."""
        return np.asarray(self.p_alive(h) * self.expected_alive(h.x, h.T, horizon))

    def expected_alive(self, x: Floats, T: Floats, horizon: float) -> Floats:  # noqa: N803
        """Return the expected number of purchases in (T, T + horizon] of one who is still a customer.

        It depends on (x, T) alone, so that it can be tabulated once per pair.
        """
        if abs(self.a - 1) < _NEAR_ONE:
            # The form below divides by a - 1; around it the function is smooth. The sides are not that near themselves.
            far = 2 * _NEAR_ONE
            sides = [BgNbd(self.r, self.alpha, 1 + side, self.b, self.modified) for side in (-far, far)]
            return np.asarray(np.mean([side.expected_alive(x, T, horizon) for side in sides], axis=0))
        b_x, shape = self._b(x), self.r + x
        c = self.a + b_x - 1
        c = np.where(np.abs(c) < _NEAR_NOTHING, _NEAR_NOTHING, c)  # around it too the whole is smooth
        z = horizon / (self.alpha + T + horizon)
        with np.errstate(invalid="ignore"):
            found = c / (self.a - 1) * (1 - (1 - z) ** shape * hyp2f1(shape, b_x, c, z))
        # 2F1 fails where parameters are huge, which is where customers hardly differ: all leave at the mean chance.
        leaving = self.a / (self.a + b_x)
        alike = -np.expm1(-shape * np.log1p(leaving * horizon / (self.alpha + T))) / leaving
        return np.where(np.isfinite(found), found, alike)

    def expected_new(self, t: Floats) -> Floats:
        """Return the expected repeat purchases of a new customer in (0, t]."""
        nothing = np.zeros(1)
        alive = self.b / (self.a + self.b) if self.modified else 1.0
        return np.array([alive * float(self.expected_alive(nothing, nothing, each)[0]) for each in t])

    def _b(self, x: Floats) -> Floats:
        """The second parameter of the chance of leaving after x repeats, all of which were survived."""
        return self.b + x + (1.0 if self.modified else 0.0)

    def _terms(self, h: Histories) -> tuple[Floats, Floats, Floats]:
        """Logarithms: what is common, and the chances of being alive and of having left after the last purchase."""
        b_x = self._b(h.x)
        common = gammaln(self.r + h.x) - gammaln(self.r) + self.r * np.log(self.alpha)
        common = common + gammaln(self.a + self.b) + gammaln(b_x) - gammaln(self.b) - gammaln(self.a + b_x)
        return common, self.log_alive(h.x, h.T), self.log_left(h.x, h.t_x)

    def log_alive(self, x: Floats, T: Floats) -> Floats:  # noqa: N803
        """Return the logarithm of the chance of the purchases and of staying up to T, without what is common."""
        return np.asarray(-(self.r + x) * np.log(self.alpha + T))

    def log_left(self, x: Floats, t_x: Floats) -> Floats:
        """Return the logarithm of the chance of having left after the last purchase, without what is common."""
        b_x = self._b(x)
        left = np.log(self.a) - np.log(np.where(b_x > 1, b_x - 1, 1.0)) - (self.r + x) * np.log(self.alpha + t_x)
        may_leave = True if self.modified else x > 0
        return np.where(may_leave, left, -np.inf)

    def likelihood(self, h: Histories) -> tuple[float, Floats]:
        """Return the log-likelihood of all customers and its gradient in r, alpha, a, b."""
        common, alive, gone = self._terms(h)
        total = np.logaddexp(alive, gone)
        share = np.exp(gone - total)
        r_x, b_x = self.r + h.x, self._b(h.x)
        late, early = np.log(self.alpha + h.T), np.log(self.alpha + h.t_x)
        both = digamma(self.a + self.b) - digamma(self.a + b_x)
        gradient = np.array(
            [
                digamma(r_x) - digamma(self.r) + np.log(self.alpha) - (1 - share) * late - share * early,
                self.r / self.alpha - r_x * ((1 - share) / (self.alpha + h.T) + share / (self.alpha + h.t_x)),
                both + share / self.a,
                both + digamma(b_x) - digamma(self.b) - share / np.where(b_x > 1, b_x - 1, 1.0),
            ]
        )
        return float(h.n @ (common + total)), gradient @ h.n
