"""The sandbox's Intercom workspace: the desk's tickets as conversations, the customers as contacts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from jsonschema import Draft202012Validator

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.credentials import CREDENTIALS
from scoring_platform.sandbox.days import day_of, moment, opens_at, seconds
from scoring_platform.sandbox.limits import FixedWindow
from scoring_platform.sources.intercom import Intercom, IntercomSource
from scoring_platform.sources.protocol import Window
from scoring_platform_tests.sandbox.client import Client
from scoring_platform_tests.sandbox.conftest import NOW
from scoring_platform_tests.sources.scenario import rows
from scoring_platform_tests.sources.vendor_specs import openapi

CONVERSATIONS, CONTACTS = "/intercom/conversations/search", "/intercom/contacts/search"
SPEC = "intercom/conversations-contacts.v2.15.json"
WINDOW = Window(NOW - timedelta(days=9), NOW)
EVERYTHING = {"field": "updated_at", "operator": ">", "value": 0}
_NOW = seconds(NOW)

Asking = Callable[..., httpx.Response]


@pytest.fixture
def ask(client: Client) -> Asking:
    """Search with the workspace's token."""
    headers = {"Authorization": f"Bearer {CREDENTIALS['intercom']['token']}", "Intercom-Version": "2.15"}

    def search(path: str, query: Any, **pagination: Any) -> httpx.Response:
        return client.http.post(path, json={"query": query, "pagination": pagination}, headers=headers)

    return search


@pytest.fixture
def desk(client: Client, address: str) -> Intercom:
    """The platform's source, with small pages."""
    url = f"{address}/intercom"
    section = IntercomSource.model_validate({"endpoint": url, "page_size": 20})
    return Intercom(section, url, CREDENTIALS["intercom"].__getitem__, ZoneInfo("Asia/Tokyo"))


def test_conversations_are_the_tickets_with_their_customers_addresses(desk: Intercom, company: Company) -> None:
    books = company.population.reach(_NOW)
    tickets = books.tickets.page(_NOW, since=seconds(WINDOW.since), until=_NOW)
    found = {row["ticket_id"]: row for row in rows(desk, "raw_support_tickets", WINDOW)}
    assert found.keys() == {str(version.number) for version in tickets}
    for version in tickets:
        row, ticket = found[str(version.number)], version.thing
        assert row["email"] == books.people[ticket.person].email
        assert (row["created_at"], row["updated_at"]) == (moment(ticket.created_at), moment(version.since))
        assert row["satisfaction"] == (ticket.rating if ticket.rating in ("good", "bad") else None)
        assert row["first_reply_at"] == (ticket.first_reply_at and moment(ticket.first_reply_at))
        assert row["solved_at"] == (ticket.solved_at and moment(ticket.solved_at))
    assert {row["status"] for row in found.values()} == {"open", "snoozed", "closed"}
    assert {row["satisfaction"] for row in found.values()} == {"good", "bad", None}


def test_some_conversations_do_not_show_their_customer(ask: Asking) -> None:
    listed = ask(CONVERSATIONS, EVERYTHING, per_page=150).json()["conversations"]
    assert {item["source"]["author"]["type"] for item in listed} == {"user", "admin"}
    assert all(item["contacts"]["contacts"] for item in listed)


def test_consents_are_those_of_the_unsubscribed(desk: Intercom, company: Company) -> None:
    found = {row["subject"]: row["occurred_at"] for row in rows(desk, "raw_consents", WINDOW)}
    first = opens_at(day_of(seconds(WINDOW.since)))
    states = company.population.reach(_NOW).accounts.page(_NOW, since=first, until=_NOW + 1)
    gone = {v.thing.person.email: moment(v.since) for v in states if v.thing.marketing == "UNSUBSCRIBED"}
    assert gone
    assert gone.items() <= found.items()


def test_the_probe_answers(desk: Intercom) -> None:
    assert desk.probe() == "intercom: workspace Sandbox Coffee, API 2.15"


@pytest.mark.parametrize(("path", "name"), [(CONVERSATIONS, "conversations"), (CONTACTS, "data")])
def test_pages_hold_every_entry_once_latest_change_first(ask: Asking, path: str, name: str) -> None:
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = ask(path, EVERYTHING, per_page=70, **cursor).json()
        found += page[name]
        assert page["pages"]["total_pages"] == -(-page["total_count"] // 70)
        if "next" not in page["pages"]:
            break
        assert page["pages"]["next"]["page"] == page["pages"]["page"] + 1
        cursor = {"starting_after": page["pages"]["next"]["starting_after"]}
    assert len({item["id"] for item in found}) == len(found) == page["total_count"] > 70
    assert [item["updated_at"] for item in found] == sorted((item["updated_at"] for item in found), reverse=True)


def test_a_conversation_that_changes_between_pages_moves_no_other(ask: Asking, company: Company) -> None:
    until = {"field": "updated_at", "operator": "<", "value": _NOW}
    whole = {item["id"] for item in ask(CONVERSATIONS, until, per_page=150).json()["conversations"][:100]}
    first = ask(CONVERSATIONS, until, per_page=50).json()
    company.clock.set(NOW + timedelta(days=1))
    cursor = first["pages"]["next"]["starting_after"]
    second = ask(CONVERSATIONS, until, per_page=50, starting_after=cursor).json()
    left = {item["id"] for item in ask(CONVERSATIONS, {**until, "operator": ">"}, per_page=150).json()["conversations"]}
    seen = {item["id"] for page in (first, second) for item in page["conversations"]}
    assert whole & left, "something has changed"
    assert whole - left <= seen


def test_conversations_compare_seconds_and_contacts_whole_days_of_tokyo(ask: Asking) -> None:
    newest = ask(CONVERSATIONS, EVERYTHING, per_page=1).json()["conversations"][0]["updated_at"]

    def total(path: str, operator: str, value: int) -> int:
        return int(ask(path, {"field": "updated_at", "operator": operator, "value": value}).json()["total_count"])

    assert total(CONVERSATIONS, ">", newest) == 0
    assert total(CONVERSATIONS, ">", newest - 1) == 1
    morning = opens_at(day_of(_NOW) - 3)
    assert total(CONTACTS, ">", morning) == total(CONTACTS, ">", morning + 86_399) > 0
    assert total(CONTACTS, ">", morning - 1) > total(CONTACTS, ">", morning)


def test_nothing_of_the_future_is_shown(ask: Asking, company: Company) -> None:
    company.population.reach(_NOW + 20 * 86_400)
    for path, name in ((CONVERSATIONS, "conversations"), (CONTACTS, "data")):
        assert ask(path, EVERYTHING, per_page=1).json()[name][0]["updated_at"] <= _NOW


def test_contacts_are_found_by_id_and_carry_the_shops_customer_id(ask: Asking, company: Company) -> None:
    listed = ask(CONTACTS, EVERYTHING, per_page=3).json()["data"]
    ids = [item["id"] for item in listed[:2]]
    found = ask(CONTACTS, {"field": "id", "operator": "IN", "value": [*ids, "nobody"]}).json()["data"]
    assert {item["id"] for item in found} == set(ids)
    refs = {str(who.ref) for who in company.population.reach(_NOW).people}
    assert {item["external_id"] for item in listed} <= refs


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_without_the_right_token_the_desk_refuses(client: Client, headers: dict[str, str]) -> None:
    for method, path in (("POST", CONVERSATIONS), ("POST", CONTACTS), ("GET", "/intercom/me")):
        answer = client.http.request(
            method, path, headers=headers, json={"query": EVERYTHING} if method == "POST" else None
        )
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "unauthorized")


_DEEP = {"operator": "AND", "value": [EVERYTHING]}


@pytest.mark.parametrize(
    "query",
    [
        None,
        {"operator": "AND", "value": []},
        {"operator": "AND", "value": [EVERYTHING] * 16},
        {"operator": "AND", "value": [EVERYTHING, _DEEP]},
        {"operator": "AND", "value": [{"operator": "OR", "value": [_DEEP]}]},
        {"field": "mood", "operator": "=", "value": "good"},
        {"field": "updated_at", "operator": "~", "value": 1},
        {"field": "updated_at", "operator": ">", "value": "soon"},
        {"field": "updated_at", "operator": ">", "value": [1]},
        {"field": "id", "operator": "IN", "value": "1"},
    ],
)
def test_a_query_the_desk_does_not_know_is_refused(ask: Asking, query: Any) -> None:
    answer = ask(CONVERSATIONS, query)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "parameter_invalid")


@pytest.mark.parametrize("pagination", [{"per_page": 151}, {"per_page": 0}, {"starting_after": "nowhere"}])
def test_a_page_the_desk_does_not_have_is_refused(ask: Asking, pagination: dict[str, Any]) -> None:
    assert ask(CONVERSATIONS, EVERYTHING, **pagination).status_code == 400


def test_a_spent_allowance_says_when_it_is_back(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    good = ask(CONVERSATIONS, EVERYTHING)
    assert int(good.headers["X-RateLimit-Remaining"]) < int(good.headers["X-RateLimit-Limit"])
    monkeypatch.setattr(FixedWindow, "take", lambda _: False)
    answer = ask(CONVERSATIONS, EVERYTHING)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (429, "rate_limit_exceeded")
    assert int(answer.headers["X-RateLimit-Reset"]) > 1_700_000_000


@pytest.mark.parametrize(("path", "schema"), [(CONVERSATIONS, "conversation_list"), (CONTACTS, "contact_list")])
def test_answers_match_the_vendors_description(ask: Asking, path: str, schema: str) -> None:
    document = openapi(SPEC)
    shape = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    answer = without_nulls(ask(path, EVERYTHING, per_page=150).json())
    assert [error.message[:200] for error in Draft202012Validator(shape).iter_errors(answer)] == []
    kind = {"conversation_list": "conversation_list_item", "contact_list": "contact"}[schema]
    items = answer["conversations" if schema == "conversation_list" else "data"]
    known = document["components"]["schemas"][kind]["properties"].keys()
    assert {name for item in items for name in item} <= known


def without_nulls(value: Any) -> Any:
    """Drop nulls, which OpenAPI 3.0 marks in a way JSON Schema does not know."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value
