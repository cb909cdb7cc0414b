"""Orders that are only there for their number: computed one by one, and listed as if they were kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from scoring_platform.sandbox.connection import Endpoint, credential, start
from scoring_platform.sandbox.days import DAY, NEVER, opens_at
from scoring_platform.sandbox.timeline import START
from scoring_platform.sandbox.wholesale import FIRST_NUMBER, REFUNDED_AFTER, Wholesale
from scoring_platform.sources.protocol import Window
from scoring_platform.sources.registry import SOURCES
from scoring_platform_tests.sources.scenario import rows

COUNT = 1_200
NOW = datetime(2026, 2, 10, 21, tzinfo=UTC)
TOKYO = ZoneInfo("Asia/Tokyo")
RECENT = Window(NOW - timedelta(days=9), NOW)


@pytest.mark.parametrize("days", [0, 1, 4, 100, 364, 400])
@pytest.mark.parametrize("size", [1, 7, 250])
def test_paging_gives_each_order_that_existed_once_in_the_order_of_its_last_change(days: int, size: int) -> None:
    wholesale, now = Wholesale(100), opens_at(days)
    paged, after = [], START
    while page := wholesale.page(now, after=after, limit=size):
        paged += page
        after = page[-1].position
    known = [wholesale.find(FIRST_NUMBER + place, now) for place in range(100)]
    assert paged == sorted((version for version in known if version), key=lambda version: version.position)
    assert {version.number for version in wholesale.at(wholesale.places(now, since=-NEVER, until=NEVER), now)} == {
        version.number for version in paged
    }


def test_the_orders_spread_over_a_year_and_some_come_back_after_three_days() -> None:
    wholesale = Wholesale(3_650)
    per_day = [len(wholesale.page(NEVER - 1, since=opens_at(day), until=opens_at(day + 1))) for day in range(365)]
    back = [version for version in wholesale.page(NEVER - 1) if version.thing.refunded]
    assert all(8 <= count <= 12 for count in per_day)
    assert len(back) == 3_650 // 12
    assert all(version.since == version.thing.ordered_at + REFUNDED_AFTER for version in back)
    assert all(version.thing.refunded < (version.thing.total or 0) for version in back)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def shop(home: Path) -> Iterator[Endpoint]:
    """A sandbox that was started with more orders."""
    running = start(home, orders=COUNT)
    running.endpoint.set_clock(NOW)
    yield running.endpoint
    running.stop()


def fetched(shop: Endpoint, home: Path, system: str, table: str, **settings: Any) -> dict[str, dict[str, Any]]:
    """The rows of the added orders by their id, each in its last version."""
    vendor, url = SOURCES[system], shop.url(system)
    section = vendor.section.model_validate({"endpoint": "sandbox", **settings})
    found = rows(vendor.opens(section, url, partial(credential, home, system), TOKYO), table, RECENT)
    key = "line_id" if table == "raw_order_items" else "order_id"
    return {row[key]: row for row in found if int(row["order_id"]) >= FIRST_NUMBER}


def test_both_shops_list_the_added_orders_page_by_page_and_in_bulk(shop: Endpoint, home: Path) -> None:
    paged = fetched(shop, home, "shopify", "raw_orders", bulk_from_days=0, page_size=50)
    in_bulk = fetched(shop, home, "shopify", "raw_orders", bulk_from_days=1)
    other = fetched(shop, home, "woocommerce", "raw_orders", page_size=20)
    assert 20 < len(paged) < COUNT
    assert in_bulk == paged
    assert set(other) == set(paged)
    assert {Decimal(row["total_amount"]) for row in other.values()} == {
        Decimal(row["total_amount"]) for row in paged.values()
    }
    assert any(Decimal(row["refunded_amount"]) for row in paged.values())
    assert any(row["customer_ref"] for row in paged.values())
    assert any(row["customer_ref"] is None for row in paged.values())


def test_the_lines_of_an_added_order_add_up_to_its_total(shop: Endpoint, home: Path) -> None:
    orders = fetched(shop, home, "shopify", "raw_orders", bulk_from_days=0)
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for line in fetched(shop, home, "shopify", "raw_order_items", bulk_from_days=0).values():
        sums[line["order_id"]] += Decimal(line["amount"])
    assert sums == {number: Decimal(row["total_amount"]) for number, row in orders.items()}


def test_nothing_is_told_before_it_has_happened(shop: Endpoint, home: Path) -> None:
    found = fetched(shop, home, "shopify", "raw_orders", bulk_from_days=0)
    assert all(datetime.fromisoformat(row["updated_at"]) <= NOW for row in found.values())
    assert Wholesale(COUNT).find(FIRST_NUMBER + COUNT - 1, opens_at(0) + DAY) is None
