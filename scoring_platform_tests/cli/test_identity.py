"""Merges and shared identifiers from the command line, on a shop whose log brings two customers together."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from scoring_platform_tests.end_to_end.fixtures import SHOP_START, OpenShop, write_orders
from scoring_platform_tests.end_to_end.platform import Platform

FIRST, SECOND, THIRD = (SHOP_START + timedelta(days=n) for n in range(3))


def order(number: int, day: int, ref: str, email: str) -> dict[str, Any]:
    at = f"{SHOP_START + timedelta(days=day)} 10:00:00"
    return {"order_id": f"o{number}", "customer_ref": ref, "email": email, "ordered_at": at, "status": "paid",
            "currency": "JPY", "total_amount": 1000, "refunded_amount": 0}  # fmt: skip


def owners(shop: Platform, day: object) -> dict[str, str]:
    """Customer by account."""
    rows = shop.rows("customer_identities", day)  # type: ignore[arg-type]
    return {row["id_value"]: row["customer_id"] for row in rows if row["id_kind"] == "customer_ref"}


def test_a_merge_is_listed_undone_and_stays_undone(open_shop: OpenShop) -> None:
    shop = open_shop()
    log = [order(1, 0, "c1", "a@example.jp"), order(2, 0, "c2", "b@example.jp")]
    log += [order(10 + n, 0, f"k{n}", "desk@example.jp") for n in range(11)]
    write_orders(shop, log)
    assert shop.command("run", "--date", str(FIRST)).code == 0
    apart = owners(shop, FIRST)
    assert json.loads(shop.command("identity", "merges", "--json").out) == []
    assert shop.command("identity", "shared").out.splitlines()[0].startswith("email=desk@example.jp   seen with 11")

    write_orders(shop, [*log, order(3, 1, "c2", "a@example.jp")])
    done = shop.command("run", "--date", str(SECOND))
    assert done.code == 0, done.said
    (merge,) = json.loads(shop.command("identity", "merges", "--json").out)
    assert owners(shop, SECOND)["c1"] == owners(shop, SECOND)["c2"] == merge["customer_id"] == apart["c1"]
    assert (merge["former_id"], merge["merged_on"], merge["undone_at"]) == (apart["c2"], str(SECOND), None)

    undone = shop.command("identity", "undo", merge["merge_id"])
    assert undone.code == 0, undone.said
    assert shop.command("run", "--date", str(THIRD)).code == 0
    assert owners(shop, THIRD) == apart
    orders = {row["customer_id"]: row["orders"] for row in shop.rows("customer_profiles", THIRD)}
    assert (orders[apart["c1"]], orders[apart["c2"]]) == (1, 2)
    assert "undone" in shop.command("identity", "merges").out


def test_a_merge_that_is_not_known_is_refused(open_shop: OpenShop) -> None:
    done = open_shop().command("identity", "undo", "m000000000000")

    assert done.code == 1
    assert "there is no merge 'm000000000000'; list them with: scoring-platform identity merges" in done.err
