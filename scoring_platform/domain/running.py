"""Sums that run through the days: of all facts so far, and of those within a window before each day.

One day is a plain aggregate. For many days every fact enters on its day and leaves when the window has passed it: sums
over these changes hold until the customer's next one, so that a year costs little more than its changes, not a year of
days each reading all facts. Sums are of whole numbers and decimals: both ways give the same digits.

Belongs here: changes, running sums, the days on which they hold. Does not belong here: what is summed (``measures``,
``scoring``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir


@dataclass(frozen=True)
class Days:
    """Days to compute.

    Attributes:
        table: Them as a table with ``as_of``.
        first: The first.
        last: The last.
        lag: Facts count up to so many days before each day, while windows and ages still end on the day itself: what
            the day would be had nothing happened since.
    """

    table: ir.Table
    first: date
    last: date
    lag: int = 0

    @property
    def known_to(self) -> date:
        """The last day of facts that count."""
        return self.last - timedelta(days=self.lag)


@dataclass(frozen=True)
class Sums:
    """What is summed of facts; values are columns or expressions of the facts.

    Attributes:
        ever: Of all facts so far.
        within: Of those within (as_of − window_days, as_of].
        window_days: Length of the window.
        earliest: The least of all so far.
        latest: The greatest of all so far.
    """

    ever: Mapping[str, ir.Value] = field(default_factory=dict)
    within: Mapping[str, ir.Value] = field(default_factory=dict)
    window_days: int = 1
    earliest: Mapping[str, ir.Value] = field(default_factory=dict)
    latest: Mapping[str, ir.Value] = field(default_factory=dict)

    @property
    def only_within(self) -> bool:
        """Whether facts before the window make no difference."""
        return not (self.ever or self.earliest or self.latest)


def shifted(day: ir.Value, days: int | ir.IntegerValue) -> ir.Value:
    """Return the day so many days later."""
    by = ibis.interval(days=days) if isinstance(days, int) else days.as_interval("D")
    # A day plus an interval is a day to Ibis and an instant to the engine: only by way of an instant is it cast.
    return (day + by).cast("timestamp").cast("date")


def running(facts: ir.Table, days: Days, sums: Sums, *, by: Sequence[str] = ("customer_id",)) -> ir.Table:
    """Return as_of, ``by`` and the sums of every day of ``days``, for whom there were facts that count.

    Who has no facts within the window has 0 there, or no row.

    Args:
        facts: Rows with ``by`` and their day, ``active_on``.
        days: The days.
        sums: What is summed, from ``facts``.
        by: Whose sums they are.
    """
    if days.first == days.last:
        return _on_one_day(_rows(facts, days, sums, by), days, sums, by)
    return standing(spells(facts, days, sums, by=by), days)


def spells(facts: ir.Table, days: Days, sums: Sums, *, by: Sequence[str] = ("customer_id",)) -> ir.Table:
    """Return ``by``, the sums, and from which day to the one before which they hold: ``since``, ``until``.

    Takes what ``running`` takes; the spells of one ``by`` end with the last day.
    """
    rows = _rows(facts, days, sums, by)
    changes = _entering(rows, days, sums, by)
    if sums.within:
        changes = changes.union(_leaving(rows, days, sums, by))
    return ended(_run(changes, sums, by), days, by=by)


def ended(changes: ir.Table, days: Days, *, by: Sequence[str]) -> ir.Table:
    """Return each of ``changes`` with ``until``: when the next one of the same ``by`` begins, or after the last day."""
    after = ibis.literal(days.last + timedelta(days=1))
    following = changes.since.lead().over(ibis.window(group_by=list(by), order_by="since"))
    return changes.mutate(until=following.fill_null(after))


def standing(found: ir.Table, days: Days) -> ir.Table:
    """Return what holds on each day of ``days``, with ``as_of``, from spells."""
    held = days.table.join(found, [days.table.as_of >= found.since, days.table.as_of < found.until])
    return held.drop("since", "until")


def _rows(facts: ir.Table, days: Days, sums: Sums, by: Sequence[str]) -> ir.Table:
    values = {**sums.ever, **sums.within, **sums.earliest, **sums.latest}
    known = facts.filter(facts.active_on <= ibis.literal(days.known_to))
    if sums.only_within:
        known = known.filter(known.active_on > ibis.literal(_opens(days.first, sums)))
    return known.select(*by, "active_on", **values)


def begins(day: ir.Value, days: Days) -> ir.Value:
    """Return the first of ``days`` on which a fact of ``day`` counts, as ``since``."""
    return ibis.greatest(shifted(day, days.lag) if days.lag else day, ibis.literal(days.first)).name("since")


def _opens(day: date, sums: Sums) -> date:
    """Return the day before the window of ``day``."""
    return day - timedelta(days=sums.window_days)


def _on_one_day(rows: ir.Table, days: Days, sums: Sums, by: Sequence[str]) -> ir.Table:
    inside = None if sums.only_within else rows.active_on > ibis.literal(_opens(days.last, sums))
    totals = {name: rows[name].sum() for name in sums.ever}
    totals |= {name: _some(rows[name].sum(where=inside)) for name in sums.within}
    totals |= {name: rows[name].min() for name in sums.earliest} | {name: rows[name].max() for name in sums.latest}
    found = rows.group_by(list(by)).aggregate(**totals)
    kinds = rows.schema()
    return found.select(
        *by, as_of=ibis.literal(days.last), **{name: _narrow(found[name], kinds[name]) for name in totals}
    )


def _entering(rows: ir.Table, days: Days, sums: Sums, by: Sequence[str]) -> ir.Table:
    """What facts bring on the day from which they count; those that have left before the first day bring no window."""
    inside = rows.active_on > ibis.literal(_opens(days.first, sums))
    within = {name: inside.ifelse(rows[name], ibis.literal(0, type=rows[name].type())) for name in sums.within}
    others = {name: rows[name] for name in (*sums.ever, *sums.earliest, *sums.latest)}
    return rows.select(*by, begins(rows.active_on, days), **others, **within)


def _leaving(rows: ir.Table, days: Days, sums: Sums, by: Sequence[str]) -> ir.Table:
    """What facts take away when the window has passed them."""
    first, last = (ibis.literal(_opens(day, sums)) for day in (days.first, days.last))
    left = rows.filter((rows.active_on > first) & (rows.active_on <= last))
    nothing = {name: ibis.literal(0, type=left[name].type()) for name in sums.ever}
    nothing |= {name: ibis.null(left[name].type()) for name in (*sums.earliest, *sums.latest)}
    within = {name: (-left[name]).cast(left[name].type()) for name in sums.within}
    return left.select(*by, shifted(left.active_on, sums.window_days).name("since"), **nothing, **within)


def _run(changes: ir.Table, sums: Sums, by: Sequence[str]) -> ir.Table:
    """Return what holds after the changes of each day."""
    kinds, added = changes.schema(), (*sums.ever, *sums.within)
    totals = {name: _narrow(changes[name].sum(), kinds[name]) for name in added}
    totals |= {name: changes[name].min() for name in sums.earliest}
    totals |= {name: changes[name].max() for name in sums.latest}
    daily = changes.group_by([*by, "since"]).aggregate(**totals)
    so_far = ibis.window(group_by=list(by), order_by="since", rows=(None, 0))
    held = {name: _narrow(daily[name].sum().over(so_far), kinds[name]) for name in added}
    held |= {name: daily[name].min().over(so_far) for name in sums.earliest}
    held |= {name: daily[name].max().over(so_far) for name in sums.latest}
    return daily.select(*by, "since", **held)


def _narrow(total: ir.Value, kind: dt.DataType) -> ir.Value:
    """Return a total in the type of what was summed; the engine's sum is wider than Ibis believes."""
    return total.cast("decimal(38, 0)").cast(kind) if kind.is_integer() else total.cast(kind)


def _some(total: ir.Value) -> ir.Value:
    return total.fill_null(ibis.literal(0, type=total.type()))
