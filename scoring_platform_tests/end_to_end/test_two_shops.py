"""Two shops of one company in one configuration: whose numbers are whose, and who is one customer of both."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from scoring_platform.sandbox.population import Population
from scoring_platform_tests.end_to_end.platform import Platform, write_config

FIRST = date(2025, 10, 8)
DAYS = [FIRST + timedelta(days=number) for number in range(14)]
SHOPS = ("shopify", "woocommerce")
"""Both sell the same to the same people, under the same numbers: the hardest case."""

Row = dict[str, Any]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """A home with two weeks of both shops; read it, never change it."""
    return two_weeks(tmp_path_factory.mktemp("both"), *SHOPS)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """The same two weeks of one of them."""
    return two_weeks(tmp_path_factory.mktemp("one"), "woocommerce")


def two_weeks(root: Path, *shops: str) -> Platform:
    written = {
        "history_start": FIRST,
        "currency": {"reporting": "JPY"},
        "sources": {name: {"endpoint": "sandbox"} for name in shops},
        "activation": {"clock": "data"},
    }
    home = Platform(root / "home", write_config(root / "scoring.yaml", written))
    home.set_clock(DAYS[-1])
    with home.company():
        outcome = home.make(DAYS, *sorted(home.settings.raw_tables), "customer_identities", "customer_activity")
    assert outcome.success, outcome.failures
    return home


def by_customer(platform: Platform) -> dict[str, set[tuple[str, str, str]]]:
    found: dict[str, set[tuple[str, str, str]]] = {}
    for row in platform.rows("customer_identities", DAYS[-1]):
        found.setdefault(row["customer_id"], set()).add((row["source"], row["id_kind"], row["id_value"]))
    return found


def by_address(platform: Platform) -> dict[tuple[str, date], tuple[Any, ...]]:
    """Orders, revenue and refunds by address and day."""
    addresses = {
        who: value for who, named in by_customer(platform).items() for _, kind, value in named if kind == "email"
    }
    return {
        (addresses[row["customer_id"]], row["active_on"]): (row["orders"], row["revenue"], row["refunds"])
        for row in platform.rows("customer_activity")
        if row["customer_id"] in addresses and (row["orders"] or row["revenue"] or row["refunds"])
    }


def test_the_orders_of_both_shops_stand_side_by_side(platform: Platform) -> None:
    for table, names in (("raw_orders", ("order_id",)), ("raw_order_items", ("order_id", "line_id"))):
        kept = [(tuple(row[name] for name in names), row["source"]) for row in platform.rows(table)]
        assert len(kept) > 100
        assert set(Counter(key for key, _ in kept).values()) == {len(SHOPS)}, table
        assert len(set(kept)) == len(kept)


def test_one_address_in_both_shops_is_one_customer(platform: Platform) -> None:
    people = Population().accounts(DAYS[-1])
    customers = by_customer(platform)
    known = [who for who in people if who.email and who.twin_of is None]
    holding = Counter(entry for named in customers.values() for entry in named)

    assert len(known) > 100
    assert set(holding.values()) == {1}, "no identifier is of two customers"
    for who in known:
        both = {(shop, "customer_ref", str(who.ref)) for shop in SHOPS}
        both |= {(shop, "email", who.email or "") for shop in SHOPS}
        assert [named for named in customers.values() if named & both] == [
            named for named in customers.values() if named >= both
        ]


def test_the_same_number_without_an_address_is_one_customer_of_each_shop(platform: Platform) -> None:
    nameless = [who for who in Population().accounts(DAYS[-1]) if who.email is None]
    assert nameless

    for who in nameless:
        holders = [
            named for named in by_customer(platform).values() if str(who.ref) in {value for _, _, value in named}
        ]
        assert [len(named) for named in holders] == [1, 1]
        assert {shop for named in holders for shop, _, _ in named} == set(SHOPS)


def test_what_was_bought_in_both_shops_adds_up(platform: Platform, alone: Platform) -> None:
    both, one = by_address(platform), by_address(alone)

    assert len(one) > 50
    assert any(refunds for _, _, refunds in one.values())
    assert both == {key: tuple(2 * value for value in values) for key, values in one.items()}
