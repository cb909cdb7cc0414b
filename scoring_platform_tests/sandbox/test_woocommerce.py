"""The sandbox's WooCommerce shop: the same company as its Shopify shop, behind another protocol."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from jsonschema import Draft7Validator

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.credentials import CREDENTIALS
from scoring_platform.sandbox.days import iso_z, seconds
from scoring_platform.sandbox.limits import FixedWindow
from scoring_platform.sandbox.woocommerce_items import ACCOUNT_META, CONSENT_META
from scoring_platform.sources.protocol import Source, Window
from scoring_platform.sources.registry import SOURCES
from scoring_platform_tests.sandbox.client import Client
from scoring_platform_tests.sandbox.conftest import NOW
from scoring_platform_tests.sources.scenario import rows
from scoring_platform_tests.sources.vendor_specs import openapi

ORDERS, CUSTOMERS = "/woocommerce/wp-json/wc/v3/orders", "/woocommerce/wp-json/wc/v3/customers"
WINDOW = Window(NOW - timedelta(days=9), NOW)
TOKYO = ZoneInfo("Asia/Tokyo")
_NOW = seconds(NOW)

Getting = Callable[..., httpx.Response]


def basic(key: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()}


KEY = basic(**{name.removeprefix("consumer_"): text for name, text in CREDENTIALS["woocommerce"].items()})


@pytest.fixture
def get(client: Client) -> Getting:
    """Ask the shop with its key."""

    def ask(path: str, **query: Any) -> httpx.Response:
        params = {name: str(value) for name, value in query.items()}
        return client.http.get(path, params=params, headers=KEY)

    return ask


def source(system: str, address: str, **settings: Any) -> Source:
    url = f"{address}/{system}"
    vendor = SOURCES[system]
    section = vendor.section.model_validate({"endpoint": url, "page_size": 20, **settings})
    return vendor.opens(section, url, CREDENTIALS[system].__getitem__, TOKYO)


def instant(value: Any) -> datetime:
    return datetime.fromisoformat(str(value)).astimezone(UTC)


def test_both_shops_give_the_same_orders(client: Client, address: str) -> None:
    def orders(system: str) -> dict[str, Any]:
        def amount(value: Any) -> Decimal | None:
            return None if value is None else Decimal(value)

        return {
            row["order_id"]: (
                row["customer_ref"],
                row["email"],
                instant(row["ordered_at"]),
                instant(row["updated_at"]),
                # WooCommerce knows no trial orders; this shop has thrown them away.
                "cancelled" if row["status"] == "test" else row["status"],
                row["currency"],
                amount(row["total_amount"]),
                amount(row["refunded_amount"]),
            )
            for row in rows(source(system, address), "raw_orders", WINDOW)
            if WINDOW.since <= instant(row["updated_at"]) < WINDOW.until
        }

    found = orders("woocommerce")
    assert found == orders("shopify")
    assert {row[4] for row in found.values()} == {"paid", "pending", "cancelled"}
    assert any(row[7] for row in found.values())
    assert any(row[0] is None for row in found.values())


def test_both_shops_give_the_same_lines_and_customers(client: Client, address: str) -> None:
    def lines(system: str) -> set[tuple[Any, ...]]:
        found = rows(source(system, address), "raw_order_items", WINDOW)
        changed = [row for row in found if WINDOW.since <= instant(row["updated_at"]) < WINDOW.until]
        return {
            (
                row["order_id"],
                row["line_id"],
                row["product_id"],
                int(row["quantity"]),
                row["amount"] and Decimal(row["amount"]),
            )
            for row in changed
        }

    def customers(system: str) -> set[tuple[Any, ...]]:
        found = rows(source(system, address), "raw_customers", WINDOW)
        changed = [row for row in found if WINDOW.since <= instant(row["updated_at"]) < WINDOW.until]
        return {(row["customer_ref"], row["email"], instant(row["created_at"])) for row in changed}

    assert lines("woocommerce") == lines("shopify")
    assert customers("woocommerce") == customers("shopify")
    assert lines("woocommerce")
    assert customers("woocommerce")


def test_the_list_of_customers_is_the_full_picture_with_attributes(
    client: Client, address: str, company: Company
) -> None:
    shop = source("woocommerce", address, page_size=100, attributes={"account_number": ACCOUNT_META})
    found = rows(shop, "raw_customers", WINDOW)
    assert len(found) == len(company.population.reach(_NOW).accounts.at(_NOW))
    assert all(row["attributes"].keys() == {"account_number"} for row in found)


def test_opt_ins_are_the_decisions_of_the_accounts_that_changed(client: Client, address: str, company: Company) -> None:
    shop = source("woocommerce", address, page_size=100, email_consent_meta=CONSENT_META)
    found = {row["event_id"].partition(":")[0]: row["status"] for row in rows(shop, "raw_consents", WINDOW)}
    states = company.population.reach(_NOW).accounts.page(_NOW, since=seconds(WINDOW.since), until=_NOW)
    words = {"SUBSCRIBED": "granted", "UNSUBSCRIBED": "revoked"}
    expected = {str(v.thing.person.ref): words[v.thing.marketing] for v in states if v.thing.marketing in words}
    assert found == expected
    assert set(found.values()) == {"granted", "revoked"}


def test_a_list_says_how_long_it_is_and_ends_with_an_empty_page(get: Getting) -> None:
    filters = {"modified_after": "2026-02-08T00:00:00", "dates_are_gmt": "true", "orderby": "id", "order": "asc"}
    first = get(ORDERS, per_page=7, **filters)
    total, pages = int(first.headers["X-WP-Total"]), int(first.headers["X-WP-TotalPages"])
    assert pages == -(-total // 7) > 1
    assert 'rel="next"' in first.headers["Link"]
    by_page = [order["id"] for n in range(1, pages + 1) for order in get(ORDERS, per_page=7, page=n, **filters).json()]
    by_offset = [
        order["id"] for n in range(0, total, 7) for order in get(ORDERS, per_page=7, offset=n, **filters).json()
    ]
    assert by_page == by_offset == sorted(set(by_page))
    assert len(by_page) == total
    beyond = get(ORDERS, per_page=7, page=pages + 1, **filters)
    assert (beyond.json(), beyond.headers["X-WP-Total"]) == ([], str(total))
    assert "Link" not in beyond.headers


def test_without_parameters_the_ten_newest_come_first(get: Getting) -> None:
    listed = [order["date_created_gmt"] for order in get(ORDERS).json()]
    assert len(listed) == 10
    assert listed == sorted(listed, reverse=True)


def test_any_status_leaves_out_the_trash_even_when_both_are_asked_for(get: Getting) -> None:
    def total(**query: Any) -> int:
        return int(get(ORDERS, **query).headers["X-WP-Total"])

    assert total() == total(status="any") == total(status="any,trash")
    assert total(status="trash") > 0
    assert {order["status"] for order in get(ORDERS, status="trash").json()} == {"trash"}
    assert total(status="processing,completed") == total(status="processing") + total(status="completed")


def test_an_instant_with_an_offset_is_misread_as_at_the_vendor(get: Getting) -> None:
    """WordPress turns it into the shop's time, nine hours ahead, and compares that with UTC."""

    def found(after: str, gmt: str) -> int:
        return int(get(ORDERS, modified_after=after, dates_are_gmt=gmt).headers["X-WP-Total"])

    assert found("2026-02-10T00:00:00Z", "true") == found("2026-02-10T09:00:00", "true")
    assert found("2026-02-10T00:00:00", "true") == found("2026-02-10T09:00:00", "false")
    assert found("2026-02-10T00:00:00", "true") > found("2026-02-10T00:00:00Z", "true")


def test_nothing_of_the_future_is_shown(get: Getting, company: Company) -> None:
    company.population.reach(_NOW + 20 * 86_400)
    newest = get(ORDERS, orderby="modified", order="desc").json()[0]["date_modified_gmt"]
    assert newest + "Z" <= iso_z(_NOW)
    before = int(get(CUSTOMERS).headers["X-WP-Total"])
    company.clock.set(NOW + timedelta(days=3))
    assert int(get(CUSTOMERS).headers["X-WP-Total"]) > before


def test_only_the_fields_asked_for_come_and_none_from_inside_another(get: Getting) -> None:
    [order] = get(ORDERS, per_page=1, _fields="total,billing,line_items.id").json()
    assert order.keys() == {"id", "total", "billing"}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "woocommerce_rest_cannot_view"),
        ({"Authorization": "Bearer cs_sandbox"}, "woocommerce_rest_cannot_view"),
        ({"Authorization": "Basic ###"}, "woocommerce_rest_cannot_view"),
        (basic("ck_sandbox", "guess"), "woocommerce_rest_authentication_error"),
        (basic("guess", "cs_sandbox"), "woocommerce_rest_authentication_error"),
    ],
)
def test_without_the_right_key_the_shop_refuses(client: Client, headers: dict[str, str], code: str) -> None:
    for path in (ORDERS, CUSTOMERS):
        answer = client.http.get(path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, code)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (ORDERS, {"per_page": "101"}),
        (ORDERS, {"page": "0"}),
        (ORDERS, {"offset": "-1"}),
        (ORDERS, {"orderby": "total"}),
        (ORDERS, {"order": "up"}),
        (ORDERS, {"status": "lost"}),
        (ORDERS, {"modified_after": "yesterday"}),
        (CUSTOMERS, {"orderby": "modified"}),
        (CUSTOMERS, {"role": "emperor"}),
    ],
)
def test_a_parameter_the_shop_does_not_know_is_named(get: Getting, path: str, query: dict[str, str]) -> None:
    answer = get(path, **query)
    assert (answer.status_code, answer.json()["code"]) == (400, "rest_invalid_param")
    assert answer.json()["data"]["params"].keys() == query.keys()


def test_a_host_that_has_enough_answers_with_a_web_page(get: Getting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FixedWindow, "take", lambda _: False)
    answer = get(ORDERS)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (429, "text/html")
    assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize(("schema", "path"), [("order", ORDERS), ("customer", CUSTOMERS)])
def test_answers_match_the_vendors_description(get: Getting, schema: str, path: str) -> None:
    described = openapi(f"woocommerce/{schema}.schema.json")
    items = [item for n in (1, 2, 3) for item in get(path, per_page=100, page=n).json()]
    items += get(path, per_page=100, status="trash").json() if schema == "order" else []
    problems = [error.message for item in items for error in Draft7Validator(described).iter_errors(item)]
    assert items
    assert problems == []
    assert {name for item in items for name in item} <= described["properties"].keys()
