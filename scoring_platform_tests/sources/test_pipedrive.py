"""Pipedrive's persons and deals in the words of our contracts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scoring_platform.sandbox import pipedrive as sandbox
from scoring_platform.sandbox.credentials import CREDENTIALS
from scoring_platform.sources.pipedrive import Pipedrive, PipedriveSource, contact_row, deal_row
from scoring_platform.sources.protocol import Window
from scoring_platform_tests.destinations.pipedrive_company import FIELDS, crm, write
from scoring_platform_tests.destinations.running import Running, company, serving
from scoring_platform_tests.http.loopback import reply
from scoring_platform_tests.http.loopback import serving as scripted
from scoring_platform_tests.sources.scenario import TOKYO

NOW = datetime(2026, 2, 10, 21, tzinfo=UTC)
EVER = Window(datetime(2025, 1, 1, tzinfo=UTC), NOW + timedelta(seconds=1))
OWNERS, LABELS, STAGES = {5: "Sales East"}, {1: "Hot lead"}, {2: "Proposal made"}

PERSON = {
    "id": 7,
    "name": "a@example.jp",
    "owner_id": 5,
    "org_id": 12,
    "label_ids": [9, 1],
    "add_time": "2026-01-01T00:00:00Z",
    "update_time": "2026-02-01T00:00:00Z",
    "emails": [{"value": "old@example.jp"}, {"value": "a@example.jp", "primary": True}],
    "marketing_status": "subscribed",
}
DEAL = {
    "id": 3,
    "person_id": 7,
    "owner_id": 6,
    "stage_id": 2,
    "value": 12_000,
    "currency": "JPY",
    "status": "open",
    "add_time": "2026-01-01T00:00:00Z",
    "update_time": "2026-02-01T00:00:00Z",
    "close_time": None,
}


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Running]:
    """The sandbox's Pipedrive on a morning of February."""
    shop = company(tmp_path)
    shop.clock.set(NOW)
    with serving("/pipedrive", sandbox.routes(shop)) as running:
        yield running


def source(url: str, **changed: Any) -> Pipedrive:
    settings = PipedriveSource.model_validate({"endpoint": url, **changed})
    return Pipedrive(settings, url, CREDENTIALS["pipedrive"].__getitem__, TOKYO)


def rows(reading: Pipedrive, table: str, window: Window = EVER) -> list[dict[str, Any]]:
    return [dict(row) for page in reading.fetch(table, window) for row in page]


def test_a_persons_fields_are_named() -> None:
    assert contact_row(PERSON, OWNERS, LABELS) == {
        "crm_id": "7",
        "email": "a@example.jp",
        "owner": "Sales East",
        "lifecycle_stage": "Hot lead",
        "opt_out": False,
        "account_id": "12",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-02-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("status", "opted_out"),
    [("unsubscribed", True), ("subscribed", False), ("no_consent", False), ("archived", False), (None, None)],
)
def test_only_who_unsubscribed_has_opted_out(status: str | None, opted_out: bool | None) -> None:
    assert contact_row({**PERSON, "marketing_status": status}, OWNERS, LABELS)["opt_out"] is opted_out


@pytest.mark.parametrize(
    ("emails", "email"),
    [([], None), (None, None), ([{"value": ""}, {"value": "b@example.jp"}], "b@example.jp")],
)
def test_without_a_primary_address_the_first_one_counts(emails: Any, email: str | None) -> None:
    assert contact_row({**PERSON, "emails": emails}, OWNERS, LABELS)["email"] == email


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"stage": "Proposal made", "amount": 12_000, "owner": "6", "won": None, "closed_at": None}),
        (
            {"status": "won", "won_time": "2026-02-01T00:00:00Z", "close_time": "2026-02-02T00:00:00Z"},
            {"won": True, "closed_at": "2026-02-01T00:00:00Z"},
        ),
        ({"status": "lost", "close_time": "2026-02-02T00:00:00Z"}, {"won": False, "closed_at": "2026-02-02T00:00:00Z"}),
        ({"stage_id": 77}, {"stage": "77"}),
    ],
)
def test_a_deals_fields_are_named(given: dict[str, Any], expected: dict[str, Any]) -> None:
    row = deal_row({**DEAL, **given}, OWNERS, STAGES)
    assert {name: row[name] for name in expected} == expected


def test_amounts_in_another_currency_can_be_left_out() -> None:
    assert deal_row(DEAL, OWNERS, STAGES, currency="JPY")["amount"] == 12_000
    assert deal_row(DEAL, OWNERS, STAGES, currency="EUR")["amount"] is None


def test_the_whole_company_is_read_as_it_is(account: Running) -> None:
    contacts, deals = (rows(source(account.url), table) for table in ("raw_crm_contacts", "raw_crm_deals"))
    assert len(contacts) == 150
    assert {one["owner"] for one in contacts} == {"Sales East", "Sales West", "Sales Online"}
    assert {one["lifecycle_stage"] for one in contacts} == {None, "Cold lead", "Warm lead", "Customer"}
    accounts = [one["account_id"] for one in contacts]
    assert None in accounts
    assert 1 < len(set(accounts)) < len(accounts), "some share one"
    assert 6 <= sum(one["opt_out"] for one in contacts) <= 20
    assert len({one["deal_id"] for one in deals}) == len(deals)
    assert {one["crm_id"] for one in deals} <= {one["crm_id"] for one in contacts}
    assert {one["stage"] for one in deals} == {
        "Qualified", "Contact made", "Proposal made", "Negotiations started",
    }  # fmt: skip


def test_a_reading_costs_a_page_of_tokens_per_five_hundred_and_the_names(account: Running) -> None:
    rows(source(account.url), "raw_crm_contacts")
    assert [call.path.removeprefix("/pipedrive") for call in account.calls] == [
        "/v1/users", "/api/v2/personFields", "/api/v2/persons",
    ]  # fmt: skip


def test_a_person_we_wrote_to_comes_again(account: Running) -> None:
    with closing(crm(account.url)) as writing:
        writing.provision(FIELDS)
        [receipt] = writing.apply([write(1)])
    fresh = rows(source(account.url), "raw_crm_contacts", Window(NOW, NOW + timedelta(minutes=1)))
    assert [(one["crm_id"], one["email"], one["created_at"]) for one in fresh] == [
        (receipt.destination_id, "new0001@example.jp", "2026-02-10T21:00:00Z")
    ]


def test_oauth_reads_the_same(account: Running) -> None:
    by_token, by_oauth = source(account.url), source(account.url, auth="oauth")
    assert rows(by_oauth, "raw_crm_deals") == rows(by_token, "raw_crm_deals")


def test_deleted_deals_and_deals_of_nobody_are_no_rows() -> None:
    deals = [DEAL, {**DEAL, "id": 4, "person_id": None}, {**DEAL, "id": 5, "is_deleted": True}]
    given = {
        "/v1/users": [{"id": 6, "name": "Sales West"}],
        "/api/v2/stages": [{"id": 2, "name": "Proposal made"}],
        "/api/v2/deals": [*deals, {**DEAL, "id": 6, "status": "deleted"}],
    }
    with scripted() as loopback:
        loopback.answer = lambda seen: reply({"success": True, "data": given[seen.path]})
        found = rows(source(loopback.url), "raw_crm_deals")
    assert [(one["deal_id"], one["owner"]) for one in found] == [("3", "Sales West")]
