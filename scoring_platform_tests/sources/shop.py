"""A shop of which a test decides the answers: its nodes, its GraphQL endpoint, and the vendor's schema.

Belongs here: what the tests of Shopify share. Does not belong here: the sandbox's shop.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from graphql import GraphQLSchema, build_schema, extend_schema, parse

from scoring_platform.sources.shopify import Shopify, ShopifySource
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, reply
from scoring_platform_tests.sources.scenario import TOKYO, credential
from scoring_platform_tests.sources.vendor_specs import spec_path

_DOCUMENTED = """
extend type QueryRoot {
  abandonedCheckouts(
    first: Int, after: String, last: Int, before: String, reverse: Boolean = false, savedSearchId: ID
    query: String, sortKey: AbandonedCheckoutSortKeys = ID
  ): AbandonedCheckoutConnection!
}
enum AbandonedCheckoutSortKeys { CHECKOUT_ID CREATED_AT CUSTOMER_NAME ID RELEVANCE TOTAL_PRICE }
type AbandonedCheckoutConnection {
  edges: [AbandonedCheckoutEdge!]!
  nodes: [AbandonedCheckout!]!
  pageInfo: PageInfo!
}
type AbandonedCheckoutEdge { cursor: String! node: AbandonedCheckout! }
type AbandonedCheckout implements Node {
  completedAt: DateTime
  createdAt: DateTime!
  customer: Customer
  id: ID!
  name: String!
  totalPriceSet: MoneyBag!
  updatedAt: DateTime!
}
"""
"""Checkouts as the vendor's reference pages describe them; the copy of its schema was made without them."""

Answering = Callable[[str, dict[str, Any]], Reply]


@lru_cache
def vendor_schema() -> GraphQLSchema:
    """Return the vendor's schema, or skip the test when there is no copy."""
    path = spec_path("shopify/admin-2026-07.orders-customers.graphql")
    return extend_schema(build_schema(path.read_text(encoding="utf-8")), parse(_DOCUMENTED))


def source(
    server: Loopback, answer: Answering, *, page_size: int = 2, scope: str = "read_all_orders", **further: Any
) -> Shopify:
    """A Shopify whose GraphQL answers come from ``answer(operation, variables)``."""

    def respond(seen: Seen) -> Reply:
        if seen.path == "/admin/oauth/access_token":
            wanted = {"grant_type": "client_credentials", "client_id": "secret-client_id"}
            assert {**wanted, "client_secret": "secret-client_secret"} == seen.form
            return reply({"access_token": "shpat", "scope": f"read_customers,{scope}", "expires_in": 86399})
        assert seen.path == "/admin/api/2026-07/graphql.json"
        assert seen.headers["x-shopify-access-token"] == "shpat"
        operation = re.search(r"(?:query|mutation) (\w+)", seen.json["query"])
        assert operation is not None
        return answer(operation[1], seen.json["variables"])

    server.answer = respond
    settings = ShopifySource.model_validate({"endpoint": server.url, "page_size": page_size, **further})
    return Shopify(settings, server.url, credential, TOKYO)


def listing(field: str, nodes: list[dict[str, Any]], cursor: str | None = None) -> Reply:
    return reply({"data": {field: connection(nodes, cursor)}})


def connection(nodes: list[dict[str, Any]], cursor: str | None = None) -> dict[str, Any]:
    return {"nodes": nodes, "pageInfo": {"hasNextPage": cursor is not None, "endCursor": cursor}}


def money(amount: str | None) -> dict[str, Any]:
    return {"shopMoney": {"amount": amount}}


def order(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "legacyResourceId": str(number),
        "email": "taro@example.jp",
        "createdAt": "2026-11-01T00:00:00Z",
        "updatedAt": "2026-11-20T09:00:00Z",
        "cancelledAt": None,
        "test": False,
        "currencyCode": "JPY",
        "displayFinancialStatus": "PAID",
        "sourceName": "web",
        "totalPriceSet": money("1299.0"),
        "totalRefundedSet": money("300.0"),
        "customer": {"legacyResourceId": "77"},
        **changes,
    }


def line(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/LineItem/{number}",
        "title": "Beans",
        "sku": "B-1",
        "quantity": 2,
        "discountedTotalSet": money("500.0"),
        "product": {"legacyResourceId": "9", "productType": "Coffee"},
        **changes,
    }


def lined(number: int, lines: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/Order/{number}",
        "legacyResourceId": str(number),
        "createdAt": "2026-11-01T00:00:00Z",
        "updatedAt": "2026-11-20T09:00:00Z",
        "lineItems": lines,
    }


def customer(**changes: Any) -> dict[str, Any]:
    return {
        "legacyResourceId": "77",
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-11-20T09:00:00Z",
        "locale": "ja-JP",
        "defaultEmailAddress": {"emailAddress": "taro@example.jp"},
        "defaultAddress": {"province": "Tokyo", "countryCodeV2": "JP"},
        **changes,
    }


def cart(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/AbandonedCheckout/{number}",
        "createdAt": "2026-11-20T09:00:00Z",
        "completedAt": None,
        "totalPriceSet": {"shopMoney": {"amount": "4200.0", "currencyCode": "JPY"}},
        "customer": {"legacyResourceId": "77", "defaultEmailAddress": {"emailAddress": "taro@example.jp"}},
        **changes,
    }
