"""A load that a source breaks off publishes nothing, and the next one gets everything."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from scoring_platform.errors import SourceError
from scoring_platform.settings import load_settings
from scoring_platform.sources.opening import open_source
from scoring_platform_tests.conformance.world import NOW, ONE_EACH, PAGE_SIZES, World
from scoring_platform_tests.scenario import Home, close_home, days_from, open_home

DAYS = days_from(date(2025, 11, 4), 7)
WITH_ORDERS = frozenset({"raw_order_items"})
"""Tables whose rows belong to the day of their order, which has to be there first."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    opened = open_home(tmp_path)
    yield opened
    close_home(opened)


def load(home: Home, world: World, name: str) -> None:
    """Load a table from its source, as a run does."""
    system, _, table = name.partition(".")
    sizes = {"page_size": PAGE_SIZES[name]} if name in PAGE_SIZES else {}
    source = open_source(load_settings(world.environment(system, **sizes)), system)
    config = home.config
    in_yen = config.model_copy(update={"currency": config.currency.model_copy(update={"reporting": "JPY"})})
    home.load(DAYS, table=table, sources=[source], now=NOW, config=in_yen)


def published(home: Home, name: str) -> list[dict[str, Any]]:
    return home.rows(name.partition(".")[2])


@pytest.mark.parametrize("name", sorted({*ONE_EACH.values(), "shopify.raw_order_items", "woocommerce.raw_orders"}))
def test_a_load_that_breaks_off_publishes_nothing_and_the_next_one_everything(
    world: World, home: Home, tmp_path: Path, name: str
) -> None:
    system, _, table = name.partition(".")
    place = world.baseline(name).second_page
    untouched = open_home(tmp_path / "untouched")
    for one in (home, untouched):
        if table in WITH_ORDERS:
            load(one, world, f"{system}.raw_orders")
    load(untouched, world, name)
    expected = published(untouched, name)
    close_home(untouched)

    world.fault(name, "status", status=500, times=100_000, skip=place)
    with pytest.raises(SourceError):
        load(home, world, name)
    assert home.engine.lake.days(table) == []
    assert home.set_aside(table) == []
    world.company.faults.clear()
    load(home, world, name)

    assert expected
    assert published(home, name) == expected


def test_a_day_that_was_published_stays_when_the_next_load_breaks_off(world: World, home: Home) -> None:
    name = "zendesk.raw_support_tickets"
    load(home, world, name)
    before = home.versions("raw_support_tickets")

    world.company.clock.set(NOW + timedelta(hours=5))
    world.fault(name, "malformed", times=100_000, skip=1)
    with pytest.raises(SourceError):
        load(home, world, name)

    assert home.versions("raw_support_tickets") == before
