"""WooCommerce: orders, order items, customers and, where the shop keeps one, the marketing opt-in.

Belongs here: which list fills which table, and the naming of fields in our contracts. Does not belong here: reading a
list to its end (``woocommerce_listing``), checks of the rows (the ingest step).

Access: a REST API key with permission Read of a user who may see orders and customers.

Orders are found by the time of their last change. ``status=any`` leaves out the trash, which is asked for separately:
an order in the trash was deleted in the shop and counts as cancelled. The list of customers has no such filter, so
every extract is the full picture. Money is read from the order as text; a line's ``price`` may be a rounded number.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import httpx
from pydantic import Field

from scoring_platform.config.base import Endpoint, SourceSection
from scoring_platform.http.auth import HeaderAuth
from scoring_platform.http.client import ApiClient
from scoring_platform.http.verdict import Verdict, is_html, retry_after
from scoring_platform.sources.protocol import Page, Row, Window
from scoring_platform.sources.shape import expected_shape, instant_of
from scoring_platform.sources.woocommerce_listing import Entry, Listing, entries, total_of

_ORDERS = "/wp-json/wc/v3/orders"
_CUSTOMERS = "/wp-json/wc/v3/customers"
_SECRETS = ("consumer_key", "consumer_secret")

# Fields inside fields cannot be picked: WooCommerce would leave the whole of them out.
_ORDER_FIELDS = "id,status,currency,date_created_gmt,date_modified_gmt,total,customer_id,billing,created_via,refunds"
_ITEM_FIELDS = "id,date_created_gmt,date_modified_gmt,line_items"
_CUSTOMER_FIELDS = "id,email,date_created_gmt,date_modified_gmt,billing,meta_data"

_STATUS = {
    "processing": "paid",
    "completed": "paid",
    "refunded": "paid",
    "on-hold": "pending",
    "pending": "pending",
    "checkout-draft": "pending",
    "cancelled": "cancelled",
    "failed": "cancelled",
    "trash": "cancelled",
}

_DECISION = {
    **dict.fromkeys(("yes", "1", "true", "on"), "granted"),
    **dict.fromkeys(("no", "0", "false", "off"), "revoked"),
}
"""What an opt-in field may hold, in lower case."""


class WoocommerceSource(SourceSection):
    """WooCommerce REST API: orders, order items, customers, and consents where the shop keeps them."""

    whole: ClassVar[frozenset[str]] = frozenset({"raw_customers"})

    endpoint: Endpoint = Field(description="https://SHOP, with the folder WordPress is in if there is one")
    page_size: int = Field(100, ge=2, le=100, description="Orders or customers per page")
    role: str = Field("customer", description="WordPress role of the accounts that are customers; `all` for any")
    attributes: dict[str, str] = Field({}, description="Our attribute to the customer's meta_data key that holds it")
    email_consent_meta: str | None = Field(
        None, description="The customer's meta_data key with the opt-in to marketing e-mails (yes or no)"
    )

    @property
    def gives(self) -> frozenset[str]:  # type: ignore[override]  # a class variable elsewhere: here it depends on a key
        """Raw tables the source fills; consents only where the shop keeps them."""
        shop = frozenset({"raw_orders", "raw_order_items", "raw_customers"})
        return shop | {"raw_consents"} if self.email_consent_meta else shop


@dataclass(frozen=True)
class Woocommerce:
    """The WooCommerce REST API of one shop.

    Args:
        settings: The ``sources.woocommerce`` section.
        endpoint: Resolved address of the shop.
        credential: Gives ``consumer_key`` and ``consumer_secret`` of the REST API key.
        zone: Business time zone (the fields read here are UTC).
    """

    settings: WoocommerceSource
    endpoint: str
    credential: Callable[[str], str]
    zone: ZoneInfo
    name: str = "woocommerce"

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield what changed within ``window``, and all customers; see ``Source.fetch``."""
        with self._client() as client, expected_shape(self.name, table):
            yield from self._readers[table](client, window)

    def probe(self) -> str:
        """Count the orders."""
        with self._client() as client:
            answer = client.request("GET", _ORDERS, params={"per_page": "1", "_fields": "id"})
        total = total_of(answer)
        return f"woocommerce: {urlsplit(self.endpoint).netloc}, {'some' if total is None else total} orders"

    @property
    def _readers(self) -> Mapping[str, Callable[[ApiClient, Window], Iterator[Page]]]:
        return {
            "raw_orders": self._orders,
            "raw_order_items": self._order_items,
            "raw_customers": self._customers,
            "raw_consents": self._consents,
        }

    def _orders(self, client: ApiClient, window: Window) -> Iterator[Page]:
        for page in self._changed_orders(client, _ORDER_FIELDS, window):
            yield [order_row(order) for order in page]

    def _order_items(self, client: ApiClient, window: Window) -> Iterator[Page]:
        for page in self._changed_orders(client, _ITEM_FIELDS, window):
            yield [item_row(order, line) for order in page for line in order["line_items"]]

    def _customers(self, client: ApiClient, _window: Window) -> Iterator[Page]:
        for page in self._all_customers(client):
            yield [customer_row(customer, self.settings.attributes) for customer in page]

    def _consents(self, client: ApiClient, window: Window) -> Iterator[Page]:
        key = self.settings.email_consent_meta or ""
        for page in self._all_customers(client):
            found = [email_consent(customer, key) for customer in page if changed_within(customer, window)]
            yield [row for row in found if row is not None]

    def _changed_orders(self, client: ApiClient, fields: str, window: Window) -> Iterator[list[Entry]]:
        # Both bounds are exclusive, and instants are whole seconds. They are written without an offset: with one,
        # WordPress would turn them into the shop's own time and then compare that with UTC.
        changed = {
            "modified_after": _text(window.since - timedelta(seconds=1)),
            "modified_before": _text(window.until),
            "dates_are_gmt": "true",
            "_fields": fields,
        }
        for status in ("any", "trash"):
            yield from entries(client, Listing(_ORDERS, {**changed, "status": status}, self.settings.page_size))

    def _all_customers(self, client: ApiClient) -> Iterator[list[Entry]]:
        filters = {"role": self.settings.role, "_fields": _CUSTOMER_FIELDS}
        return entries(client, Listing(_CUSTOMERS, filters, self.settings.page_size))

    def _client(self) -> ApiClient:
        auth = HeaderAuth(self._basic, scheme="Basic ")
        return ApiClient(self.name, self.endpoint, auth=auth, classify=classify, secrets=_SECRETS)

    def _basic(self) -> str:
        pair = ":".join(self.credential(name) for name in _SECRETS)
        return base64.b64encode(pair.encode()).decode()


def classify(response: httpx.Response) -> Verdict | None:
    """Take a refusal that is a web page for the shop's host or firewall, which slows clients down that way."""
    if response.status_code == httpx.codes.FORBIDDEN and is_html(response):
        return Verdict("throttled", retry_after(response), "a web page, so it comes from the shop's host or firewall")
    return None


def order_row(order: Entry) -> Row:
    """Name an order's fields."""
    return {
        "order_id": str(order["id"]),
        "customer_ref": str(order["customer_id"]) if order["customer_id"] else None,
        "email": order["billing"]["email"] or None,
        "ordered_at": utc(order["date_created_gmt"]),
        "updated_at": utc(order["date_modified_gmt"]),
        "status": _STATUS.get(order["status"], order["status"]),
        "currency": order["currency"],
        "total_amount": order["total"] or None,
        "refunded_amount": refunded(order["refunds"]),
        "channel": order["created_via"] or None,
    }


def refunded(refunds: list[Entry]) -> Decimal | str:
    """Return what was refunded: minus the sum of the refunds, which are negative; an unreadable one stays as it is."""
    total = Decimal(0)
    for refund in refunds:
        try:
            total -= Decimal(refund["total"])
        except InvalidOperation:
            return str(refund["total"])
    return total


def item_row(order: Entry, line: Entry) -> Row:
    """Name a line's fields; the sku, then the name stand in for a product that no longer exists."""
    return {
        "order_id": str(order["id"]),
        "line_id": str(line["id"]),
        "product_id": str(line["product_id"] or line["sku"] or line["name"]),
        "category": None,
        "quantity": line["quantity"],
        "amount": line["total"] or None,
        "ordered_at": utc(order["date_created_gmt"]),
        "updated_at": utc(order["date_modified_gmt"]),
    }


def customer_row(customer: Entry, attributes: Mapping[str, str]) -> Row:
    """Name a customer's fields; ``attributes`` names the meta data to keep."""
    billing, kept = customer["billing"], meta(customer)
    return {
        "customer_ref": str(customer["id"]),
        "email": customer["email"] or None,
        "created_at": utc(customer["date_created_gmt"]),
        "updated_at": changed_at(customer),
        "region": billing["state"] or billing["country"] or None,
        "locale": None,
        "attributes": {name: kept[key] for name, key in attributes.items() if kept.get(key) not in (None, "")},
    }


def email_consent(customer: Entry, key: str) -> Row | None:
    """Return the decision a customer's opt-in field stands for; None when nobody has decided.

    The field has no time of its own: the last change of the account stands for it, so a decision may be told again.
    """
    given = str(meta(customer).get(key) or "").strip()
    if not given:
        return None
    status, at = _DECISION.get(given.lower(), given), changed_at(customer)
    return {
        "event_id": f"{customer['id']}:email:{status}:{at}",
        "subject": customer["email"] or str(customer["id"]),
        "channel": "email",
        "purpose": "marketing",
        "status": status,
        "occurred_at": at,
    }


def changed_within(customer: Entry, window: Window) -> bool:
    """Whether an account changed in the window; one with an unreadable time counts, to be set aside."""
    at = instant_of(changed_at(customer))
    return at is None or window.since <= at < window.until


def changed_at(customer: Entry) -> str | None:
    """Return when an account last changed: when it was made, where it never has since."""
    return utc(customer["date_modified_gmt"]) or utc(customer["date_created_gmt"])


def meta(customer: Entry) -> dict[str, Any]:
    """Return the meta data of a customer by key; the last one of a key counts."""
    return {item["key"]: item["value"] for item in customer["meta_data"]}


def utc(text: str | None) -> str | None:
    """Return the instant of a ``_gmt`` field, which is UTC but does not say so."""
    return f"{text}Z" if text else None


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
