"""The total score: seven parts, each an integer number of hundredths, adding up exactly.

Belongs here: measures and signals to points. Does not belong here: cut-offs (``rfm``), forecasts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

import ibis
import ibis.expr.types as ir

from scoring_platform.config.scoring import PARTS, Rfm, Scoring, Signal
from scoring_platform.domain import rfm
from scoring_platform.domain.running import Days, Sums, running

TOTAL_HUNDREDTHS = 10_000
WEIGHT = "decimal(18, 9)"
MOST_A_DAY = 99_999
"""Signal of one channel that counts on one day: the engine multiplies decimals within 18 digits and gives up beyond."""

_EPOCH = date(2000, 1, 1)
_UNITS = 1_000_000
"""Signals are summed as whole millionths: exactly, whatever the order of the rows."""

_MOST_HALF_LIVES = 16
"""Half-lives that a stretch of days may be long: 2¹⁶ times the most of a day, summed, stays below 2⁶³ millionths."""

CHANNELS = ("email", "web", "support")


@dataclass(frozen=True)
class Rules:
    """How scores are made.

    Attributes:
        scoring: Weights, signals, horizon.
        rfm: Window.
        configured: Parts that have a source; the weight of the others is spread over these.
        config_version: Named in every row.
    """

    scoring: Scoring
    rfm: Rfm
    configured: Collection[str]
    config_version: str


def maxima(rules: Rules) -> dict[str, int]:
    """Return the most hundredths each part can give; they add up to exactly 10,000.

    Left-over hundredths go to the parts with the largest remainders, ties in the order of the parts.
    """
    # Fractions: remainders of floats would now and then hand a left-over hundredth to the wrong part.
    weights = {
        part: Fraction(getattr(rules.scoring.weights, part)) if part in rules.configured else Fraction(0)
        for part in PARTS
    }
    total = sum(weights.values())
    exact = {part: weight * TOTAL_HUNDREDTHS / total for part, weight in weights.items()}
    whole = {part: int(value) for part, value in exact.items()}
    left = TOTAL_HUNDREDTHS - sum(whole.values())
    by_remainder = sorted(PARTS, key=lambda part: (whole[part] - exact[part], PARTS.index(part)))
    for part in by_remainder[:left]:
        whole[part] += 1
    return whole


def scores(profiles: ir.Table, activity: ir.Table, days: Days, *, cut_offs: ir.Table, rules: Rules) -> ir.Table:
    """Return the total score of every profile row, without forecasts.

    Args:
        profiles: as_of, customer_id, last_order_on, window_order_days, window_net_spend, nps_score, nps_answered_on.
        activity: customer_activity of at least the engagement window before the days.
        days: The days.
        cut_offs: Limits per day with ``model_version`` (``rfm.cut_off_table``).
        rules: How scores are made.
    """
    banded = rfm.bands(rfm.measures(profiles), cut_offs)
    shares = _with_shares(banded, activity, days, rules)
    most = maxima(rules)
    points = shares.mutate(
        **{f"points_{part}": (shares[f"share_{part}"] * most[part]).round(0).cast("int64") for part in PARTS}
    )
    total = sum((points[f"points_{part}"] for part in PARTS[1:]), points[f"points_{PARTS[0]}"])
    return points.mutate(
        engagement_points=points.points_email + points.points_web + points.points_support,
        total_score=(total.cast("decimal(18, 2)") / ibis.literal(100, type="decimal(5, 0)"))
        .round(2)
        .cast("decimal(5, 2)"),
        horizon_days=ibis.literal(rules.scoring.horizon_days, type="int64"),
        config_version=ibis.literal(rules.config_version),
    )


def _with_shares(banded: ir.Table, activity: ir.Table, days: Days, rules: Rules) -> ir.Table:
    """Put the share (0 to 1) of every part beside each row."""
    signals = _signals(activity, days, rules.scoring)
    joined = banded.left_join(signals, ["as_of", "customer_id"])
    bands = {
        "recency": joined.r,
        "frequency": joined.f,
        "monetary": joined.m,
    }
    shares = {part: ((band - 1).cast("float64") / (rfm.BANDS - 1)).fill_null(0.0) for part, band in bands.items()}
    for channel in CHANNELS:
        signal: Signal = getattr(rules.scoring, channel)
        shares[channel] = _share(joined[f"{channel}_up"], joined[f"{channel}_down"], signal)
    shares["nps"] = _nps_share(joined, rules.scoring)
    return joined.mutate(**{f"share_{part}": share for part, share in shares.items()})


def _share(up: ir.Value, down: ir.Value, signal: Signal) -> ir.Value:
    """Neutral for a silent customer; each ``scale`` of signal goes half of the remaining way to 1, or to 0."""
    lost = ibis.literal(2.0) ** (-(down.fill_null(0).cast("float64") / signal.scale))
    missing = ibis.literal(2.0) ** (-(up.fill_null(0).cast("float64") / signal.scale))
    return (signal.neutral * lost + (1 - signal.neutral) * (1 - missing)).round(9)


def _nps_share(joined: ir.Table, scoring: Scoring) -> ir.Value:
    age = joined.as_of.delta(joined.nps_answered_on, unit="day")
    valid = joined.nps_score.notnull() & (age < scoring.nps_valid_days)
    return valid.ifelse(joined.nps_score.cast("float64") / 10, ibis.literal(scoring.nps_neutral, type="float64"))


def _signals(activity: ir.Table, days: Days, scoring: Scoring) -> ir.Table:
    """Return decayed sums per day and customer: ``<channel>_up`` and ``<channel>_down``.

    2^(−(D − t)/h) is 2^((t − A)/h) · 2^(−(D − A)/h): the first factor is that of a fact for ever, so that it can be
    summed once, exactly, and the second that of a day. A, the beginning of a stretch of days, keeps both small.
    """
    facts = activity.drop("as_of")
    grown: dict[str, ir.Value] = {}
    decayed: dict[str, list[tuple[str, date, int]]] = {}
    for name, weights, half_life in _weights(scoring):
        amount = _amount(facts, weights)
        for begin, end in _stretches(days, scoring.engagement_window_days, half_life):
            column = f"{name}_{begin:%Y%m%d}"
            counts = (amount > 0) & (facts.active_on >= ibis.literal(begin)) & (facts.active_on < ibis.literal(end))
            age = counts.ifelse(facts.active_on.delta(ibis.literal(begin), unit="day"), 0).cast("float64")
            units = amount * ibis.literal(2.0) ** (age / half_life) * _UNITS
            grown[column] = counts.ifelse(units.round(0).cast("int64"), 0)
            decayed.setdefault(name, []).append((column, begin, half_life))
    found = running(facts, days, Sums(within=grown, window_days=scoring.engagement_window_days))
    sums = {f"{channel}_{way}": ibis.literal(0.0) for channel in CHANNELS for way in ("up", "down")}
    sums |= {name: _decayed(found, parts).round(9) for name, parts in decayed.items()}
    return found.select("as_of", "customer_id", **sums)


def _weights(scoring: Scoring) -> list[tuple[str, Mapping[str, float], int]]:
    """Return the signals that something is configured for: name, weight of each activity column, half-life."""
    found = []
    for channel in CHANNELS:
        signal: Signal = getattr(scoring, channel)
        found.append((f"{channel}_up", signal.positive, signal.half_life_days))
        found.append((f"{channel}_down", signal.negative, signal.half_life_days))
    return [(name, weights, half_life) for name, weights, half_life in found if weights]


def _stretches(days: Days, window_days: int, half_life: int) -> list[tuple[date, date]]:
    """Return beginning and end of the stretches, fixed by the calendar, that the windows of ``days`` touch."""
    length = min(_MOST_HALF_LIVES * half_life, window_days)
    first = (days.first - timedelta(days=window_days - 1) - _EPOCH).days // length
    last = (days.known_to - _EPOCH).days // length
    begins = [_EPOCH + timedelta(days=place * length) for place in range(first, last + 2)]
    return list(pairwise(begins))


def _amount(facts: ir.Table, weights: Mapping[str, float]) -> ir.Value:
    """Return the signal of a day."""
    terms = [facts[column].cast("float64") * weight for column, weight in sorted(weights.items())]
    return ibis.least(sum(terms[1:], terms[0]), float(MOST_A_DAY))


def _decayed(found: ir.Table, parts: Sequence[tuple[str, date, int]]) -> ir.Value:
    total: ir.Value = ibis.literal(0.0)
    for column, begin, half_life in parts:
        age = found.as_of.delta(ibis.literal(begin), unit="day").cast("float64")
        total = total + found[column].cast("float64") / _UNITS * ibis.literal(2.0) ** (-(age / half_life))
    return total
