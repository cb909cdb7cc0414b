"""The lead score of those who never bought: intent that fades and is capped by group, times fit.

Lead score = min(100, sum over groups of min(cap, sum of n · points · 2^(−age / half-life))) · product of the factors,
rounded half up, at most 100.

Belongs here: signals to points, attributes to factors. Does not belong here: which customers and days are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import ibis
import ibis.expr.types as ir

from scoring_platform.config.leads import EVENT, Fit, Leads
from scoring_platform.domain.scoring import MOST_A_DAY, WEIGHT

HIGHEST = 100
_KEYS = ["as_of", "customer_id"]
_EXACT = "decimal(38, 9)"
"""Wide, because the engine multiplies two narrow decimals within 18 digits and gives up beyond; what was multiplied has
the decimals of both, and is rounded to these again."""


def facts(activity: ir.Table, events: ir.Table, signals: Iterable[str]) -> ir.Table:
    """Return how often each signal was given on each day: customer_id, active_on, signal, n.

    Args:
        activity: customer_activity.
        events: raw_events with ``customer_id``.
        signals: The signals that count.
    """
    wanted = sorted(signals)
    kinds = [name.removeprefix(EVENT) for name in wanted if name.startswith(EVENT)]
    chosen = events.filter(events.kind.isin(kinds))
    counted = chosen.group_by(["customer_id", "as_of", "kind"]).aggregate(n=chosen.count())
    parts = [
        counted.select("customer_id", active_on=counted.as_of, signal=ibis.literal(EVENT) + counted.kind, n=counted.n)
    ]
    for name in wanted:
        if not name.startswith(EVENT):
            given = activity.filter(activity[name] > 0)
            parts.append(given.select("customer_id", "active_on", signal=ibis.literal(name), n=given[name]))
    return ibis.union(*parts)


def evidence(found: ir.Table, days: ir.Table, leads: Leads) -> ir.Table:
    """Return what each signal is worth at the end of each day: as_of, customer_id, signal, n, last_on, points.

    Args:
        found: What ``facts`` returns, of at least the window before the days.
        days: The days, with ``as_of``. The window is (as_of − window_days, as_of].
        leads: How leads are scored.
    """
    window = ibis.interval(days=leads.window_days)
    known = days.join(found, [found.active_on <= days.as_of, found.active_on > days.as_of - window])
    groups = leads.intent.values()
    half_life = _by_signal(known.signal, {name: group.half_life_days for group in groups for name in group.points})
    each = _by_signal(known.signal, {name: points for group in groups for name, points in group.points.items()})
    age = known.as_of.delta(known.active_on, unit="day").cast("float64")
    # Decimals: a sum of floats would depend on the order of the rows.
    decay = (ibis.literal(2.0) ** (-(age / half_life))).round(9).cast(WEIGHT)
    given = ibis.least(known.n.cast("float64") * each, MOST_A_DAY).round(4).cast("decimal(18, 4)")
    points = (given * decay).cast(_EXACT)
    return known.group_by([*_KEYS, "signal"]).aggregate(
        n=known.n.sum().cast("int64"), last_on=known.active_on.max(), points=points.sum()
    )


def categories(events: ir.Table, days: ir.Table, *, window_days: int) -> ir.Table:
    """Return the category that was named last within the window: as_of, customer_id, product_category.

    It is the text ``category`` among the properties of an event; the latest one says best what is of interest now.

    Args:
        events: raw_events with ``customer_id``.
        days: The days, with ``as_of``.
        window_days: Length of the window (as_of − window_days, as_of].
    """
    named = events.select(
        "customer_id",
        "occurred_at",
        "source",
        "event_id",
        active_on=events.as_of,
        product_category=events.properties.cast("json")["category"].str.strip().nullif(""),
    )
    named = named.filter(named.product_category.notnull())
    window = ibis.interval(days=window_days)
    known = days.join(named, [named.active_on <= days.as_of, named.active_on > days.as_of - window])
    order = [ibis.desc(known.occurred_at), known.source, known.event_id]
    ranked = known.mutate(_rank=ibis.row_number().over(group_by=_KEYS, order_by=order))
    return ranked.filter(ranked._rank == 0).select(*_KEYS, "product_category")


def scores(prospects: ir.Table, worth: ir.Table, leads: Leads) -> ir.Table:
    """Return the lead score of every prospect.

    Args:
        prospects: as_of, customer_id, region, locale, product_category.
        worth: What ``evidence`` returns; of others than ``prospects`` it does not count.
        leads: How leads are scored.

    Returns:
        Those of ``prospects``, intent_<group> (points, capped), fit_<attribute> (factor), lead_score, mql.
    """
    sums = {
        f"intent_{name}": worth.points.sum(where=worth.signal.isin(list(group.points)))
        for name, group in leads.intent.items()
    }
    joined = prospects.left_join(worth.group_by(_KEYS).aggregate(**sums), _KEYS)
    intent = {
        f"intent_{name}": ibis.least(joined[f"intent_{name}"].cast(_EXACT).fill_null(_decimal(0)), _decimal(group.cap))
        for name, group in leads.intent.items()
    }
    factors = {f"fit_{name}": factor_of(joined[name], fit) for name, fit in leads.fit.items()}
    found = joined.select(*prospects.columns, **intent, **factors)
    score = _rounded(_sum(found, intent) * _product(found, factors))
    return found.mutate(lead_score=score, mql=score >= leads.mql_threshold)


def factor_of(value: ir.Value, fit: Fit) -> ir.Value:
    """Return the factor of an attribute's value; letter case and spaces around it make no difference."""
    text = value.strip().lower().nullif("")
    known = [(text == given.lower(), _decimal(factor)) for given, factor in sorted(fit.values.items())]
    return ibis.cases((text.isnull(), _decimal(fit.unknown)), *known, else_=_decimal(fit.default))


def _by_signal(signal: ir.Value, values: Mapping[str, float]) -> ir.Value:
    branches = [(signal == name, ibis.literal(value, type="float64")) for name, value in sorted(values.items())]
    return ibis.cases(*branches)


def _sum(found: ir.Table, columns: Iterable[str]) -> ir.Value:
    """Return the points of all groups together, at most 100."""
    total = _decimal(0)
    for name in columns:
        total = total + found[name]
    return ibis.least(total, _decimal(HIGHEST)).cast(_EXACT)


def _product(found: ir.Table, columns: Iterable[str]) -> ir.Value:
    factor = _decimal(1)
    for name in columns:
        factor = (factor * found[name]).round(9)
    return factor


def _rounded(score: ir.Value) -> ir.Value:
    """Return a whole score; the engine rounds decimals half away from zero, which is half up for what is not below."""
    return ibis.least(score.round(0).cast("int64"), HIGHEST)


def _decimal(value: float) -> ir.Value:
    return ibis.literal(round(Decimal(str(value)), 9), type=_EXACT)
