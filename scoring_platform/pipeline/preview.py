"""What another configuration would change: one published day under both, on the same facts and identities.

Both sides are computed anew in memory, also that of the configuration in force, so that nothing but the configuration
is between them. Nothing is written.

Belongs here: comparing the two sides. Does not belong here: how a side is computed (``sides``), causes
(``domain.moves``), words and JSON (``cli.preview``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, get_args

import ibis
import ibis.expr.types as ir

from scoring_platform.config.differences import Difference, differences, on_facts_of, other_facts
from scoring_platform.config.load import LoadedConfig
from scoring_platform.config.scoring import PARTS, Measure
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.contracts.masking import mask_row
from scoring_platform.domain import segments
from scoring_platform.domain.moves import Cause, Side, causes
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.ledger.store import Ledger
from scoring_platform.pipeline.sides import BANDED, Computed, ComputedStep, computed
from scoring_platform.settings import Settings

MEASURES: tuple[str, ...] = get_args(Measure)
BANDS = ("low", "medium", "high")
_COMPARED = (*(f"points_{part}" for part in PARTS), "churn_band", "clv_12m", "lead_score", "mql", *MEASURES)


@dataclass(frozen=True, slots=True)
class Pair:
    """One figure under the configuration in force and under the other."""

    before: Any
    after: Any


@dataclass(frozen=True)
class Move:
    """Customers who go the same way.

    Attributes:
        from_segment: Under the configuration in force.
        to_segment: Under the other.
        customers: How many.
        value_at_stake: Their net spend of the last 365 days, as in segment_transitions.
    """

    from_segment: str
    to_segment: str
    customers: int
    value_at_stake: Decimal


@dataclass(frozen=True, slots=True)
class Mover:
    """One customer in another segment.

    Attributes:
        customer_id: The customer.
        email: The address, masked; None without one.
        from_segment: Under the configuration in force.
        to_segment: Under the other.
        value_at_stake: Net spend of the last 365 days.
        total: Hundredths of the total score.
        parts: Hundredths of each part; they add up to the total.
        measures: Those measures of segments that differ.
        causes: Why.
    """

    customer_id: str
    email: str | None
    from_segment: str
    to_segment: str
    value_at_stake: Decimal
    total: Pair
    parts: Mapping[str, Pair]
    measures: Mapping[str, Pair]
    causes: Sequence[Cause]


@dataclass(frozen=True)
class Published:
    """What is published of the day.

    Attributes:
        config_version: By which configuration.
        model_version: By which cut-offs and models.
        elsewhere: Customers published in another segment than the configuration in force gives them now.
    """

    config_version: str
    model_version: str
    elsewhere: int


@dataclass(frozen=True)
class Effect:
    """What the other configuration changes.

    Attributes:
        published: What is published of the day.
        model_version: Cut-offs and models.
        cut_offs: By measure, from worst to best.
        customers: How many there are.
        segments: Customers by segment; those that one side alone has included.
        moves: Ways between segments, the most value at stake first.
        mean_total: Mean of the total score.
        changed: Customers whose total changes, by at least so many points (0: at all).
        churn_bands: Buyers by band of the churn risk.
        clv_12m: Sum over all customers.
        mean_lead_score: Mean of the lead score of prospects; None without one.
        mqls: Prospects whose lead score reaches the threshold.
        movers: Customers in another segment, the most value at stake first: all, or as many as were asked for.
    """

    published: Published
    model_version: Pair
    cut_offs: Mapping[str, Pair]
    customers: int
    segments: Mapping[str, Pair]
    moves: Sequence[Move]
    mean_total: Pair
    changed: Mapping[int, int]
    churn_bands: Mapping[str, Pair]
    clv_12m: Pair
    mean_lead_score: Pair
    mqls: Pair
    movers: Sequence[Mover]


@dataclass(frozen=True)
class Preview:
    """A published day under another configuration.

    Attributes:
        day: The day.
        config_version: Names of both configurations.
        settings: What differs of what scores and segments are computed by.
        left_out: Sections that differ and on which facts depend: their effect is not shown.
        effect: What that changes; None when nothing differs.
    """

    day: date
    config_version: Pair
    settings: Sequence[Difference]
    left_out: Sequence[str]
    effect: Effect | None


def preview(
    engine: DuckDBEngine, settings: Settings, other: LoadedConfig, *, day: date, models: Ledger, most: int | None = None
) -> Preview:
    """Compare a published day under the configuration in force with the same day under another one.

    Args:
        engine: Reads the lake.
        settings: Settings of this home, with the configuration in force.
        other: The other configuration.
        day: A published day.
        models: A ledger with the model versions that are kept; versions that are missing are added to it, so it has to
            be one in memory.
        most: How many movers are looked at one by one; by default all.
    """
    found = differences(settings.config, other.config)
    effect = None
    if found:
        step = ComputedStep(engine, settings, models, [day], datetime.now(UTC))
        loaded = replace(other, config=on_facts_of(other.config, settings.config))
        before, after = computed(step), computed(replace(step, settings=replace(settings, loaded=loaded)))
        effect = _effect(before, after, most)
    return Preview(
        day=day,
        config_version=Pair(settings.config_version, other.version),
        settings=found,
        left_out=other_facts(settings.config, other.config),
        effect=effect,
    )


def _effect(before: Computed, after: Computed, most: int | None) -> Effect:
    step = before.step
    rows = step.engine.materialise(_beside(before, after))
    moved = step.engine.materialise(rows.filter(rows.segment_before != rows.segment_after))
    return Effect(
        published=_published(before),
        model_version=Pair(*(_only(side.scores, "model_version") for side in (before, after))),
        cut_offs={name: Pair(before.cut_offs[name], after.cut_offs[name]) for name in BANDED.values()},
        customers=int(rows.count().to_pyarrow().as_py()),
        segments=_segments(before, after, rows),
        moves=_moves(moved),
        churn_bands=_counted(rows, "churn_band", BANDS),
        movers=_movers(before, after, moved, most),
        **_totals(rows),
    )


def _beside(before: Computed, after: Computed) -> ir.Table:
    """Return one row per customer with both sides: <column>_before, <column>_after."""
    step = before.step
    profiles = step.read("customer_profiles", step.days).select(
        "customer_id", "email", "first_order_on", "order_days", value_at_stake="net_spend_365d"
    )
    joined = profiles
    for name, side in (("before", before), ("after", after)):
        whole = side.scores.inner_join(profiles.drop("email", "value_at_stake"), "customer_id")
        whole = segments.with_tenure(whole.inner_join(side.segments.drop("as_of"), "customer_id"))
        own = whole.select("customer_id", **{f"{one}_{name}": whole[one] for one in ("segment", *_COMPARED)})
        joined = joined.inner_join(own, "customer_id")
    return joined


def _only(scores: ir.Table, column: str) -> str | None:
    """Return the one value that all rows have; None without rows."""
    values = scores.select(column).distinct().order_by(column).limit(1).to_pyarrow()[column].to_pylist()
    return values[0] if values else None


def _published(before: Computed) -> Published:
    step = before.step
    scores = step.engine.read(contract_of("customer_scores"), step.days)
    theirs = step.read("customer_segments", step.days).select("customer_id", published="segment")
    both = before.segments.inner_join(theirs, "customer_id")
    elsewhere = both.filter(both.segment != both.published).count().to_pyarrow().as_py()
    return Published(_only(scores, "config_version") or "", _only(scores, "model_version") or "", int(elsewhere))


def _segments(before: Computed, after: Computed, rows: ir.Table) -> dict[str, Pair]:
    codes = (*after.step.config.segments.codes, *before.step.config.segments.codes)
    return _counted(rows, "segment", tuple(dict.fromkeys(codes)))


def _counted(rows: ir.Table, column: str, values: Sequence[str]) -> dict[str, Pair]:
    """Return how many rows have each value on both sides."""
    counts: list[dict[str, int]] = []
    for side in ("before", "after"):
        name = f"{column}_{side}"
        found = rows.group_by(name).aggregate(n=rows.count()).to_pyarrow().to_pydict()
        counts.append(dict(zip(found[name], (int(n) for n in found["n"]), strict=True)))
    return {value: Pair(counts[0].get(value, 0), counts[1].get(value, 0)) for value in values}


def _totals(rows: ir.Table) -> dict[str, Any]:
    """Return what is added up over everyone."""
    distance = (rows.total_score_after - rows.total_score_before).abs()
    figures: dict[str, ir.Value] = {
        "changed_0": (distance > 0).sum(), "changed_1": (distance >= 1).sum(), "changed_5": (distance >= 5).sum(),
    }  # fmt: skip
    for side in ("before", "after"):
        figures[f"total_{side}"] = rows[f"total_score_{side}"].cast("float64").mean()
        figures[f"clv_{side}"] = rows[f"clv_12m_{side}"].sum()
        figures[f"lead_{side}"] = rows[f"lead_score_{side}"].cast("float64").mean()
        figures[f"mql_{side}"] = rows[f"mql_{side}"].cast("int64").sum()
    (found,) = rows.aggregate(**figures).to_pyarrow().to_pylist()
    pairs = {name: Pair(found[f"{name}_before"], found[f"{name}_after"]) for name in ("total", "clv", "lead", "mql")}
    return {
        "mean_total": pairs["total"],
        "changed": {points: int(found[f"changed_{points}"] or 0) for points in (0, 1, 5)},
        "clv_12m": Pair(pairs["clv"].before or Decimal(0), pairs["clv"].after or Decimal(0)),
        "mean_lead_score": pairs["lead"],
        "mqls": Pair(int(pairs["mql"].before or 0), int(pairs["mql"].after or 0)),
    }


def _moves(moved: ir.Table) -> list[Move]:
    ways = moved.group_by(from_segment="segment_before", to_segment="segment_after").aggregate(
        customers=moved.count(), value_at_stake=moved.value_at_stake.sum()
    )
    ordered = ways.order_by(ibis.desc("value_at_stake"), ibis.desc("customers"), "from_segment", "to_segment")
    return [Move(**row) for row in ordered.to_pyarrow().to_pylist()]


def _movers(before: Computed, after: Computed, moved: ir.Table, most: int | None) -> list[Mover]:
    """Return ``most`` of those in another segment, the most value at stake first."""
    keep = before.step.engine.materialise
    told = keep(moved.order_by(ibis.desc("value_at_stake"), "customer_id").limit(most))
    members = [_members(side, keep(side.memberships(told))) for side in (before, after)]
    ordered = told.order_by(ibis.desc("value_at_stake"), "customer_id").to_pyarrow().to_pylist()
    return [_mover(before, after, row, [of[row["customer_id"]] for of in members]) for row in ordered]


def _members(side: Computed, found: ir.Table) -> dict[str, frozenset[str]]:
    """Return the rules that each customer is a member of."""
    codes = [rule.segment for rule in side.step.config.segments.rules]
    rows = found.to_pyarrow().to_pylist()
    return {row["customer_id"]: frozenset(code for code in codes if row[f"member_{code}"]) for row in rows}


def _mover(before: Computed, after: Computed, row: Mapping[str, Any], members: Sequence[frozenset[str]]) -> Mover:
    sides = [
        Side(
            rules=side.step.config.segments,
            segment=row[f"segment_{name}"],
            values={one: _number(row[f"{one}_{name}"]) for one in MEASURES},
            members=own,
        )
        for name, side, own in zip(("before", "after"), (before, after), members, strict=True)
    ]
    masked = mask_row(contract_of("customer_profiles"), {"email": row["email"]})
    parts = {part: Pair(row[f"points_{part}_before"], row[f"points_{part}_after"]) for part in PARTS}
    values = {one: Pair(sides[0].values[one], sides[1].values[one]) for one in MEASURES}
    return Mover(
        customer_id=row["customer_id"],
        email=masked["email"],
        from_segment=sides[0].segment,
        to_segment=sides[1].segment,
        value_at_stake=row["value_at_stake"],
        total=Pair(sum(part.before for part in parts.values()), sum(part.after for part in parts.values())),
        parts=parts,
        measures={one: pair for one, pair in values.items() if pair.before != pair.after},
        causes=causes(*sides),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
