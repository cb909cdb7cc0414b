"""Values on accounts and deals: each record shows what its speaker came to, and is written only when that changes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from scoring_platform.destinations.protocol import Target
from scoring_platform.errors import PermanentError
from scoring_platform.pipeline.crm_compare import compare
from scoring_platform.pipeline.crm_sync import SYNC
from scoring_platform_tests.end_to_end.record_shop import (
    FIELDS,
    FIRST_DAY,
    VENDORS,
    Judged,
    RecordShop,
    Row,
    record_shop,
)

TOKYO = ZoneInfo("Asia/Tokyo")
PER_CALL = {"hubspot": 100, "salesforce": 200, "pipedrive": 1}


EVERY_VENDOR = pytest.mark.parametrize("shop", list(VENDORS), indirect=True)


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RecordShop]:
    with record_shop(tmp_path, request.param) as opened:
        yield opened


def shared(shop: RecordShop, customers: int = 40) -> dict[str, str]:
    """Whose each contact is: of each customer several, and of each account several customers."""
    return {row["crm_id"]: f"k{n % customers:02}" for n, row in enumerate(shop.contacts)}


def accounts_of(shop: RecordShop, contacts: Mapping[str, str]) -> dict[str, str]:
    """Account by customer, reckoned the long way."""
    found: dict[str, str] = {}
    for row in sorted(shop.contacts, key=lambda row: (row["created_at"], len(row["crm_id"]), row["crm_id"])):
        if row["account_id"] is not None:
            found.setdefault(contacts[row["crm_id"]], row["account_id"])
    return found


def deals_of(shop: RecordShop, contacts: Mapping[str, str]) -> dict[str, str]:
    """Open deal by customer, reckoned the long way."""
    found: dict[str, str] = {}
    for row in sorted(shop.deals, key=lambda row: (row["created_at"], len(row["deal_id"]), row["deal_id"])):
        closed: datetime | None = row["closed_at"]
        if (closed is None or closed.astimezone(TOKYO).date() > shop.day) and row["crm_id"] in contacts:
            found[contacts[row["crm_id"]]] = row["deal_id"]
    return found


def expected(
    shop: RecordShop, judged: Mapping[str, Judged], contacts: Mapping[str, str]
) -> dict[Target, dict[str, Row]]:
    """What records should hold that somebody speaks for, by kind and id."""
    said: dict[Target, dict[str, Row]] = {"account": defaultdict(dict), "deal": {}}
    names, of_accounts = FIELDS[shop.crm], accounts_of(shop, contacts)
    for account in set(of_accounts.values()):
        fellows = {who: one for who, one in judged.items() if of_accounts.get(who) == account}
        worth = sorted(fellows.items(), key=lambda one: (one[1].clv is None, -(one[1].clv or 0), -one[1].score, one[0]))
        if worth:
            code = f"{worth[0][1].score % 5 + 1}55"
            said["account"][account] |= {names["clv_12m"]: worth[0][1].clv, names["rfm_code"]: code}
        answered = [one for one in fellows.items() if one[1].nps is not None]
        if answered:
            latest = min(answered, key=lambda one: (one[1].answered, one[0]))
            said["account"][account][names["nps_score"]] = latest[1].nps
    for who, deal in deals_of(shop, contacts).items():
        if who in judged:
            said["deal"][deal] = {names["total_score"]: judged[who].score}
    return said


def spelled(values: Mapping[str, Any]) -> Row:
    """Values as texts, without those that are empty."""
    return {name: str(value) for name, value in values.items() if value is not None}


def planned(shop: RecordShop) -> list[Row]:
    return [row for row in shop.rows() if row["operation"] != "skip"]


def most_calls(shop: RecordShop, rows: list[Row]) -> int:
    """The fewest calls that write these rows."""
    counts = Counter((row["stream"], row["target"]) for row in rows)
    return sum(-(-count // PER_CALL[shop.crm]) for count in counts.values())


@EVERY_VENDOR
def test_every_record_shows_what_its_speaker_came_to_day_after_day(shop: RecordShop) -> None:
    chance, contacts = Random(7), shared(shop)
    judged = {f"k{n:02}": some(chance) for n in range(40)}
    known: set[str] = set()
    spoke: Counter[str] = Counter()
    for day in (0, 14):
        shop.go_to(FIRST_DAY + timedelta(days=day))
        contacts |= {row["crm_id"]: contacts.get(row["crm_id"], f"k{n % 40:02}") for n, row in enumerate(shop.contacts)}
        for who in chance.sample(sorted(judged), 6) if day else ():
            judged[who] = some(chance)
        applied = shop.sync(judged, contacts)
        rows = planned(shop)

        said = expected(shop, judged, contacts)
        assert set(applied.counts) <= {"acknowledged"}
        assert not applied.stopped
        for target, records in said.items():
            assert {row["record_id"] for row in rows if row["target"] == target} <= records.keys()
            held = shop.held(target)
            for record, values in records.items():
                found = {name: value for name, value in held[record].items() if name in values}
                assert spelled(found) == spelled(values), (shop.day, target, record)
        assert len({(row["stream"], row["target"], row["record_id"]) for row in rows}) == len(rows)
        assert len(shop.writes) == most_calls(shop, rows)
        known |= {row["record_id"] for row in rows if row["target"] == "deal"}
        spoke.update(row["record_id"] for row in rows if row["target"] == "account")

        if day == 0:
            shop.day += timedelta(days=1)
            assert shop.sync(judged, contacts).counts == {}, "an unchanged day"
            assert shop.writes == []

    assert len(known) > len(said["deal"]), "deals have closed, and others opened"
    assert max(spoke.values()) > 1


def some(chance: Random) -> Judged:
    """Any outcome; equal ones, and customers without a value or an answer, are frequent."""
    clv = chance.choice([None, 100, 200, 300, chance.randrange(5_000)])
    answered = chance.choice([0, 1, 2])
    return Judged(chance.randrange(100), clv, chance.choice([None, None, 3, 9]), answered)


def pair(shop: RecordShop) -> tuple[str, str, str]:
    """Two contacts of one account, and the account."""
    groups: dict[str, list[str]] = defaultdict(list)
    for row in shop.contacts:
        groups[row["account_id"] or ""].append(row["crm_id"])
    account, members = next((key, some) for key, some in groups.items() if key and len(some) > 1)
    return members[0], members[1], account


@pytest.mark.parametrize("shop", ["hubspot"], indirect=True)
def test_the_best_of_two_speaks_for_an_account_and_another_is_compared_with_what_it_shows(shop: RecordShop) -> None:
    first, second, account = pair(shop)
    contacts, field = {first: "a", second: "b"}, FIELDS[shop.crm]["clv_12m"]
    shop.sync({"a": Judged(10, 100), "b": Judged(90, 50)}, contacts)
    [row] = [one for one in planned(shop) if one["target"] == "account"]
    assert (row["customer_id"], row["record_id"], row["operation"]) == ("a", account, "update")
    assert str(shop.held("account")[account][field]) == "100"

    shop.day += timedelta(days=1)
    shop.sync({"a": Judged(10, 20), "b": Judged(90, 100)}, contacts)
    assert [one for one in planned(shop) if one["target"] == "account"] == [], "the account shows 100 already"

    shop.day += timedelta(days=1)
    shop.sync({"a": Judged(10, 20), "b": Judged(90, 70)}, contacts)
    [row] = [one for one in planned(shop) if one["target"] == "account"]
    assert (row["customer_id"], str(shop.held("account")[account][field])) == ("b", "70")

    shop.day += timedelta(days=1)
    shop.sync({"a": Judged(10, 20), "b": Judged(90, 70)}, contacts)
    assert planned(shop) == [], "what stayed as the first speaker left it is known of the second one"

    shop.day -= timedelta(days=1)
    shop.sync({"a": Judged(10, 300), "b": Judged(90, 70)}, contacts)
    rows = [one for one in shop.rows() if one["target"] == "account"]
    assert [one["customer_id"] for one in rows] == ["a"], "of one account there is one row, on a re-run too"
    assert str(shop.held("account")[account][field]) == "300"


@pytest.mark.parametrize("shop", ["salesforce"], indirect=True)
def test_customers_without_a_deal_or_an_account_have_no_row_and_alarm_nobody(shop: RecordShop) -> None:
    having = set(deals_of(shop, {row["crm_id"]: row["crm_id"] for row in shop.contacts}))
    lonely = [row["crm_id"] for row in shop.contacts if row["account_id"] is None and row["crm_id"] not in having]
    contacts = {key: f"l{n}" for n, key in enumerate(lonely)}
    applied = shop.sync({**{who: Judged(5, 7, 9) for who in contacts.values()}, "nobody": Judged(5, 7, 9)}, contacts)

    assert (applied.counts, applied.stopped, applied.held) == ({}, "", {})
    assert shop.rows() == shop.rows(SYNC) == []
    assert shop.running.calls == []


@EVERY_VENDOR
def test_one_bad_row_alone_is_dead_and_so_is_a_record_that_is_gone(shop: RecordShop) -> None:
    known: dict[Target, list[str]] = {"account": _accounts(shop), "deal": _deals(shop)}
    for target, records in known.items():
        with shop.client() as crm:
            shop.delete(crm, target, records[1])
            value = "clv_12m" if target == "account" else "total_score"
            batch: dict[str, Row] = {record: {value: n} for n, record in enumerate(records[:5])}
            batch[records[3]] = {value: "much"}
            receipts = shop.write_rows(crm, target, batch)

        assert [one.status for one in receipts] == ["acknowledged", "dead", "acknowledged", "dead", "acknowledged"]
        assert [one.destination_id for one in receipts if one.status == "acknowledged"] == [
            records[0], records[2], records[4],
        ]  # fmt: skip
        assert all(one.error_code and one.error_text for one in receipts if one.status == "dead")
        held = shop.held(target)
        assert {record for record in records[:5] if held.get(record)} == {records[0], records[2], records[4]}


@pytest.mark.parametrize("shop", ["pipedrive"], indirect=True)
def test_a_deal_that_was_deleted_is_dead_and_waits_for_other_values(shop: RecordShop) -> None:
    contacts = {row["crm_id"]: row["crm_id"] for row in shop.contacts}
    (who, deal), *_ = deals_of(shop, contacts).items()
    with shop.client() as crm:
        shop.delete(crm, "deal", deal)
    applied = shop.sync({who: Judged(50)}, {who: who})
    [row] = [one for one in shop.rows(SYNC) if one["target"] == "deal"]
    assert (row["status"], applied.counts["dead"]) == ("dead", 1)
    assert row["error_text"]

    shop.day += timedelta(days=1)
    assert "dead" not in shop.sync({who: Judged(50)}, {who: who}).counts, "nothing is new"
    shop.day += timedelta(days=1)
    assert shop.sync({who: Judged(51)}, {who: who}).counts["dead"] == 1


@pytest.mark.parametrize("shop", ["salesforce"], indirect=True)
def test_what_somebody_changed_on_a_record_is_told_and_written_again_if_ours_wins(shop: RecordShop) -> None:
    contacts = {row["crm_id"]: row["crm_id"] for row in shop.contacts}
    (who, deal), *_ = deals_of(shop, contacts).items()
    shop.sync({who: Judged(50, 10)}, {who: who})
    with shop.client() as crm, shop.step() as step:
        shop.write_rows(crm, "deal", {deal: {"total_score": 7}})
        [told] = list(compare(step, crm, policy="ours"))
        assert (told.scope.target, told.customer_id, told.ours, told.theirs) == ("deal", who, "50", "7")
    shop.sync({who: Judged(50, 10)}, {who: who})
    assert spelled(shop.held("deal")[deal])[FIELDS[shop.crm]["total_score"]] == "50"
    with shop.client() as crm, shop.step() as step:
        shop.delete(crm, "deal", deal)
        assert [(one.scope.target, one.field) for one in compare(step, crm)] == [("deal", "")]


@pytest.mark.parametrize("crm", list(VENDORS))
def test_a_field_that_is_missing_on_a_kind_of_record_is_named_before_anything_is_written(
    tmp_path: Path, crm: str
) -> None:
    with record_shop(tmp_path, crm) as shop:
        config = (tmp_path / "scoring.yaml").read_text(encoding="utf-8")
        changed = config.replace(f"field: {FIELDS[crm]['total_score']}", "field: Tier__c").replace("auto", "manual")
        (tmp_path / "scoring.yaml").write_text(changed, encoding="utf-8")
        with (
            pytest.raises(PermanentError, match=r"(?i)(deal|opportunity)(.*)Tier__c|Tier__c(.*)Opportunity"),
            shop.client(),
        ):
            pass


def _accounts(shop: RecordShop) -> list[str]:
    return list(dict.fromkeys(row["account_id"] for row in shop.contacts if row["account_id"]))


def _deals(shop: RecordShop) -> list[str]:
    return [row["deal_id"] for row in shop.deals]
