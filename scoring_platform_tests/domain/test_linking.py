"""Two records of one person become one customer, and two persons never do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from hashlib import md5
from itertools import combinations
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring_platform.config.scoring import EmailProvider
from scoring_platform.domain import identity
from scoring_platform.domain.linking import Bounds
from scoring_platform_tests.domain.identities import (
    KINDS,
    LIMIT,
    SMALL,
    Rows,
    customers,
    grouped,
    kept,
    order,
    resolution,
    resolve,
    together,
    worlds,
)
from scoring_platform_tests.domain.tables import SCOPES, Database


def test_a_mailbox_of_too_many_accounts_links_nobody(db: Database) -> None:
    shared = [order(f"r{n}", "info@example.jp") for n in range(LIMIT + 1)]
    found = resolve(db, orders=shared)
    just_enough = resolve(db, orders=shared[:-1])

    assert len({row["customer_id"] for row in found}) == LIMIT + 1
    assert len({row["customer_id"] for row in just_enough}) == 1


def test_a_number_used_for_every_guest_links_nobody(db: Database) -> None:
    found = resolve(db, orders=[order("0", f"g{n}@example.jp") for n in range(LIMIT + 1)])

    assert len({row["customer_id"] for row in found}) == LIMIT + 1


def test_a_person_with_many_devices_is_still_one_person(db: Database) -> None:
    devices = [{"email": "a@example.jp", "client_id": f"d{n}"} for n in range(LIMIT + 5)]
    found = resolve(db, orders=[order("r1", "a@example.jp")], events=devices)

    assert len({row["customer_id"] for row in found}) == 1


@pytest.mark.parametrize("length", [61])
def test_a_long_chain_is_one_customer(db: Database, length: int) -> None:
    # Names in an order that has nothing to do with the chain.
    names = [md5(str(n).encode()).hexdigest() for n in range(length + 1)]
    chain = [order(names[n], f"{names[n + step]}@example.jp") for n in range(length) for step in (0, 1)]

    rules = identity.Rules(SCOPES, Bounds(group=3 * length))
    assert len({row["customer_id"] for row in resolve(db, rules=rules, orders=chain)}) == 1
    found = resolution(db, rules=identity.Rules(SCOPES, Bounds(group=length)), orders=chain)
    rows = db.rows(found.identities)
    assert len({row["customer_id"] for row in rows}) == len(rows), "a crowd is no person"
    assert {row["reason"] for row in db.rows(found.set_aside)} == {
        f"one of {len(rows)} linked identifiers, more than identity.group_limit ({length})"
    }


def test_what_is_shared_is_set_aside_with_the_reason(db: Database) -> None:
    found = resolution(db, orders=[order(f"r{n}", "info@example.jp") for n in range(LIMIT + 1)])

    assert db.rows(found.set_aside, "id_kind", "id_value", "reason") == [
        ("email", "info@example.jp", "seen with 11 different accounts, more than identity.shared_limit (10)")
    ]


def test_a_person_with_accounts_addresses_and_records_of_each_kind_is_still_one_person(db: Database) -> None:
    refs, emails, records = (range(n) for n in (LIMIT, LIMIT - 1, LIMIT - 2))
    mail = "me@example.jp"
    found = resolution(
        db,
        orders=[order(f"r{n}", mail) for n in refs] + [order("r0", f"{n}@example.jp") for n in emails],
        contacts=[{"crm_id": f"k{n}", "email": mail, "source": "hubspot"} for n in records],
    )

    assert len({row["customer_id"] for row in db.rows(found.identities)}) == 1
    assert db.rows(found.set_aside) == []


def test_an_identifier_shared_in_two_ways_says_both(db: Database) -> None:
    many = range(LIMIT + 1)
    found = resolution(
        db,
        orders=[order(f"r{n}", "info@example.jp") for n in many],
        contacts=[{"crm_id": f"k{n}", "email": "info@example.jp", "source": "hubspot"} for n in [*many, LIMIT + 1]],
    )

    assert db.rows(found.set_aside, "id_value", "reason") == [
        (
            "info@example.jp",
            "seen with 12 different CRM records and 11 different accounts, more than identity.shared_limit (10)",
        )
    ]


PROVIDERS = {"example.com": EmailProvider(ignore_dots=True, ignore_plus=True)}


def test_all_spellings_of_a_mailbox_share_one_limit_and_are_set_aside_together(db: Database) -> None:
    spellings = ["in.fo@example.com", "info+shop@example.com"]
    orders = [order(f"r{n}", spellings[n % 2]) for n in range(LIMIT + 1)]
    rules = identity.Rules(SCOPES, providers=PROVIDERS)
    alone = [order(None, "i.nfo@example.com")]
    found = resolution(db, rules=rules, orders=orders + alone)
    just_enough = resolution(db, rules=rules, orders=orders[:-1] + alone)
    rows = db.rows(found.identities)

    assert {row["id_value"]: row["rule"] for row in rows} == {f"r{n}": "single" for n in range(LIMIT + 1)}
    assert len({row["customer_id"] for row in rows}) == len(rows)
    reason = "seen with 11 different accounts, more than identity.shared_limit (10)"
    assert db.rows(found.set_aside, "id_value", "reason") == [
        (value, reason) for value in sorted([*spellings, "i.nfo@example.com"])
    ]
    assert len({row["customer_id"] for row in db.rows(just_enough.identities)}) == 1


def test_many_spellings_of_ones_own_mailbox_count_once(db: Database) -> None:
    orders = [order("r1", f"me+{n}@example.com") for n in range(LIMIT + 1)]
    found = resolution(db, rules=identity.Rules(SCOPES, providers=PROVIDERS), orders=orders)

    assert len({row["customer_id"] for row in db.rows(found.identities)}) == 1
    assert db.rows(found.set_aside) == []


def test_a_device_brings_together_an_account_and_an_address_that_know_nobody_else(db: Database) -> None:
    found = resolve(
        db,
        orders=[order("r1", None), order(None, "a@example.jp")],
        events=[{"client_id": "d1", "customer_ref": "r1"}, {"client_id": "d1", "email": "a@example.jp"}],
    )

    assert len({row["customer_id"] for row in found}) == 1
    assert {row["id_value"] for row in found} == {"r1", "a@example.jp", "d1"}


@pytest.mark.parametrize("people", [2, 40])
def test_a_device_used_by_several_people_brings_nobody_together(db: Database, people: int) -> None:
    found = resolution(
        db,
        orders=[order(f"r{n}", f"{n}@example.jp") for n in range(people)],
        events=[{"client_id": "d1", "customer_ref": f"r{n}"} for n in range(people)],
    )
    rows = db.rows(found.identities)

    assert len({row["customer_id"] for row in rows}) == people
    assert "d1" not in customers(rows)
    words = f"a device used with identifiers of {people} people"
    assert db.rows(found.set_aside, "id_kind", "id_value", "reason") == [("client_id", "d1", words)]


def test_devices_that_together_would_join_two_accounts_join_nobody(db: Database) -> None:
    found = customers(
        resolve(
            db,
            orders=[order("r1", None), order("r2", None), order(None, "a@example.jp")],
            events=[
                {"client_id": "d1", "customer_ref": "r1"},
                {"client_id": "d1", "email": "a@example.jp"},
                {"client_id": "d2", "customer_ref": "r2"},
                {"client_id": "d2", "email": "a@example.jp"},
                {"client_id": "d3", "email": "a@example.jp"},
            ],
        )
    )

    assert len({found["r1"], found["r2"], found["a@example.jp"]}) == 3
    assert set(found) == {"r1", "r2", "a@example.jp", "d3"}
    assert found["d3"] == found["a@example.jp"]


Node = TypeVar("Node", bound=Hashable)


def expected(facts: Rows) -> set[frozenset[str]]:
    """The same by a graph in plain Python: the groups that have somebody in them."""
    held = [[f"{kind}|{row[kind]}" for kind in KINDS if row[kind]] for row in facts]
    links = {pair for names in held for pair in combinations(names, 2)}
    strong = {pair for pair in links if not pair[1].startswith("client_id")}
    others = {(end, other.split("|")[0], other) for pair in strong for end, other in (pair, pair[::-1])}
    degrees = Counter((end, kind) for end, kind, _ in others)
    nobody = {end for (end, _), degree in degrees.items() if degree > SMALL.bounds.shared}
    strong = {pair for pair in strong if not nobody & set(pair)}
    of = _groups({name for names in held for name in names}, strong)
    crowded = {name for name, group in of.items() if len(group) > SMALL.bounds.group}
    strong = {pair for pair in strong if not crowded & set(pair)}
    people = {name for name in of if not name.startswith("client_id")}
    of = _groups(people, strong)
    met: dict[str, set[frozenset[str]]] = {}
    for other, device in links:
        if device.startswith("client_id") and other not in nobody:
            met.setdefault(device, set()).add(of[other])
    joined = _groups(set(of.values()), {pair for groups in met.values() for pair in combinations(groups, 2)})
    fit = {group for group, cluster in joined.items() if not _mixed(cluster)}
    final = {frozenset().union(*joined[group]) if group in fit else group for group in set(of.values())}
    owners = {
        device: next(iter(groups))
        for device, groups in met.items()
        if len(groups) == 1 or all(g in fit for g in groups)
    }
    found = {
        group | {device for device, owner in owners.items() if owner <= group} for group in final if group - nobody
    }
    return {frozenset(group) for group in found}


def _groups(nodes: set[Node], links: Iterable[tuple[Node, Node]]) -> dict[Node, frozenset[Node]]:
    of = {name: {name} for name in nodes}
    for one, other in links:
        if of[one] is not of[other]:
            of[one] |= of[other]
            for name in of[other]:
                of[name] = of[one]
    return {name: frozenset(group) for name, group in of.items()}


def _mixed(cluster: frozenset[frozenset[str]]) -> bool:
    """Whether two of several groups hold identifiers of one kind."""
    kinds = Counter(kind for group in cluster for kind in {name.split("|")[0] for name in group})
    return any(count > 1 for count in kinds.values())


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=2, deadline=None)
def test_resolving_is_right_in_any_order_and_again(db: Database, seed: int) -> None:
    facts = together(worlds(seed))
    first = resolve(db, rules=SMALL, events=facts)
    other_home = resolve(db, rules=SMALL, events=facts[::-1])
    again = resolve(db, kept(first), rules=SMALL, events=facts)

    assert grouped(first) == set().union(*(expected(world) for world in _apart(facts)))
    assert other_home == first
    assert again == first


def _apart(facts: Rows) -> list[Rows]:
    """The rows of each world."""
    named: dict[str, list[dict[str, object]]] = {}
    for row in facts:
        world = next((str(row[kind]).split("-")[0] for kind in KINDS if row[kind]), "")
        named.setdefault(world, []).append(dict(row))
    return [rows for world, rows in named.items() if world]
