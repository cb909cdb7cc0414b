"""Churn risk: the chance of no purchase within the horizon.

Three scorecards compete on horizons that have closed: recency against the customer's own rhythm alone; the models of
repeat buying together; both with every measure there is. A card is judged on customers it was not fitted to. The level,
which no ranking sees, is that of a model of repeat buying, corrected by how far that was off before (``levels``).

Belongs here: candidates, their contest, the level. Does not belong here: bands and points (``scorecard``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scoring_platform.fitting import repeat_buying as btyd
from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.levels import Deviation, Level, deviation_of_chances, next_level, shift_to_total
from scoring_platform.fitting.logistic import logit, losses, probability
from scoring_platform.fitting.metrics import auc, brier
from scoring_platform.fitting.repeat_buying import Family, Model
from scoring_platform.fitting.scorecard import Design, Sample, Scorecard
from scoring_platform.fitting.snapshots import WEEK, Snapshot

RECENCY, REPEAT_BUYING, SCORECARD = "calibrated_recency", "repeat_buying", "scorecard"
TYPICAL_SHOP = "typical"
FOLDS = 5
_WORSE = 2.0
"""Standard errors by which a richer card may lose to a simpler one before that is taken."""

_BETTER = 2.0
"""Standard errors by which recency alone has to win."""

TYPICAL: Mapping[str, float] = {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}
"""MBG/NBD of a shop of which nothing is known: the published parameters of the CDNOW customers, in weeks."""


@dataclass(frozen=True)
class Closed:
    """A horizon that has closed.

    Attributes:
        known: Customers on the day before it began, with what they did within it.
        family: Models fitted to what was known on that day.
    """

    known: Snapshot
    family: Family


@dataclass(frozen=True)
class Contest:
    """How one candidate did on closed horizons, on customers it was not fitted to.

    Attributes:
        loss: Mean logarithmic loss.
        auc: On the newest horizon; None where all or none bought.
        brier: On the newest horizon, at its own level.
        behind: Standard errors by which it lost to the best candidate; 0 for the best.
    """

    loss: float
    auc: float | None
    brier: float
    behind: float


@dataclass(frozen=True)
class ChurnModel:
    """What turns a customer into a churn risk.

    Attributes:
        rung: Name of the card in use, or ``typical`` when nothing can be learned yet.
        reason: Why it is that one.
        card: Points.
        intercept: What is added to the points for the models' level.
        level: Correction of that level.
        models: Models of repeat buying that the card reads.
        contests: How each candidate did.
        deviations: Of the level on closed horizons, the newest first.
    """

    rung: str
    reason: str
    card: Scorecard
    intercept: float
    level: Level
    models: Mapping[str, Model]
    contests: Mapping[str, Contest] = field(default_factory=dict)
    deviations: Sequence[Deviation] = ()

    def chances(self, known: Snapshot, horizon: int) -> Floats:
        """Return each customer's chance of buying within ``horizon`` days."""
        histories = known.histories()
        points = self.card.of(btyd.forecasts(self.models, histories, horizon / WEEK), known.measures())
        return probability(points + self.intercept + self.level.total)


def fit_churn(
    now: Snapshot,
    family: Family,
    trained: Sequence[Closed],
    closed: Sequence[Closed],
    *,
    horizon: int,
    inner: int,
    broken: str = "",
) -> ChurnModel:
    """Choose and fit the card, and set its level.

    Args:
        now: Customers on the fitting day.
        family: Models fitted to what is known on that day.
        trained: Closed horizons that cards are fitted to and judged on, the newest first; they may overlap.
        closed: Horizons that follow each other, the newest first, by which the level is corrected; of each, the
            model ``reference`` names is enough.
        horizon: Days that will be forecast.
        inner: Days of the closed horizons; less than ``horizon`` while the shop's history is short.
        broken: How earlier forecasts failed, when that was repeatedly: then recency and the newest horizon decide.
    """
    models = btyd.usable(family)
    trained = [one for one in trained if 0 < one.known.again.sum() < one.known.customers]
    # A card reads a model only where that could be fitted on every day it is trained on.
    models = {name: model for name, model in models.items() if all(name in btyd.usable(one.family) for one in trained)}
    if not trained:
        return _untrained(models)
    samples = [_sample(one, models, inner) for one in trained]
    customers = np.concatenate([one.known.fold for one in trained])
    folds = _ranks(customers) % FOLDS
    designs = {name: Design.of(samples, *columns) for name, columns in _candidates(models, samples[0]).items()}
    logits = {name: _held_out(design, folds) for name, design in designs.items()}
    contests = _contests(logits, samples, customers)
    rung, reason = _chosen(contests, logits, np.concatenate([one.again for one in samples]), customers)
    if broken:
        rung, reason = RECENCY, f"the last forecasts failed ({broken}): recency, at the level of the newest horizon"
    card = designs[rung].card(designs[rung].fit())
    intercept, deviations = _level(card, models, now, closed, horizon=horizon, inner=inner)
    level = next_level(deviations, horizon=inner, broken=bool(broken))
    if inner < horizon:  # a season of another length says nothing
        level = Level(level.lasting)
    return ChurnModel(rung, reason, card, intercept, level, models, contests, deviations)


def _untrained(models: Mapping[str, Model]) -> ChurnModel:
    if not models:
        typical = {btyd.MBG_NBD: btyd.model_of(btyd.MBG_NBD, TYPICAL)}
        reason = "no horizon has closed and no model could be fitted: the parameters of a typical shop"
        return ChurnModel(TYPICAL_SHOP, reason, Scorecard({btyd.MBG_NBD: 1.0}, {}), 0.0, Level(), typical)
    card = Scorecard({name: 1 / len(models) for name in models}, {})
    return ChurnModel(REPEAT_BUYING, "no horizon has closed to judge by", card, 0.0, Level(), models)


def _sample(one: Closed, models: Mapping[str, Model], inner: int) -> Sample:
    own = {name: one.family[name].model for name in models}
    return Sample(btyd.forecasts(own, one.known.histories(), inner / WEEK), one.known.measures(), one.known.again)


def _candidates(models: Mapping[str, Model], sample: Sample) -> dict[str, tuple[list[str], list[str]]]:
    """Return the forecasts and measures that each candidate reads."""
    forecasts = list(sample.forecasts)
    found: dict[str, tuple[list[str], list[str]]] = {RECENCY: ([], ["recency", "silence"])}
    if models:
        found[REPEAT_BUYING] = (forecasts, [])
    found[SCORECARD] = (forecasts, list(sample.measures))
    return found


def _held_out(design: Design, folds: NDArray[np.int64]) -> Floats:
    """Return each customer's logit by a card that was fitted to the others."""
    logits = np.empty(len(design.y))
    for fold in range(FOLDS):
        inside = folds == fold
        logits[inside] = design.X[inside] @ design.fit((~inside).astype(np.float64))
    return logits


def _ranks(customers: Floats) -> NDArray[np.int64]:
    """Return 0, 1, … by customer: folds of these are as large as each other, whoever else is numbered."""
    _, places = np.unique(customers, return_inverse=True)
    return np.asarray(places.reshape(-1))


def _contests(logits: Mapping[str, Floats], samples: Sequence[Sample], customers: Floats) -> dict[str, Contest]:
    again = np.concatenate([one.again for one in samples])
    newest = slice(0, len(samples[0].again))
    means = {name: float(losses(found, again).mean()) for name, found in logits.items()}
    best = min(means, key=lambda name: means[name])
    return {
        name: Contest(
            loss=means[name],
            auc=auc(found[newest], again[newest]),
            brier=brier(probability(found[newest]), again[newest]),
            behind=_behind(losses(found, again) - losses(logits[best], again), customers),
        )
        for name, found in logits.items()
    }


def _behind(differences: Floats, customers: Floats) -> float:
    """Return the sum of differences in standard errors; a customer's horizons are not independent."""
    sums = np.bincount(_ranks(customers), weights=differences)
    error = float(sums.std() * np.sqrt(len(sums)))
    return float(sums.sum()) / error if error > 0 else 0.0


def _chosen(
    contests: Mapping[str, Contest], logits: Mapping[str, Floats], again: Floats, customers: Floats
) -> tuple[str, str]:
    """Return the card in use and why."""
    rung = SCORECARD

    def lost_to(other: str, by: float) -> bool:
        return other in logits and _behind(losses(logits[rung], again) - losses(logits[other], again), customers) > by

    if lost_to(REPEAT_BUYING, _WORSE):
        rung = REPEAT_BUYING
    if lost_to(RECENCY, _BETTER):
        rung = RECENCY
    said = ", ".join(f"{name} {one.loss:.4f}" for name, one in sorted(contests.items(), key=lambda pair: pair[1].loss))
    return rung, f"mean logarithmic loss on closed horizons, of customers not fitted to: {said}"


def reference_of(models: Mapping[str, Model]) -> str | None:
    """Return the model that sets the level; None without any."""
    return next((name for name in btyd.MODELS if name in models), None)


def _level(
    card: Scorecard,
    models: Mapping[str, Model],
    now: Snapshot,
    closed: Sequence[Closed],
    *,
    horizon: int,
    inner: int,
) -> tuple[float, list[Deviation]]:
    """Return what brings the card to the level of a model today, and how far that model was off before.

    Without a model the level is the mean share of buyers on closed horizons, and nothing is known of its error.
    """
    points = card.of(btyd.forecasts(models, now.histories(), horizon / WEEK), now.measures())
    reference = reference_of(models)
    if reference is None:
        shares = [float(one.known.again.mean()) for one in closed]
        wanted = float(probability(logit(np.array(shares)).mean()))
        return shift_to_total(points, wanted * now.customers), []
    chances = btyd.chances(models[reference], now.histories(), horizon / WEEK)
    deviations = [
        deviation_of_chances(
            btyd.chances(one.family[reference].model, one.known.histories(), inner / WEEK), one.known.again
        )
        for one in closed
        if reference in btyd.usable(one.family)
    ]
    wanted = float(np.clip(chances.mean(), 1e-4, 1 - 1e-4)) * now.customers
    return shift_to_total(points, wanted), deviations
