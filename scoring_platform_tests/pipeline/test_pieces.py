"""What a piece of a range is made from: whatever of it changes, the piece is made again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.ledger.merges import Merge, list_merges, record_merges, undo_merge
from scoring_platform.pipeline import identities, pieces
from scoring_platform_tests.pipeline.scenario import START, Shop, open_shop

DAYS = [START, START + timedelta(days=1)]
LATER = START + timedelta(days=2)


def basis(shop: Shop, name: str, *upstream: str, also: str = "") -> str:
    return pieces.piece(shop.step(*DAYS), contract_of(name), DAYS, upstream=upstream, also=also).basis


@pytest.mark.parametrize(
    ("table", "upstream", "matters"),
    [
        ("customer_profiles", "raw_crm_contacts", True),  # an opt-out read back later counts from its day
        ("customer_identities", "raw_orders", True),  # who is who is found in all there is
        ("customer_activity", "raw_orders", False),
    ],
)
def test_what_came_after_the_last_day_matters_where_it_is_read(
    tmp_path: Path, table: str, upstream: str, *, matters: bool
) -> None:
    with open_shop(tmp_path) as shop:
        shop.publish(DAYS[-1])
        before = basis(shop, table, upstream)
        shop.order("r1", LATER)
        shop.add("raw_crm_contacts", {"crm_id": "k1", "email": "a@example.jp", "as_of": LATER})
        shop.publish(LATER)

        assert (basis(shop, table, upstream) != before) is matters


def test_a_changed_day_matters(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        shop.publish(DAYS[-1])
        before = basis(shop, "customer_activity", "raw_orders")
        assert basis(shop, "customer_activity", "raw_orders") == before
        shop.order("r1", DAYS[0])
        shop.publish(DAYS[-1])

        assert basis(shop, "customer_activity", "raw_orders") != before


def test_what_somebody_has_undone_matters(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        step = shop.step(*DAYS)
        record_merges(shop.ledger, [Merge("c-1", "c-2", START, links=("link",), nodes=("node",))], now=step.now)
        before = basis(shop, "customer_identities", also=identities.undone(step))
        (merge,) = list_merges(shop.ledger)
        undo_merge(shop.ledger, merge.merge_id, now=step.now)

        assert basis(shop, "customer_identities", also=identities.undone(step)) != before
