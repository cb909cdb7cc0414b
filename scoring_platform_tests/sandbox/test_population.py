"""The company is the same every time, plausible, and wrong exactly where it says so."""

from __future__ import annotations

import unicodedata
from collections import Counter
from datetime import date, timedelta

import numpy as np
import pytest

from scoring_platform.sandbox.days import DAY, date_of, day_number, day_of, opens_at
from scoring_platform.sandbox.mailings import OPENED, RECEIVED, UNSUBSCRIBED
from scoring_platform.sandbox.people import arrivals
from scoring_platform.sandbox.planting import MALFORMED, Planted
from scoring_platform.sandbox.population import Books, Population
from scoring_platform.sandbox.truth import truth

LATEST = date(2026, 11, 1)


def _everything(books: Books, now: int) -> list[object]:
    """What can be seen at a moment; when it will be replaced is not known to anybody then."""
    streams = (books.accounts, books.orders, books.mail, books.tickets, books.responses)
    seen = [[(version.position, version.thing) for version in stream.at(now)] for stream in streams]
    return [*seen, list(books.visits.first(books.visits.known(now)))]


def test_reaching_a_day_at_once_or_step_by_step_gives_the_same_company() -> None:
    at_once, stepwise = Population(), Population()
    at_once.reach_day(date_of(90))
    for day in (-5, 0, 1, 20, 55, 60):
        stepwise.reach_day(date_of(day))
    now = opens_at(61)
    stepwise.reach(now)
    assert _everything(at_once.books, now) == _everything(stepwise.books, now)


def test_another_seed_gives_another_company() -> None:
    one, other = Population(seed=1), Population(seed=2)
    assert one.reach_day(date_of(5)).people != other.reach_day(date_of(5)).people


def test_there_is_nothing_before_the_shop_opened() -> None:
    books = Population().reach_day(date(2025, 9, 30))
    assert (books.people, books.orders.at(2**40), books.visits.known(2**40)) == ((), [], 0)


def test_asking_for_crm_contacts_first_changes_nothing() -> None:
    asked, plain = Population(), Population()
    addresses = asked.early_addresses(150)
    now = opens_at(130)
    assert _everything(asked.reach(now), now) == _everything(plain.reach(now), now)
    assert addresses == plain.early_addresses(150)
    assert len(set(addresses)) == 150


def test_accounts_come_quickly_in_the_first_year_and_slowly_for_ever(population: Population) -> None:
    assert 2_250 <= len(population.accounts(LATEST)) <= 2_550
    assert {arrivals(20, day) for day in range(365, day_number(date(2029, 12, 31)))} == {3, 4, 5}


def test_customers_buy_at_their_true_rate_and_spend_until_they_drop_out(population: Population) -> None:
    now, table = opens_at(day_number(LATEST)), truth(population, LATEST)
    expected = observed = 0.0
    for who in population.accounts(LATEST):
        if who.purchases:
            exposed = max(0, min(now, who.dropped_out_at) - who.purchases[0])
            expected += who.purchase_rate * exposed / DAY
            observed += sum(who.purchases[0] < at < now for at in who.purchases)
            assert max(who.purchases) <= who.dropped_out_at
    assert observed / expected == pytest.approx(1.0, abs=0.05)
    assert len(table) == len(population.accounts(LATEST))
    assert table["buyer"].mean() == pytest.approx(0.9, abs=0.04)


def test_mean_spend_shows_in_the_orders(population: Population) -> None:
    now = opens_at(day_number(LATEST))
    ratios = [
        version.thing.total / population.books.people[version.thing.person].mean_spend
        for version in population.books.orders.at(now)
        if version.thing.person is not None and version.thing.total and version.thing.currency == "JPY"
    ]
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.04)


def test_who_likes_mail_opens_more_of_it(population: Population) -> None:
    events = [version.thing for version in population.books.mail.at(opens_at(day_number(LATEST)))]
    received = Counter(e.person for e in events if e.metric == RECEIVED)
    opened = Counter(e.person for e in events if e.metric == OPENED and not e.machine)
    people = [who for who in population.accounts(LATEST) if received[who.index] >= 8]
    rates = [opened[who.index] / received[who.index] for who in people]
    assert np.corrcoef(rates, [who.mail_interest for who in people])[0, 1] > 0.6


def test_volumes_are_those_of_a_small_shop(population: Population) -> None:
    books, now = population.books, opens_at(day_number(LATEST))
    assert 9_000 <= len(books.orders.at(now)) <= 13_000
    assert 55_000 <= len(books.mail.at(now)) <= 85_000
    assert 45_000 <= books.visits.known(now) <= 70_000
    assert 1_200 <= len(books.tickets.at(now)) <= 1_800
    assert 900 <= len(books.responses.at(now)) <= 1_400


def test_every_day_some_orders_of_earlier_days_change(population: Population) -> None:
    late = Counter(
        day_of(version.since)
        for version in population.books.orders.at(opens_at(day_number(LATEST)))
        if day_of(version.since) > day_of(version.thing.ordered_at)
    )
    daily = [late[day] for day in range(1, day_number(LATEST))]
    assert min(daily) >= 1
    assert np.mean(daily[100:]) > 2


def _wrong_rows(books: Books, now: int) -> dict[str, Counter[tuple[int, str]]]:
    """Find every wrong row by looking at the data alone, as (day it appeared, its id)."""
    found: dict[str, Counter[tuple[int, str]]] = {
        name: Counter() for name in ("raw_orders", "raw_order_items", "raw_email_events")
    }
    for version in books.orders.at(now):
        order = version.thing
        dated_ahead = order.ordered_at > version.since + DAY
        if order.currency != "JPY" or order.total is None or dated_ahead:
            found["raw_orders"][day_of(version.since), str(order.order_id)] += 1
            for line in order.lines:
                found["raw_order_items"][day_of(version.since), str(line.line_id)] += 1
        else:
            assert all(line.amount is not None and line.amount >= 0 for line in order.lines)
            assert order.total == sum(line.amount or 0 for line in order.lines)
            assert 0 <= order.refunded <= order.total
    for event in books.mail.at(now):
        email = event.thing.email or books.people[event.thing.person].email
        if email is None or email.count("@") != 1:
            found["raw_email_events"][day_of(event.since), f"ev{event.number:012d}"] += 1
    return found


def test_exactly_the_planted_rows_are_wrong(population: Population) -> None:
    now, last = opens_at(day_number(LATEST)), day_number(LATEST)
    found = _wrong_rows(population.books, now)
    for table, rows in found.items():
        planted = {
            (day, item.record_id): 1 for day in range(last) for item in population.planted(date_of(day)).get(table, [])
        }
        assert rows == planted, table


def test_each_day_has_one_unknown_currency_and_one_malformed_address(population: Population) -> None:
    for day in range(30, 700):
        planted = population.planted(date_of(day))
        assert [item.kind for item in planted["raw_orders"]].count("currency") == 1
        assert [item.kind for item in planted["raw_email_events"]] == ["email"]
    assert population.planted(date_of(29)) == {}
    assert "@" not in MALFORMED


def test_missing_amounts_come_weekly_and_future_orders_monthly(population: Population) -> None:
    items: list[Planted] = [item for day in range(30, 240) for item in population.planted(date_of(day))["raw_orders"]]
    kinds = Counter(item.kind for item in items)
    assert kinds["amount"] == 30
    assert kinds["future"] == 7
    assert all(item.dated_on - item.day == timedelta(days=5) for item in items if item.kind == "future")


def test_an_unsubscribed_customer_gets_no_more_mail_and_the_shop_knows(population: Population) -> None:
    now = opens_at(day_number(LATEST))
    mail = population.books.mail.at(now)
    left = {version.thing.person: version.since for version in mail if version.thing.metric == UNSUBSCRIBED}
    assert len(left) > 50
    for person, at in left.items():
        account = population.books.accounts.find(person, now)
        assert account is not None
        assert (account.thing.marketing, account.thing.marketing_at) == ("UNSUBSCRIBED", at)
    late = [v for v in mail if v.thing.metric == RECEIVED and v.since > left.get(v.thing.person, now) + DAY]
    assert late == []


def test_some_accounts_are_one_person_with_an_address_spelled_differently(population: Population) -> None:
    spelled: dict[str, set[str]] = {}
    for who in population.accounts(LATEST):
        if who.email:
            spelled.setdefault(unicodedata.normalize("NFKC", who.email).casefold(), set()).add(who.email)
    shared = [names for names in spelled.values() if len(names) > 1]
    assert len(shared) > 15
    assert any(name.isascii() and name.isupper() for names in shared for name in names)
    assert any(not name.isascii() for names in shared for name in names)


def test_scores_come_first_and_comments_later(population: Population) -> None:
    books, now = population.books, opens_at(day_number(LATEST))
    commented = [version for version in books.responses.at(now) if version.thing.comment]
    assert len(commented) > 300
    for version in commented:
        before = books.responses.find(version.number, version.thing.created_at)
        assert before is not None
        assert (before.thing.score, before.thing.comment) == (version.thing.score, None)
    assert any(version.thing.score is None for version in books.responses.at(now))
