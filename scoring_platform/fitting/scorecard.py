"""A scorecard: points per band of each measure that add up to the logit of a chance.

Belongs here: bands, the regression that finds the points, adding points up. Does not belong here: which measures there
are, which scorecard is used (``churn``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scoring_platform.fitting.histories import Floats
from scoring_platform.fitting.logistic import ridge_logistic

BANDS = 8
RIDGE = 100.0
"""Pull of the points of a band to none: a band of a few hundred customers speaks for itself, one of ten does not."""

SLOPE_RIDGE = 5.0
_FREE = 1e-3


@dataclass(frozen=True)
class Points:
    """Points of the bands of one measure.

    Attributes:
        edges: Where bands begin, rising; a value equal to an edge is above it.
        points: Of each band, one more than edges.
        missing: Of a customer without the measure.
    """

    edges: tuple[float, ...]
    points: tuple[float, ...]
    missing: float = 0.0

    def of(self, values: Floats) -> Floats:
        """Return the points of each value."""
        place = np.searchsorted(np.array(self.edges), np.nan_to_num(values), side="right")
        return np.where(np.isnan(values), self.missing, np.array(self.points)[place])


@dataclass(frozen=True)
class Scorecard:
    """What is added up.

    Attributes:
        slopes: Factor of each forecast that is taken as it is, on the logit scale.
        bands: Points by measure.
    """

    slopes: Mapping[str, float]
    bands: Mapping[str, Points]

    def of(self, forecasts: Mapping[str, Floats], measures: Mapping[str, Floats]) -> Floats:
        """Return the sum of each customer's points, without level."""
        parts = [np.zeros_like(next(iter(measures.values())))]
        parts += [slope * forecasts[name] for name, slope in self.slopes.items()]
        parts += [points.of(measures[name]) for name, points in self.bands.items()]
        return np.asarray(np.sum(parts, axis=0))


@dataclass(frozen=True)
class Sample:
    """Customers of one closed horizon, with forecasts on the logit scale, measures and outcome (1 or 0)."""

    forecasts: Mapping[str, Floats]
    measures: Mapping[str, Floats]
    again: Floats


@dataclass(frozen=True)
class Design:
    """Columns of the regression over several horizons; each horizon has a level of its own.

    Attributes:
        X: Customers by columns: levels, forecasts, bands.
        y: Outcomes.
        names: Forecasts that have a column.
        edges: Edges of the bands by measure.
        levels: How many horizons there are.
    """

    X: Floats
    y: Floats
    names: tuple[str, ...]
    edges: Mapping[str, Floats]
    levels: int

    @classmethod
    def of(cls, samples: Sequence[Sample], names: Sequence[str], measures: Sequence[str]) -> Design:
        """Lay out the columns; edges are the quantiles of all samples together."""
        edges = {name: _edges(np.concatenate([sample.measures[name] for sample in samples])) for name in measures}
        edges = {name: found for name, found in edges.items() if len(found)}
        blocks = []
        for place, sample in enumerate(samples):
            level = np.zeros((len(sample.again), len(samples)))
            level[:, place] = 1
            columns = [sample.forecasts[name][:, None] for name in names]
            columns += [_indicators(sample.measures[name], edges[name]) for name in edges]
            blocks.append(np.concatenate([level, *columns], axis=1))
        y = np.concatenate([sample.again for sample in samples])
        return cls(np.concatenate(blocks), y, tuple(names), edges, len(samples))

    def fit(self, rows: Floats | None = None) -> Floats:
        """Return the coefficients from all rows, or from those where ``rows`` is true.

        Forecasts are pulled to their mean, bands to no points: with little data the card is the mean forecast.
        """
        width, forecasts = self.X.shape[1], slice(self.levels, self.levels + len(self.names))
        towards, penalty = np.zeros(width), np.full(width, RIDGE)
        towards[forecasts] = 1 / max(len(self.names), 1)
        penalty[: self.levels], penalty[forecasts] = _FREE, SLOPE_RIDGE
        chosen = np.ones(len(self.y), dtype=bool) if rows is None else rows > 0
        return ridge_logistic(self.X[chosen], self.y[chosen], towards=towards, penalty=penalty)

    def card(self, coefficients: Floats) -> Scorecard:
        """Return the scorecard that the coefficients are."""
        place = self.levels
        slopes = {name: float(coefficients[place + at]) for at, name in enumerate(self.names)}
        place += len(self.names)
        bands = {}
        for name, edges in self.edges.items():
            found = coefficients[place : place + len(edges) + 2]
            bands[name] = Points(tuple(map(float, edges)), tuple(map(float, found[:-1])), float(found[-1]))
            place += len(edges) + 2
        return Scorecard(slopes, bands)


def _edges(values: Floats) -> Floats:
    """Return where the bands of a measure begin: its quantiles, where they differ and leave nothing empty."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.empty(0)
    found = np.unique(np.quantile(known, np.linspace(0, 1, BANDS + 1)[1:-1], method="lower"))
    return np.asarray(found[found > known.min()])


def _indicators(values: Floats, edges: Floats) -> Floats:
    """Return one column per band, and one for customers without the measure."""
    place = np.searchsorted(edges, np.nan_to_num(values), side="right")
    place = np.where(np.isnan(values), len(edges) + 1, place)
    return np.asarray(np.eye(len(edges) + 2)[place])
