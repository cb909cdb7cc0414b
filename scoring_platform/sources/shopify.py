"""Shopify: orders, order items, customers and what customers consented to.

Belongs here: which query fills which table, and the naming of fields in our contracts. Does not belong here: the
queries (``shopify_queries``), throttling and pages (``graphql``), checks of the rows (the ingest step).

Scopes: ``read_orders`` and ``read_customers``; ``read_all_orders`` as well, without which Shopify shows only the
orders of the last 60 days (a warning says so). E-mail addresses need the app's approval for protected customer data.

Limits: an order imported from another shop counts on the day of its import (``createdAt``). Deleted orders and
customers are not reported by Shopify; they stay as last seen. Of a consent only the latest state is known.

E-mail consent is Shopify's own. For consent to tracking Shopify has no field: a shop that asks for it keeps the answer
(granted, denied or revoked) in the customer metafield ``consent.tracking``; without it there is no such row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field

from scoring_platform.config.base import Endpoint, SourceSection
from scoring_platform.http.auth import Token, TokenAuth, refused_grant, request_token
from scoring_platform.http.client import ApiClient
from scoring_platform.http.pages import paginate
from scoring_platform.sources import graphql
from scoring_platform.sources import shopify_queries as queries
from scoring_platform.sources.graphql import Connection, Node
from scoring_platform.sources.protocol import Page, Row, Window
from scoring_platform.sources.shape import expected_shape

_SECRETS = ("client_id", "client_secret")
_ALL_ORDERS = "read_all_orders"

_log = logging.getLogger(__name__)

_STATUS = {
    "PAID": "paid",
    "PARTIALLY_PAID": "paid",
    "PARTIALLY_REFUNDED": "paid",
    "REFUNDED": "paid",
    "PENDING": "pending",
    "AUTHORIZED": "pending",
    "VOIDED": "cancelled",
    "EXPIRED": "cancelled",
}

_DECISION = {"SUBSCRIBED": "granted", "UNSUBSCRIBED": "revoked"}
"""States in which somebody has decided; NOT_SUBSCRIBED, PENDING and INVALID are no decision."""


class ShopifySource(SourceSection):
    """Shopify Admin GraphQL: orders, order items, customers, consents."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_orders", "raw_order_items", "raw_customers", "raw_consents"})

    endpoint: Endpoint = Field(description="https://SHOP.myshopify.com")
    api_version: str = Field("2026-07", description="Quarterly API version")
    page_size: int = Field(100, ge=1, le=250, description="Orders or customers per page")


@dataclass(frozen=True)
class Shopify:
    """The Shopify Admin GraphQL API of one shop.

    Args:
        settings: The ``sources.shopify`` section.
        endpoint: Resolved address of the shop.
        credential: Gives ``client_id`` and ``client_secret`` of the app.
        zone: Business time zone (Shopify's instants carry their own offset).
    """

    settings: ShopifySource
    endpoint: str
    credential: Callable[[str], str]
    zone: ZoneInfo
    name: str = "shopify"

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield what changed within ``window``; see ``Source.fetch``."""
        with self._client() as client, expected_shape(self.name, table):
            yield from self._readers[table](client, window)

    def probe(self) -> str:
        """Ask for the shop's name."""
        with self._client() as client, expected_shape(self.name, "the shop"):
            shop = graphql.run(client, self._path, queries.PROBE, {})["shop"]
        return f"shopify: {shop['name']} ({shop['myshopifyDomain']}), API {self.settings.api_version}"

    @property
    def _readers(self) -> Mapping[str, Callable[[ApiClient, Window], Iterator[Page]]]:
        return {
            "raw_orders": self._orders,
            "raw_order_items": self._order_items,
            "raw_customers": self._customers,
            "raw_consents": self._consents,
        }

    def _orders(self, client: ApiClient, window: Window) -> Iterator[Page]:
        for page in self._changed_orders(client, queries.ORDERS, window):
            yield [order_row(node) for node in page]

    def _order_items(self, client: ApiClient, window: Window) -> Iterator[Page]:
        for page in self._changed_orders(client, queries.ORDER_ITEMS, window):
            yield [item_row(order, line) for order in page for line in self._lines(client, order)]

    def _customers(self, client: ApiClient, window: Window) -> Iterator[Page]:
        for page in self._changed_customers(client, queries.CUSTOMERS, window):
            yield [customer_row(node) for node in page]

    def _consents(self, client: ApiClient, window: Window) -> Iterator[Page]:
        for page in self._changed_customers(client, queries.CONSENTS, window):
            yield [row for node in page for row in (email_consent(node), tracking_consent(node)) if row is not None]

    def _changed_orders(self, client: ApiClient, query: str, window: Window) -> Iterator[list[Node]]:
        search = f"updated_at:>='{_text(window.since)}' AND updated_at:<'{_text(window.until)}'"
        return graphql.nodes(client, self._path, Connection("orders", query, search, self.settings.page_size))

    def _changed_customers(self, client: ApiClient, query: str, window: Window) -> Iterator[list[Node]]:
        # For customers Shopify compares whole days; an upper bound would cut the last one off.
        search = f"updated_at:>='{window.since.astimezone(UTC).date().isoformat()}'"
        return graphql.nodes(client, self._path, Connection("customers", query, search, self.settings.page_size))

    def _lines(self, client: ApiClient, order: Node) -> Iterator[Node]:
        def fetch(cursor: str) -> Mapping[str, Any]:
            variables = {"id": order["id"], "n": self.settings.page_size, "after": cursor}
            page: Mapping[str, Any] = graphql.run(client, self._path, queries.MORE_LINES, variables)["order"][
                "lineItems"
            ]
            return page

        where = f"shopify lineItems of order {order['legacyResourceId']}"
        pages = paginate(
            order["lineItems"], graphql.end_cursor, fetch=fetch, rows_of=lambda page: page["nodes"], where=where
        )
        for page in pages:
            yield from page["nodes"]

    @property
    def _path(self) -> str:
        return f"/admin/api/{self.settings.api_version}/graphql.json"

    @cached_property
    def _auth(self) -> TokenAuth:
        return TokenAuth(self._token, "X-Shopify-Access-Token", scheme="")

    def _client(self) -> ApiClient:
        return ApiClient(
            self.name, self.endpoint, auth=self._auth, classify=graphql.classify, attempts=8, secrets=_SECRETS
        )

    def _token(self) -> Token:
        grant = {"grant_type": "client_credentials", **{name: self.credential(name) for name in _SECRETS}}
        with ApiClient(self.name, self.endpoint, classify=refused_grant, secrets=_SECRETS) as client:
            token = request_token(client, "/admin/oauth/access_token", grant)
        if token.scope is not None and _ALL_ORDERS not in token.scope.split(","):
            _log.warning("shopify: the app lacks %s; orders older than 60 days stay invisible", _ALL_ORDERS)
        return token


def order_row(node: Node) -> Row:
    """Name an order's fields.

    The total is ``totalPriceSet``, the total before returns. ``currentTotalPriceSet`` has refunds taken out, so
    that refunded_amount would be subtracted twice; ``originalTotalPriceSet`` misses what was added after checkout.
    """
    return {
        "order_id": _id(node),
        "customer_ref": _id(node["customer"]),
        "email": node["email"],
        "ordered_at": node["createdAt"],
        "updated_at": node["updatedAt"],
        "status": order_status(node),
        "currency": node["currencyCode"],
        "total_amount": _amount(node["totalPriceSet"]),
        "refunded_amount": _amount(node["totalRefundedSet"]),
        "channel": node["sourceName"],
    }


def order_status(node: Node) -> str | None:
    """Return our word for the state of an order; a state we do not know stays as it is, to be set aside."""
    if node["test"]:
        return "test"
    if node["cancelledAt"]:
        return "cancelled"
    financial = node["displayFinancialStatus"]
    return _STATUS.get(financial, financial)


def item_row(order: Node, line: Node) -> Row:
    """Name a line's fields; the sku, then the title stand in for a product that no longer exists or never did."""
    product = line["product"] or {}
    return {
        "order_id": _id(order),
        "line_id": line["id"].rsplit("/", 1)[-1],
        "product_id": _id(product) or line["sku"] or line["title"],
        "category": product.get("productType") or None,
        "quantity": line["quantity"],
        "amount": _amount(line["discountedTotalSet"]),
        "ordered_at": order["createdAt"],
        "updated_at": order["updatedAt"],
    }


def customer_row(node: Node) -> Row:
    """Name a customer's fields; the region is the province, or the country where there is none."""
    address = node["defaultAddress"] or {}
    return {
        "customer_ref": _id(node),
        "email": (node["defaultEmailAddress"] or {}).get("emailAddress"),
        "created_at": node["createdAt"],
        "updated_at": node["updatedAt"],
        "region": address.get("province") or address.get("countryCodeV2"),
        "locale": node["locale"],
        "attributes": {},
    }


def email_consent(node: Node) -> Row | None:
    """Return the decision a customer's e-mail state stands for; None when nobody has decided.

    A state without a date has never been changed, so it was taken when the account was created.
    """
    address = node["defaultEmailAddress"] or {}
    status = _DECISION.get(address.get("marketingState", ""))
    if status is None:
        return None
    occurred_at = address["marketingUpdatedAt"] or node["createdAt"]
    return _consent(node, ("email", "marketing"), status=status, occurred_at=occurred_at)


def tracking_consent(node: Node) -> Row | None:
    """Return the decision about tracking that the shop keeps with a customer; None when it keeps none."""
    kept = node["tracking"]
    if kept is None:
        return None
    return _consent(node, ("web", "tracking"), status=kept["value"], occurred_at=kept["updatedAt"])


def _consent(node: Node, about: tuple[str, str], *, status: str, occurred_at: str) -> Row:
    channel, purpose = about
    return {
        "event_id": f"{_id(node)}:{channel}:{status}:{occurred_at}",
        "subject": (node["defaultEmailAddress"] or {}).get("emailAddress") or _id(node),
        "channel": channel,
        "purpose": purpose,
        "status": status,
        "occurred_at": occurred_at,
    }


def _id(node: Node | None) -> str | None:
    value = (node or {}).get("legacyResourceId")
    return None if value is None else str(value)


def _amount(bag: Mapping[str, Any] | None) -> str | None:
    amount: str | None = ((bag or {}).get("shopMoney") or {}).get("amount")
    return amount


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
