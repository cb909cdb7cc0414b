"""HubSpot: the list for everything, searches for what changed, whose a deal is, and the naming of fields."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scoring_platform.contracts.raw import RAW_CRM_CONTACTS, RAW_CRM_DEALS
from scoring_platform.errors import CredentialError, PermanentError
from scoring_platform.http.limits import Window as CallsWindow
from scoring_platform.sandbox import hubspot as sandbox
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.hubspot_past import DEAL_STAGES, LIFECYCLE_STAGES
from scoring_platform.sandbox.hubspot_store import iso
from scoring_platform.sandbox.limits import Limits
from scoring_platform.sandbox.outbox import contacts
from scoring_platform.sources.hubspot import Hubspot, HubspotSource, contact_of, owner_name
from scoring_platform.sources.protocol import Window
from scoring_platform_tests.destinations.running import Running, company, serving
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, reply
from scoring_platform_tests.sources.scenario import TOKYO, rows

NOW = datetime(2026, 3, 20, 21, tzinfo=UTC)
EVERYTHING = Window(datetime(2025, 9, 1, tzinfo=UTC), NOW)
LATELY = Window(NOW - timedelta(days=10), NOW)
OWNER_NAMES = {"Aoi Tanaka", "Ren Mori", "owner.online@example.com"}


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches follow one another without a pause."""
    monkeypatch.setattr(CallsWindow, "take", lambda _: 0.0)


@contextmanager
def running(folder: Path, now: datetime = NOW, **limits: int) -> Iterator[tuple[Company, Running]]:
    """The sandbox CRM at a moment."""
    opened = company(folder, limits=Limits(**limits))
    opened.clock.set(now)
    with serving("/hubspot", sandbox.routes(opened)) as served:
        yield opened, served


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as (_, served):
        yield served


def source(url: str, token: str = "pat-sandbox", *, page_size: int = 40) -> Hubspot:
    settings = HubspotSource.model_validate({"endpoint": url, "page_size": page_size})
    return Hubspot(settings, url, lambda _: token, TOKYO)


def put(folder: Path, changed: dict[int, datetime]) -> None:
    """Add contacts by their numbers, last changed at these times."""
    with sqlite3.connect(folder / "hubspot.db") as database:
        made = [
            ("contacts", 900_000 + number, f'{{"email": "many{number}@example.jp"}}', iso(at), iso(at), 0)
            for number, at in changed.items()
        ]
        database.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", made)


def added(found: list[dict[str, Any]]) -> list[int]:
    return [int(row["crm_id"]) - 900_000 for row in found if int(row["crm_id"]) >= 900_000]


def test_a_first_load_lists_every_contact_with_the_names_people_see(account: Running, tmp_path: Path) -> None:
    found = rows(source(account.url), "raw_crm_contacts", EVERYTHING)

    assert {row["crm_id"]: row["email"] for row in found} == {one["id"]: one["email"] for one in contacts(tmp_path)}
    assert all(row.keys() == set(RAW_CRM_CONTACTS.given_columns) for row in found)
    assert {row["owner"] for row in found} == {*OWNER_NAMES, None}
    assert {row["lifecycle_stage"] for row in found} <= {*(label for _, label in LIFECYCLE_STAGES), None}
    assert "Wholesale partner" in {row["lifecycle_stage"] for row in found}
    assert {row["opt_out"] for row in found} == {True, None}
    accounts = [row["account_id"] for row in found]
    assert None in accounts
    assert 1 < len(set(accounts)) < len(accounts), "some share one"
    assert [call.path for call in account.calls if call.path.endswith("/search")] == []
    assert [call.path.rpartition("/")[2] for call in account.calls] == ["owners", "lifecyclestage", *["contacts"] * 4]


def test_changes_are_searched_and_are_those_that_the_list_shows(account: Running) -> None:
    everyone = rows(source(account.url), "raw_crm_contacts", EVERYTHING)
    account.calls.clear()
    found = rows(source(account.url, page_size=5), "raw_crm_contacts", LATELY)

    changed = [row for row in everyone if row["updated_at"] >= iso(LATELY.since)]
    assert len(changed) > 10
    assert {row["crm_id"]: row for row in found} == {row["crm_id"]: row for row in changed}
    assert [call.path for call in account.calls if call.path.endswith("/contacts")] == []


def test_what_is_still_to_come_is_not_there(tmp_path: Path) -> None:
    with running(tmp_path, datetime(2025, 11, 10, tzinfo=UTC)) as (opened, served):
        early = rows(source(served.url), "raw_crm_contacts", EVERYTHING)
        won = rows(source(served.url), "raw_crm_deals", EVERYTHING)
        opened.clock.set(NOW)
        late = rows(source(served.url), "raw_crm_contacts", EVERYTHING)

    assert 20 < len(early) < len(late) == 150
    assert all(max(row["created_at"], row["updated_at"]) <= "2025-11-10" for row in early)
    assert all(max(row["created_at"], row["updated_at"], row["closed_at"] or "") <= "2025-11-10" for row in won)
    before, after = ({row["crm_id"]: row for row in found} for found in (early, late))
    assert any(before[key]["owner"] != after[key]["owner"] for key in before)
    assert any(not before[key]["opt_out"] and after[key]["opt_out"] for key in before)


@pytest.mark.parametrize("page_size", [7, 40, 60])
def test_more_changes_than_a_search_gives_are_all_read(tmp_path: Path, page_size: int) -> None:
    """Many at one instant, as an import makes them: more than a page, and more than fit before the limit."""
    with running(tmp_path, hubspot_search_results=200) as (_, served):
        instants = [NOW - timedelta(hours=5), NOW - timedelta(hours=4, microseconds=-7_000)]
        spread = {number: NOW - timedelta(seconds=number) for number in range(160)}
        put(tmp_path, {**spread, **{1_000 + number: instants[number % 2] for number in range(120)}})
        found = rows(source(served.url, page_size=page_size), "raw_crm_contacts", LATELY)

    assert sorted(set(added(found))) == [*range(1, 160), *range(1_000, 1_120)]
    # Contacts changed at the instant where a page ends come again with the next one.
    assert len(added(found)) <= 2 * 279
    searches = [call.json for call in served.calls if call.path.endswith("/search")]
    assert all("after" not in search for search in searches)


def test_what_the_index_does_not_show_yet_is_found_by_the_next_reading(tmp_path: Path) -> None:
    with running(tmp_path, hubspot_index_seconds=90) as (opened, served):
        put(tmp_path, {1: NOW - timedelta(seconds=30), 2: NOW - timedelta(minutes=5)})
        assert added(rows(source(served.url), "raw_crm_contacts", LATELY)) == [2]
        opened.clock.set(NOW + timedelta(days=1))
        following = Window(NOW - timedelta(hours=1), NOW + timedelta(days=1))
        assert added(rows(source(served.url), "raw_crm_contacts", following)) == [2, 1]


def test_deals_have_their_stage_by_name_and_are_won_lost_or_open(account: Running) -> None:
    found = rows(source(account.url), "raw_crm_deals", LATELY)

    assert len(found) > 30, "also those that did not change in the window"
    assert all(row.keys() == set(RAW_CRM_DEALS.given_columns) for row in found)
    labels = dict(DEAL_STAGES)
    ended = {labels["closedwon"]: True, labels["closedlost"]: False}
    assert {row["stage"]: row["won"] for row in found if row["stage"] in ended} == ended
    assert all((row["closed_at"] is None) == (row["won"] is None) for row in found)
    assert {row["owner"] for row in found} <= OWNER_NAMES
    assert {row["amount"] is None for row in found} == {True, False}


def test_an_open_deal_has_no_day_of_closing(tmp_path: Path) -> None:
    with running(tmp_path, datetime(2025, 11, 10, tzinfo=UTC)) as (_, served):
        found = rows(source(served.url), "raw_crm_deals", EVERYTHING)

    open_deals = [row for row in found if row["won"] is None]
    assert open_deals
    assert {row["closed_at"] for row in open_deals} == {None}


def test_a_deal_belongs_to_its_oldest_contact_and_one_without_is_no_row(account: Running) -> None:
    found = {row["deal_id"]: row["crm_id"] for row in rows(source(account.url), "raw_crm_deals", EVERYTHING)}
    known = {row["crm_id"] for row in rows(source(account.url), "raw_crm_contacts", EVERYTHING)}

    assert found["90000005"] == "50005", "its other contact is 50006"
    assert "90000008" not in found, "it has none"
    assert set(found.values()) <= known


def test_of_several_contacts_the_one_with_the_smallest_number_counts() -> None:
    linked = [{"id": "1000", "type": "deal_to_contact"}, {"id": "999", "type": "deal_to_contact"}]
    assert contact_of({"associations": {"contacts": {"results": linked}}}) == "999"
    assert contact_of({"associations": {}}) is None


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ({"id": "7", "firstName": "Aoi", "lastName": "Tanaka", "email": "a@example.com"}, "Aoi Tanaka"),
        ({"id": "7", "firstName": "", "lastName": None, "email": "a@example.com"}, "a@example.com"),
        ({"id": 7}, "7"),
    ],
)
def test_an_owner_is_called_by_name_else_by_address_else_by_number(owner: dict[str, Any], name: str) -> None:
    assert owner_name(owner) == name


def scripted(server: Loopback, *searches: list[dict[str, Any]]) -> Hubspot:
    """A HubSpot without owners and stages that answers searches in turn."""
    queue = [reply({"total": 1, "results": found}) for found in searches]

    def answer(seen: Seen) -> Reply:
        return queue.pop(0) if seen.path.endswith("/search") else reply({"results": []})

    server.answer = answer
    return source(server.url, page_size=1)


def test_a_contact_of_an_owner_who_left_and_of_an_unknown_stage_keeps_what_hubspot_says(server: Loopback) -> None:
    values = {"email": "", "hubspot_owner_id": "8", "lifecyclestage": "99", "hs_email_optout": "false"}
    values["associatedcompanyid"] = "77"
    contact = {"id": 5, "properties": values, "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-02T00:00:00Z"}
    hubspot = scripted(server, [contact])
    found = next(hubspot.fetch("raw_crm_contacts", LATELY))

    assert found == [
        {
            "crm_id": "5",
            "email": None,
            "owner": "8",
            "lifecycle_stage": "99",
            "opt_out": False,
            "account_id": "77",
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-02T00:00:00Z",
        }
    ]


def test_a_search_that_cannot_go_on_ends_in_an_error(server: Loopback) -> None:
    contact = {"id": "5", "properties": {}, "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-02T00:00:00Z"}
    with pytest.raises(PermanentError, match="without lastmodifieddate"):
        rows(scripted(server, [contact]), "raw_crm_contacts", LATELY)


def test_an_answer_without_results_is_no_empty_listing(server: Loopback) -> None:
    server.answer = lambda _: reply({"contacts": []})
    with pytest.raises(PermanentError, match="no field 'results'"):
        rows(source(server.url), "raw_crm_deals", EVERYTHING)


def test_the_probe_answers_and_a_wrong_token_names_its_variable(account: Running) -> None:
    assert source(account.url).probe() == "hubspot: its contacts can be read"
    with pytest.raises(CredentialError, match="SCORING_HUBSPOT_TOKEN"):
        source(account.url, "wrong").probe()
