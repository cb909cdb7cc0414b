"""Shopify's nodes in our column names.

Belongs here: one node to one row. Does not belong here: asking for nodes, checks of rows (the ingest step).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scoring_platform.sources.graphql import Node
from scoring_platform.sources.protocol import Row
from scoring_platform.sources.shopify_queries import alias

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
        "line_id": _gid_number(line),
        "product_id": _id(product) or line["sku"] or line["title"],
        "category": product.get("productType") or None,
        "quantity": line["quantity"],
        "amount": _amount(line["discountedTotalSet"]),
        "ordered_at": order["createdAt"],
        "updated_at": order["updatedAt"],
    }


def customer_row(node: Node, attributes: Iterable[str]) -> Row:
    """Name a customer's fields; the region is the province, or the country where there is none.

    An attribute without a value is left out.
    """
    address = node["defaultAddress"] or {}
    return {
        "customer_ref": _id(node),
        "email": (node["defaultEmailAddress"] or {}).get("emailAddress"),
        "created_at": node["createdAt"],
        "updated_at": node["updatedAt"],
        "region": address.get("province") or address.get("countryCodeV2"),
        "locale": node["locale"],
        "attributes": {name: kept["value"] for name in attributes if (kept := node[alias(name)]) is not None},
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


def cart_row(node: Node) -> Row:
    """Name an abandoned checkout's fields as an event at the time the checkout was begun.

    One that is completed later was abandoned all the same: the event stays and says ``completed``.
    """
    customer = node["customer"] or {}
    price = (node["totalPriceSet"] or {}).get("shopMoney") or {}
    return {
        "event_id": f"checkout:{_gid_number(node)}",
        "customer_ref": _id(customer),
        "email": (customer.get("defaultEmailAddress") or {}).get("emailAddress"),
        "client_id": None,
        "kind": "cart_abandoned",
        "occurred_at": node["createdAt"],
        "properties": {
            "total": price.get("amount"),
            "currency": price.get("currencyCode"),
            "completed": node["completedAt"] is not None,
        },
    }


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


def _gid_number(node: Node) -> str:
    return str(node["id"]).rsplit("/", 1)[-1]


def _amount(bag: Mapping[str, Any] | None) -> str | None:
    amount: str | None = ((bag or {}).get("shopMoney") or {}).get("amount")
    return amount
