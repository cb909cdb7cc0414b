"""What cannot be used is kept aside and told of; too much of it, or a suspicious emptiness, publishes nothing."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from scoring_platform.config.model import ScoringConfig
from scoring_platform_tests.scenario import MONDAY, Home, Shop, days_from, order

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


def busy_days(home: Home, count: int, *, rows: int = 30, lost: tuple[date, ...] = ()) -> list[date]:
    """Write an export with ``rows`` orders on each of ``count`` days but for those that it lost."""
    days = days_from(MONDAY, count)
    kept = [day for day in days if day not in lost]
    home.orders(*(order(f"{day}-{n}", f"{day} 10:00:00") for day in kept for n in range(rows)))
    return days


def test_an_export_that_has_only_its_newest_day_left_does_not_empty_the_days_before(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    days = busy_days(home, 4)
    home.load(days)
    before = home.versions()
    newest = MONDAY + timedelta(days=4)
    busy_days(home, 5, lost=tuple(days))
    loaded = home.load(newest)
    assert [verdict.day for verdict in loaded.blocked] == days
    assert {day: version for day, version in home.versions().items() if day != newest} == before
    assert len(home.rows(day=newest)) == 30
    (words,) = {verdict.loss for verdict in loaded.blocked}
    assert words.startswith("120 published rows of 4 days between 2026-03-02 and 2026-03-05 are in no extract any more")
    assert words.endswith("set ingest.empty_extract.minimum_usual_rows to 121 for one run")
    assert caplog.messages == [f"raw_orders: {words}"]
    home.settings = "{empty_extract: {minimum_usual_rows: 121}}"
    assert home.load(newest).blocked == ()
    assert {row["as_of"] for row in home.rows()} == {newest}


def test_many_small_days_that_are_lost_together_are_a_loss(home: Home) -> None:
    days = busy_days(home, 10, rows=3)
    home.load(days)
    busy_days(home, 11, rows=3, lost=tuple(days))
    assert len(home.load(MONDAY + timedelta(days=10)).blocked) == 10


def test_a_file_that_is_missing_among_others_is_a_loss(home: Home) -> None:
    days = busy_days(home, 12)
    home.load(days)
    busy_days(home, 12, lost=(days[5], days[6]))
    assert [verdict.day for verdict in home.load(days[-1]).blocked] == [days[5], days[6]]


def test_a_single_day_may_be_corrected_away(home: Home) -> None:
    home.cadence = "daily"
    days = busy_days(home, 12)
    home.load(days)
    busy_days(home, 12, lost=(days[5],))
    assert home.load(days[-1]).blocked == ()
    assert home.rows(day=days[5]) == []


def test_a_few_test_orders_may_be_deleted_on_several_days(home: Home) -> None:
    rows = [order("o1", "2026-03-05 10:00:00"), *(order(f"t{n}", f"2026-03-0{2 + n} 10:00:00") for n in range(3))]
    home.orders(*rows)
    home.load(days_from(MONDAY, 4))
    home.orders(*rows[:1])
    assert home.load(MONDAY + timedelta(days=3)).blocked == ()
    assert [row["order_id"] for row in home.rows()] == ["o1"]


def test_a_day_that_fell_off_the_beginning_of_an_export_stays_published(home: Home) -> None:
    days = busy_days(home, 5)
    home.load(days)
    busy_days(home, 5, lost=(days[0],))
    assert [verdict.day for verdict in home.load(days[-1]).blocked] == [days[0]]


def test_what_is_usual_is_part_of_what_has_to_be_accepted(home: Home) -> None:
    home.cadence = "daily"
    monday = four_busy_mondays(home)
    rows = [order(f"{day}-{n}", f"{day} 10:00:00") for day in days_from(MONDAY, 22)[::7] for n in range(30)]
    few = [order(f"{monday}-{n}", f"{monday} 10:00:00") for n in range(25)]
    home.orders(*rows, *few)
    home.load(monday)
    home.orders(*rows)
    (verdict,) = home.load(monday).blocked
    assert verdict.loss.endswith("minimum_usual_rows to 31 for one run")
    home.settings = "{empty_extract: {minimum_usual_rows: 31}}"
    assert home.load(monday).blocked == ()


# --- times that make no sense ----------------------------------------------------------------------------------------

FAR = ["294247-01-10T04:00:54Z", "0000-01-01T00:00:00Z", "-infinity", "infinity", "9999-12-31T23:59:59Z", "0001-01-01"]


@pytest.mark.parametrize("kind", ["VARCHAR", "TIMESTAMP", "TIMESTAMPTZ"])
@pytest.mark.parametrize("column", ["ordered_at", "updated_at"])
def test_a_time_too_far_away_for_any_calendar_is_set_aside_and_stops_nothing(
    home: Home, kind: str, column: str
) -> None:
    home.zone = "America/New_York"
    good = [order(f"o{n}", "2026-03-02 10:00:00") for n in range(20)]
    home.orders(*good, *(order(f"far{n}", "2026-03-02 10:00:00", email=far) for n, far in enumerate(FAR)))
    home.sql["raw_orders"] = (
        f"SELECT * REPLACE (CAST(CASE WHEN order_id LIKE 'far%' THEN email ELSE ordered_at END AS {kind}) AS {column}) "
        "FROM read_csv('orders*.csv', all_varchar = true)"
    )
    assert home.load(MONDAY, config=patient(home)).blocked == ()
    assert len(home.rows()) == len(good)
    assert set(home.reasons()) == {f"{column} is not a time"}
    assert len(home.reasons()) == len(FAR)


def test_a_time_too_far_away_in_json_is_set_aside_too(home: Home) -> None:
    rows = [order(f"far{n}", far) for n, far in enumerate(FAR)] + [order("o1", "2026-03-02 10:00:00")]
    (home.data / "orders.json").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    home.sql["raw_orders"] = "SELECT * REPLACE (to_json(ordered_at) AS ordered_at) FROM read_json('orders.json')"
    assert home.load(MONDAY, config=patient(home)).blocked == ()
    assert [row["order_id"] for row in home.rows()] == ["o1"]
    assert set(home.reasons()) == {"ordered_at is not a time"}


def patient(home: Home) -> ScoringConfig:
    """The configuration with so many bad rows allowed as these tests bring."""
    home.settings = "{quarantine_minimum_rows: 100}"
    return home.config


def test_a_time_before_computers_told_of_events_has_a_reason_of_its_own(home: Home) -> None:
    home.orders(
        order("good", "2026-03-02 10:00:00"),
        order("zero", "1970-01-01 09:00:00"),
        order("seconds", "1970-01-21 20:17:35"),
        order("last", "1979-12-31 23:59:59"),
        order("older", "1980-01-01 00:00:00"),
    )
    (verdict,) = home.load(MONDAY).verdicts
    assert [row["order_id"] for row in home.rows()] == ["good"]
    reason = "ordered_at is implausibly early (before 1980): seconds taken for milliseconds?"
    assert home.reasons() == [reason] * 3
    assert {row["as_of"] for row in home.set_aside()} == {MONDAY}, "such a row has no day but that of the run"
    assert verdict.reasons == {reason: 3}


def test_a_source_whose_every_time_is_1970_stops_the_day(home: Home) -> None:
    shop = Shop(home.files.zone)
    for number in range(6):
        shop.change("2026-03-02 10:00:00", order(f"o{number}", f"1970-01-21T20:17:3{number}Z"))
    assert [verdict.share_exceeded for verdict in home.load(MONDAY, sources=[shop]).blocked] == [True]


def test_a_history_that_begins_earlier_has_earlier_events(home: Home) -> None:
    home.orders(order("o1", "1975-03-02 10:00:00"), order("o2", "1974-03-02 10:00:00"))
    config = home.config.model_copy(update={"history_start": date(1975, 1, 1)})
    home.load(date(1975, 3, 2), config=config, now=datetime(2026, 3, 3, tzinfo=UTC))
    assert [row["order_id"] for row in home.rows()] == ["o1"]
    assert home.reasons() == ["ordered_at is implausibly early (before 1975): seconds taken for milliseconds?"]


def test_a_customer_may_be_of_any_age(home: Home) -> None:
    home.sql["raw_customers"] = "SELECT * FROM read_csv('customers.csv', all_varchar = true)"
    (home.data / "customers.csv").write_text("customer_ref,created_at\nc1,1970-01-01\n", encoding="utf-8")
    home.load(MONDAY, table="raw_customers")
    assert [row["customer_ref"] for row in home.rows("raw_customers")] == ["c1"]
