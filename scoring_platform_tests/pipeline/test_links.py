"""An account that changes its address is still who it was."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from scoring_platform.ledger.merges import list_merges, undo_merge
from scoring_platform.pipeline import identities
from scoring_platform.pipeline.step import span
from scoring_platform_tests.domain.tables import noon
from scoring_platform_tests.pipeline.scenario import START, Shop, open_shop

FIRST = START + timedelta(days=3)
SECOND, THIRD = FIRST + timedelta(days=1), FIRST + timedelta(days=2)
DAYS = span(FIRST, FIRST + timedelta(days=2))
OLD, NEW = "old@example.jp", "new@example.jp"


def morning(shop: Shop, day: date) -> None:
    """Publish everything as now known, and say who is who on the day."""
    shop.publish(day)
    shop.publish_states([day])
    resolve(shop, day)


def resolve(shop: Shop, *days: date) -> None:
    """Say who is who on days, in one run."""
    step = shop.step(*days)
    shop.write("customer_identities", identities.resolve(step).on(step), days)


def account(shop: Shop, email: str | None = OLD) -> dict[str, Any]:
    """An account, whose address may be changed in place."""
    shop.add("raw_customers", {"customer_ref": "r1", "email": email, "as_of": START})
    return shop.facts["raw_customers"][-1]


def move(row: dict[str, Any], day: date, email: str | None = NEW) -> None:
    """Change the address of an account or a contact on a day."""
    row.update(email=email, updated_at=noon(day))


def decide(shop: Shop, status: str, day: date, subject: str) -> None:
    """Let somebody decide about marketing mail."""
    kind = {"channel": "email", "purpose": "marketing", "occurred_at": noon(day), "as_of": day}
    shop.add("raw_consents", {"subject": subject, "status": status, **kind})


def links(shop: Shop) -> list[tuple[Any, ...]]:
    """Day, address and day of change of every row of customer_links."""
    return [(row["as_of"], row["email"], row["changed_on"]) for row in shop.rows("customer_links")]


def owners(shop: Shop, day: date) -> dict[str, str]:
    """Customer by identifier."""
    return {row["id_value"]: row["customer_id"] for row in shop.rows("customer_identities", day)}


def test_orders_and_decisions_under_the_address_before_stay_with_the_customer(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        row = account(shop)
        decide(shop, "granted", START, "r1")
        shop.order(None, START, 100, email=OLD)
        morning(shop, FIRST)
        decide(shop, "revoked", FIRST, OLD)
        move(row, SECOND)
        shop.order(None, SECOND, 10, email=NEW)
        shop.order(None, SECOND, 1, email=OLD.upper())
        shop.publish(SECOND)
        shop.publish_states([SECOND])
        shop.compute(SECOND)
        (known,) = shop.rows("customer_profiles", SECOND)

        assert (known["email"], known["orders"], known["revenue"]) == (NEW, 3, 111)
        assert known["consent_email_marketing"] == "denied"
        assert list_merges(shop.ledger) == []


def test_a_contact_of_the_crm_is_remembered_by_its_earlier_address_too(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        contact = {"source": "hubspot", "crm_id": "k1", "email": OLD, "as_of": START, "created_at": None}
        shop.add("raw_crm_contacts", contact)
        morning(shop, FIRST)
        move(shop.facts["raw_crm_contacts"][-1], SECOND)
        shop.order(None, SECOND, email=OLD)
        morning(shop, SECOND)
        seen = {row["id_value"]: row["first_seen_on"] for row in shop.rows("customer_identities", SECOND)}

        assert set(owners(shop, SECOND)) == {"k1", OLD, NEW}
        assert len(set(owners(shop, SECOND).values())) == 1
        assert seen == {"k1": FIRST, OLD: FIRST, NEW: SECOND}, "who does not tell counts from the first picture"


def test_only_what_no_day_holds_is_written(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        row = account(shop)
        morning(shop, FIRST)
        morning(shop, SECOND)
        assert links(shop) == [(FIRST, OLD, None)]
        assert shop.engine.lake.days("customer_links") == [FIRST, SECOND]

        move(row, SECOND)
        morning(shop, THIRD)
        move(row, THIRD, OLD)
        morning(shop, THIRD + timedelta(days=1))
        assert links(shop) == [(FIRST, OLD, None), (THIRD, NEW, SECOND)]


def test_a_past_day_that_is_run_again_forgets_nothing_and_writes_nothing_new(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        row = account(shop)
        morning(shop, FIRST)
        move(row, SECOND)
        morning(shop, SECOND)
        before = [shop.engine.lake.version_id("customer_links", day) for day in (FIRST, SECOND)]
        assert links(shop) == [(FIRST, OLD, None), (SECOND, NEW, SECOND)]
        shop.publish_states([FIRST])
        resolve(shop, FIRST)

        assert [shop.engine.lake.version_id("customer_links", day) for day in (FIRST, SECOND)] == before
        assert owners(shop, FIRST).keys() == {"r1", OLD}, "the new address was not known yet"
        resolve(shop, SECOND)
        assert len(set(owners(shop, SECOND).values())) == 1


def test_an_account_that_is_gone_is_gone_with_its_addresses(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        row = account(shop)
        shop.add("raw_customers", {"customer_ref": "r2", "email": "b@example.jp", "as_of": START})
        morning(shop, FIRST)
        move(row, SECOND)
        morning(shop, SECOND)
        shop.facts["raw_customers"].remove(row)
        morning(shop, THIRD)

        assert set(owners(shop, THIRD)) == {"r2", "b@example.jp"}


def test_a_remembered_address_can_be_taken_away_again(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        row = account(shop, NEW)
        shop.order(None, START, 100, email=OLD)
        morning(shop, FIRST)
        move(row, SECOND, OLD)
        morning(shop, SECOND)
        move(row, THIRD, NEW)
        morning(shop, THIRD)
        assert len(set(owners(shop, THIRD).values())) == 1
        (merge,) = list_merges(shop.ledger)
        undo_merge(shop.ledger, merge.merge_id, now=noon(THIRD))
        morning(shop, THIRD)

        found = owners(shop, THIRD)
        assert found["r1"] == found[NEW] != found[OLD]


@pytest.fixture
def moving(tmp_path: Path) -> Path:
    """A lake in which an account has another address in every picture."""
    with open_shop(tmp_path / "given") as shop:
        shop.order(None, START, 100, email=OLD)
        shop.order(None, DAYS[2], 10, email="1@example.jp")
        row = account(shop)
        shop.publish(DAYS[-1])
        for number, day in enumerate(DAYS):
            shop.publish_states([day])
            move(row, day + timedelta(days=1), f"{number}@example.jp")
        return shop.settings.lake_root


def run(root: Path, lake: Path, runs: Sequence[Sequence[date]]) -> dict[str, list[dict[str, Any]]]:
    """Who is who and what is remembered, after runs over a copy of a lake."""
    with open_shop(root) as shop:
        shutil.copytree(lake, shop.settings.lake_root, symlinks=True)
        for days in runs:
            resolve(shop, *days)
        return {name: shop.rows(name) for name in ("customer_links", "customer_identities")}


def test_pictures_are_looked_at_in_whatever_runs_the_days_are_computed(tmp_path: Path, moving: Path) -> None:
    at_once = run(tmp_path / "range", moving, [DAYS])
    one_by_one = run(tmp_path / "days", moving, [[day] for day in DAYS])
    back = run(tmp_path / "back", moving, [[day] for day in reversed(DAYS)])

    assert at_once == one_by_one == back
    assert [(row["as_of"], row["email"], row["changed_on"]) for row in at_once["customer_links"]] == [
        (DAYS[0], OLD, None), (DAYS[1], "0@example.jp", DAYS[1]), (DAYS[2], "1@example.jp", DAYS[2])
    ]  # fmt: skip
    rows = at_once["customer_identities"]
    assert {row["customer_id"] for row in rows} == {rows[0]["customer_id"]}, "there is one person"
    assert [len({row["id_value"] for row in rows if row["as_of"] == day}) for day in DAYS] == [2, 3, 4]
