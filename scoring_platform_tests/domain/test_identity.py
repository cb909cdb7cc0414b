from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import md5
from random import Random
from typing import Any
from unittest.mock import patch

import ibis.expr.types as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.domain import identity, normalise
from scoring_platform.domain.measures import with_current_ids
from scoring_platform_tests.domain.tables import DAY, SHOPS, Database, activity, before, frame, table

FACTS = {
    "orders": "raw_orders",
    "customers": "raw_customers",
    "email_events": "raw_email_events",
    "web_activity": "raw_web_activity",
    "tickets": "raw_support_tickets",
    "events": "raw_events",
    "contacts": "raw_crm_contacts",
    "responses": "raw_nps_responses",
}
Rows = Sequence[Mapping[str, Any]]


def records(db: Database, given: Mapping[str, Rows]) -> identity.Records:
    """Raw tables; those left out are empty."""
    tables = {}
    for field, name in FACTS.items():
        rows = given.get(field)
        tables[field] = db.empty(name) if rows is None else table(name, *rows)
    for field in ("customers", "contacts"):
        tables[field] = tables[field].mutate(created_on=tables[field].as_of)
    return identity.Records(**tables, shops=SHOPS)


def resolve(db: Database, minted: ir.Table | None = None, **given: Rows) -> list[dict[str, Any]]:
    known = identity.owners(db.empty("customer_identities"), SHOPS) if minted is None else minted
    return db.rows(identity.resolve(records(db, given), known, materialise=db.materialise))


def customers(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Customer by identifier."""
    return {row["id_value"]: row["customer_id"] for row in rows}


def published(rows: list[dict[str, Any]]) -> ir.Table:
    return table("customer_identities", *[{**row, "as_of": DAY} for row in rows])


def order(ref: str | None, email: str | None, day: date = DAY, source: str = "shop") -> dict[str, Any]:
    return {"customer_ref": ref, "email": email, "as_of": day, "source": source}


def minted_from(node: str) -> str:
    return f"c{md5(node.encode()).hexdigest()[:16]}"


@pytest.mark.parametrize(
    "written", ["A@Example.JP", "  a@example.jp ", "ａ＠ｅｘａｍｐｌｅ．ｊｐ", "\u3000a@example.jp", "a@example.jp\n"]
)
def test_an_address_is_the_same_in_other_case_width_and_spacing(db: Database, written: str) -> None:
    found = resolve(db, orders=[order("r1", "a@example.jp"), order("r2", written)])

    assert customers(found)["r1"] == customers(found)["r2"]


@pytest.mark.parametrize("written", ["", "n/a", "a@", "@example.jp", "a@b", "a b@example.jp", "a@@example.jp"])
def test_what_is_no_address_is_nobodys_address(db: Database, written: str) -> None:
    given_as = frame({"email": "string"}, [{"email": written}])

    assert db.one(given_as.select(found=normalise.email(given_as.email)))["found"] is None


def test_guests_are_known_by_their_address(db: Database) -> None:
    found = customers(resolve(db, orders=[order(None, "g@example.jp"), order(None, "h@example.jp")]))

    assert len(set(found.values())) == 2


def test_an_order_without_customer_and_address_is_nobodys(db: Database) -> None:
    assert resolve(db, orders=[order(None, None), order(" ", "")]) == []


def test_accounts_of_two_shops_with_one_number_are_two_customers(db: Database) -> None:
    found = resolve(db, orders=[order("r1", None), order("r1", None, source="files")])

    assert len({row["customer_id"] for row in found}) == 2


def test_a_number_in_another_system_is_that_of_the_first_shop_and_a_shops_own_of_that_shop(db: Database) -> None:
    found = resolve(
        db,
        orders=[order("r1", None), order("r1", None, source="files")],
        events=[{"customer_ref": "r1", "source": "crm"}, {"customer_ref": "r1", "source": "files"}],
    )
    of = {(row["source"], row["id_value"]): row["customer_id"] for row in found}

    assert of["crm", "r1"] == of["shop", "r1"] != of["files", "r1"]
    assert len(found) == 3


def test_a_mailbox_of_too_many_accounts_links_nobody(db: Database) -> None:
    shared = [order(f"r{n}", "info@example.jp") for n in range(identity.SHARED_LIMIT + 1)]
    found = resolve(db, orders=shared)
    just_enough = resolve(db, orders=shared[:-1])

    assert len({row["customer_id"] for row in found}) == identity.SHARED_LIMIT + 1
    assert len({row["customer_id"] for row in just_enough}) == 1


def test_a_number_used_for_every_guest_links_nobody(db: Database) -> None:
    found = resolve(db, orders=[order("0", f"g{n}@example.jp") for n in range(identity.SHARED_LIMIT + 1)])

    assert len({row["customer_id"] for row in found}) == identity.SHARED_LIMIT + 1


def test_a_person_with_many_devices_is_still_one_person(db: Database) -> None:
    devices = [{"email": "a@example.jp", "client_id": f"d{n}"} for n in range(identity.SHARED_LIMIT + 5)]
    found = resolve(db, orders=[order("r1", "a@example.jp")], events=devices)

    assert len({row["customer_id"] for row in found}) == 1


def test_a_device_alone_is_nobody_until_it_belongs_to_someone(db: Database) -> None:
    visit = {"client_id": "d1", "as_of": before(9)}

    assert resolve(db, web_activity=[visit]) == []
    assert resolve(db, web_activity=[visit, {"client_id": "d1", "customer_ref": "r1"}]) == [], "consent is not known"
    found = resolve(db, web_activity=[visit, {"client_id": "d1", "customer_ref": "r1"}], orders=[order("r1", None)])
    assert {row["id_value"] for row in found} == {"d1", "r1"}
    assert len({row["customer_id"] for row in found}) == 1


def test_identifiers_of_every_table_are_known(db: Database) -> None:
    found = resolve(
        db,
        orders=[order("r1", "1@example.jp")],
        customers=[{"customer_ref": "r2", "email": "2@example.jp"}],
        email_events=[{"email": "3@example.jp"}],
        web_activity=[{"customer_ref": "r4"}],
        tickets=[{"email": "5@example.jp"}],
        events=[{"customer_ref": "r6", "email": "6@example.jp"}],
        contacts=[{"crm_id": "k7", "email": "7@example.jp", "source": "hubspot"}],
        responses=[
            {"identity_kind": "email", "identity_key": "8@example.jp"},
            {"identity_kind": "customer_id", "identity_key": "r9"},
        ],
    )

    # The site's visitors and who answers surveys are matched, not made.
    assert {row["id_value"] for row in found} == {
        *("r1", "r2", "r6", "k7"),
        *(f"{n}@example.jp" for n in (1, 2, 3, 5, 6, 7)),
    }
    assert len({row["customer_id"] for row in found}) == 6


def test_visits_and_answers_do_not_make_a_customer_known_earlier(db: Database) -> None:
    found = resolve(
        db,
        orders=[order("r1", "a@example.jp", before(2))],
        web_activity=[{"customer_ref": "r1", "source": "ga4", "as_of": before(9)}],
        responses=[{"identity_kind": "email", "identity_key": "a@example.jp", "source": "forms", "as_of": before(7)}],
    )

    assert len({row["customer_id"] for row in found}) == 1
    assert {row["first_seen_on"] for row in found} == {before(2)}


def test_the_id_is_a_hash_of_the_earliest_identifier(db: Database) -> None:
    found = resolve(db, orders=[order("r1", "a@example.jp"), order(None, "a@example.jp", before(3))])

    assert set(customers(found).values()) == {minted_from("email||a@example.jp")}


def test_an_id_stays_when_an_earlier_fact_arrives_late(db: Database) -> None:
    first = resolve(db, orders=[order("r1", "a@example.jp", before(1))])
    late = [order("r1", "a@example.jp", before(1)), order("r1", "b@example.jp", before(30))]
    second = resolve(db, identity.owners(published(first), SHOPS), orders=late)

    assert set(customers(second).values()) == set(customers(first).values())
    assert customers(second)["b@example.jp"] == customers(first)["r1"]


def test_a_merged_customer_keeps_the_earlier_id_and_its_facts_follow(db: Database) -> None:
    apart = [order("r1", "a@example.jp", before(9)), order("r2", "b@example.jp", before(5))]
    first = resolve(db, orders=apart)
    second = resolve(db, identity.owners(published(first), SHOPS), orders=[*apart, order("r1", "b@example.jp")])
    survivor, gone = customers(first)["r1"], customers(first)["r2"]
    merged = identity.merged_ids(published(second), SHOPS)
    facts = with_current_ids(activity({"customer_id": gone}, {"customer_id": survivor}), merged)

    assert set(customers(second).values()) == {survivor}
    assert (gone, survivor) in db.rows(merged, "former_id", "customer_id")
    assert db.rows(facts, "customer_id") == [(survivor,), (survivor,)]


def test_customers_that_come_apart_do_not_share_an_id(db: Database) -> None:
    crowd = [order(f"r{n}", "info@example.jp", before(20 - n)) for n in range(identity.SHARED_LIMIT + 1)]
    first = resolve(db, orders=crowd[:-1])
    second = resolve(db, identity.owners(published(first), SHOPS), orders=crowd)
    third = resolve(db, identity.owners(published(second), SHOPS), orders=crowd)

    assert len(set(customers(first).values())) == 1
    assert len(set(customers(second).values())) == len(second)
    assert customers(second)["r0"] == customers(first)["r0"], "the id stays with the identifier it was made from"
    assert customers(third) == customers(second)


def test_a_device_that_finds_its_owner_and_customers_that_came_apart_are_regrouped(db: Database) -> None:
    facts = {"web_activity": [{"client_id": "d1", "as_of": before(9)}], "orders": [order("r1", None, before(8))]}
    then = resolve(db, **facts)
    now = resolve(
        db, identity.owners(published(then), SHOPS), **facts, events=[{"client_id": "d1", "email": "a@example.jp"}]
    )
    same = identity.regrouped(published(then), published(then), SHOPS)
    moved = identity.regrouped(published(now), published(then), SHOPS)

    assert db.rows(same) == []
    assert db.rows(moved, "node", "first_seen_on") == [("client_id||d1", before(9))]


def test_a_merge_alone_regroups_nothing(db: Database) -> None:
    apart = [order("r1", "a@example.jp", before(9)), order("r2", "b@example.jp", before(5))]
    then = resolve(db, orders=apart)
    now = resolve(db, identity.owners(published(then), SHOPS), orders=[*apart, order("r1", "b@example.jp")])

    assert db.rows(identity.regrouped(published(now), published(then), SHOPS)) == []


@pytest.mark.parametrize("length", [61, 200])
def test_a_long_chain_is_one_customer(db: Database, length: int) -> None:
    # Names in an order that has nothing to do with the chain.
    names = [md5(str(n).encode()).hexdigest() for n in range(length + 1)]
    chain = [order(names[n], f"{names[n + step]}@example.jp") for n in range(length) for step in (0, 1)]

    assert len({row["customer_id"] for row in resolve(db, orders=chain)}) == 1


LIMIT = 2
seeds = st.integers(0, 2**32 - 1)


def worlds(seed: int) -> list[Rows]:
    """Small worlds, each with identifiers of its own, to be resolved at once: the cost is per query, not per row."""
    chance = Random(seed)
    return [[_fact(chance) for _ in range(chance.randint(0, 10))] for _ in range(40)]


def _fact(chance: Random) -> dict[str, Any]:
    return {
        "customer_ref": chance.choice(["r1", "r2", "r3", "r4", None]),
        "email": chance.choice(["a@example.jp", "b@example.jp", "c@example.jp", None]),
        "client_id": chance.choice(["d1", "d2", None]),
        "as_of": before(chance.randint(0, 5)),
    }


def together(given: Sequence[Rows]) -> list[dict[str, Any]]:
    kinds = ("customer_ref", "email", "client_id")
    return [
        {**row, **{kind: row[kind] and f"w{number}-{row[kind]}" for kind in kinds}}
        for number, rows in enumerate(given)
        for row in rows
    ]


def expected(given_facts: Rows) -> set[frozenset[str]]:
    """The same by a graph in plain Python: groups of identifiers, devices alone and shared ones left out."""
    held = [
        [f"{kind}|{row[kind]}" for kind in ("customer_ref", "email", "client_id") if row[kind]] for row in given_facts
    ]
    links = {(one, other) for group in held for one in group for other in group if one != other}
    others: dict[str, set[str]] = {}
    for one, other in links:
        others.setdefault(one, set()).update(() if other.startswith("client_id") else {other})
    groups = {name: {name} for group in held for name in group}
    for one, other in links:
        if max(len(others[one]), len(others[other])) <= LIMIT and groups[one] is not groups[other]:
            groups[one] |= groups[other]
            for name in groups[other]:
                groups[name] = groups[one]
    found = {frozenset(group) for group in groups.values()}
    own = {name for name in groups if not name.startswith("client_id") and len(others.get(name, ())) <= LIMIT}
    return {group for group in found if group & own}


def grouped(rows: list[dict[str, Any]]) -> set[frozenset[str]]:
    groups: dict[str, set[str]] = {}
    for row in rows:
        groups.setdefault(row["customer_id"], set()).add(f"{row['id_kind']}|{row['id_value']}")
    return {frozenset(group) for group in groups.values()}


@given(seed=seeds)
@settings(max_examples=2, deadline=None)
def test_resolving_is_right_in_any_order_and_again(db: Database, seed: int) -> None:
    facts = together(worlds(seed))
    with patch.object(identity, "SHARED_LIMIT", LIMIT):
        first = resolve(db, events=facts)
        other_home = resolve(db, events=facts[::-1])
        again = resolve(db, identity.owners(published(first), SHOPS), events=facts)

    assert grouped(first) == expected(facts)
    assert other_home == first
    assert again == first


@given(then=seeds, later=seeds)
@settings(max_examples=2, deadline=None)
def test_an_id_once_given_is_kept_or_leads_to_the_one_that_replaced_it(db: Database, then: int, later: int) -> None:
    facts = together(worlds(then))
    first = resolve(db, events=facts)
    second = resolve(db, identity.owners(published(first), SHOPS), events=[*facts, *together(worlds(later))])
    merged = dict(db.rows(identity.merged_ids(published(second), SHOPS), "former_id", "customer_id"))
    now = {(row["id_kind"], row["id_value"]): row["customer_id"] for row in second}
    standing = set(now.values())

    for row in first:
        then_id = row["customer_id"]
        assert now[row["id_kind"], row["id_value"]] == (then_id if then_id in standing else merged[then_id])


@given(then=seeds, later=seeds)
@settings(max_examples=2, deadline=None)
def test_no_two_customers_have_one_id_even_after_coming_apart(db: Database, then: int, later: int) -> None:
    first = resolve(db, events=together(worlds(then)))
    facts = [*together(worlds(then)), *together(worlds(later))]
    with patch.object(identity, "SHARED_LIMIT", LIMIT):
        second = resolve(db, identity.owners(published(first), SHOPS), events=facts)

    assert grouped(second) == expected(facts)
