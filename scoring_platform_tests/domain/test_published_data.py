"""Known values of published data sets, from raw orders to measures."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import quantiles
from typing import Any

import ibis
import ibis.expr.types as ir
import pytest

from scoring_platform.contracts.columns import MONEY
from scoring_platform.domain.activity import Events, activity
from scoring_platform.domain.consent import given, states
from scoring_platform.domain.measures import purchases
from scoring_platform.domain.rfm import measures
from scoring_platform_tests.domain.tables import LONG_AGO, SCOPES, Database, as_days, days

DATA = Path(__file__).parents[3] / "shared" / "data"
EVER = 100_000

pytestmark = [
    pytest.mark.needs_shared,
    pytest.mark.skipif(not DATA.is_dir(), reason="the published data sets are not in ../shared/data"),
]


def measured(db: Database, orders: ir.Table, *, day: date) -> dict[str, dict[str, Any]]:
    """Measures per customer at the end of ``day``; ``orders`` has who, ordered_on and amount."""
    empty = {name: db.empty(f"raw_{name}") for name in ("email_events", "web_activity", "events")}
    raw = orders.mutate(
        source=ibis.literal("shop"),
        customer_ref=orders.who,
        email=ibis.null(str),
        as_of=orders.ordered_on,
        status=ibis.literal("paid"),
        total_amount_reporting=orders.amount.cast(MONEY),
        refunded_amount_reporting=ibis.literal(0, type=MONEY),
    )
    known = orders.select(
        node=ibis.literal("customer_ref|shop|") + orders.who,
        customer_id=orders.who,
        first_seen_on=ibis.literal(LONG_AGO),
    ).distinct()
    undecided = states(given(db.empty("raw_consents"), owners=known, scopes=SCOPES), days(day))
    facts = activity(
        Events(orders=raw, tickets=db.empty("raw_support_tickets"), **empty),
        known,
        undecided,
        scopes=SCOPES,
        tracking_default="denied",
    )
    bought = purchases(db.materialise(facts), as_days(day), window_days=EVER)
    return {row["customer_id"]: row for row in db.rows(measures(bought))}


def cdnow(db: Database, name: str) -> ir.Table:
    orders = db.backend.read_csv(DATA / "cdnow" / name, all_varchar=True)
    who = next(column for column in orders.columns if column.endswith("customer_id"))
    return orders.select(who=who, ordered_on=orders.date.cast("date"), amount=orders.dollar_value.cast(MONEY))


@pytest.fixture(scope="module")
def rfm_measured(db: Database) -> dict[str, dict[str, Any]]:
    """The orders of 995 customers as of the published analysis date."""
    orders = db.backend.read_csv(DATA / "rfm_orders" / "rfm_data_orders.csv.gz")
    named = orders.select(who="customer_id", ordered_on=orders.order_date, amount=orders.revenue)
    return measured(db, named, day=date(2006, 12, 31))


def test_rfm_orders_give_the_published_measures(rfm_measured: dict[str, dict[str, Any]]) -> None:
    found, abbey = rfm_measured.values(), rfm_measured["Abbey O'Reilly"]

    assert len(found) == 995
    assert sum(row["orders"] for row in found) == 4906
    assert sum(row["monetary"] for row in found) == 464_158
    assert (abbey["recency_days"], abbey["orders"], abbey["monetary"]) == (205, 6, 472)
    assert Counter(row["orders"] for row in found) == {
        1: 42, 2: 83, 3: 143, 4: 187, 5: 176, 6: 150, 7: 94, 8: 51, 9: 38, 10: 20, 11: 3, 12: 5, 13: 2, 14: 1,
    }  # fmt: skip


def test_rfm_orders_give_the_published_fifths(rfm_measured: dict[str, dict[str, Any]]) -> None:
    def fifths(name: str) -> list[float]:
        values = [float(row[name]) for row in rfm_measured.values()]
        return [round(cut, 6) for cut in quantiles(values, n=5, method="inclusive")]

    assert fifths("recency_days") == [114, 180, 296.4, 481]
    assert fifths("orders") == [3, 4, 5, 7]
    assert fifths("monetary") == [254.8, 381, 505.4, 665]


def test_two_orders_on_one_day_are_one_purchase_day(rfm_measured: dict[str, dict[str, Any]]) -> None:
    with gzip.open(DATA / "rfm_orders" / "rfm_data_orders.csv.gz", "rt", encoding="utf-8") as file:
        days_of = Counter(who for who, _ in {(row["customer_id"], row["order_date"]) for row in csv.DictReader(file)})

    assert {who: row["frequency"] for who, row in rfm_measured.items()} == days_of
    assert sum(days_of.values()) < 4906


def test_cdnow_adds_up_to_the_published_sums(db: Database) -> None:
    found = measured(db, cdnow(db, "cdnow_master.csv.gz"), day=date(1998, 6, 30)).values()

    assert len(found) == 23_570
    assert sum(row["orders"] for row in found) == 69_659
    assert sum(row["frequency"] for row in found) == 69_659 - 2_068
    assert sum(row["monetary"] for row in found) == Decimal("2500315.63")


def test_the_cdnow_sample_gives_the_published_calibration_of_every_customer(db: Database) -> None:
    end = date(1997, 9, 30)
    found = measured(db, cdnow(db, "cdnow_sample.csv.gz"), day=end)
    with (DATA / "cdnow" / "cdnow_sample_summary_calibration.csv").open(encoding="utf-8") as file:
        published = {row["ID"]: row for row in csv.DictReader(file)}

    assert sum(row["frequency"] - 1 for row in found.values()) == 2_457
    assert sum(row["frequency"] > 1 for row in found.values()) == 946
    assert sorted(_in_weeks(row, end) for row in found.values()) == sorted(
        (int(row["x"]), round(float(row["t_x"]), 2), round(float(row["T"]), 2)) for row in published.values()
    )


def _in_weeks(row: dict[str, Any], end: date) -> tuple[int, float, float]:
    """Repeat purchase days, age at the last one and age at the end, as the literature counts them."""
    first, week = row["first_order_on"], timedelta(days=7)
    return row["frequency"] - 1, round((row["last_order_on"] - first) / week, 2), round((end - first) / week, 2)
