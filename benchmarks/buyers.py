"""Made-up purchases of very many customers: some buy all the time, most once or twice, and many have left.

Belongs here: drawing purchase days, publishing them with their profiles. Does not belong here: what is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.generated import put
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.domain.measures import purchases
from scoring_platform.domain.profiles import WINDOW_DAYS
from scoring_platform.domain.running import Days
from scoring_platform.lake.engine import DuckDBEngine

TABLES = ("raw_orders", "raw_customers")
"""The raw tables of the shop."""

_CHUNK = 200_000
_RATE_SHAPE, _MEAN_DAYS = 0.6, 50.0
_LIFE_SHAPE, _LIFE_DAYS = 1.2, 320.0
_SPEND_SHAPE, _SPEND_MIX, _SPEND_SCALE = 6.0, 4.0, 12_000.0
_EMPTY = {"attributes": "{}", "consent_email_marketing": "unknown", "consent_web_tracking": "unknown"}
_SAME = ("first_order_on", "last_order_on", "orders", "order_days", "revenue", "refunds", "paid_days", "paid_spend")


@dataclass(frozen=True)
class Buyers:
    """Who buys.

    Attributes:
        customers: How many there are; each has bought once at least.
        days: Days of history.
        last: Its last day.
        seed: Of chance.
    """

    customers: int
    days: int
    last: date
    seed: int = 1

    @property
    def first(self) -> date:
        """The first day of history."""
        return self.last - timedelta(days=self.days - 1)

    @property
    def every_day(self) -> list[date]:
        """Every day of history."""
        return [self.first + timedelta(days=offset) for offset in range(self.days)]


def fill(engine: DuckDBEngine, buyers: Buyers) -> int:
    """Publish customer_activity of all days and customer_profiles of the last; return the purchase days."""
    name = "drawn_purchases"
    for place, chunk in enumerate(_chunks(buyers)):
        if place == 0:
            engine.ibis.create_table(name, chunk, temp=True)
        else:
            engine.ibis.insert(name, chunk)
    drawn = engine.ibis.table(name)
    bought = drawn.mutate(
        customer_id=ibis.literal("c-") + drawn.customer.hexdigest("md5"),
        as_of=drawn.active_on,
        orders=ibis.literal(1),
        purchase_day=ibis.literal(1),
        refunds=ibis.literal(0),
    )
    rest = {column: ibis.literal(0) for column in contract_of("customer_activity").schema if column not in bought}
    rows = put(engine, "customer_activity", bought.mutate(**rest), buyers.every_day)
    put(engine, "customer_profiles", _profiles(engine, buyers), [buyers.last])
    return rows


def _chunks(buyers: Buyers) -> Iterator[pa.Table]:
    for start in range(0, buyers.customers, _CHUNK):
        size = min(_CHUNK, buyers.customers - start)
        customer, day, paid = _drawn(np.random.default_rng([buyers.seed, start]), size, buyers.days)
        names = pa.array(customer + start).cast(pa.string())
        days = np.datetime64(buyers.first) + day.astype("timedelta64[D]")
        yield pa.table({"customer": names, "active_on": pa.array(days), "revenue": pa.array(paid)})


def _drawn(chance: np.random.Generator, size: int, days: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return customer, day and amount of each purchase day."""
    first = chance.integers(0, days, size)
    rates = chance.gamma(_RATE_SHAPE, 1 / (_RATE_SHAPE * _MEAN_DAYS), size)
    lives = chance.exponential(1 / chance.gamma(_LIFE_SHAPE, 1 / _LIFE_DAYS, size))
    stays = np.minimum(days - first, lives)
    who = np.repeat(np.arange(size), chance.poisson(rates * stays))
    later = first[who] + (chance.random(len(who)) * stays[who]).astype(np.int64)
    places = np.unique(np.concatenate([np.arange(size) * days + first, who * days + np.minimum(later, days - 1)]))
    customer = places // days
    scale = _SPEND_SCALE / chance.gamma(_SPEND_MIX, 1.0, size)
    return customer, places % days, chance.gamma(_SPEND_SHAPE, scale[customer] / _SPEND_SHAPE).round(0) + 1


def _profiles(engine: DuckDBEngine, buyers: Buyers) -> ir.Table:
    """Return profiles that know of purchases alone."""
    activity = engine.read(contract_of("customer_activity"), buyers.every_day)
    days = engine.materialise(ibis.memtable([{"as_of": buyers.last}], schema=ibis.schema({"as_of": "date"})))
    known = purchases(activity, Days(days, buyers.last, buyers.last), window_days=WINDOW_DAYS)
    filled = {"order_days_365d": known.window_order_days, "net_spend_365d": known.window_net_spend}
    filled |= {name: known[name] for name in _SAME} | {"first_seen_on": known.first_order_on}
    filled |= {name: ibis.literal(value) for name, value in _EMPTY.items()}
    for name, kind in contract_of("customer_profiles").schema.items():
        if name not in filled and name != "customer_id":
            counted = name.endswith("_90d") or name == "baseline"
            filled[name] = ibis.literal(0).cast(kind) if counted else ibis.null(kind)
    return known.select("as_of", "customer_id", **filled)
