"""What cannot be used is kept aside and told of; too much of it, or a suspicious emptiness, publishes nothing."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

from scoring_platform_tests.scenario import MONDAY, Home, days_from, order

TUESDAY = MONDAY + timedelta(days=1)
WEDNESDAY = MONDAY + timedelta(days=2)
WEEK = days_from(MONDAY, 3)


def three_days(home: Home) -> None:
    home.orders(
        order("o1", "2026-03-02 10:00:00"),
        order("o2", "2026-03-03 00:00:00", total_amount="12.3456"),
        order("o3", "2026-03-04 23:59:59"),
    )


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
