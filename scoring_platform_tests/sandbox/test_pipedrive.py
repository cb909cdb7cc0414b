"""The sandbox's Pipedrive refuses, limits and remembers like the real one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from scoring_platform.sandbox import pipedrive
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.limits import Limits
from scoring_platform.sandbox.pipedrive_account import MOST_IGNORED
from scoring_platform.sandbox.pipedrive_outbox import notes, persons, received
from scoring_platform_tests.destinations.running import company, serving

PERSONS, FIELDS, NOTES = "/api/v2/persons", "/api/v2/personFields", "/v1/notes"
NOW = datetime(2026, 2, 10, 21, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path: Path) -> Company:
    opened = company(tmp_path)
    opened.clock.set(NOW)
    return opened


@pytest.fixture
def client(shop: Company) -> Iterator[httpx.Client]:
    with opened(shop) as found:
        yield found


@contextmanager
def opened(shop: Company, token: str = "sandbox-pipedrive-token") -> Iterator[httpx.Client]:
    headers = {"x-api-token": token}
    with (
        serving("/pipedrive", pipedrive.routes(shop)) as running,
        httpx.Client(base_url=running.url, headers=headers, trust_env=False) as found,
    ):
        yield found


def field(client: httpx.Client, kind: str, *options: str, name: str = "Ours") -> dict[str, Any]:
    body: dict[str, Any] = {"field_name": name, "field_type": kind}
    if options:
        body["options"] = [{"label": label} for label in options]
    made: dict[str, Any] = client.post(FIELDS, json=body).json()["data"]
    return made


def listed(client: httpx.Client, path: str, **params: str) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        body = client.get(path, params={**params, **({"cursor": cursor} if cursor else {})}).json()
        seen += body["data"]
        cursor = body["additional_data"]["next_cursor"]
    return seen


def test_a_wrong_token_is_refused_and_a_traded_one_accepted(shop: Company) -> None:
    with opened(shop, token="other") as client:
        assert client.get(PERSONS).status_code == 401
        grant = {"grant_type": "refresh_token", "refresh_token": "sandbox-pipedrive-refresh"}
        assert client.post("/oauth/token", data=grant).status_code == 401
        pair = ("sandbox-pipedrive-client", "sandbox-pipedrive-secret")
        token = client.post("/oauth/token", data=grant, auth=pair).json()["access_token"]
        assert client.get(PERSONS, headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert client.post("/oauth/token", data={**grant, "refresh_token": "old"}, auth=pair).status_code == 400


@pytest.mark.parametrize("order", ["id", "update_time", "add_time"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_persons_were_there_before_us_and_each_is_listed_once_in_order(
    client: httpx.Client, shop: Company, order: str, direction: str
) -> None:
    seen = listed(client, PERSONS, limit="40", sort_by=order, sort_direction=direction)
    assert {one["emails"][0]["value"] for one in seen} == set(shop.crm_seed())
    assert len(seen) == 150
    assert sorted(seen, key=lambda one: (one[order], one["id"]), reverse=direction == "desc") == seen


def test_opt_outs_owners_and_labels_are_there_for_some(client: httpx.Client) -> None:
    seen = listed(client, PERSONS, limit="500", include_fields="marketing_status")
    statuses = [one["marketing_status"] for one in seen]
    assert 6 <= statuses.count("unsubscribed") <= 20
    assert {one["owner_id"] for one in seen} == {71_001, 71_002, 71_003}
    assert 20 <= len([one for one in seen if not one["label_ids"]]) <= 60
    assert "marketing_status" not in client.get(PERSONS).json()["data"][0]


def test_a_listing_keeps_to_its_bounds_and_ids(client: httpx.Client) -> None:
    since, until = "2026-02-01T00:00:00Z", "2026-02-05T00:00:00Z"
    changed = listed(client, PERSONS, updated_since=since, updated_until=until)
    assert changed
    assert {since <= one["update_time"] < until for one in changed} == {True}
    ids = ",".join(str(one["id"]) for one in changed[:3])
    assert len(client.get(PERSONS, params={"ids": f"{ids},99"}).json()["data"]) == 3
    assert client.get(PERSONS, params={"limit": "501"}).status_code == 400
    assert client.get(PERSONS, params={"ids": ",".join(map(str, range(101)))}).status_code == 400


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("varchar", "544", 544),
        ("varchar", "x" * 255, "x" * 256),
        ("double", 82.5, "82.5"),
        ("date", "2026-11-20", "20/11/2026"),
        ("text", "x" * 3_000, 1),
    ],
)
def test_values_must_fit_their_field(client: httpx.Client, kind: str, good: Any, bad: Any) -> None:
    code = field(client, kind)["field_code"]
    assert len(code) == 40
    [person] = client.get(PERSONS, params={"limit": "1"}).json()["data"]
    path = f"{PERSONS}/{person['id']}"
    assert client.patch(path, json={"custom_fields": {code: bad}}).status_code == 400
    assert client.patch(path, json={"custom_fields": {code: good}}).json()["data"]["custom_fields"][code] == good
    assert client.patch(path, json={"custom_fields": {code: None}}).json()["data"]["custom_fields"][code] is None
    assert client.patch(path, json={"custom_fields": {"0" * 40: good}}).status_code == 400
    assert client.patch(path, json={code: good}).status_code == 400


def test_options_are_numbers_and_can_be_added(client: httpx.Client, tmp_path: Path) -> None:
    tier, tags = field(client, "enum", "gold", "silver", name="Tier"), field(client, "set", "a", "b", name="Tags")
    gold, (a, b) = tier["options"][0]["id"], [one["id"] for one in tags["options"]]
    codes = (tier["field_code"], tags["field_code"])
    body = {"name": "x", "custom_fields": dict(zip(codes, (gold, [b, a]), strict=True))}
    assert client.post(PERSONS, json=body).json()["success"] is True
    assert received(tmp_path)[-1]["properties"] == {"Tier": "gold", "Tags": "b;a"}
    assert client.post(PERSONS, json={**body, "custom_fields": {codes[0]: "gold"}}).status_code == 400
    assert client.post(PERSONS, json={**body, "custom_fields": {codes[1]: [gold]}}).status_code == 400
    added = client.post(f"{FIELDS}/{codes[0]}/options", json=[{"label": "bronze"}]).json()["data"]
    assert [one["label"] for one in added] == ["bronze"]
    assert added[0]["id"] not in {gold, a, b}
    assert client.post(f"{FIELDS}/{codes[0]}/options", json=[{"label": "gold"}]).status_code == 400
    assert client.post(FIELDS, json={"field_name": "None", "field_type": "enum"}).status_code == 400


def test_nothing_is_unique_and_a_name_is_needed(client: httpx.Client, tmp_path: Path) -> None:
    twin = {"name": "a@example.jp", "emails": [{"value": "a@example.jp"}]}
    assert client.post(PERSONS, json=twin).json()["data"]["id"] != client.post(PERSONS, json=twin).json()["data"]["id"]
    assert client.post(PERSONS, json={"emails": twin["emails"]}).status_code == 400
    assert len(persons(tmp_path)) == 2


def test_a_search_finds_addresses_and_texts_of_ours_whatever_their_case(client: httpx.Client) -> None:
    code = field(client, "varchar")["field_code"]
    body = {"name": "x", "emails": [{"value": "Who@example.jp"}], "custom_fields": {code: "K1"}}
    made = client.post(PERSONS, json=body).json()["data"]["id"]

    def found(term: str, names: str) -> list[int]:
        params = {"term": term, "fields": names, "exact_match": "true"}
        items = client.get(f"{PERSONS}/search", params=params).json()["data"]["items"]
        return [one["item"]["id"] for one in items]

    assert found("who@EXAMPLE.jp", "email") == found("k1", "custom_fields") == [made]
    assert found("K", "custom_fields") == found("K1", "email") == []


def test_a_deleted_person_is_gone(client: httpx.Client) -> None:
    [person] = client.get(PERSONS, params={"limit": "1"}).json()["data"]
    path = f"{PERSONS}/{person['id']}"
    assert client.delete(path).status_code == 200
    assert client.patch(path, json={"name": "x"}).status_code == 404
    assert client.get(path).status_code == 404
    assert len(listed(client, PERSONS, limit="500")) == 149


def test_a_write_moves_the_time_of_change_and_a_restart_keeps_it(shop: Company, tmp_path: Path) -> None:
    with opened(shop) as client:
        code = field(client, "varchar")["field_code"]
        [person] = client.get(PERSONS, params={"limit": "1"}).json()["data"]
        client.patch(f"{PERSONS}/{person['id']}", json={"custom_fields": {code: "1"}})
    with opened(shop) as client:
        again = client.get(f"{PERSONS}/{person['id']}").json()["data"]
        assert (again["update_time"], again["custom_fields"][code]) == ("2026-02-10T21:00:00Z", "1")
        assert again["emails"] == person["emails"]
        assert [one["id"] for one in persons(tmp_path)] == [str(person["id"])]


def test_deals_go_through_their_stages_and_nothing_is_told_before_it_happens(
    client: httpx.Client, shop: Company
) -> None:
    deals = listed(client, "/api/v2/deals", limit="100")
    stages = {one["id"] for one in client.get("/api/v2/stages").json()["data"]}
    assert {one["stage_id"] for one in deals} == stages
    assert {one["status"] for one in deals} == {"open", "won", "lost"}
    assert all((one["close_time"] is None) == (one["status"] == "open") for one in deals)
    assert max(one["update_time"] for one in deals) <= "2026-02-10T21:00:00Z"
    shop.clock.set(NOW + timedelta(days=3))
    later = {one["id"]: one for one in listed(client, "/api/v2/deals", limit="500")}
    moved = [one for one in deals if later[one["id"]] != one]
    assert moved
    assert {later[one["id"]]["update_time"] > one["update_time"] for one in moved} == {True}
    assert {one["status"] for one in moved} == {"open"}


def test_notes_belong_to_a_person_and_are_paged_by_place(client: httpx.Client, tmp_path: Path) -> None:
    [person] = client.get(PERSONS, params={"limit": "1"}).json()["data"]
    assert client.post(NOTES, json={"content": "x"}).status_code == 400
    assert client.post(NOTES, json={"content": "", "person_id": person["id"]}).status_code == 400
    made = [
        client.post(NOTES, json={"content": text, "person_id": person["id"]}).json()["data"] for text in ("a", "b", "c")
    ]
    page = client.get(NOTES, params={"person_id": str(person["id"]), "limit": "2"}).json()
    assert [one["content"] for one in page["data"]] == ["a", "b"]
    assert page["additional_data"]["pagination"]["next_start"] == 2
    path = f"{NOTES}/{made[0]['id']}"
    assert client.put(path, json={"content": "A"}).json()["data"]["content"] == "A"
    assert client.delete(path).status_code == 200
    assert client.get(path).status_code == 404
    assert [one["content"] for one in notes(tmp_path)] == ["b", "c"]


def test_each_call_has_its_price_and_the_budget_ends_the_day(tmp_path: Path) -> None:
    shop = company(tmp_path, limits=Limits(pipedrive_tokens_per_day=36))
    shop.clock.set(NOW)
    with opened(shop) as client:
        prices = [PERSONS, f"{PERSONS}/1001", f"{PERSONS}/search?term=xx", "/v1/users/me", PERSONS]
        answers = [client.get(path) for path in prices]
        left = [one.headers["x-daily-ratelimit-token-remaining"] for one in answers]
        assert left == ["26", "25", "5", "3", "0"]
        assert [one.status_code for one in answers] == [200, 200, 200, 200, 429]
        shop.clock.set(NOW + timedelta(days=1))
        assert client.get(PERSONS).status_code == 200


def test_too_many_calls_are_refused_and_who_goes_on_is_blocked(tmp_path: Path) -> None:
    shop = company(tmp_path, limits=Limits(pipedrive_per_two_seconds=3, pipedrive_searches_per_two_seconds=1))
    with opened(shop) as client:
        answers = [client.get(PERSONS) for _ in range(4)]
        assert [one.status_code for one in answers] == [200, 200, 200, 429]
        assert [one.headers["x-ratelimit-remaining"] for one in answers] == ["2", "1", "0", "0"]
        assert answers[3].headers["x-ratelimit-reset"] == "10"
        assert client.get(f"{PERSONS}/search", params={"term": "xx"}).headers["x-ratelimit-limit"] == "1"
        codes = [client.get(PERSONS).status_code for _ in range(MOST_IGNORED + 1)]
        assert codes == [429] * MOST_IGNORED + [403]
