"""Ids are minted once, follow merges, and come back when a merge is undone."""

from __future__ import annotations

import ibis
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.domain.measures import with_current_ids
from scoring_platform.domain.minting import Known, merged_ids, regrouped, united
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
from scoring_platform_tests.domain.tables import DAY, Database, activity, before

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


def test_a_merged_customer_keeps_the_earlier_id_and_its_facts_follow(db: Database) -> None:
    apart = [order("r1", "a@example.jp", before(9)), order("r2", "b@example.jp", before(5))]
    first = resolve(db, orders=apart)
    second = resolve(db, kept(first), orders=[*apart, order("r1", "b@example.jp")])
    survivor, gone = customers(first)["r1"], customers(first)["r2"]
    merged = merged_ids(whose(published(second)))
    facts = with_current_ids(activity({"customer_id": gone}, {"customer_id": survivor}), merged)

    assert set(customers(second).values()) == {survivor}
    assert (gone, survivor) in db.rows(merged, "former_id", "customer_id")
    assert db.rows(facts, "customer_id") == [(survivor,), (survivor,)]


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


def test_a_merge_alone_regroups_nothing(db: Database) -> None:
    apart = [order("r1", "a@example.jp", before(9)), order("r2", "b@example.jp", before(5))]
    then = resolve(db, orders=apart)
    now = resolve(db, kept(then), orders=[*apart, order("r1", "b@example.jp")])

    assert db.rows(regrouped(whose(published(now)), whose(published(then)), DAY)) == []


@given(then=SEEDS, later=SEEDS)
@settings(max_examples=2, deadline=None)
def test_an_id_once_given_is_kept_or_leads_to_the_one_that_replaced_it(db: Database, then: int, later: int) -> None:
    facts = without_devices(together(worlds(then)))
    first = resolve(db, events=facts)
    second = resolve(db, kept(first), events=[*facts, *without_devices(together(worlds(later)))])
    merged = dict(db.rows(merged_ids(whose(published(second))), "former_id", "customer_id"))
    now = {(row["id_kind"], row["id_value"]): row["customer_id"] for row in second}
    standing = set(now.values())

    for row in first:
        then_id = row["customer_id"]
        assert now[row["id_kind"], row["id_value"]] == (then_id if then_id in standing else merged[then_id])


@given(then=SEEDS, later=SEEDS)
@settings(max_examples=2, deadline=None)
def test_no_two_customers_have_one_id_even_after_coming_apart(db: Database, then: int, later: int) -> None:
    first = resolve(db, events=together(worlds(then)))
    facts = [*together(worlds(then)), *together(worlds(later))]
    second = resolve(db, kept(first), rules=SMALL, events=facts)

    assert grouped(second) == grouped(resolve(db, rules=SMALL, events=facts))


def undone(rows: list[dict[str, object]], merges: list[dict[str, object]]) -> Known:
    """What a run knows once the merges found after ``rows`` are undone."""
    return Known(
        kept(rows).minted,
        undone_links=ibis.memtable([{"link": one["link"]} for one in merges], schema={"link": "string"}),
        restored=ibis.memtable([{"customer_id": one["former_id"]} for one in merges], schema={"customer_id": "string"}),
    )


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


def test_the_consents_of_one_hold_for_the_visits_of_all_after_a_merge(db: Database) -> None:
    apart = [order("r1", "a@example.jp", before(9)), order("r2", "b@example.jp", before(5)), order("r3", None)]
    first = resolve(db, orders=apart)
    second = resolve(db, kept(first), orders=[*apart, order("r1", "b@example.jp")])
    nodes = {row["node"] for row in db.rows(united(whose(published(second)), whose(published(first))))}

    assert nodes == {"customer_ref|shop|r1", "email||a@example.jp", "customer_ref|shop|r2", "email||b@example.jp"}
    assert db.rows(united(whose(published(first)), whose(published(first)))) == []
