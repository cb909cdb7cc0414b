"""The total score: seven parts, each an integer number of hundredths, adding up exactly.

Belongs here: measures and signals to points. Does not belong here: cut-offs (``rfm``), forecasts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction

import ibis
import ibis.expr.types as ir

from scoring_platform.config.scoring import PARTS, Rfm, Scoring, Signal
from scoring_platform.domain import rfm
from scoring_platform.domain.measures import until

TOTAL_HUNDREDTHS = 10_000
WEIGHT = "decimal(18, 9)"
MOST_A_DAY = 99_999
"""Signal of one channel that counts on one day: the engine multiplies decimals within 18 digits and gives up beyond."""

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


def scores(profiles: ir.Table, activity: ir.Table, days: ir.Table, *, cut_offs: ir.Table, rules: Rules) -> ir.Table:
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


def _with_shares(banded: ir.Table, activity: ir.Table, days: ir.Table, rules: Rules) -> ir.Table:
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


def _signals(activity: ir.Table, days: ir.Table, scoring: Scoring) -> ir.Table:
    """Return decayed sums per day and customer: ``<channel>_up`` and ``<channel>_down``, exact decimals."""
    facts = activity.drop("as_of")
    window = ibis.interval(days=scoring.engagement_window_days)
    known = days.join(facts, [facts.active_on <= until(days), facts.active_on > days.as_of - window])
    age = known.as_of.delta(known.active_on, unit="day")
    sums: dict[str, ir.Value] = {}
    for channel in CHANNELS:
        signal: Signal = getattr(scoring, channel)
        # Decimals: a sum of floats would depend on the order of the rows.
        decay = (ibis.literal(2.0) ** (-(age.cast("float64") / signal.half_life_days))).round(9).cast(WEIGHT)
        sums[f"{channel}_up"] = _weighted(known, signal.positive, decay)
        sums[f"{channel}_down"] = _weighted(known, signal.negative, decay)
    return known.group_by(["as_of", "customer_id"]).aggregate(**sums)


def _weighted(known: ir.Table, weights: Mapping[str, float], decay: ir.Value) -> ir.Value:
    if not weights:
        return decay.sum(where=ibis.literal(False))
    terms = [
        (known[column].cast("float64") * weight).round(4).cast("decimal(18, 4)")
        for column, weight in sorted(weights.items())
    ]
    amount = terms[0]
    for term in terms[1:]:
        amount = amount + term
    bounded = ibis.least(amount, MOST_A_DAY).cast("decimal(18, 4)")
    return (bounded * decay).cast("decimal(38, 9)").sum()
