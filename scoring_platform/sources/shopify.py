"""Shopify: orders, order items, customers, what customers consented to, and abandoned carts.

Belongs here: which query fills which table, and whether it is read page by page or in bulk. Does not belong here: the
queries (``shopify_queries``), naming (``shopify_rows``), throttling and pages (``graphql``), bulk operations
(``shopify_bulk``) and their files (``shopify_file``), checks of the rows (the ingest step).

Scopes: ``read_orders`` and ``read_customers``; ``read_all_orders`` as well, without which Shopify shows only the
orders of the last 60 days (a warning says so). E-mail addresses need the app's approval for protected customer data.

Limits: an order imported from another shop counts on the day of its import (``createdAt``). Deleted orders and
customers are not reported by Shopify; they stay as last seen. Of a consent only the latest state is known.

E-mail consent is Shopify's own. For consent to tracking Shopify has no field: a shop that asks for it keeps the answer
(granted, denied or revoked) in the customer metafield ``consent.tracking``; without it there is no such row.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field, StringConstraints

from scoring_platform.config.base import Endpoint, SourceSection
from scoring_platform.http.auth import Token, TokenAuth, refused_grant, request_token
from scoring_platform.http.client import ApiClient
from scoring_platform.http.pages import paginate
from scoring_platform.sources import graphql, shopify_bulk, shopify_file
from scoring_platform.sources import shopify_queries as queries
from scoring_platform.sources.graphql import Connection, Node
from scoring_platform.sources.protocol import Page, Row, Window
from scoring_platform.sources.shape import expected_shape
from scoring_platform.sources.shopify_rows import (
    cart_row,
    customer_row,
    email_consent,
    item_row,
    order_row,
    tracking_consent,
)

_SECRETS = ("client_id", "client_secret")
_ALL_ORDERS = "read_all_orders"
_BULK_PAGE = 1_000

_log = logging.getLogger(__name__)

AttributeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Metafield = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9$][A-Za-z0-9_$:-]*\.[A-Za-z0-9_-]+$")]


class ShopifySource(SourceSection):
    """Shopify Admin GraphQL: orders, order items, customers, consents, abandoned carts."""

    gives: ClassVar[frozenset[str]] = frozenset(
        {"raw_orders", "raw_order_items", "raw_customers", "raw_consents", "raw_events"}
    )

    endpoint: Endpoint = Field(description="https://SHOP.myshopify.com")
    api_version: str = Field("2026-07", description="Quarterly API version")
    page_size: int = Field(100, ge=1, le=250, description="Orders or customers per page")
    attributes: dict[AttributeName, Metafield] = Field(
        {}, description="Customer attribute to the metafield it is kept in, such as `renewal_on: custom.renewal_on`"
    )
    bulk_from_days: int = Field(31, ge=0, description="Length of a window from which it is read in bulk; 0: never")
    bulk_wait_minutes: float = Field(120, gt=0, description="How long a bulk operation may take")
    bulk_poll_seconds: float = Field(10, gt=0, description="Longest time between two looks at a bulk operation")


@dataclass(frozen=True)
class Shopify:
    """The Shopify Admin GraphQL API of one shop.

    Args:
        settings: The ``sources.shopify`` section.
        endpoint: Resolved address of the shop.
        credential: Gives ``client_id`` and ``client_secret`` of the app.
        zone: Business time zone (Shopify's instants carry their own offset).
        clock: Seconds, never going back; for the waits on bulk operations.
        sleep: How to wait for them.
    """

    settings: ShopifySource
    endpoint: str
    credential: Callable[[str], str]
    zone: ZoneInfo
    name: str = "shopify"
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield what changed within ``window``; see ``Source.fetch``."""
        readers = self._bulk_readers if self._is_long(window) else {}
        reader = readers.get(table) or self._readers[table]
        with self._client() as client, expected_shape(self.name, table):
            yield from reader(client, window)

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
            "raw_events": self._carts,
        }

    @property
    def _bulk_readers(self) -> Mapping[str, Callable[[ApiClient, Window], Iterator[Page]]]:
        return {
            "raw_orders": self._bulk_orders,
            "raw_order_items": self._bulk_order_items,
            "raw_customers": self._bulk_customers,
            "raw_consents": self._bulk_consents,
        }

    def _is_long(self, window: Window) -> bool:
        days = self.settings.bulk_from_days
        return days > 0 and window.until - window.since >= timedelta(days=days)

    def _orders(self, client: ApiClient, window: Window) -> Iterator[Page]:
        for page in self._pages(client, "orders", queries.ORDERS, search=_changed(window)):
            yield [order_row(node) for node in page]

    def _order_items(self, client: ApiClient, window: Window) -> Iterator[Page]:
        for page in self._pages(client, "orders", queries.ORDER_ITEMS, search=_changed(window)):
            yield [item_row(order, line) for order in page for line in self._lines(client, order)]

    def _customers(self, client: ApiClient, window: Window) -> Iterator[Page]:
        attributes = self.settings.attributes
        for page in self._pages(client, "customers", queries.customers(attributes), search=_changed_on(window)):
            yield [customer_row(node, attributes) for node in page]

    def _consents(self, client: ApiClient, window: Window) -> Iterator[Page]:
        for page in self._pages(client, "customers", queries.CONSENTS, search=_changed_on(window)):
            yield [row for node in page for row in _consents_of(node)]

    def _carts(self, client: ApiClient, window: Window) -> Iterator[Page]:
        for page in self._pages(client, "abandonedCheckouts", queries.CHECKOUTS, search=_changed(window)):
            yield [cart_row(node) for node in page]

    def _bulk_orders(self, client: ApiClient, window: Window) -> Iterator[Page]:
        nodes = self._objects(client, queries.bulk_orders(_changed(window)))
        return _paged(order_row(node) for node in nodes)

    def _bulk_order_items(self, client: ApiClient, window: Window) -> Iterator[Page]:
        nodes = self._objects(client, queries.bulk_order_items(_changed(window)))
        return _paged(item_row(order, line) for order, line in shopify_file.with_parents(nodes))

    def _bulk_customers(self, client: ApiClient, window: Window) -> Iterator[Page]:
        attributes = self.settings.attributes
        nodes = self._objects(client, queries.bulk_customers(_changed_on(window), attributes))
        return _paged(customer_row(node, attributes) for node in nodes)

    def _bulk_consents(self, client: ApiClient, window: Window) -> Iterator[Page]:
        nodes = self._objects(client, queries.bulk_consents(_changed_on(window)))
        return _paged(row for node in nodes for row in _consents_of(node))

    def _objects(self, client: ApiClient, query: str) -> Iterator[Node]:
        patience = shopify_bulk.Patience(
            self.settings.bulk_wait_minutes * 60,
            longest=self.settings.bulk_poll_seconds,
            clock=self.clock,
            sleep=self.sleep,
        )
        export = shopify_bulk.export(client, self._path, query, patience=patience)
        return shopify_file.objects(export, sleep=self.sleep)

    def _pages(self, client: ApiClient, connection: str, query: str, *, search: str) -> Iterator[list[Node]]:
        return graphql.nodes(client, self._path, Connection(connection, query, search, self.settings.page_size))

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


def _consents_of(node: Node) -> list[Row]:
    return [row for row in (email_consent(node), tracking_consent(node)) if row is not None]


def _paged(rows: Iterable[Row]) -> Iterator[Page]:
    waiting = iter(rows)
    while page := list(islice(waiting, _BULK_PAGE)):
        yield page


def _changed(window: Window) -> str:
    return f"updated_at:>='{_text(window.since)}' AND updated_at:<'{_text(window.until)}'"


def _changed_on(window: Window) -> str:
    # For customers Shopify compares whole days; an upper bound would cut the last one off.
    return f"updated_at:>='{window.since.astimezone(UTC).date().isoformat()}'"


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
