"""Activity and profiles over several mornings: what is computed anew, and whose it is then."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.errors import HistoryError
from scoring_platform.ingest.quarantine import quarantine_table
from scoring_platform.ledger.merges import list_merges, undo_merge
from scoring_platform.pipeline import identities, profile
from scoring_platform.pipeline.step import span
from scoring_platform_tests.domain.tables import noon
from scoring_platform_tests.pipeline.scenario import START, Shop, open_shop

FIRST = START + timedelta(days=4)
SECOND = FIRST + timedelta(days=1)
THIRD = SECOND + timedelta(days=1)


def visits(shop: Shop) -> dict[date, int]:
    """Web sessions of known customers by day."""
    return {row["as_of"]: row["web_sessions"] for row in shop.rows("customer_activity") if row["web_sessions"]}


def recomputed(shop: Shop, day: date) -> list[date]:
    """Days of activity that a run of ``day`` computes."""
    return profile.activity_days(shop.step(day))


def morning(shop: Shop, *days: date) -> list[date]:
    """Run days: everything published as now known; returns the days of activity it computed."""
    shop.publish(days[-1])
    shop.publish_states(days)
    step = shop.step(*days)
    shop.write("customer_identities", identities.resolve(step).on(step), days)
    wanted = profile.activity_days(step)
    inputs = {one: profile.activity_inputs(step, one) for one in wanted}
    shop.write("customer_activity", profile.customer_activity(step, wanted), wanted, inputs=inputs)
    return wanted


def test_a_first_run_computes_all_history_and_the_next_morning_its_day(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        shop.order("r1", START)

        assert morning(shop, FIRST) == span(START, FIRST)
        shop.order("r1", SECOND)
        assert morning(shop, SECOND) == [SECOND]
        assert {row["as_of"] for row in shop.rows("customer_activity")} == {START, SECOND}


def test_a_late_fact_recomputes_its_day(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        shop.order("r1", START)
        morning(shop, FIRST)
        shop.order("r1", START + timedelta(days=2))

        assert morning(shop, SECOND) == [START + timedelta(days=2), SECOND]
        assert recomputed(shop, SECOND) == [SECOND]


def test_a_late_tracking_decision_recomputes_every_day_after_it(tmp_path: Path) -> None:
    decided = START + timedelta(days=2)
    with open_shop(tmp_path) as shop:
        shop.add("raw_customers", {"customer_ref": "r1", "as_of": START})
        for day in span(START, FIRST):
            shop.add("raw_web_activity", {"customer_ref": "r1", "sessions": 1, "as_of": day})
        morning(shop, FIRST)
        assert visits(shop) == {}
        shop.add(
            "raw_consents",
            {"subject": "r1", "channel": "web", "purpose": "tracking", "status": "granted", "as_of": decided,
             "occurred_at": noon(decided)},
        )  # fmt: skip

        assert morning(shop, SECOND) == span(decided, SECOND)
        assert visits(shop) == dict.fromkeys(span(decided, FIRST), 1)


def test_what_a_device_did_counts_once_its_owner_is_known(tmp_path: Path) -> None:
    seen = START + timedelta(days=1)
    with open_shop(tmp_path, "consent: {tracking_default: granted}") as shop:
        shop.add("raw_web_activity", {"client_id": "d1", "sessions": 3, "as_of": seen})
        morning(shop, FIRST)
        assert visits(shop) == {}
        shop.add("raw_web_activity", {"client_id": "d1", "customer_ref": "r1", "sessions": 1, "as_of": SECOND})

        assert morning(shop, SECOND) == [seen, SECOND]
        assert visits(shop) == {seen: 3, SECOND: 1}


def test_customers_that_come_apart_take_their_facts_with_them(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        for n in range(10):
            shop.order(f"r{n}", START, 2**n, email="info@example.jp")
        morning(shop, FIRST)
        assert [row["revenue"] for row in shop.rows("customer_activity")] == [1023]
        shop.order("r10", SECOND, 1024, email="info@example.jp")

        assert morning(shop, SECOND) == [START, SECOND]
        assert sorted(row["revenue"] for row in shop.rows("customer_activity")) == [2**n for n in range(11)]


def test_visits_before_an_account_was_known_count_once_it_is(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        tracked = {"subject": "r1", "channel": "web", "purpose": "tracking", "status": "granted"}
        shop.add("raw_consents", {**tracked, "as_of": START, "occurred_at": noon(START)})
        shop.add("raw_web_activity", {"customer_ref": "r1", "sessions": 2, "as_of": FIRST})
        morning(shop, FIRST)
        assert visits(shop) == {}
        shop.order("r1", SECOND)

        assert morning(shop, SECOND) == [FIRST, SECOND]
        assert visits(shop) == {}, "consent given under the number counts from the day it is known whose that is"
        shop.add("raw_web_activity", {"customer_ref": "r1", "sessions": 4, "as_of": THIRD})
        morning(shop, THIRD)
        assert visits(shop) == {THIRD: 4}


def test_consent_of_one_account_holds_for_the_visits_of_the_other_after_a_merge(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        for ref in ("r1", "r2"):
            shop.order(ref, START, email=f"{ref}@example.jp")
        tracked = {"subject": "r1", "channel": "web", "purpose": "tracking", "status": "granted"}
        shop.add("raw_consents", {**tracked, "as_of": START, "occurred_at": noon(START)})
        shop.add("raw_web_activity", {"customer_ref": "r2", "sessions": 2, "as_of": FIRST})
        morning(shop, FIRST)
        assert visits(shop) == {}
        shop.order("r2", SECOND, email="r1@example.jp")

        assert morning(shop, SECOND) == [START, FIRST, SECOND]
        assert visits(shop) == {FIRST: 2}


DAYS_OF_DEVICE = span(START, SECOND)


def household(shop: Shop, last: date) -> None:
    """An account forbids tracking on START + 2; that a device which visits every day is its own is known on SECOND."""
    refused = START + timedelta(days=2)
    facts = {day: [{"client_id": "d1", "sessions": 1, "as_of": day}] for day in DAYS_OF_DEVICE}
    facts[SECOND].append({"client_id": "d1", "customer_ref": "r1", "sessions": 4, "as_of": SECOND})
    for day in DAYS_OF_DEVICE:
        if day <= last and not any(row["as_of"] == day for row in shop.facts["raw_web_activity"]):
            shop.add("raw_web_activity", *facts[day])
    if not shop.facts["raw_orders"]:
        shop.order("r1", START)
        denied = {"subject": "r1", "channel": "web", "purpose": "tracking", "status": "denied"}
        shop.add("raw_consents", {**denied, "as_of": refused, "occurred_at": noon(refused)})


def test_a_refusal_holds_from_its_day_for_the_visits_of_a_device_known_to_be_theirs_only_later(tmp_path: Path) -> None:
    granted = "consent: {tracking_default: granted}"
    with open_shop(tmp_path / "days", granted) as shop:
        household(shop, FIRST)
        morning(shop, FIRST)
        assert visits(shop) == {}, "nobody knows whose device it is"
        household(shop, SECOND)
        assert morning(shop, SECOND) == DAYS_OF_DEVICE
        assert visits(shop) == {START: 1, START + timedelta(days=1): 1}
        days = shop.rows("customer_activity")
    with open_shop(tmp_path / "range", granted) as shop:
        household(shop, SECOND)
        morning(shop, *DAYS_OF_DEVICE)
        assert shop.rows("customer_activity") == days


def test_days_of_a_merged_customer_are_written_anew_and_no_others(tmp_path: Path) -> None:
    sold = {"r1": START + timedelta(days=1), "r2": START + timedelta(days=2), "r3": START + timedelta(days=3)}
    with open_shop(tmp_path) as shop:
        for ref, day in sold.items():
            shop.order(ref, day, email=f"{ref}@example.jp")
        morning(shop, FIRST)
        shop.order("r2", SECOND, email="r1@example.jp")

        assert morning(shop, SECOND) == [sold["r2"], SECOND]
        latest = {row["customer_id"] for row in shop.rows("customer_identities", SECOND)}
        assert len(latest) == 2
        assert {row["customer_id"] for row in shop.rows("customer_activity")} == latest


def test_a_merge_that_was_published_before_its_run_broke_off_is_made_up_for(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        for place, ref in enumerate(("r1", "r2")):
            shop.order(ref, START + timedelta(days=place), email=f"{ref}@example.jp")
        morning(shop, FIRST)
        shop.order("r2", SECOND, email="r1@example.jp")
        shop.publish(SECOND)
        shop.publish_states([SECOND])
        step = shop.step(SECOND)
        shop.write("customer_identities", identities.resolve(step).on(step), [SECOND])

        assert morning(shop, THIRD) == [START + timedelta(days=1), SECOND, THIRD]
        assert len({row["customer_id"] for row in shop.rows("customer_activity")}) == 1


def test_days_that_were_made_by_other_rules_are_made_anew(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        shop.order("r1", START)
        morning(shop, FIRST)
        step = shop.step(START)
        inputs = {name: version for name, version in profile.activity_inputs(step, START).items() if name != "rules"}
        shop.write("customer_activity", step.read("customer_activity", [START]), [START], inputs={START: inputs})

        assert recomputed(shop, SECOND) == [START, SECOND]


def visitor(shop: Shop) -> dict[str, object]:
    """An account that visits on FIRST − 1; somebody who writes agrees to be tracked two days before."""
    shop.order("r1", START)
    visited = FIRST - timedelta(days=1)
    shop.add("raw_web_activity", {"customer_ref": "r1", "sessions": 2, "as_of": visited})
    decided = FIRST - timedelta(days=3)
    tracked = {"subject": "e@example.jp", "channel": "web", "purpose": "tracking", "status": "granted"}
    shop.add("raw_consents", {**tracked, "as_of": decided, "occurred_at": noon(decided)})
    shop.order("r1", FIRST, email="e@example.jp")
    return shop.facts["raw_orders"][-1]


def test_visits_count_once_it_is_heard_that_the_address_with_the_consent_was_known_before(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        visitor(shop)
        morning(shop, FIRST)
        assert visits(shop) == {}, "whose the address is was known only after the visit"
        shop.add("raw_support_tickets", {"email": "e@example.jp", "as_of": START})

        assert morning(shop, SECOND) == [START, FIRST - timedelta(days=1), SECOND]
        assert visits(shop) == {FIRST - timedelta(days=1): 2}


def test_visits_no_longer_count_once_the_address_with_the_consent_is_somebody_elses(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        linked = visitor(shop)
        shop.add("raw_support_tickets", {"email": "e@example.jp", "as_of": START + timedelta(days=1)})
        morning(shop, FIRST)
        assert visits(shop) == {FIRST - timedelta(days=1): 2}
        linked["email"] = None
        shop.order("r9", SECOND)

        assert FIRST - timedelta(days=1) in morning(shop, SECOND)
        assert visits(shop) == {}


def test_the_first_day_run_again_gives_every_day_to_whom_it_now_belongs(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        shop.order("r1", START, 100)
        shop.order("r2", START, 50, email="a@example.jp")
        shop.add("raw_events", {"customer_ref": "r1", "email": "a@example.jp", "as_of": START + timedelta(days=1)})
        morning(shop, FIRST)
        assert [row["revenue"] for row in shop.rows("customer_activity") if row["revenue"]] == [150]
        shop.facts["raw_events"][0]["email"] = "b@example.jp"
        shop.add("raw_events", {"email": "b@example.jp", "as_of": FIRST})

        assert morning(shop, FIRST) == span(START, FIRST)
        assert sorted(row["revenue"] for row in shop.rows("customer_activity") if row["revenue"]) == [50, 100]


def test_a_merge_is_recorded_once_and_undoing_it_gives_the_facts_back(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        for ref in ("r1", "r2"):
            shop.order(ref, START, 100, email=f"{ref}@example.jp")
        morning(shop, FIRST)
        shop.order("r2", SECOND, 50, email="r1@example.jp")
        morning(shop, SECOND)
        morning(shop, SECOND)
        ledger = shop.step(SECOND).ledger
        (merge,) = list_merges(ledger)
        assert (merge.merged_on, merge.undone_at) == (SECOND, None)
        assert len({row["customer_id"] for row in shop.rows("customer_identities") if row["as_of"] == SECOND}) == 1

        undo_merge(ledger, merge.merge_id, now=noon(SECOND))
        assert morning(shop, THIRD) == [START, SECOND, THIRD]
        latest = [row for row in shop.rows("customer_identities") if row["as_of"] == THIRD]
        assert {row["customer_id"] for row in latest} == {merge.former_id, merge.customer_id}
        spent = {row["customer_id"]: 0 for row in latest}
        for row in shop.rows("customer_activity"):
            spent[row["customer_id"]] += row["revenue"]
        assert spent == {merge.customer_id: 100, merge.former_id: 150}
        assert list_merges(ledger)[0].undone_at == noon(SECOND)


def test_undoing_gives_the_id_back_though_the_identifier_it_was_made_from_is_gone(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        for ref in ("r1", "r2"):
            shop.order(ref, START, 100, email=f"{ref}@example.jp")
        morning(shop, FIRST)
        shop.order(None, SECOND, 50, email="r2@example.jp")
        shop.add("raw_events", {"customer_ref": "r1", "email": "r2@example.jp", "as_of": SECOND})
        morning(shop, SECOND)
        (merge,) = list_merges(shop.ledger)
        assert len(merge.nodes) == 2
        assert "example" not in str(merge)

        undo_merge(shop.ledger, merge.merge_id, now=noon(SECOND))
        shop.facts["raw_orders"][1]["customer_ref"] = None
        shop.order("r3", THIRD)
        morning(shop, THIRD)
        whose = {row["id_value"]: row["customer_id"] for row in shop.rows("customer_identities", THIRD)}
        assert (whose["r2@example.jp"], whose["r1"]) == (merge.former_id, merge.customer_id)
        spent = {row["customer_id"]: row["revenue"] for row in shop.rows("customer_activity", START)}
        assert spent == {merge.former_id: 100, merge.customer_id: 100}


def test_identifiers_that_link_nobody_lie_in_quarantine_with_the_reason(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        for n in range(11):
            shop.order(f"r{n}", START, email="info@example.jp")
        shop.publish(FIRST)
        shop.publish_states([FIRST])
        found = identities.resolve(shop.step(FIRST))
        store = quarantine_table(contract_of("customer_identities"))
        rows = shop.engine.read(store, [FIRST]).to_pyarrow().to_pylist()

        reason = "seen with 11 different accounts, more than identity.shared_limit (10)"
        assert found.set_aside == {reason: 1}
        assert [(row["row_key"], row["reason"]) for row in rows] == [("email=info@example.jp", reason)]


def test_missing_history_is_named_with_the_command_that_loads_it(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        shop.publish(FIRST)
        profile.require_history(shop.step(FIRST), profile.EVENT_TABLES)

        expected = rf"raw_orders lacks 1 of 6 days \({SECOND} to {SECOND}\).*scoring-platform run --date {SECOND}$"
        with pytest.raises(HistoryError, match=expected):
            profile.require_history(shop.step(SECOND), profile.EVENT_TABLES)
