"""Ids are minted once, follow merges, and come back when a merge is undone."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.domain.minting import Known, decided_anew, former_nodes, given_back, regrouped, reshaped
from scoring_platform_tests.domain.identities import (
    LIMIT,
    SMALL,
    customers,
    grouped,
    kept,
    minted_from,
    order,
    published,
    resolution,
    resolve,
    together,
    whose,
    without_devices,
    worlds,
)
from scoring_platform_tests.domain.tables import DAY, Database, before

SEEDS = st.integers(0, 2**32 - 1)


def test_the_id_is_a_hash_of_the_earliest_identifier(db: Database) -> None:
    found = resolve(db, orders=[order("r1", "a@example.jp"), order(None, "a@example.jp", before(3))])

    assert set(customers(found).values()) == {minted_from("email||a@example.jp")}


def test_an_id_stays_when_an_earlier_fact_arrives_late(db: Database) -> None:
    first = resolve(db, orders=[order("r1", "a@example.jp", before(1))])
    late = [order("r1", "a@example.jp", before(1)), order("r1", "b@example.jp", before(30))]
    second = resolve(db, kept(first), orders=late)

    assert set(customers(second).values()) == set(customers(first).values())
    assert customers(second)["b@example.jp"] == customers(first)["r1"]


def test_a_merged_customer_keeps_the_earlier_id(db: Database) -> None:
    apart = [order("r1", "a@example.jp", before(9)), order("r2", "b@example.jp", before(5))]
    first = resolve(db, orders=apart)
    second = resolve(db, kept(first), orders=[*apart, order("r1", "b@example.jp")])

    assert set(customers(second).values()) == {customers(first)["r1"]}


@pytest.mark.parametrize("known", ["first", "nothing"])
def test_a_device_neither_gives_an_id_nor_takes_one_along(db: Database, known: str) -> None:
    early, orders = {"client_id": "d1", "as_of": before(9)}, [order("r1", None, before(8))]
    first = resolve(db, events=[early], orders=orders)
    met = {"client_id": "d1", "customer_ref": "r1", "as_of": before(1)}
    second = resolve(db, kept(first) if known == "first" else None, events=[early, met], orders=orders)

    assert set(customers(second).values()) == {minted_from("customer_ref|shop|r1")}


def test_a_device_that_changes_hands_leaves_the_id_with_its_people(db: Database) -> None:
    late, early = {"email": "z@example.jp", "as_of": before(3)}, {"client_id": "d1", "as_of": before(9)}
    first = resolve(db, events=[early, {**late, "client_id": "d1"}])
    orders = [order(None, "a@example.jp", before(2))]
    now = [early, late, {"client_id": "d1", "email": "a@example.jp", "as_of": before(2)}]
    second = resolve(db, kept(first), events=now, orders=orders)

    assert customers(second)["z@example.jp"] == customers(first)["z@example.jp"]
    assert customers(second)["d1"] == customers(second)["a@example.jp"] == minted_from("email||a@example.jp")


def test_a_device_that_changes_hands_is_no_merge_and_one_that_joins_two_is(db: Database) -> None:
    orders = [order("r1", None, before(9)), order(None, "z@example.jp", before(5))]
    own, other = {"client_id": "d1", "customer_ref": "r1"}, {"client_id": "d1", "email": "z@example.jp"}
    first = resolve(db, orders=orders, events=[own])
    handed = resolution(db, kept(first), orders=orders, events=[other])
    joined = db.rows(resolution(db, kept(first), orders=orders, events=[own, other]).merges)

    assert customers(db.rows(handed.identities))["d1"] == customers(first)["z@example.jp"]
    assert db.rows(handed.merges) == []
    assert [(row["former_id"], row["customer_id"]) for row in joined] == [
        (customers(first)["z@example.jp"], customers(first)["r1"])
    ]


def test_an_id_is_not_made_from_what_only_visited_before_somebody_was_known(db: Database) -> None:
    visits = [{"customer_ref": "r1", "as_of": before(9)}, {"customer_ref": "r1", "client_id": "d1", "as_of": DAY}]
    orders = [order(None, "z@example.jp", before(5))]
    first = resolve(db, web_activity=visits[:1], orders=orders)
    met = [{"client_id": "d1", "email": "z@example.jp"}]
    days = resolve(db, kept(first), web_activity=visits, orders=orders, events=met)
    at_once = resolve(db, web_activity=visits, orders=orders, events=met)

    assert customers(days) == customers(at_once)
    assert set(customers(days).values()) == {minted_from("email||z@example.jp")}


def test_customers_that_come_apart_do_not_share_an_id(db: Database) -> None:
    crowd = [order(f"r{n}", "info@example.jp", before(20 - n)) for n in range(LIMIT + 1)]
    first = resolve(db, orders=crowd[:-1])
    second = resolve(db, kept(first), orders=crowd)
    third = resolve(db, kept(second), orders=crowd)

    assert len(set(customers(first).values())) == 1
    assert len(set(customers(second).values())) == len(second)
    assert customers(second)["r0"] == customers(first)["r0"], "the id stays with the identifier it was made from"
    assert customers(third) == customers(second)


def test_a_device_that_finds_its_owner_and_customers_that_came_apart_are_regrouped(db: Database) -> None:
    visits, orders = [{"client_id": "d1", "as_of": before(9)}], [order("r1", None, before(8))]
    then = resolve(db, web_activity=visits, orders=orders)
    met = [{"client_id": "d1", "email": "a@example.jp"}]
    now = resolve(db, kept(then), web_activity=visits, orders=orders, events=met)
    same = regrouped(whose(published(then)), whose(published(then)), DAY)
    moved = regrouped(whose(published(now)), whose(published(then)), DAY)

    assert db.rows(same) == []
    assert {row["node"] for row in db.rows(moved)} == {"client_id||d1", "email||a@example.jp"}


def test_a_merge_regroups_the_identifiers_of_the_customer_that_is_gone(db: Database) -> None:
    apart = [order("r1", "a@example.jp", before(9)), order("r2", "b@example.jp", before(5))]
    then = resolve(db, orders=apart)
    now = resolve(db, kept(then), orders=[*apart, order("r1", "b@example.jp")])
    moved = regrouped(whose(published(now)), whose(published(then)), DAY)

    assert {row["node"] for row in db.rows(moved)} == {"customer_ref|shop|r2", "email||b@example.jp"}


@given(then=SEEDS, later=SEEDS)
@settings(max_examples=2, deadline=None)
def test_an_id_once_given_is_kept_or_replaced_by_one_other(db: Database, then: int, later: int) -> None:
    facts = without_devices(together(worlds(then)))
    first = resolve(db, events=facts)
    second = resolve(db, kept(first), events=[*facts, *without_devices(together(worlds(later)))])
    now = {(row["id_kind"], row["id_value"]): row["customer_id"] for row in second}
    successors: dict[str, set[str]] = defaultdict(set)
    for row in first:
        successors[row["customer_id"]].add(now[row["id_kind"], row["id_value"]])

    for then_id, found in successors.items():
        assert found == {then_id} if then_id in set(now.values()) else len(found) == 1


@given(then=SEEDS, later=SEEDS)
@settings(max_examples=2, deadline=None)
def test_no_two_customers_have_one_id_even_after_coming_apart(db: Database, then: int, later: int) -> None:
    first = resolve(db, events=together(worlds(then)))
    facts = [*together(worlds(then)), *together(worlds(later))]
    second = resolve(db, kept(first), rules=SMALL, events=facts)

    assert grouped(second) == grouped(resolve(db, rules=SMALL, events=facts))


def undone(rows: list[dict[str, Any]], merges: list[dict[str, Any]], *formers: list[dict[str, Any]]) -> Known:
    """What a run knows once the merges found after ``rows`` are undone; ``formers`` held what ``former_nodes`` says."""
    held = {one["former_id"]: one["former_id"] for one in merges} | {
        row["held"]: row["former_id"] for former in formers for row in former
    }
    restored = [{"held": one, "customer_id": former} for one, former in held.items()]
    links = ibis.memtable([{"link": one["link"]} for one in merges], schema={"link": "string"})
    kinds = {"held": "string", "customer_id": "string"}
    return Known(given_back(kept(rows).minted, ibis.memtable(restored, schema=kinds)), undone_links=links)


def test_a_merge_names_the_links_without_which_the_two_are_apart(db: Database) -> None:
    apart = [order("r1", "a@example.jp", before(9)), order("r2", "b@example.jp", before(5))]
    first = resolve(db, orders=apart)
    later = [*apart, order("r1", "b@example.jp"), order("r1", "new@example.jp")]
    found = resolution(db, kept(first), orders=later)
    second = db.rows(found.identities)
    merges = db.rows(found.merges)
    third = resolve(db, undone(second, merges), orders=later)

    assert {(row["former_id"], row["customer_id"]) for row in merges} == {
        (customers(first)["r2"], customers(first)["r1"])
    }
    assert len(merges) == 1
    assert {name: customers(third)[name] for name in customers(first)} == customers(first)
    assert customers(third)["new@example.jp"] == customers(first)["r1"]


def test_a_new_identifier_that_came_to_both_stays_with_the_customer_that_kept_its_id(db: Database) -> None:
    apart = [order("r1", None, before(9)), order("r2", None, before(5))]
    first = resolve(db, orders=apart)
    later = [*apart, order("r1", "both@example.jp"), order("r2", "both@example.jp")]
    found = resolution(db, kept(first), orders=later)
    third = customers(resolve(db, undone(db.rows(found.identities), db.rows(found.merges)), orders=later))

    assert third == {**customers(first), "both@example.jp": customers(first)["r1"]}


def test_an_undone_merge_stays_undone_and_a_new_link_is_a_new_merge(db: Database) -> None:
    apart = [order("r1", "a@example.jp", before(9)), order("r2", "b@example.jp", before(5))]
    first = resolve(db, orders=apart)
    later = [*apart, order("r1", "b@example.jp")]
    merge = db.rows(resolution(db, kept(first), orders=later).merges)
    again = resolution(db, undone(first, merge), orders=[*later, order("r1", "b@example.jp", before(1))])
    other = resolution(db, undone(first, merge), orders=[*later, order("r2", "a@example.jp")])

    assert db.rows(again.merges) == []
    assert customers(db.rows(again.identities)) == customers(first)
    assert {row["former_id"] for row in db.rows(other.merges)} == {customers(first)["r2"]}
    assert not {row["link"] for row in db.rows(other.merges)} & {row["link"] for row in merge}


@given(then=SEEDS, later=SEEDS)
@settings(max_examples=2, deadline=None)
def test_merging_then_undoing_is_the_original(db: Database, then: int, later: int) -> None:
    facts = without_devices(together(worlds(then)))
    first = resolve(db, events=facts)
    more = [*facts, *without_devices(together(worlds(later)))]
    found = resolution(db, kept(first), events=more)
    second = db.rows(found.identities)
    third = customers(resolve(db, undone(second, db.rows(found.merges)), events=more))

    united_by = {customers(second)[name] for name in customers(first)}
    assert (len(set(customers(first).values())) > len(united_by)) == bool(db.rows(found.merges))
    assert {name: third[name] for name in customers(first)} == customers(first)


@pytest.mark.parametrize("gone", ["r2", "r1"])
def test_an_undone_merge_gives_the_ids_back_though_what_they_were_made_from_is_gone(db: Database, gone: str) -> None:
    apart = [
        order("r1", "a@example.jp", before(9)), order("k1", "a@example.jp", before(8)),
        order("r2", "b@example.jp", before(5)), order("k2", "b@example.jp", before(4)),
    ]  # fmt: skip
    first = resolve(db, orders=apart)
    both = resolution(db, kept(first), orders=[*apart, order("k1", "b@example.jp")])
    merges, second = db.rows(both.merges), db.rows(both.identities)
    held = db.rows(former_nodes(both.merges, whose(published(second)), whose(published(first))))
    left = [one for one in apart if one["customer_ref"] != gone]
    known = undone(second, merges, held)
    third = customers(resolve(db, known, orders=[*left, order("k1", "b@example.jp")]))

    assert {row["held"] for row in held} == {
        minted_from(node) for node in ("customer_ref|shop|r2", "customer_ref|shop|k2", "email||b@example.jp")
    }
    assert third == {name: one for name, one in customers(first).items() if name != gone}


def test_a_merge_that_another_link_upholds_is_found_again_when_it_is_undone(db: Database) -> None:
    apart = [order("r1", "a@example.jp", before(9)), order("r2", "b@example.jp", before(5))]
    first = resolve(db, orders=apart)
    once = [*apart, order("r1", "b@example.jp", before(1))]
    merge = db.rows(resolution(db, kept(first), orders=once).merges)
    twice = [*once, order("r2", "a@example.jp")]
    second = resolve(db, kept(resolve(db, kept(first), orders=once)), orders=twice)
    again = resolution(db, undone(second, merge), orders=twice)

    assert set(customers(db.rows(again.identities)).values()) == {customers(first)["r1"]}
    assert {row["former_id"] for row in db.rows(again.merges)} == {customers(first)["r2"]}
    assert not {row["link"] for row in db.rows(again.merges)} & {row["link"] for row in merge}


def test_a_restored_customer_goes_its_own_way(db: Database) -> None:
    first = resolve(db, orders=[order("r1", "a@example.jp")])
    (customer,) = set(customers(first).values())
    restored = ibis.memtable([{"held": minted_from("email||a@example.jp"), "customer_id": customer}])
    moved = [{**row, "customer_id": "c9"} if row["id_kind"] == "email" else row for row in first]

    assert db.rows(given_back(kept(moved).minted, restored)) == db.rows(
        kept(moved).minted.select("node", "customer_id")
    )


def test_the_consents_of_one_hold_for_the_visits_of_all_after_a_merge(db: Database) -> None:
    apart = [order("r1", "a@example.jp", before(9)), order("r2", "b@example.jp", before(5)), order("r3", None)]
    first = resolve(db, orders=apart)
    second = resolve(db, kept(first), orders=[*apart, order("r1", "b@example.jp")])
    nodes = {row["node"] for row in db.rows(decided_anew(whose(published(second)), whose(published(first)), DAY))}

    assert nodes == {"customer_ref|shop|r1", "email||a@example.jp", "customer_ref|shop|r2", "email||b@example.jp"}
    assert db.rows(decided_anew(whose(published(first)), whose(published(first)), DAY)) == []


def test_customers_are_reshaped_by_merging_and_by_coming_apart_but_not_by_what_is_new(db: Database) -> None:
    apart = [order("r1", "a@example.jp", before(9)), order("r2", "b@example.jp", before(5)), order("r3", None)]
    one = resolve(db, orders=apart)
    two = resolve(db, kept(one), orders=[*apart, order("r1", "b@example.jp"), order("r3", "new@example.jp")])
    both = {customers(one)["r1"], customers(one)["r2"]}

    def found(now: list[dict[str, Any]], then: list[dict[str, Any]]) -> set[str]:
        return {row["customer_id"] for row in db.rows(reshaped(whose(published(now)), whose(published(then))))}

    assert found(two, one) == found(one, [row for row in two if row["id_value"] != "new@example.jp"]) == both
    assert found(one, one) == set()
