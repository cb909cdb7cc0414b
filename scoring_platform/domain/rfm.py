"""Recency, frequency, monetary: cut-offs and bands.

Bands follow fixed limits: t_k is the value at rank ⌈k·n/5⌉, from worst to best, among the buyers of the window; a
customer's band is 1 + the number of limits that the own value is strictly better than. So ties share a band, the order
of rows does not matter, and an unseen value has a band too.

Belongs here: values to limits, values and limits to bands. Does not belong here: when limits are made
(``score_models``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import ibis
import ibis.expr.types as ir

BANDS = 5
Limits = tuple[Decimal, Decimal, Decimal, Decimal]


@dataclass(frozen=True)
class CutOffs:
    """Limits of the bands, each from worst to best."""

    recency_days: Limits
    frequency: Limits
    monetary: Limits


def limits(values: Iterable[tuple[Decimal, int]], *, ascending: bool) -> Limits:
    """Return t_1 … t_4 of a distribution.

    Args:
        values: Distinct values and how often each occurs.
        ascending: Whether greater is better (frequency, monetary) or not (recency).

    Raises:
        ValueError: There are no values.
    """
    ordered = sorted(values, reverse=not ascending)
    total = sum(count for _, count in ordered)
    if total == 0:
        msg = "cut-offs need at least one buyer"
        raise ValueError(msg)
    ranks = [-(-k * total // BANDS) for k in range(1, BANDS)]
    return tuple(_at_rank(ordered, rank) for rank in ranks)  # type: ignore[return-value]


def _at_rank(ordered: Sequence[tuple[Decimal, int]], rank: int) -> Decimal:
    reached = 0
    for value, count in ordered:
        reached += count
        if reached >= rank:
            return value
    return ordered[-1][0]


def measures(bought: ir.Table) -> ir.Table:
    """Return recency_days, frequency and monetary beside each row.

    Never bought: recency_days null, frequency and monetary 0. Bought, but not in the window: frequency and monetary 0.

    Args:
        bought: as_of, last_order_on (null when never), window_order_days and window_net_spend.
    """
    return bought.mutate(
        recency_days=bought.as_of.delta(bought.last_order_on, unit="day"),
        frequency=bought.window_order_days,
        monetary=bought.window_net_spend,
    )


def bands(measured: ir.Table, cut_offs: ir.Table) -> ir.Table:
    """Return r, f, m and rfm_code beside each row.

    Args:
        measured: Result of ``measures``.
        cut_offs: Limits per day: as_of and ``<measure>_1`` … ``<measure>_4``.
    """
    joined = measured.inner_join(cut_offs, "as_of")
    bought = joined.recency_days.notnull()
    active = bought & (joined.frequency > 0)

    def band(measure: str, *, ascending: bool) -> ir.Value:
        value = joined[measure]
        better = [
            ((value > joined[f"{measure}_{k}"]) if ascending else (value < joined[f"{measure}_{k}"])).cast("int64")
            for k in range(1, BANDS)
        ]
        counted = ibis.literal(1, type="int64") + better[0] + better[1] + better[2] + better[3]
        return active.ifelse(counted, bought.ifelse(ibis.literal(1, type="int64"), ibis.null("int64")))

    banded = joined.mutate(
        r=band("recency_days", ascending=False),
        f=band("frequency", ascending=True),
        m=band("monetary", ascending=True),
    )
    code = banded.r.cast(str) + banded.f.cast(str) + banded.m.cast(str)
    return banded.mutate(rfm_code=code)


def cut_off_table(by_day: dict[object, CutOffs]) -> ir.Table:
    """Return limits per day as a table that ``bands`` joins."""
    rows = [
        {
            "as_of": day,
            **{
                f"{measure}_{k}": getattr(found, measure)[k - 1]
                for measure in ("recency_days", "frequency", "monetary")
                for k in range(1, BANDS)
            },
        }
        for day, found in by_day.items()
    ]
    kinds = {name: "date" if name == "as_of" else "decimal(18, 4)" for name in rows[0]}
    return ibis.memtable(rows, schema=ibis.schema(kinds))
