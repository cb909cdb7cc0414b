"""WooCommerce: the lists that are asked for, and the naming of fields."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft7Validator

from scoring_platform.contracts.raw import RAW_CONSENTS, RAW_CUSTOMERS, RAW_ORDERS
from scoring_platform.errors import CredentialError, PermanentError, TransientError
from scoring_platform.sources.protocol import Window
from scoring_platform.sources.woocommerce import Woocommerce, WoocommerceSource
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, page, reply
from scoring_platform_tests.sources.scenario import TOKYO, WINDOW, credential, rows
from scoring_platform_tests.sources.vendor_specs import spec_path

ORDERS, CUSTOMERS = "/wp-json/wc/v3/orders", "/wp-json/wc/v3/customers"
OPT_IN = {"email_consent_meta": "newsletter"}


def source(server: Loopback, listed: list[dict[str, Any]], *trash: dict[str, Any], **settings: Any) -> Woocommerce:
    """A shop that lists ``listed`` whatever is asked for, and ``trash`` in its trash."""

    def answer(seen: Seen) -> Reply:
        found = list(trash) if seen.query.get("status") == "trash" else listed
        start, size = int(seen.query["offset"]), int(seen.query["per_page"])
        return reply(found[start : start + size], headers={"X-WP-Total": str(len(found))})

    server.answer = answer
    section = WoocommerceSource.model_validate({"endpoint": server.url, **settings})
    return Woocommerce(section, server.url, credential, TOKYO)


def order(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "status": "processing",
        "currency": "JPY",
        "date_created_gmt": "2026-11-01T00:00:00",
        "date_modified_gmt": "2026-11-20T09:00:00",
        "total": "1299",
        "customer_id": 77,
        "billing": {"email": "taro@example.jp", "country": "JP"},
        "created_via": "checkout",
        "refunds": [],
        "line_items": [],
        **changes,
    }


def line(number: int, **changes: Any) -> dict[str, Any]:
    item = {"id": number, "name": "Beans", "product_id": 9, "variation_id": 0, "quantity": 2, "sku": "B-1"}
    return {**item, "total": "500.00", "price": 250.0001, **changes}


def customer(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "email": "taro@example.jp",
        "date_created_gmt": "2026-10-01T00:00:00",
        "date_modified_gmt": "2026-11-20T09:00:00",
        "billing": {"state": "JP13", "country": "JP"},
        "meta_data": [],
        **changes,
    }


def meta(**kept: Any) -> list[dict[str, Any]]:
    return [{"id": place, "key": key, "value": value} for place, (key, value) in enumerate(kept.items())]


def test_an_order_keeps_its_values_under_our_names(server: Loopback) -> None:
    back = [{"id": 1, "reason": "", "total": "-100.10"}, {"id": 2, "reason": "late", "total": "-0.20"}]
    [found] = rows(source(server, [order(1, refunds=back)]), "raw_orders")
    assert found == {
        "order_id": "1",
        "customer_ref": "77",
        "email": "taro@example.jp",
        "ordered_at": "2026-11-01T00:00:00Z",
        "updated_at": "2026-11-20T09:00:00Z",
        "status": "paid",
        "currency": "JPY",
        "total_amount": "1299",
        "refunded_amount": Decimal("100.30"),
        "channel": "checkout",
    }
    assert set(found) == set(RAW_ORDERS.given_columns)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("processing", "paid"),
        ("completed", "paid"),
        ("refunded", "paid"),
        ("on-hold", "pending"),
        ("pending", "pending"),
        ("checkout-draft", "pending"),
        ("cancelled", "cancelled"),
        ("failed", "cancelled"),
        ("trash", "cancelled"),
        ("shipped-by-plugin", "shipped-by-plugin"),
    ],
)
def test_each_status_has_its_word_and_one_of_a_plugin_stays(server: Loopback, status: str, expected: str) -> None:
    [found] = rows(source(server, [order(1, status=status)]), "raw_orders")
    assert found["status"] == expected


def test_every_status_of_the_vendor_is_known(server: Loopback) -> None:
    schema = json.loads(spec_path("woocommerce/order.schema.json").read_text(encoding="utf-8"))
    listed = [order(n, status=status) for n, status in enumerate(schema["properties"]["status"]["enum"], start=1)]
    assert {row["status"] for row in rows(source(server, listed), "raw_orders")} == {"paid", "pending", "cancelled"}


def test_a_guest_has_an_address_and_no_account_and_wrong_values_pass_through(server: Loopback) -> None:
    guest = order(1, customer_id=0, billing={"email": ""}, total="", currency="XTS", refunds=[{"total": "much"}])
    [found] = rows(source(server, [guest]), "raw_orders")
    assert (found["customer_ref"], found["email"], found["total_amount"]) == (None, None, None)
    assert (found["currency"], found["refunded_amount"]) == ("XTS", "much")


def test_orders_and_trash_are_asked_for_by_their_last_change_in_utc(server: Loopback) -> None:
    since = WINDOW.since.replace(microsecond=250).astimezone(TOKYO)
    found = rows(source(server, [order(1)], order(2, status="trash")), "raw_orders", Window(since, WINDOW.until))
    assert [(row["order_id"], row["status"]) for row in found] == [("1", "paid"), ("2", "cancelled")]
    assert [seen.query["status"] for seen in server.seen] == ["any", "trash"]
    for seen in server.seen:
        # Both bounds of the vendor are exclusive.
        assert seen.query["modified_after"] == "2026-11-19T23:59:59"
        assert seen.query["modified_before"] == "2026-11-21T00:00:00"
        assert seen.query["dates_are_gmt"] == "true"
        assert (seen.path, seen.query["orderby"], seen.query["order"]) == (ORDERS, "id", "asc")


def test_only_fields_that_are_used_are_asked_for_and_no_secret_stands_in_the_address(server: Loopback) -> None:
    shop = source(server, [order(1)])
    rows(shop, "raw_orders")
    asked = server.seen[0]
    assert set(asked.query["_fields"].split(",")) == order(1).keys() - {"line_items"}
    pair = base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode()
    assert pair == "secret-consumer_key:secret-consumer_secret"
    assert "secret" not in str(asked.query)


def test_a_line_takes_its_total_and_the_days_of_its_order(server: Loopback) -> None:
    lines = [line(1), line(2, product_id=0, total="-5.00"), line(3, product_id=0, sku="", total="")]
    found = rows(source(server, [order(7, line_items=lines)]), "raw_order_items")
    assert found[0] == {
        "order_id": "7",
        "line_id": "1",
        "product_id": "9",
        "category": None,
        "quantity": 2,
        "amount": "500.00",
        "ordered_at": "2026-11-01T00:00:00Z",
        "updated_at": "2026-11-20T09:00:00Z",
    }
    assert [(row["product_id"], row["amount"]) for row in found[1:]] == [("B-1", "-5.00"), ("Beans", None)]


def test_a_customer_keeps_the_attributes_that_are_configured(server: Loopback) -> None:
    kept = meta(account_number="C-1", renews="2027-01-01", empty="", secret="not asked for")
    wanted = {"account_number": "account_number", "renewal_on": "renews", "nothing": "empty", "missing": "missing"}
    [found] = rows(source(server, [customer(5, meta_data=kept)], attributes=wanted), "raw_customers")
    assert found == {
        "customer_ref": "5",
        "email": "taro@example.jp",
        "created_at": "2026-10-01T00:00:00Z",
        "updated_at": "2026-11-20T09:00:00Z",
        "region": "JP13",
        "locale": None,
        "attributes": {"account_number": "C-1", "renewal_on": "2027-01-01"},
    }
    assert set(found) == set(RAW_CUSTOMERS.given_columns)


def test_an_account_that_never_changed_was_last_changed_when_it_was_made(server: Loopback) -> None:
    plain = customer(5, date_modified_gmt=None, email="", billing={"state": "", "country": "JP"})
    [found] = rows(source(server, [plain]), "raw_customers")
    assert (found["updated_at"], found["email"], found["region"]) == ("2026-10-01T00:00:00Z", None, "JP")


def test_all_customers_of_the_role_are_listed_whatever_the_window(server: Loopback) -> None:
    shop = source(server, [customer(5, date_modified_gmt="2020-01-01T00:00:00")], role="wholesale")
    assert len(rows(shop, "raw_customers")) == 1
    [asked] = server.seen
    assert (asked.path, asked.query["role"]) == (CUSTOMERS, "wholesale")
    assert not any(name.startswith("modified") for name in asked.query)


@pytest.mark.parametrize(
    ("value", "status"),
    [("yes", "granted"), ("1", "granted"), (True, "granted"), ("No", "revoked"), ("0", "revoked"), ("so-so", "so-so")],
)
def test_an_opt_in_is_a_decision_as_of_the_last_change(server: Loopback, value: Any, status: str) -> None:
    [found] = rows(source(server, [customer(5, meta_data=meta(newsletter=value))], **OPT_IN), "raw_consents")
    assert found == {
        "event_id": f"5:email:{status}:2026-11-20T09:00:00Z",
        "subject": "taro@example.jp",
        "channel": "email",
        "purpose": "marketing",
        "status": status,
        "occurred_at": "2026-11-20T09:00:00Z",
    }
    assert set(found) == set(RAW_CONSENTS.given_columns)


def test_no_opt_in_and_one_of_an_account_that_did_not_change_are_no_decision(server: Loopback) -> None:
    long_ago = customer(4, date_modified_gmt="2026-11-19T23:59:59", meta_data=meta(newsletter="no"))
    listed = [long_ago, customer(5), customer(6, meta_data=meta(newsletter=""))]
    assert rows(source(server, listed, **OPT_IN), "raw_consents") == []


def test_consents_are_given_only_where_the_shop_keeps_them(server: Loopback) -> None:
    assert "raw_consents" not in source(server, []).settings.gives
    assert source(server, [], **OPT_IN).settings.gives == {
        "raw_orders",
        "raw_order_items",
        "raw_customers",
        "raw_consents",
    }
    assert source(server, []).settings.whole == {"raw_customers"}


@pytest.mark.parametrize("size", [1, 101])
def test_a_page_size_the_vendor_does_not_know_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="page_size"):
        WoocommerceSource.model_validate({"endpoint": "https://shop.example.com", "page_size": size})


def test_a_firewall_that_refuses_with_a_web_page_is_asked_again_and_a_refusal_of_the_shop_is_not(
    server: Loopback,
) -> None:
    shop = source(server, [order(1)])
    good = server.answer
    waf = [page("<html>Forbidden</html>", 403), page("<html>Slow down</html>", 429), page("<html>Busy</html>", 503)]
    server.answer = lambda seen: waf.pop(0) if waf else good(seen)
    assert len(rows(shop, "raw_orders")) == 1

    server.script([page("<html>Forbidden</html>", 403)])
    with pytest.raises(TransientError, match=r"403 .* the shop's host or firewall"):
        rows(shop, "raw_orders")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_of_the_shop_names_the_variables(server: Loopback, status: int) -> None:
    shop = source(server, [])
    refusal = {"code": "woocommerce_rest_cannot_view", "message": "Sorry, you cannot list resources."}
    server.script([reply({**refusal, "data": {"status": status}}, status)])
    with pytest.raises(CredentialError, match="SCORING_WOOCOMMERCE_CONSUMER_KEY"):
        rows(shop, "raw_orders")
    assert len(server.seen) == 1


@pytest.mark.parametrize("body", [{"code": "rest_no_route"}, [{"id": 1}], "text", None])
def test_an_answer_of_another_shape_is_an_error_and_no_empty_table(server: Loopback, body: Any) -> None:
    shop = source(server, [])
    server.script([reply(body)])
    with pytest.raises(PermanentError, match="woocommerce"):
        rows(shop, "raw_orders")


def test_the_probe_names_the_shop_with_one_cheap_call(server: Loopback) -> None:
    shop = source(server, [])
    server.script([reply([{"id": 1}], headers={"X-WP-Total": "727"})])
    assert shop.probe() == f"woocommerce: {server.url.removeprefix('http://')}, 727 orders"
    [asked] = server.seen
    assert (asked.path, asked.query) == (ORDERS, {"per_page": "1", "_fields": "id"})


def test_the_vendors_own_examples_are_understood(server: Loopback) -> None:
    orders = json.loads(spec_path("woocommerce/order-list.example.json").read_text(encoding="utf-8"))
    customers = json.loads(spec_path("woocommerce/customer-list.example.json").read_text(encoding="utf-8"))
    found = {row["order_id"]: row for row in rows(source(server, orders), "raw_orders")}
    assert (found["727"]["customer_ref"], found["727"]["ordered_at"]) == (None, "2017-03-22T19:28:02Z")
    assert (found["723"]["customer_ref"], found["723"]["refunded_amount"]) == ("26", Decimal("19.00"))
    lines = rows(source(server, orders), "raw_order_items")
    assert [(row["line_id"], row["amount"]) for row in lines[:2]] == [("315", "6.00"), ("316", "12.00")]
    assert [row["region"] for row in rows(source(server, customers), "raw_customers")] == ["RJ", "CA"]


@pytest.mark.parametrize(
    ("schema", "thing"), [("order", order(1, line_items=[line(1)])), ("customer", customer(1, meta_data=meta(a="b")))]
)
def test_what_these_tests_answer_is_what_the_vendor_answers(schema: str, thing: dict[str, Any]) -> None:
    read = json.loads(spec_path(f"woocommerce/{schema}.schema.json").read_text(encoding="utf-8"))
    assert [error.message for error in Draft7Validator(read).iter_errors(thing)] == []
    assert thing.keys() <= read["properties"].keys()
