"""The shop's orders and customers as the WooCommerce REST API words them.

Belongs here: one thing to one JSON object. Does not belong here: lists, filters, keys.

WooCommerce knows no trial orders: the shop puts those of the other shop in the trash.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from scoring_platform.sandbox.days import BUSINESS_ZONE, iso_z
from scoring_platform.sandbox.people import FIRST_REF
from scoring_platform.sandbox.population import Account
from scoring_platform.sandbox.sales import Line, Order
from scoring_platform.sandbox.timeline import Version

CONSENT_META = "newsletter_opt_in"
"""Key of the meta data that keeps a customer's opt-in: yes or no."""

ACCOUNT_META = "account_number"
"""Key of the meta data that keeps the number the shop prints on its bills."""

STATUSES = ("pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed", "trash")

_STATE = {
    "Hokkaido": "JP01",
    "Miyagi": "JP04",
    "Saitama": "JP11",
    "Tokyo": "JP13",
    "Kanagawa": "JP14",
    "Aichi": "JP23",
    "Kyoto": "JP26",
    "Osaka": "JP27",
    "Hyogo": "JP28",
    "Fukuoka": "JP40",
    "Okinawa": "JP47",
}
_CREATED_VIA = {"web": "checkout", "mobile_app": "store-api", "pos": "pos-rest-api"}
_DECIDED = {"SUBSCRIBED": "yes", "UNSUBSCRIBED": "no"}

Item = dict[str, Any]


def order_status(order: Order) -> str:
    """Return the state of an order in this shop's words."""
    if order.test:
        return "trash"
    if order.cancelled_at is not None:
        return "cancelled"
    if order.payment == "PENDING":
        return "on-hold" if order.channel == "web" else "pending"
    if order.payment == "REFUNDED":
        return "refunded"
    return "completed" if order.channel == "pos" else "processing"


def order_item(version: Version[Order]) -> Item:
    """Return an order."""
    order = version.thing
    return {
        "id": order.order_id,
        "parent_id": 0,
        "number": str(order.order_id),
        "created_via": _CREATED_VIA[order.channel],
        "status": order_status(order),
        "currency": order.currency,
        **_dates("created", order.ordered_at),
        **_dates("modified", version.since),
        "total": _money(order.total),
        "total_tax": "0",
        "prices_include_tax": True,
        "customer_id": 0 if order.person is None else FIRST_REF + order.person,
        "billing": {**_address(None), "email": order.email or "", "phone": ""},
        "shipping": _address(None),
        "payment_method": "bacs",
        "payment_method_title": "Direct bank transfer",
        "meta_data": [],
        "line_items": [_line(line) for line in order.lines],
        "tax_lines": [],
        "shipping_lines": [],
        "fee_lines": [],
        "coupon_lines": [],
        "refunds": _refunds(order),
    }


def _line(line: Line) -> Item:
    return {
        "id": line.line_id,
        "name": line.product.title,
        "product_id": line.product.product_id,
        "variation_id": 0,
        "quantity": line.quantity,
        "tax_class": "",
        "subtotal": _money(line.amount),
        "subtotal_tax": "0",
        "total": _money(line.amount),
        "total_tax": "0",
        "taxes": [],
        "meta_data": [],
        "sku": f"SKU-{line.product.product_id % 1000:03d}",
        # A number, unlike every other amount: so it is at the vendor.
        "price": (line.amount or 0) / line.quantity,
    }


def _refunds(order: Order) -> list[Item]:
    """Return the refunds of an order: what came back, in two parts where it can be split."""
    parts = [part for part in (order.refunded // 2, order.refunded - order.refunded // 2) if part]
    return [{"id": order.order_id * 10 + 8 + n, "reason": "", "total": f"-{part}"} for n, part in enumerate(parts)]


def customer_item(version: Version[Account], now: int) -> Item:
    """Return a customer account as of ``now``."""
    account, who = version.thing, version.thing.person
    address = _address(who.region)
    return {
        "id": who.ref,
        **_dates("created", who.arrived_at),
        **_dates("modified", version.since),
        "email": who.email or "",
        "first_name": "",
        "last_name": "",
        "role": "customer",
        "username": f"kohi{who.index:05d}",
        "billing": {**address, "email": who.email or "", "phone": ""},
        "shipping": address,
        "is_paying_customer": bool(who.purchases and who.purchases[0] <= now),
        "avatar_url": "",
        "meta_data": _meta(account),
    }


def _meta(account: Account) -> list[Item]:
    who = account.person
    kept = {ACCOUNT_META: f"C-{who.index:06d}"}
    if account.marketing in _DECIDED:
        kept[CONSENT_META] = _DECIDED[account.marketing]
    return [
        {"id": who.index * 10 + place, "key": key, "value": value} for place, (key, value) in enumerate(kept.items())
    ]


def _address(region: str | None) -> Item:
    state = "" if region is None else _STATE[region]
    names = ("first_name", "last_name", "company", "address_1", "address_2", "city", "postcode")
    return {**dict.fromkeys(names, ""), "state": state, "country": "JP"}


def _dates(name: str, instant: int) -> Item:
    local = datetime.fromtimestamp(instant, BUSINESS_ZONE).replace(tzinfo=None).isoformat()
    return {f"date_{name}": local, f"date_{name}_gmt": iso_z(instant).removesuffix("Z")}


def _money(amount: int | None) -> str:
    return "" if amount is None else str(amount)
