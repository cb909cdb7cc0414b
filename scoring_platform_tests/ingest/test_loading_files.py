"""Files are a full picture: what they no longer say is gone, and what cannot be used is kept aside."""

from __future__ import annotations

import json
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


# --- what cannot be used ---------------------------------------------------------------------------------------------


BAD = {
    "order_id is missing": {"order_id": ""},
    "status is not one of paid, pending, cancelled, returned, test": {"status": "shipped"},
    "total_amount is not an amount": {"total_amount": "1,234"},
    "total_amount is below 0": {"total_amount": "-5"},
    "refunded_amount is missing": {"refunded_amount": ""},
    "currency ": {"currency": "yen"},
    "ordered_at is not a time": {"ordered_at": "soon"},
    "ordered_at is missing": {"ordered_at": ""},
    "ordered_at is in the future": {"ordered_at": "2026-03-05 09:00:00"},
}


def test_a_row_that_breaks_the_contract_is_set_aside_with_its_reason(home: Home) -> None:
    bad = [
        order("bad", "2026-03-02 10:00:00", **{"customer_ref": reason, **changes}) for reason, changes in BAD.items()
    ]
    home.orders(*(order(f"good{n}", "2026-03-02 10:00:00") for n in range(40)), *bad)
    loaded = home.load(MONDAY)
    assert loaded.blocked == ()
    assert len(home.rows()) == 40
    found = {json.loads(row["payload"])["customer_ref"]: row["reason"] for row in home.set_aside()}
    assert set(found) == set(BAD)
    assert [reason for reason in BAD if not any(part.startswith(reason) for part in found[reason].split("; "))] == []


def test_several_reasons_are_all_named(home: Home) -> None:
    home.orders(order("o1", "2026-03-02 10:00:00", status="x", total_amount="y"))
    home.load(MONDAY)
    (reason,) = home.reasons()
    assert set(reason.split("; ")) == {
        "status is not one of paid, pending, cancelled, returned, test",
        "total_amount is not an amount",
    }


def test_the_quarantine_does_not_grow_or_age_when_a_day_is_run_again(home: Home) -> None:
    home.orders(order("o1", "2026-03-02 10:00:00", status="x"), order("o2", "2026-03-02 10:00:00", ordered_at=""))
    home.load(MONDAY)
    before, versions = home.set_aside(), home.versions("quarantine/raw_orders")
    home.load(MONDAY, now=datetime(2026, 3, 3, 8, tzinfo=UTC))
    assert home.set_aside() == before
    assert home.versions("quarantine/raw_orders") == versions


def test_a_row_without_a_readable_day_stays_on_the_day_it_was_first_seen(home: Home) -> None:
    home.orders(order("o1", "2026-03-02 10:00:00"), order("o2", ""))
    home.load(MONDAY)
    first = home.set_aside()
    home.orders(order("o1", "2026-03-02 10:00:00"), order("o2", ""), order("o3", "2026-03-03 10:00:00"))
    loaded = home.load(TUESDAY)
    assert home.set_aside() == first
    assert [verdict.quarantined for verdict in loaded.verdicts] == [0]


def test_bad_rows_of_days_outside_the_run_are_told_of_once_on_its_last_day(home: Home) -> None:
    good = order("o1", "2026-03-03 10:00:00")
    home.orders(order("o0", "2026-03-02 10:00:00"), good)
    home.load(days_from(MONDAY, 2))
    home.orders(good, order("late", "2026-03-02 10:00:00", status="x"), order("early", "2027-01-05 10:00:00"))
    (verdict,) = home.load(TUESDAY, now=datetime(2026, 3, 4, 6, tzinfo=UTC)).verdicts
    assert (verdict.day, verdict.quarantined, verdict.share, verdict.blocked) == (TUESDAY, 2, 0.0, False)
    assert [reason.rsplit(" ", 1)[1] for reason in verdict.reasons] == ["(2026-03-02)", "(2027-01-05)"]
    (again,) = home.load(TUESDAY, now=datetime(2026, 3, 4, 7, tzinfo=UTC)).verdicts
    assert again.quarantined == 0


def test_rows_without_an_id_do_not_push_each_other_out(home: Home) -> None:
    home.orders(order("", "2026-03-02 10:00:00", email="a@example.jp"), order("", "2026-03-02 11:00:00"))
    home.load(MONDAY)
    assert len(home.set_aside()) == 2


def test_a_corrected_row_leaves_the_quarantine_and_enters_the_table(home: Home) -> None:
    home.orders(order("o1", ""))
    home.load(MONDAY)
    home.orders(order("o1", "2026-03-03 10:00:00"))
    home.load(TUESDAY)
    assert [(row["order_id"], row["as_of"]) for row in home.rows()] == [("o1", TUESDAY)]
    assert home.set_aside() == []


def test_a_bad_version_of_a_good_row_keeps_the_good_one_and_is_set_aside(home: Home) -> None:
    three_days(home)
    home.load(WEEK)
    home.orders(
        order("o1", "2026-03-02 10:00:00", total_amount="a lot"),
        order("o2", "2026-03-03 00:00:00", total_amount="12.3456"),
        order("o3", "2026-03-04 23:59:59"),
    )
    before = home.versions()
    home.load(WEDNESDAY)
    assert home.versions() == before
    assert home.reasons() == ["total_amount is not an amount"]


def test_too_large_a_share_of_bad_rows_keeps_what_was_published(home: Home) -> None:
    home.orders(*(order(f"o{n}", "2026-03-02 10:00:00") for n in range(10)))
    home.load(MONDAY)
    before = home.versions()
    bad = [order(f"o{n}", "2026-03-02 10:00:00", status="x") for n in range(10, 15)]
    home.orders(*(order(f"o{n}", "2026-03-02 11:00:00") for n in range(10)), *bad)
    loaded = home.load(MONDAY)
    assert [verdict.share_exceeded for verdict in loaded.blocked] == [True]
    assert home.versions() == before
    assert len(home.reasons()) == 5


def test_a_few_bad_rows_never_block_a_small_day(home: Home) -> None:
    home.orders(
        order("o1", "2026-03-02 10:00:00"), *(order(f"b{n}", "2026-03-02 10:00:00", status="x") for n in range(4))
    )
    assert home.load(MONDAY).blocked == ()


def test_rows_without_a_day_are_measured_against_all_that_was_delivered(home: Home) -> None:
    good = [order(f"o{n}", f"2026-03-0{2 + n % 3} 10:00:00") for n in range(60)]
    undated = [order(f"u{n}", "no idea") for n in range(30)]
    home.orders(*good, *undated[:12])
    assert home.load(WEEK).blocked == ()
    home.orders(*good, *undated)
    assert [verdict.day for verdict in home.load(WEEK).blocked] == [WEDNESDAY]


def test_a_late_flood_of_bad_rows_for_an_earlier_day_is_reported_too(home: Home) -> None:
    three_days(home)
    home.load(WEEK)
    bad = [order(f"b{n}", "2026-03-02 12:00:00", status="x") for n in range(6)]
    good = [order("o1", "2026-03-02 10:00:00", status="cancelled"), order("o3", "2026-03-04 23:59:59")]
    home.orders(*good, *bad)
    loaded = home.load(WEDNESDAY)
    assert [verdict.day for verdict in loaded.blocked] == [MONDAY]
    assert home.rows(day=MONDAY)[0]["status"] == "paid"


# --- emptiness -------------------------------------------------------------------------------------------------------


def four_busy_mondays(home: Home) -> date:
    mondays = [MONDAY + timedelta(weeks=week) for week in range(4)]
    home.orders(*(order(f"{day}-{n}", f"{day} 10:00:00") for day in mondays for n in range(30)))
    home.load(days_from(MONDAY, 28))
    return MONDAY + timedelta(weeks=4)


def test_an_extract_without_todays_usual_rows_blocks_the_day(home: Home) -> None:
    home.cadence = "daily"
    monday = four_busy_mondays(home)
    loaded = home.load(monday)
    assert [(verdict.day, verdict.usual_rows) for verdict in loaded.blocked] == [(monday, 30.0)]
    assert monday not in home.versions()


def test_an_empty_day_with_later_rows_was_a_quiet_day(home: Home) -> None:
    home.cadence = "daily"
    monday = four_busy_mondays(home)
    rows = [order(f"{day}-{n}", f"{day} 10:00:00") for day in days_from(MONDAY, 28)[::7] for n in range(30)]
    home.orders(*rows, order("later", f"{monday + timedelta(days=1)} 01:00:00"))
    assert home.load([monday, monday + timedelta(days=1)]).blocked == ()
    assert home.rows(day=monday) == []


def test_a_static_export_may_end(home: Home) -> None:
    assert home.load(four_busy_mondays(home)).blocked == ()


def test_an_export_that_lost_everything_does_not_empty_the_history(home: Home) -> None:
    monday = four_busy_mondays(home)
    before = home.versions()
    path = home.data / "orders.csv"
    path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    loaded = home.load(monday)
    assert len([verdict for verdict in loaded.blocked if verdict.suspiciously_empty]) == 4
    assert {day: version for day, version in home.versions().items() if day in before} == before


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
