"""Shopify: the queries, the paging of orders and of their lines, throttling, and the naming of fields."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from graphql import parse, validate
from pydantic import ValidationError

from scoring_platform.contracts.raw import RAW_CONSENTS, RAW_CUSTOMERS, RAW_EVENTS, RAW_ORDER_ITEMS, RAW_ORDERS
from scoring_platform.errors import CredentialError, PermanentError, TransientError
from scoring_platform.sources import shopify_queries
from scoring_platform.sources.shopify import ShopifySource
from scoring_platform.sources.shopify_queries import bulk_consents, bulk_order_items, bulk_orders
from scoring_platform.sources.shopify_rows import order_status
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, page, reply
from scoring_platform_tests.sources.scenario import rows
from scoring_platform_tests.sources.shop import (
    cart,
    connection,
    customer,
    line,
    lined,
    listing,
    money,
    order,
    source,
    vendor_schema,
)


def test_every_query_is_valid_against_the_vendors_schema() -> None:
    attributes = {"renewal_on": "custom.renewal_on", "account_number": "custom.account_number"}
    documents = [value for name, value in vars(shopify_queries).items() if name.isupper() and not name.startswith("_")]
    documents += [shopify_queries.customers(attributes), shopify_queries.bulk_customers("q", attributes)]
    documents += [make("q") for make in (bulk_orders, bulk_order_items, bulk_consents)]
    assert len(documents) == 14
    assert [error for text in documents for error in validate(vendor_schema(), parse(text))] == []


def test_an_order_keeps_its_values_under_our_names(server: Loopback) -> None:
    found = rows(source(server, lambda *_: listing("orders", [order(1)])), "raw_orders")
    assert found == [
        {
            "order_id": "1",
            "customer_ref": "77",
            "email": "taro@example.jp",
            "ordered_at": "2026-11-01T00:00:00Z",
            "updated_at": "2026-11-20T09:00:00Z",
            "status": "paid",
            "currency": "JPY",
            "total_amount": "1299.0",
            "refunded_amount": "300.0",
            "channel": "web",
        }
    ]


def test_wrong_values_pass_through_unrepaired(server: Loopback) -> None:
    wrong = order(1, totalPriceSet=money(None), email="taro＠＠invalid", currencyCode="XTS", customer=None)
    [found] = rows(source(server, lambda *_: listing("orders", [wrong])), "raw_orders")
    assert found["total_amount"] is None
    assert found["email"] == "taro＠＠invalid"
    assert found["currency"] == "XTS"
    assert found["customer_ref"] is None


@pytest.mark.parametrize(
    ("financial", "status"),
    [
        ("PAID", "paid"),
        ("PARTIALLY_REFUNDED", "paid"),
        ("REFUNDED", "paid"),
        ("PARTIALLY_PAID", "paid"),
        ("PENDING", "pending"),
        ("AUTHORIZED", "pending"),
        ("VOIDED", "cancelled"),
        ("EXPIRED", "cancelled"),
        ("NEWLY_INVENTED", "NEWLY_INVENTED"),
        (None, None),
    ],
)
def test_each_financial_status_has_its_word_and_an_unknown_one_stays(financial: str | None, status: str | None) -> None:
    assert order_status(order(1, displayFinancialStatus=financial)) == status


def test_every_financial_status_of_the_vendor_is_known() -> None:
    kind: Any = vendor_schema().type_map["OrderDisplayFinancialStatus"]
    known = {"paid", "pending", "cancelled"}
    assert {order_status(order(1, displayFinancialStatus=value)) for value in kind.values} == known


def test_test_comes_before_cancelled_and_cancelled_before_the_payment() -> None:
    assert order_status(order(1, test=True, cancelledAt="2026-11-02T00:00:00Z")) == "test"
    assert order_status(order(1, cancelledAt="2026-11-02T00:00:00Z")) == "cancelled"


def test_orders_are_asked_for_by_the_time_of_their_change_and_read_to_the_last_page(server: Loopback) -> None:
    asked: list[dict[str, Any]] = []

    def answer(_: str, variables: dict[str, Any]) -> Reply:
        asked.append(variables)
        return listing("orders", [order(len(asked))], {1: "a", 2: "b"}.get(len(asked)))

    assert [row["order_id"] for row in rows(source(server, answer), "raw_orders")] == ["1", "2", "3"]
    search = "updated_at:>='2026-11-20T00:00:00Z' AND updated_at:<'2026-11-21T00:00:00Z'"
    assert asked == [{"n": 2, "after": after, "q": search} for after in (None, "a", "b")]


def test_a_cursor_given_twice_stops_the_reading(server: Loopback) -> None:
    numbers = iter(range(99))
    found = source(server, lambda *_: listing("orders", [order(next(numbers))], "same"))
    with pytest.raises(PermanentError, match="shopify orders gave the same page cursor twice"):
        rows(found, "raw_orders")


def test_lines_beyond_the_first_page_of_an_order_are_followed(server: Loopback) -> None:
    def answer(operation: str, variables: dict[str, Any]) -> Reply:
        if operation == "OrderItems":
            short = lined(2, connection([line(21)]))
            return listing("orders", [lined(1, connection([line(11)], "x")), short])
        assert variables["id"] == "gid://shopify/Order/1"
        more = {"x": connection([line(12)], "y"), "y": connection([line(13)])}[variables["after"]]
        return reply({"data": {"order": {"lineItems": more}}})

    found = rows(source(server, answer), "raw_order_items")
    assert [(row["order_id"], row["line_id"]) for row in found] == [("1", "11"), ("1", "12"), ("1", "13"), ("2", "21")]
    assert found[0] == {
        "order_id": "1",
        "line_id": "11",
        "product_id": "9",
        "category": "Coffee",
        "quantity": 2,
        "amount": "500.0",
        "ordered_at": "2026-11-01T00:00:00Z",
        "updated_at": "2026-11-20T09:00:00Z",
    }


@pytest.mark.parametrize(("sku", "product"), [("B-1", "B-1"), (None, "Beans")])
def test_a_line_without_a_product_is_named_by_sku_or_title(server: Loopback, sku: str | None, product: str) -> None:
    lines = connection([line(11, product=None, sku=sku)])
    [found] = rows(source(server, lambda *_: listing("orders", [lined(1, lines)])), "raw_order_items")
    assert (found["product_id"], found["category"]) == (product, None)


def test_a_customer_keeps_its_values_under_our_names(server: Loopback) -> None:
    asked: list[dict[str, Any]] = []

    def answer(_: str, variables: dict[str, Any]) -> Reply:
        asked.append(variables)
        bare = customer(legacyResourceId="78", defaultEmailAddress=None, defaultAddress=None)
        return listing("customers", [customer(), bare])

    found = rows(source(server, answer), "raw_customers")
    assert found[0] == {
        "customer_ref": "77",
        "email": "taro@example.jp",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-11-20T09:00:00Z",
        "region": "Tokyo",
        "locale": "ja-JP",
        "attributes": {},
    }
    assert (found[1]["email"], found[1]["region"]) == (None, None)
    assert asked[0]["q"] == "updated_at:>='2026-11-20'"


def test_only_the_configured_attributes_are_asked_for_and_those_without_a_value_are_left_out(server: Loopback) -> None:
    attributes = {"renewal_on": "custom.renewal_on", "account_number": "$app:erp.number"}

    def answer(_: str, __: dict[str, Any]) -> Reply:
        query = server.seen[-1].json["query"]
        assert 'attribute_account_number: metafield(namespace: "$app:erp", key: "number") { value }' in query
        assert query.count("metafield") == 2
        return listing(
            "customers", [customer(attribute_renewal_on={"value": "2026-12-01"}, attribute_account_number=None)]
        )

    [found] = rows(source(server, answer, attributes=attributes), "raw_customers")
    assert found["attributes"] == {"renewal_on": "2026-12-01"}


@pytest.mark.parametrize(
    "attributes", [{"renewal_on": "renewal_on"}, {"Renewal": "a.b"}, {"a": 'custom.b") { value } x: m(k: "a.b'}]
)
def test_an_attribute_that_names_no_metafield_is_refused(attributes: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ShopifySource.model_validate({"endpoint": "sandbox", "attributes": attributes})


def test_an_abandoned_checkout_becomes_an_event_that_stays_when_it_is_completed(server: Loopback) -> None:
    asked: list[dict[str, Any]] = []

    def answer(_: str, variables: dict[str, Any]) -> Reply:
        asked.append(variables)
        return listing(
            "abandonedCheckouts", [cart(1), cart(2, completedAt="2026-11-20T10:00:00Z"), cart(3, customer=None)]
        )

    left, completed, nobody = rows(source(server, answer), "raw_events")
    assert left == {
        "event_id": "checkout:1",
        "customer_ref": "77",
        "email": "taro@example.jp",
        "client_id": None,
        "kind": "cart_abandoned",
        "occurred_at": "2026-11-20T09:00:00Z",
        "properties": {"total": "4200.0", "currency": "JPY", "completed": False},
    }
    assert completed["properties"]["completed"] is True
    assert completed["occurred_at"] == left["occurred_at"]
    assert (nobody["customer_ref"], nobody["email"]) == (None, None)
    assert asked[0]["q"] == "updated_at:>='2026-11-20T00:00:00Z' AND updated_at:<'2026-11-21T00:00:00Z'"


def test_a_token_that_ends_between_pages_is_renewed_once_and_the_page_is_asked_again(server: Loopback) -> None:
    tokens, good = iter(["first", "second", "third"]), "first"
    pages = {None: ("1", "a"), "a": ("2", "b"), "b": ("3", None)}
    asked: list[str | None] = []

    def answer(seen: Seen) -> Reply:
        nonlocal good
        if seen.path == "/admin/oauth/access_token":
            good = next(tokens)
            return reply({"access_token": good, "scope": "read_all_orders", "expires_in": 86399})
        after = seen.json["variables"]["after"]
        asked.append(after)
        if seen.headers["x-shopify-access-token"] != good or asked == [None, "a"]:
            return reply({"errors": "[API] Invalid API key or access token"}, 401)
        number, following = pages[after]
        return listing("orders", [order(int(number))], following)

    shopify = source(server, lambda *_: reply({}))
    server.answer = answer
    assert [row["order_id"] for row in rows(shopify, "raw_orders")] == ["1", "2", "3"]
    assert asked == [None, "a", "a", "b"]
    assert good == "second"


def consents(server: Loopback, state: str, at: str | None, tracking: str | None = None) -> list[dict[str, Any]]:
    address = {"emailAddress": "taro@example.jp", "marketingState": state, "marketingUpdatedAt": at}
    kept = None if tracking is None else {"value": tracking, "updatedAt": "2026-02-02T00:00:00Z"}
    node = customer(defaultEmailAddress=address, tracking=kept)
    return rows(source(server, lambda *_: listing("customers", [node])), "raw_consents")


@pytest.mark.parametrize(("state", "status"), [("SUBSCRIBED", "granted"), ("UNSUBSCRIBED", "revoked")])
def test_a_decision_about_email_becomes_a_consent_with_a_stable_id(server: Loopback, state: str, status: str) -> None:
    at = "2026-11-20T09:00:00Z"
    [found] = consents(server, state, at)
    assert found == {
        "event_id": f"77:email:{status}:{at}",
        "subject": "taro@example.jp",
        "channel": "email",
        "purpose": "marketing",
        "status": status,
        "occurred_at": at,
    }
    assert consents(server, state, at) == [found]
    assert consents(server, state, "2026-11-21T09:00:00Z")[0]["event_id"] != found["event_id"]


@pytest.mark.parametrize("state", ["NOT_SUBSCRIBED", "PENDING", "INVALID"])
def test_a_state_that_nobody_decided_is_no_consent(server: Loopback, state: str) -> None:
    assert consents(server, state, None) == []


def test_a_state_never_changed_dates_from_the_creation_of_the_account(server: Loopback) -> None:
    assert consents(server, "SUBSCRIBED", None)[0]["occurred_at"] == "2026-01-01T00:00:00Z"


def test_a_kept_answer_about_tracking_becomes_a_consent_of_its_own(server: Loopback) -> None:
    [found] = consents(server, "NOT_SUBSCRIBED", None, tracking="denied")
    assert (found["channel"], found["purpose"], found["status"]) == ("web", "tracking", "denied")
    assert found["event_id"] == "77:web:denied:2026-02-02T00:00:00Z"


def throttled(requested: int, available: int, maximum: int = 2000) -> Reply:
    status = {"maximumAvailable": float(maximum), "currentlyAvailable": available, "restoreRate": 100.0}
    cost = {"requestedQueryCost": requested, "actualQueryCost": None, "throttleStatus": status}
    errors = [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]
    return reply({"errors": errors, "extensions": {"cost": cost}})


def test_a_throttled_query_is_repeated(server: Loopback) -> None:
    replies = [throttled(250, 100), reply({"errors": [{"message": "x"}]}, 429), listing("orders", [order(1)])]
    assert len(rows(source(server, lambda *_: replies.pop(0)), "raw_orders")) == 1


def test_a_throttle_that_needs_more_than_a_minute_says_how_long(server: Loopback) -> None:
    with pytest.raises(TransientError, match="asked to wait 79 s"):
        rows(source(server, lambda *_: throttled(8000, 100, 10_000)), "raw_orders")


@pytest.mark.parametrize("refusal", ["MAX_COST_EXCEEDED", "THROTTLED"])
def test_a_query_that_costs_too_much_is_asked_again_in_smaller_pages(server: Loopback, refusal: str) -> None:
    sizes: list[int] = []

    def answer(_: str, variables: dict[str, Any]) -> Reply:
        sizes.append(variables["n"])
        if variables["n"] > 2 and refusal == "THROTTLED":
            return throttled(variables["n"] * 1000, 2000)
        if variables["n"] > 2:
            return failure(refusal, "Query cost is too high")
        return listing("orders", [order(len(sizes))], "next" if len(sizes) == 3 else None)

    assert len(rows(source(server, answer, page_size=10), "raw_orders")) == 2
    assert sizes == [10, 5, 2, 2]


def failure(code: str, message: str) -> Reply:
    return reply({"errors": [{"message": message, "extensions": {"code": code}}]})


def test_a_query_too_costly_for_one_row_is_permanent(server: Loopback) -> None:
    with pytest.raises(PermanentError, match="costs too much"):
        rows(source(server, lambda *_: failure("MAX_COST_EXCEEDED", "no")), "raw_orders")


def test_a_missing_scope_is_a_credential_error_that_names_the_app(server: Loopback) -> None:
    found = source(server, lambda *_: failure("ACCESS_DENIED", "needs read_orders"))
    with pytest.raises(CredentialError, match=r"needs read_orders.*SCORING_SHOPIFY_CLIENT_ID"):
        rows(found, "raw_orders")


def test_an_inner_failure_is_repeated_and_another_error_is_not(server: Loopback) -> None:
    replies = [failure("INTERNAL_SERVER_ERROR", "oops"), listing("orders", [order(1)])]
    assert len(rows(source(server, lambda *_: replies.pop(0)), "raw_orders")) == 1
    refused = reply({"errors": "Field 'x' does not exist"})
    with pytest.raises(PermanentError, match="refused the query: Field 'x'"):
        rows(source(server, lambda *_: refused), "raw_orders")


@pytest.mark.parametrize(
    "body", [{}, [], {"data": None}, {"data": {}}, {"data": {"orders": None}}, {"data": {"orders": {}}}]
)
def test_an_answer_of_another_shape_is_permanent(server: Loopback, body: Any) -> None:
    with pytest.raises(PermanentError, match="shopify"):
        rows(source(server, lambda *_: reply(body)), "raw_orders")


def test_html_instead_of_json_says_where(server: Loopback) -> None:
    with pytest.raises(PermanentError, match="shopify answered text/html instead of JSON at POST /admin/api"):
        rows(source(server, lambda *_: page("<html>")), "raw_orders")


@pytest.mark.parametrize(("scope", "warned"), [("read_orders", True), ("read_all_orders", False)])
def test_an_app_that_sees_only_recent_orders_is_warned_about(
    server: Loopback, scope: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        rows(source(server, lambda *_: listing("orders", []), scope=scope), "raw_orders")
    assert ("lacks read_all_orders" in caplog.text) is warned


def test_a_wrong_secret_names_the_variables(server: Loopback) -> None:
    found = source(server, lambda *_: reply({}))
    server.script([reply({"error": "invalid_client"}, 401)])
    with pytest.raises(CredentialError, match="SCORING_SHOPIFY_CLIENT_ID and SCORING_SHOPIFY_CLIENT_SECRET"):
        rows(found, "raw_orders")


def test_the_probe_names_the_shop_and_one_token_serves_all_tables(server: Loopback) -> None:
    shop = reply({"data": {"shop": {"name": "Coffee", "myshopifyDomain": "coffee.myshopify.com"}}})
    found = source(server, lambda operation, _: shop if operation == "Probe" else listing("orders", []))
    assert found.probe() == "shopify: Coffee (coffee.myshopify.com), API 2026-07"
    assert rows(found, "raw_orders") == []
    assert [seen.path for seen in server.seen].count("/admin/oauth/access_token") == 1


def test_rows_have_the_columns_of_their_contracts(server: Loopback) -> None:
    address = {"emailAddress": "taro@example.jp", "marketingState": "SUBSCRIBED", "marketingUpdatedAt": None}
    nodes = {
        "raw_orders": (RAW_ORDERS, "orders", order(1)),
        "raw_order_items": (RAW_ORDER_ITEMS, "orders", lined(1, connection([line(1)]))),
        "raw_customers": (RAW_CUSTOMERS, "customers", customer()),
        "raw_consents": (RAW_CONSENTS, "customers", customer(defaultEmailAddress=address, tracking=None)),
        "raw_events": (RAW_EVENTS, "abandonedCheckouts", cart(1)),
    }
    for name, (contract, field, node) in nodes.items():
        found = source(server, lambda *_, f=field, n=node: listing(f, [n]))
        wanted = set(contract.given_columns) - ({"currency"} if contract.day_from else set())
        assert rows(found, name)[0].keys() == wanted
        assert name in found.settings.gives
