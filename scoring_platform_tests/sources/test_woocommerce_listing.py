"""Reading a list of WooCommerce to its end while the shop changes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring_platform.errors import PermanentError, TransientError
from scoring_platform.http.client import ApiClient
from scoring_platform.sources.woocommerce_listing import Listing, entries
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, reply

Change = Callable[[int, list[int]], None]
"""What happens to the ids of the list before the call with this number is answered."""


def calm(_call: int, _ids: list[int]) -> None:
    """Nothing happens."""


def shop(server: Loopback, ids: list[int], change: Change = calm, *, header: bool = True) -> None:
    """Let the server list ``ids`` the way WooCommerce does, while ``change`` happens."""

    def answer(seen: Seen) -> Reply:
        change(len(server.seen), ids)
        start, size = int(seen.query["offset"]), int(seen.query["per_page"])
        total = {"X-WP-Total": str(len(ids))} if header else None
        return reply([{"id": number} for number in sorted(ids)[start : start + size]], headers=total)

    server.seen.clear()
    server.answer = answer


def read(server: Loopback, size: int = 4) -> list[int]:
    with ApiClient("woocommerce", server.url) as client:
        return [entry["id"] for page in entries(client, Listing("/orders", {"status": "any"}, size)) for entry in page]


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 7, 8, 23])
def test_every_entry_of_a_quiet_list_comes_once_and_in_order(server: Loopback, count: int, header: bool) -> None:
    shop(server, list(range(1, count + 1)), header=header)
    assert read(server) == list(range(1, count + 1))
    assert all(seen.query["status"] == "any" for seen in server.seen)


def test_a_list_that_fits_on_a_page_costs_one_call(server: Loopback) -> None:
    shop(server, [1, 2, 3, 4])
    read(server)
    assert len(server.seen) == 1


@pytest.mark.parametrize("header", [True, False])
def test_an_order_that_leaves_between_two_pages_takes_no_other_with_it(server: Loopback, header: bool) -> None:
    """Paging by number would skip order 5: it moves from the second page to the first when order 2 leaves."""

    def leaves(call: int, ids: list[int]) -> None:
        if call == 2:
            ids.remove(2)

    shop(server, list(range(1, 13)), leaves, header=header)
    assert set(read(server)) == set(range(1, 13))


def test_the_last_order_read_may_be_the_one_that_leaves(server: Loopback) -> None:
    def leaves(call: int, ids: list[int]) -> None:
        if call == 2:
            ids.remove(4)

    shop(server, list(range(1, 13)), leaves)
    assert set(read(server)) == set(range(1, 13))


def test_most_of_the_list_may_leave_at_once(server: Loopback) -> None:
    def leave(call: int, ids: list[int]) -> None:
        if call == 10:
            del ids[1:28]

    shop(server, list(range(1, 61)), leave)
    found = read(server)
    assert set(range(29, 61)) <= set(found)
    assert len(server.seen) < 60


@pytest.mark.parametrize("header", [True, False])
def test_the_same_page_again_after_entries_left_before_it_is_no_fault(server: Loopback, header: bool) -> None:
    gone = {4: [1], 5: [2, 3]}

    def leave(call: int, ids: list[int]) -> None:
        ids[:] = [number for number in ids if number not in gone.get(call, [])]

    shop(server, [1, 2, 3, 4, 5], leave, header=header)
    assert set(read(server, size=2)) >= {4, 5}


@pytest.mark.parametrize("header", [True, False])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_leaves_whoever_stays_is_read(server: Loopback, header: bool, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 30))
    ids, stay = list(range(1, count + 1)), set(range(1, count + 1))
    going = data.draw(st.dictionaries(st.integers(2, 8), st.lists(st.integers(1, 30), max_size=8), max_size=4))

    def leave(call: int, listed: list[int]) -> None:
        for number in going.get(call, []):
            stay.discard(number)
            if number in listed:
                listed.remove(number)

    shop(server, ids, leave, header=header)
    assert stay <= set(read(server, size=data.draw(st.integers(2, 6))))


def test_an_entry_that_joins_in_the_middle_moves_the_others_and_none_is_missed(server: Loopback) -> None:
    def joins(call: int, ids: list[int]) -> None:
        if call == 3:
            ids.append(2)

    shop(server, [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], joins)
    assert set(read(server)) >= {1, *range(3, 13)}


def test_as_many_may_join_as_leave(server: Loopback) -> None:
    """The list is as long as before, and yet everything has moved."""

    def swap(call: int, ids: list[int]) -> None:
        if call == 2:
            ids[:] = [number for number in ids if number > 2] + [13, 14]

    shop(server, list(range(1, 13)), swap)
    assert set(read(server)) >= set(range(3, 15))


def test_an_entry_that_cannot_be_shown_ends_no_list(server: Loopback) -> None:
    def answer(seen: Seen) -> Reply:
        start = int(seen.query["offset"])
        shown = [{"id": number} for number in range(1, 13)[start : start + 4] if number not in (4, 7)]
        return reply(shown, headers={"X-WP-Total": "12"})

    server.answer = answer
    assert set(read(server)) == {1, 2, 3, 5, 6, 8, 9, 10, 11, 12}


def test_a_page_turned_round_is_the_same_page(server: Loopback) -> None:
    def answer(seen: Seen) -> Reply:
        start = int(seen.query["offset"])
        shown = [{"id": number} for number in range(1, 13)[start : start + 4]]
        return reply(shown[::-1], headers={"X-WP-Total": "12"})

    server.answer = answer
    assert sorted(read(server)) == list(range(1, 13))


@pytest.mark.parametrize("header", [True, False])
def test_a_shop_that_gives_the_same_page_again_is_noticed(server: Loopback, header: bool) -> None:
    total = {"X-WP-Total": "12"} if header else None
    server.answer = lambda _: reply([{"id": number} for number in range(1, 5)], headers=total)
    with pytest.raises(PermanentError, match=r"woocommerce GET /orders gave the same page of 4 rows twice"):
        read(server)


def test_a_shop_that_lists_the_newest_first_is_noticed(server: Loopback) -> None:
    def answer(seen: Seen) -> Reply:
        start = int(seen.query["offset"])
        return reply([{"id": 100 - place} for place in range(start, start + 4)], headers={"X-WP-Total": "50"})

    server.answer = answer
    with pytest.raises(PermanentError, match="did not keep to the order"):
        read(server)


def test_a_shop_that_never_comes_to_rest_is_given_up(server: Loopback) -> None:
    calls = iter(range(10_000))

    def answer(seen: Seen) -> Reply:
        # Shorter with every answer, and the entry read last is never there again.
        call, start = next(calls), int(seen.query["offset"])
        shown = [{"id": number} for number in range(1, 5)] if start == 0 else [{"id": 9}]
        return reply(shown if call % 2 == 0 else shown[-1:], headers={"X-WP-Total": str(1000 - call)})

    server.answer = answer
    with pytest.raises(TransientError, match="keeps changing while it is read"):
        read(server)
