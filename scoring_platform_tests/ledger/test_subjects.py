"""Deliveries, extracts, alerts and leases: each keeps its one promise."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from scoring_platform.ledger.alerts import AlertDecision, alert_sent, decide_alert, read_alerts, resolve_alert
from scoring_platform.ledger.deliveries import claim_delivery, confirm_delivery, read_delivery, withdraw_delivery
from scoring_platform.ledger.extracts import advance_watermarks, read_watermarks
from scoring_platform.ledger.leases import acquire_lease, lease_holder, release_lease
from scoring_platform.ledger.store import Ledger

NOW = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def claim(ledger: Ledger, *, after: timedelta = timedelta()) -> bool:
    return claim_delivery(ledger, "k", kind="slack", max_attempts=2, now=NOW + after)[0]


def test_a_delivery_can_be_claimed_twice_and_keeps_its_first_time(ledger: Ledger) -> None:
    assert [claim(ledger), claim(ledger, after=HOUR), claim(ledger, after=2 * HOUR)] == [True, True, False]
    delivery = read_delivery(ledger, "k")
    assert delivery is not None
    assert (delivery.status, delivery.attempt, delivery.created_at) == ("sending", 2, NOW)


def test_writers_at_the_same_time_wait_for_each_other(ledger: Ledger) -> None:
    def claim_some(_: int) -> list[int]:
        claims = [claim_delivery(ledger, "k", kind="slack", max_attempts=1000, now=NOW) for _ in range(15)]
        return [delivery.attempt for _, delivery in claims]

    with ThreadPoolExecutor(4) as pool:
        attempts = [attempt for some in pool.map(claim_some, range(4)) for attempt in some]
    assert sorted(attempts) == list(range(1, 61))


def test_a_sent_delivery_cannot_be_claimed_or_withdrawn(ledger: Ledger) -> None:
    claim(ledger)
    confirm_delivery(ledger, "k", destination_id="17.1", now=NOW + HOUR)
    withdraw_delivery(ledger, "k")
    assert claim(ledger) is False
    delivery = read_delivery(ledger, "k")
    assert delivery is not None
    assert (delivery.status, delivery.destination_id, delivery.sent_at) == ("sent", "17.1", NOW + HOUR)


def test_withdrawing_takes_back_one_claim_at_a_time(ledger: Ledger) -> None:
    claim(ledger)
    claim(ledger)
    withdraw_delivery(ledger, "k")
    delivery = read_delivery(ledger, "k")
    assert delivery is not None
    assert delivery.attempt == 1
    withdraw_delivery(ledger, "k")
    assert read_delivery(ledger, "k") is None


def test_watermarks_only_move_forward(ledger: Ledger) -> None:
    orders, tickets = ("shopify", "raw_orders"), ("zendesk", "raw_support_tickets")
    advance_watermarks(ledger, {orders: NOW, tickets: NOW})
    advance_watermarks(ledger, {orders: NOW - HOUR, tickets: NOW + HOUR})
    assert read_watermarks(ledger) == {orders: NOW, tickets: NOW + HOUR}


def test_a_failure_is_told_once_per_window_and_what_was_held_back_is_counted(ledger: Ledger) -> None:
    def decide(after: timedelta) -> AlertDecision:
        return decide_alert(ledger, "check:raw_orders", window=6 * HOUR, now=NOW + after)

    assert decide(timedelta()) == AlertDecision(send=True, suppressed=0)
    alert_sent(ledger, "check:raw_orders", now=NOW)
    assert [decide(HOUR).send, decide(2 * HOUR).send] == [False, False]
    assert decide(6 * HOUR) == AlertDecision(send=True, suppressed=2)


def test_a_message_nobody_received_opens_no_window(ledger: Ledger) -> None:
    for _ in range(3):
        assert decide_alert(ledger, "f", window=HOUR, now=NOW).send
    assert read_alerts(ledger) == {}


def test_the_end_of_a_failure_is_told_once_and_the_next_one_is_new(ledger: Ledger) -> None:
    alert_sent(ledger, "f", now=NOW)
    assert list(read_alerts(ledger, state="open")) == ["f"]
    assert [resolve_alert(ledger, "f"), resolve_alert(ledger, "f"), resolve_alert(ledger, "g")] == [True, False, False]
    assert read_alerts(ledger, state="open") == {}
    assert decide_alert(ledger, "f", window=24 * HOUR, now=NOW + HOUR) == AlertDecision(send=True, suppressed=0)


def take(ledger: Ledger, holder: str, *, after: timedelta = timedelta()) -> bool:
    return acquire_lease(ledger, "daily", holder=holder, ttl=HOUR, now=NOW + after)


def test_a_lease_has_one_holder_who_can_renew_it(ledger: Ledger) -> None:
    assert [take(ledger, "a"), take(ledger, "b"), take(ledger, "a", after=HOUR / 2)] == [True, False, True]
    assert take(ledger, "b", after=HOUR) is False
    assert lease_holder(ledger, "daily", now=NOW + HOUR) == "a"


def test_a_lease_is_free_when_its_time_is_over_or_it_is_given_back(ledger: Ledger) -> None:
    take(ledger, "a")
    assert lease_holder(ledger, "daily", now=NOW + HOUR) is None
    assert take(ledger, "b", after=HOUR)
    assert release_lease(ledger, "daily", holder="a") is False
    assert release_lease(ledger, "daily", holder="b") is True
    assert take(ledger, "c", after=HOUR)


def test_a_naive_instant_is_refused(ledger: Ledger) -> None:
    with pytest.raises(Exception, match="time zone"):
        advance_watermarks(ledger, {("a", "b"): datetime(2026, 11, 21)})  # noqa: DTZ001 - what is tested
