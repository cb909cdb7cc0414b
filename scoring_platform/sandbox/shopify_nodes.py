"""The shop's orders and customers as its API words them.

Belongs here: one thing to one GraphQL node. Does not belong here: paging, filters, cost.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from scoring_platform.sandbox.days import EPOCH, iso_z
from scoring_platform.sandbox.people import Person
from scoring_platform.sandbox.population import Account
from scoring_platform.sandbox.sales import Line, Order, Product
from scoring_platform.sandbox.timeline import Version

Node = dict[str, Any]

_CONTRACT_ONE_IN = 7

SHOP: Node = {
    "__typename": "Shop",
    "id": "gid://shopify/Shop/1",
    "name": "Sandbox Coffee",
    "currencyCode": "JPY",
    "ianaTimezone": "Asia/Tokyo",
    "myshopifyDomain": "sandbox-coffee.myshopify.com",
}


def order_node(version: Version[Order]) -> Node:
    """Return an order; ```_person`` and ``_order`` are for the resolvers."""
    order = version.thing
    total = _money(order.total, order.currency)
    left = None if order.total is None else order.total - order.refunded
    return {
        "__typename": "Order",
        "id": f"gid://shopify/Order/{order.order_id}",
        "legacyResourceId": str(order.order_id),
        "name": f"#{order.order_id % 100_000_000}",
        "createdAt": iso_z(order.ordered_at),
        "processedAt": iso_z(order.ordered_at),
        "updatedAt": iso_z(version.since),
        "cancelledAt": None if order.cancelled_at is None else iso_z(order.cancelled_at),
        "test": order.test,
        "currencyCode": order.currency,
        "presentmentCurrencyCode": order.currency,
        "displayFinancialStatus": order.payment,
        "email": order.email,
        "sourceName": order.channel,
        "customerLocale": None,
        "totalPriceSet": total,
        "originalTotalPriceSet": total,
        "currentTotalPriceSet": _money(left, order.currency),
        "totalRefundedSet": _money(order.refunded, order.currency),
        "_person": order.person,
        "_order": order,
    }


def line_node(line: Line, currency: str) -> Node:
    """Return one line of an order."""
    amount = _money(line.amount, currency)
    return {
        "__typename": "LineItem",
        "id": f"gid://shopify/LineItem/{line.line_id}",
        "name": line.product.title,
        "title": line.product.title,
        "sku": _sku(line.product),
        "quantity": line.quantity,
        "currentQuantity": line.quantity,
        "product": _product_node(line.product),
        "variant": _variant_node(line.product),
        "originalTotalSet": amount,
        "discountedTotalSet": amount,
        "originalUnitPriceSet": _money(None if line.amount is None else line.amount // line.quantity, currency),
    }


def _sku(product: Product) -> str:
    return f"SKU-{product.product_id % 1000:03d}"


def _product_node(product: Product) -> Node:
    return {
        "__typename": "Product",
        "id": f"gid://shopify/Product/{product.product_id}",
        "legacyResourceId": str(product.product_id),
        "title": product.title,
        "productType": product.category,
        "handle": _sku(product).lower(),
        "vendor": "Sandbox Coffee",
    }


def _variant_node(product: Product) -> Node:
    return {
        "__typename": "ProductVariant",
        "id": f"gid://shopify/ProductVariant/{product.product_id}",
        "legacyResourceId": str(product.product_id),
        "sku": _sku(product),
        "title": "Default",
    }


def customer_node(version: Version[Account]) -> Node:
    """Return a customer account."""
    account, who = version.thing, version.thing.person
    return {
        "__typename": "Customer",
        "id": f"gid://shopify/Customer/{who.ref}",
        "legacyResourceId": str(who.ref),
        "createdAt": iso_z(who.arrived_at),
        "updatedAt": iso_z(version.since),
        "displayName": who.email or str(who.ref),
        "locale": who.locale,
        "state": "ENABLED",
        "tags": [],
        "verifiedEmail": who.email is not None,
        "dataSaleOptOut": False,
        "defaultEmailAddress": _address(account),
        "defaultAddress": {
            "__typename": "MailingAddress",
            "id": f"gid://shopify/MailingAddress/{who.ref}",
            "city": None,
            "province": who.region,
            "provinceCode": None,
            "country": "Japan",
            "countryCodeV2": "JP",
        },
        "_person": who,
    }


def metafield_node(customer: Node, namespace: str | None, *, key: str) -> Node | None:
    """Return a metafield of a customer; None when the customer has none of that name."""
    who: Person = customer["_person"]
    kept = _metafields(who).get((namespace, key))
    if kept is None:
        return None
    number, kind, value = kept
    return {
        "__typename": "Metafield",
        "id": f"gid://shopify/Metafield/{who.ref * 10 + number}",
        "namespace": namespace,
        "key": key,
        "type": kind,
        "value": value,
        "createdAt": customer["createdAt"],
        "updatedAt": customer["createdAt"],
    }


def _metafields(who: Person) -> dict[tuple[str | None, str], tuple[int, str, str]]:
    """Everybody's answer about tracking, and for one customer in seven a contract: its number and its renewal."""
    answer = "granted" if who.tracking else "denied"
    kept: dict[tuple[str | None, str], tuple[int, str, str]] = {
        ("consent", "tracking"): (0, "single_line_text_field", answer)
    }
    if who.index % _CONTRACT_ONE_IN == 3:
        renewal = EPOCH + timedelta(days=who.index * 53 % 730)
        kept["custom", "account_number"] = (1, "single_line_text_field", f"A-{who.index:06d}")
        kept["custom", "renewal_on"] = (2, "date", renewal.isoformat())
    return kept


def _address(account: Account) -> Node | None:
    email = account.person.email
    if email is None:
        return None
    return {
        "__typename": "CustomerEmailAddress",
        "emailAddress": email,
        "validFormat": email.isascii(),
        "marketingState": account.marketing,
        "marketingOptInLevel": None if account.marketing_at is None else "SINGLE_OPT_IN",
        "marketingUpdatedAt": None if account.marketing_at is None else iso_z(account.marketing_at),
    }


def _money(amount: int | None, currency: str) -> Node:
    money = {"amount": None if amount is None else f"{amount}.0", "currencyCode": currency}
    return {"shopMoney": money, "presentmentMoney": money}
