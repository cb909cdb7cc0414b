"""Daily facts per customer: what counts, on which day, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import pytest

from scoring_platform.domain.activity import Events, activity, web_days
from scoring_platform.domain.consent import given as consents_given
from scoring_platform.domain.consent import states
from scoring_platform_tests.domain.tables import DAY, SCOPES, Database, before, noon, owners, table

Rows = Sequence[Mapping[str, Any]]
FACTS = {
    "orders": "raw_orders",
    "email_events": "raw_email_events",
    "web_activity": "raw_web_activity",
    "tickets": "raw_support_tickets",
    "events": "raw_events",
}
KNOWN = owners(
    c1="customer_ref|shop|r1 email||a@example.jp client_id||d1", c2="customer_ref|files|r1 email||g@example.jp"
)


def daily(
    db: Database,
    *,
    consents: Rows = (),
    tracking_default: Literal["granted", "denied"] = "granted",
    **given: Rows,
) -> dict[tuple[str, date], dict[str, Any]]:
    tables = {field: table(name, *given[field]) if field in given else db.empty(name) for field, name in FACTS.items()}
    raw = Events(**tables)
    decided = consents_given(table("raw_consents", *consents), owners=KNOWN, scopes=SCOPES)
    tracking = states(decided, web_days(raw.web_activity, KNOWN, SCOPES))
    found = activity(raw, KNOWN, tracking, scopes=SCOPES, tracking_default=tracking_default)
    rows = db.rows(found)
    facts = {(row["customer_id"], row["active_on"]): row for row in rows}
    assert len(facts) == len(rows)
    return facts


def order(status: str = "paid", total: int = 100, refunded: int = 0, **changes: Any) -> dict[str, Any]:
    row = {
        "customer_ref": "r1",
        "status": status,
        "total_amount_reporting": total,
        "refunded_amount_reporting": refunded,
    }
    return {**row, **changes}


def of_orders(db: Database, *orders: Mapping[str, Any]) -> dict[str, Any] | None:
    row = daily(db, orders=orders).get(("c1", DAY))
    return row and {name: row[name] for name in ("orders", "purchase_day", "revenue", "refunds")}


def purchases(orders: int, day: int, revenue: int, refunds: int) -> dict[str, Any]:
    return {"orders": orders, "purchase_day": day, "revenue": Decimal(revenue), "refunds": Decimal(refunds)}


@pytest.mark.parametrize("status", ["pending", "cancelled", "test"])
def test_only_a_paid_order_is_a_purchase(db: Database, status: str) -> None:
    assert of_orders(db, order(status)) is None
    assert of_orders(db, order(status), order()) == purchases(1, 1, 100, 0)


def test_two_orders_on_one_day_are_one_purchase_day(db: Database) -> None:
    assert of_orders(db, order(), order(total=50)) == purchases(2, 1, 150, 0)


def test_a_free_order_is_a_purchase_day(db: Database) -> None:
    assert of_orders(db, order(total=0)) == purchases(1, 1, 0, 0)


def test_a_fully_refunded_order_keeps_its_purchase_day(db: Database) -> None:
    assert of_orders(db, order(refunded=100)) == purchases(1, 1, 100, 100)


def test_a_return_without_its_order_lowers_its_own_day_and_is_no_purchase(db: Database) -> None:
    assert of_orders(db, order("returned", total=0, refunded=30)) == purchases(0, 0, 0, 30)
    assert of_orders(db, order("returned", total=0, refunded=30), order()) == purchases(1, 1, 100, 30)


def test_a_refund_counts_on_the_day_of_its_order(db: Database) -> None:
    found = daily(db, orders=[order(refunded=40, as_of=before(3), updated_at=noon(DAY))])

    assert list(found) == [("c1", before(3))]


def test_orders_belong_to_the_account_of_their_shop_and_guests_to_their_address(db: Database) -> None:
    found = daily(
        db,
        orders=[
            order(total=1),
            order(total=2, source="files"),
            order(total=4, customer_ref=None, email=" G@example.JP"),
            order(total=8, customer_ref=None, email=None),
            order(total=16, customer_ref=None, email="stranger@example.jp"),
        ],
    )

    assert {customer: row["revenue"] for (customer, _), row in found.items()} == {"c1": 1, "c2": 6}


def test_an_account_wins_over_the_address_given_with_the_order(db: Database) -> None:
    assert list(daily(db, orders=[order(email="g@example.jp")])) == [("c1", DAY)]


def mail(kind: str, **changes: Any) -> dict[str, Any]:
    return {"email": "A@example.jp", "kind": kind, **changes}


def test_opens_by_machines_do_not_count(db: Database) -> None:
    found = daily(
        db, email_events=[mail("open", machine=True), mail("open", machine=False), mail("open"), mail("click")]
    )[("c1", DAY)]

    assert (found["email_opens"], found["email_clicks"]) == (2, 1)


@pytest.mark.parametrize(("sent", "delivered", "counted"), [(2, 2, 2), (0, 2, 2), (2, 0, 2), (3, 2, 3)])
def test_a_mail_sent_and_delivered_counts_once(db: Database, sent: int, delivered: int, counted: int) -> None:
    found = daily(db, email_events=[*[mail("sent")] * sent, *[mail("delivered")] * delivered])

    assert found[("c1", DAY)]["email_sent"] == counted


def test_unsubscribes_and_complaints_count_together(db: Database) -> None:
    assert daily(db, email_events=[mail("unsubscribe"), mail("complaint")])[("c1", DAY)]["email_unsubscribes"] == 2


def test_tickets_and_events_are_counted(db: Database) -> None:
    tickets = [{"email": "a@example.jp", "satisfaction": rating} for rating in ("good", "bad", "bad", None)]
    events = [{"email": "a@example.jp"}, {"customer_ref": "r1", "email": "g@example.jp"}, {"client_id": "d1"}]
    found = daily(db, tickets=tickets, events=events)[("c1", DAY)]

    assert [found[name] for name in ("tickets", "tickets_bad", "tickets_good", "events")] == [4, 2, 1, 3]


def visit(days_ago: int, **changes: Any) -> dict[str, Any]:
    return {"customer_ref": "r1", "as_of": before(days_ago), "sessions": 1, "pageviews": 2, **changes}


def decided(status: str, days_ago: int, **changes: Any) -> dict[str, Any]:
    row = {
        "subject": "a@example.jp",
        "channel": "web",
        "purpose": "tracking",
        "status": status,
        "as_of": before(days_ago),
        "occurred_at": noon(before(days_ago)),
    }
    return {**row, **changes}


@pytest.mark.parametrize(
    ("decisions", "default", "seen"),
    [
        ([], "denied", []),
        ([], "granted", [9, 5, 1]),
        ([decided("granted", 5)], "denied", [5, 1]),
        ([decided("granted", 20), decided("revoked", 5)], "granted", [9]),
        ([decided("granted", 20, source="one"), decided("denied", 1, source="two")], "denied", [9, 5]),
        ([decided("granted", 20, channel="email")], "denied", []),
        ([decided("granted", 20, purpose="marketing")], "denied", []),
        ([decided("granted", 20, subject="r1")], "denied", [9, 5, 1]),
        ([decided("granted", 20, subject="r1", source="files")], "denied", []),
    ],
)
def test_web_activity_counts_only_under_the_tracking_consent_of_its_day(
    db: Database, decisions: Rows, default: Literal["granted", "denied"], seen: list[int]
) -> None:
    visits = [visit(days) for days in (9, 5, 1)]
    found = daily(db, consents=decisions, tracking_default=default, web_activity=visits)

    assert {day for _, day in found} == {before(days) for days in seen}


def test_a_known_device_counts_for_its_owner_and_an_unknown_one_for_nobody(db: Database) -> None:
    visits = [visit(0), visit(0, customer_ref=None, client_id="d1"), visit(0, customer_ref=None, client_id="d9")]
    found = daily(db, web_activity=visits)

    assert {key: (row["web_sessions"], row["web_pageviews"]) for key, row in found.items()} == {("c1", DAY): (2, 4)}


def test_everything_of_one_day_is_one_row(db: Database) -> None:
    found = daily(
        db,
        orders=[order()],
        email_events=[mail("click")],
        tickets=[{"email": "a@example.jp"}],
        web_activity=[visit(0)],
        events=[{"email": "a@example.jp"}],
    )

    counts = [found[("c1", DAY)][name] for name in ("orders", "email_clicks", "tickets", "web_sessions", "events")]
    assert counts == [1, 1, 1, 1, 1]
