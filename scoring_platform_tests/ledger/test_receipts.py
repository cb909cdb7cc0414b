"""Receipts: what was acknowledged is never forgotten, what failed is counted, all of a batch or nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from scoring_platform.ledger.receipts import (
    Outcome,
    Scope,
    forget_receipts,
    iter_receipts,
    read_receipts,
    record_outcomes,
)
from scoring_platform.ledger.store import Ledger

SCOPE = Scope("hubspot", "scores")
NOW = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
DAY = date(2026, 11, 20)


def outcome(customer_id: str = "c1", **changes: Any) -> Outcome:
    made = Outcome(
        customer_id=customer_id,
        status="acknowledged",
        as_of=DAY,
        payload_hash="h1",
        values={"score": "70", "segment": "loyal"},
        destination_id="501",
    )
    return replace(made, **changes)


FAILED: dict[str, Any] = {
    "status": "dead",
    "destination_id": None,
    "error_code": "INVALID",
    "error_text": "not a number",
}


def test_an_acknowledgement_comes_back_as_it_went_in(ledger: Ledger) -> None:
    record_outcomes(ledger, SCOPE, [outcome()], now=NOW)
    receipt = read_receipts(ledger, SCOPE)["c1"]
    assert (receipt.status, receipt.destination_id, receipt.attempt) == ("acknowledged", "501", 0)
    assert receipt.acknowledged == {"score": "70", "segment": "loyal"}
    assert (receipt.acknowledged_at, receipt.as_of) == (NOW, DAY)


def test_fields_that_were_not_sent_stay_as_acknowledged(ledger: Ledger) -> None:
    record_outcomes(ledger, SCOPE, [outcome()], now=NOW)
    record_outcomes(ledger, SCOPE, [outcome(values={"segment": "vip"}, payload_hash="h2")], now=NOW)
    assert read_receipts(ledger, SCOPE)["c1"].acknowledged == {"score": "70", "segment": "vip"}


def test_a_failure_keeps_what_was_acknowledged_before(ledger: Ledger) -> None:
    record_outcomes(ledger, SCOPE, [outcome()], now=NOW)
    later = {**FAILED, "values": {"score": "99"}, "payload_hash": "h2", "as_of": date(2026, 11, 21)}
    record_outcomes(ledger, SCOPE, [outcome(**later)], now=NOW + timedelta(days=1))
    receipt = read_receipts(ledger, SCOPE)["c1"]
    assert (receipt.status, receipt.error_code, receipt.error_text) == ("dead", "INVALID", "not a number")
    assert receipt.acknowledged == {"score": "70", "segment": "loyal"}
    assert (receipt.acknowledged_at, receipt.as_of, receipt.destination_id) == (NOW, DAY, "501")


def test_attempts_count_failures_of_the_same_content_only(ledger: Ledger) -> None:
    attempts = []
    for payload_hash, status in [("h1", "retry"), ("h1", "unknown"), ("h2", "dead"), ("h2", "acknowledged")]:
        record_outcomes(ledger, SCOPE, [outcome(status=status, payload_hash=payload_hash)], now=NOW)
        attempts.append(read_receipts(ledger, SCOPE)["c1"].attempt)
    assert attempts == [1, 2, 1, 0]
    assert read_receipts(ledger, SCOPE)["c1"].error_code is None


def test_two_outcomes_of_one_customer_in_a_batch_are_applied_in_order(ledger: Ledger) -> None:
    record_outcomes(ledger, SCOPE, [outcome(**{**FAILED, "status": "retry"}), outcome()], now=NOW)
    assert read_receipts(ledger, SCOPE)["c1"].status == "acknowledged"


def test_a_batch_is_recorded_whole_or_not_at_all(ledger: Ledger) -> None:
    broken = outcome("c2", values={"score": object()})
    with pytest.raises(Exception, match="not JSON serializable"):
        record_outcomes(ledger, SCOPE, [outcome("c1"), broken], now=NOW)
    assert read_receipts(ledger, SCOPE) == {}


def test_streams_crms_and_targets_do_not_mix(ledger: Ledger) -> None:
    others = [Scope("hubspot", "nps"), Scope("salesforce", "scores"), Scope("hubspot", "scores", "deal")]
    for number, scope in enumerate([SCOPE, *others]):
        record_outcomes(ledger, scope, [outcome(destination_id=str(number))], now=NOW)
    assert [read_receipts(ledger, scope)["c1"].destination_id for scope in [SCOPE, *others]] == ["0", "1", "2", "3"]


def test_thousands_of_receipts_are_read_in_bulk_by_name_or_by_status(ledger: Ledger) -> None:
    everyone = [
        outcome(f"c{number:05d}", status="dead" if number % 10 == 0 else "acknowledged") for number in range(3000)
    ]
    record_outcomes(ledger, SCOPE, everyone, now=NOW)
    asked = [f"c{number:05d}" for number in range(0, 3000, 2)]
    assert read_receipts(ledger, SCOPE, [*asked, "nobody"]).keys() == set(asked)
    dead = [receipt.customer_id for receipt in iter_receipts(ledger, SCOPE, status="dead")]
    assert dead == [f"c{number:05d}" for number in range(0, 3000, 10)]
    assert sum(1 for _ in iter_receipts(ledger, SCOPE)) == 3000


def test_instants_of_any_zone_come_back_in_utc_and_naive_ones_are_refused(ledger: Ledger) -> None:
    tokyo = datetime(2026, 11, 21, 15, 30, tzinfo=timezone(timedelta(hours=9)))
    record_outcomes(ledger, SCOPE, [outcome()], now=tokyo)
    stored = read_receipts(ledger, SCOPE)["c1"].acknowledged_at
    assert stored == tokyo
    assert stored is not None
    assert stored.tzinfo is UTC
    with pytest.raises(Exception, match="time zone"):
        record_outcomes(ledger, SCOPE, [outcome()], now=datetime(2026, 11, 21))  # noqa: DTZ001 - what is tested


def test_a_customer_can_be_forgotten_everywhere(ledger: Ledger) -> None:
    for scope in (SCOPE, Scope("hubspot", "nps")):
        record_outcomes(ledger, scope, [outcome("c1"), outcome("c2")], now=NOW)
    assert forget_receipts(ledger, ["c1", "nobody"]) == 2
    assert read_receipts(ledger, SCOPE).keys() == {"c2"}


def test_no_value_shows_in_the_printed_outcome() -> None:
    assert "loyal" not in repr(outcome())


DEALS = Scope("hubspot", "scores", "deal")


def test_what_is_known_of_a_record_passes_to_who_speaks_for_it_and_stays_where_it_was_refused(ledger: Ledger) -> None:
    record_outcomes(ledger, DEALS, [outcome("a", values={"score": "70", "segment": "loyal"})], now=NOW)
    held = read_receipts(ledger, DEALS)["a"]
    refused = {**FAILED, "destination_id": "501", "holder": held}
    record_outcomes(ledger, DEALS, [outcome("b", **refused)], now=NOW)
    known = read_receipts(ledger, DEALS)
    assert (known["a"], known["b"].status, known["b"].acknowledged) == (held, "dead", {})

    record_outcomes(ledger, DEALS, [outcome("b", values={"score": "10"}, holder=held)], now=NOW)
    known = read_receipts(ledger, DEALS)
    assert known.keys() == {"b"}
    assert known["b"].acknowledged == {"score": "10", "segment": "loyal"}


def test_of_another_deal_nothing_is_known(ledger: Ledger) -> None:
    record_outcomes(ledger, DEALS, [outcome()], now=NOW)
    record_outcomes(ledger, DEALS, [outcome(**{**FAILED, "destination_id": "777"})], now=NOW)
    receipt = read_receipts(ledger, DEALS)["c1"]
    assert (receipt.destination_id, receipt.acknowledged, receipt.attempt) == ("777", {}, 1)


def test_two_who_change_places_in_one_batch_both_keep_what_their_new_records_show(ledger: Ledger) -> None:
    first = [outcome("a", values={"score": "1"}), outcome("b", values={"score": "2"}, destination_id="502")]
    record_outcomes(ledger, DEALS, first, now=NOW)
    known = read_receipts(ledger, DEALS)
    swapped = [
        outcome("a", values={"tier": "x"}, destination_id="502", holder=known["b"]),
        outcome("b", values={"tier": "y"}, destination_id="501", holder=known["a"]),
    ]
    record_outcomes(ledger, DEALS, swapped, now=NOW)
    after = {one.customer_id: (one.destination_id, one.acknowledged) for one in iter_receipts(ledger, DEALS)}
    assert after == {"a": ("502", {"score": "2", "tier": "x"}), "b": ("501", {"score": "1", "tier": "y"})}
