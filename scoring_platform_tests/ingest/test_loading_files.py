"""Files are a full picture: what they no longer say is gone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from scoring_platform.errors import ConfigurationError
from scoring_platform_tests.scenario import MONDAY, Home, Shop, close_home, days_from, item, open_home, order

TUESDAY = MONDAY + timedelta(days=1)
WEDNESDAY = MONDAY + timedelta(days=2)
WEEK = days_from(MONDAY, 3)


def three_days(home: Home) -> None:
    home.orders(
        order("o1", "2026-03-02 10:00:00"),
        order("o2", "2026-03-03 00:00:00", total_amount="12.3456"),
        order("o3", "2026-03-04 23:59:59"),
    )


def test_a_range_puts_every_row_on_its_business_day(home: Home) -> None:
    three_days(home)
    loaded = home.load(WEEK)
    assert [(row["order_id"], row["as_of"]) for row in home.rows()] == list(zip(["o1", "o2", "o3"], WEEK, strict=True))
    assert home.rows(day=TUESDAY)[0]["total_amount"] == Decimal("12.3456")
    assert home.rows(day=TUESDAY)[0]["ordered_at"] == datetime(2026, 3, 2, 15, tzinfo=UTC)
    assert [verdict.rows for verdict in loaded.verdicts] == [1, 1, 1]
    assert loaded.delivered == 3


def test_a_range_equals_its_single_days(home: Home, tmp_path_factory: pytest.TempPathFactory) -> None:
    three_days(home)
    home.load(WEEK)
    other = open_home(tmp_path_factory.mktemp("other"))
    three_days(other)
    for day in WEEK:
        other.load(day)
    assert other.versions() == home.versions()
    close_home(other)


def test_an_edited_file_rewrites_exactly_the_days_it_touches(home: Home) -> None:
    three_days(home)
    home.load(WEEK)
    before = home.versions()
    home.orders(
        order("o1", "2026-03-02 10:00:00"),
        order("o2", "2026-03-03 00:00:00", status="cancelled"),
        order("o3", "2026-03-04 23:59:59"),
        order("o4", "2026-03-05 08:00:00"),
    )
    loaded = home.load(WEDNESDAY + timedelta(days=1))
    assert loaded.touched == (TUESDAY,)
    after = home.versions()
    assert {day for day in before if before[day] != after[day]} == {TUESDAY}
    assert home.rows(day=TUESDAY)[0]["status"] == "cancelled"


def test_days_that_did_not_change_are_not_even_staged(home: Home) -> None:
    three_days(home)
    home.load(WEEK)
    loaded = home.load(WEDNESDAY)
    assert [version.day for version in loaded.written.versions] == [WEDNESDAY]
    assert loaded.written.changed_days == ()


def test_an_order_that_moved_leaves_its_old_day(home: Home) -> None:
    three_days(home)
    home.load(WEEK)
    home.orders(
        order("o1", "2026-03-02 10:00:00"), order("o2", "2026-03-02 11:00:00"), order("o3", "2026-03-04 23:59:59")
    )
    loaded = home.load(WEDNESDAY)
    assert [row["as_of"] for row in home.rows()] == [MONDAY, MONDAY, WEDNESDAY]
    assert loaded.touched == (MONDAY, TUESDAY)
    assert TUESDAY in home.versions(), "an emptied day stays published"


def test_rows_that_left_the_file_are_gone_even_when_their_day_is_empty_now(home: Home) -> None:
    three_days(home)
    home.load(WEEK)
    home.orders(order("o3", "2026-03-04 23:59:59"))
    home.load(WEDNESDAY)
    assert [row["order_id"] for row in home.rows()] == ["o3"]


def test_identical_lines_of_overlapping_files_count_once(home: Home) -> None:
    home.orders(order("o1", "2026-03-02 10:00:00"), name="orders_1.csv")
    home.orders(order("o1", "2026-03-02 10:00:00"), order("o2", "2026-03-02 12:00:00"), name="orders_2.csv")
    home.load(MONDAY)
    assert [row["order_id"] for row in home.rows()] == ["o1", "o2"]


def test_of_two_versions_of_a_row_the_later_one_wins_whatever_the_order_of_the_lines(home: Home) -> None:
    old = order("o1", "2026-03-02 10:00:00", updated_at="2026-03-02 10:00:00")
    new = order("o1", "2026-03-02 10:00:00", updated_at="2026-03-02 12:00:00", status="cancelled")
    for rows in ([old, new], [new, old]):
        home.orders(*rows)
        home.load(MONDAY)
        assert [row["status"] for row in home.rows()] == ["cancelled"]


def test_rows_before_the_history_are_left_alone(home: Home) -> None:
    home.orders(order("o1", "2025-12-31 10:00:00"), order("o2", "2026-03-02 10:00:00", status="unheard of"))
    home.load(MONDAY)
    assert home.rows() == []
    assert [row["as_of"] for row in home.set_aside()] == [MONDAY]


def test_two_sources_of_one_table_do_not_touch_each_others_rows(home: Home) -> None:
    three_days(home)
    shop = Shop(home.files.zone)
    shop.change("2026-03-02 10:30:00", order("o1", "2026-03-02T10:30:00+09:00", customer_ref="s1"))
    home.load(WEEK, sources=[home.files, shop])
    home.orders(order("o3", "2026-03-04 23:59:59"))
    home.load(WEDNESDAY, sources=[home.files, shop])
    assert [(row["source"], row["order_id"]) for row in home.rows()] == [("shop", "o1"), ("files", "o3")]
    assert home.load(WEDNESDAY, sources=[home.files, shop]).written.changed_days == ()


def test_rows_of_a_source_that_is_no_longer_configured_stay(home: Home) -> None:
    shop = Shop(home.files.zone)
    shop.change("2026-03-02 10:30:00", order("o1", "2026-03-02T10:30:00+09:00"))
    home.load(MONDAY, sources=[shop])
    three_days(home)
    home.load(MONDAY)
    assert [(row["source"], row["order_id"]) for row in home.rows()] == [("files", "o1"), ("shop", "o1")]


# --- currencies ------------------------------------------------------------------------------------------------------


def test_one_currency_needs_no_configuration(home: Home) -> None:
    home.orders(order("o1", "2026-03-02 10:00:00", currency="EUR", total_amount="9.99"))
    home.load(MONDAY)
    assert home.rows()[0]["total_amount_reporting"] == Decimal("9.99")


def test_several_currencies_need_a_reporting_currency(home: Home) -> None:
    home.orders(order("o1", "2026-03-02 10:00:00"), order("o2", "2026-03-02 10:00:00", currency="USD"))
    with pytest.raises(ConfigurationError, match=r"several currencies \(JPY, USD\).*currency.reporting"):
        home.load(MONDAY)
    assert home.versions() == {}


def test_a_second_currency_is_noticed_in_a_later_file_too(home: Home) -> None:
    home.orders(order("o1", "2026-03-02 10:00:00"))
    home.load(MONDAY)
    home.orders(order("o2", "2026-03-03 10:00:00", currency="USD"))
    with pytest.raises(ConfigurationError, match="several currencies"):
        home.load(TUESDAY)


def test_rates_are_those_of_the_orders_month_and_a_missing_one_sets_the_row_aside(home: Home) -> None:
    home.orders(
        order("o1", "2026-02-28 23:00:00", currency="USD", total_amount="10"),
        order("o2", "2026-03-01 00:00:00", currency="USD", total_amount="10", refunded_amount="0.01"),
        order("o3", "2026-03-02 10:00:00", currency="EUR"),
        order("o4", "2026-03-02 10:00:00"),
    )
    config = home.config
    currency = type(config.currency).model_validate(
        {"reporting": "JPY", "rates": {"USD": {"2026-02": 150.25, "2026-03": "151.125"}, "EUR": {"2026-02": 160}}}
    )
    home.load(days_from(date(2026, 2, 28), 3), config=config.model_copy(update={"currency": currency}))
    amounts = {row["order_id"]: row["total_amount_reporting"] for row in home.rows()}
    assert amounts == {"o1": Decimal("1502.5"), "o2": Decimal("1511.25"), "o4": Decimal(1000)}
    assert home.rows(day=date(2026, 3, 1))[0]["refunded_amount_reporting"] == Decimal("1.5113")
    assert home.reasons() == ["currency has no rate from EUR to JPY in 2026-03"]


# --- items -----------------------------------------------------------------------------------------------------------


def test_items_take_day_and_currency_from_their_order(home: Home) -> None:
    three_days(home)
    home.items(item("o1"), item("o3", amount="-1.5", quantity="-1"))
    home.load(WEEK)
    home.load(WEEK, table="raw_order_items")
    rows = home.rows("raw_order_items")
    assert [(row["order_id"], row["as_of"], row["currency"]) for row in rows] == [
        ("o1", MONDAY, "JPY"),
        ("o3", WEDNESDAY, "JPY"),
    ]
    assert rows[1]["amount_reporting"] == Decimal("-1.5")


def test_items_of_unknown_or_quarantined_orders_are_set_aside_and_return_with_them(home: Home) -> None:
    home.orders(order("o1", "2026-03-02 10:00:00"), order("o2", "2026-03-02 10:00:00", status="x"))
    home.items(item("o1"), item("o2"), item("nobody"))
    home.load(MONDAY)
    home.load(MONDAY, table="raw_order_items")
    assert [row["order_id"] for row in home.rows("raw_order_items")] == ["o1"]
    assert home.reasons("raw_order_items") == ["order_id is not a published order"] * 2
    home.orders(order("o1", "2026-03-02 10:00:00"), order("o2", "2026-03-02 10:00:00"))
    home.load(TUESDAY)
    home.load(TUESDAY, table="raw_order_items")
    assert [row["order_id"] for row in home.rows("raw_order_items")] == ["o1", "o2"]
    assert len(home.set_aside("raw_order_items")) == 1


def test_items_of_later_orders_wait_for_their_day(home: Home) -> None:
    three_days(home)
    home.items(item("o1"), item("o2"))
    home.load(MONDAY)
    home.load(MONDAY, table="raw_order_items")
    assert home.set_aside("raw_order_items") == []
    home.load(TUESDAY)
    home.load(TUESDAY, table="raw_order_items")
    assert [row["as_of"] for row in home.rows("raw_order_items")] == [MONDAY, TUESDAY]


def test_items_follow_an_order_that_moved(home: Home) -> None:
    three_days(home)
    home.items(item("o2"))
    home.load(WEEK)
    home.load(WEEK, table="raw_order_items")
    home.orders(
        order("o1", "2026-03-02 10:00:00"), order("o2", "2026-03-04 00:00:00"), order("o3", "2026-03-04 23:59:59")
    )
    for table in ("raw_orders", "raw_order_items"):
        home.load(WEDNESDAY, table=table)
    assert [row["as_of"] for row in home.rows("raw_order_items")] == [WEDNESDAY]


# --- state tables ----------------------------------------------------------------------------------------------------


def test_a_state_day_holds_everyone_created_up_to_it_as_now_known(home: Home) -> None:
    home.sql["raw_customers"] = "SELECT * FROM read_csv('customers.csv', all_varchar = true)"
    path = home.data / "customers.csv"
    path.write_text("customer_ref,created_at,region\nc1,2020-01-01,jp\nc2,2026-03-03 09:00,de\n", encoding="utf-8")
    home.load(WEEK, table="raw_customers")
    assert [(row["customer_ref"], row["as_of"]) for row in home.rows("raw_customers")] == [
        ("c1", MONDAY), ("c1", TUESDAY), ("c2", TUESDAY), ("c1", WEDNESDAY), ("c2", WEDNESDAY),
    ]  # fmt: skip
    path.write_text("customer_ref,created_at,region\nc2,2026-03-03 09:00,at\nc3,never,at\n", encoding="utf-8")
    home.load(WEDNESDAY, table="raw_customers")
    assert [(row["customer_ref"], row["region"]) for row in home.rows("raw_customers", WEDNESDAY)] == [("c2", "at")]
    assert [row["region"] for row in home.rows("raw_customers", TUESDAY)] == ["jp", "de"]
    assert home.reasons("raw_customers") == ["created_at is not a time"]


def test_a_table_that_no_source_gives_is_published_empty(home: Home) -> None:
    assert home.load(MONDAY, sources=[]).written.rows == 0
    assert home.versions().keys() == {MONDAY}
