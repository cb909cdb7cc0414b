"""The sandbox's Mailchimp: newsletters, their reports, the audience, and its manners."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.credentials import CREDENTIALS
from scoring_platform.sandbox.days import iso_offset, seconds
from scoring_platform.sandbox.limits import Limits
from scoring_platform.sandbox.mailings import BOUNCED, CLICKED, OPENED, RECEIVED, UNSUBSCRIBED
from scoring_platform.sandbox.newsletters import is_automated, is_newsletter
from scoring_platform.sandbox.server import build_app
from scoring_platform_tests.sandbox.client import Client
from scoring_platform_tests.sandbox.conftest import NOW, specs

AUTH = ("anything", CREDENTIALS["mailchimp"]["api_key"])
_NOW = seconds(NOW)


def get(client: Client, path: str, **query: str) -> httpx.Response:
    return client.http.get(f"/mailchimp/3.0{path}", params=query, auth=AUTH)


def read(client: Client, path: str, key: str, **query: str) -> list[dict[str, Any]]:
    """Every entry of a listing."""
    found: list[dict[str, Any]] = []
    while True:
        body = get(client, path, count="1000", offset=str(len(found)), **query).json()
        found += body[key]
        if len(found) >= body["total_items"]:
            return found


def report(client: Client, campaign: str, name: str, key: str, **query: str) -> list[dict[str, Any]]:
    return read(client, f"/reports/{campaign}/{name}", key, **query)


def members(client: Client, **query: str) -> list[dict[str, Any]]:
    return read(client, f"/lists/{audience(client)}/members", "members", **query)


def audience(client: Client) -> str:
    [one] = get(client, "/lists").json()["lists"]
    return str(one["id"])


def test_the_reports_hold_exactly_what_became_of_the_newsletters(client: Client, company: Company) -> None:
    books = company.population.reach(_NOW)
    mail = [version.thing for version in books.mail.at(_NOW) if is_newsletter(version.thing)]
    expected: dict[str, list[tuple[Any, ...]]] = {
        name: sorted((books.people[e.person].email, e.campaign, iso_offset(e.at)) for e in mail if e.metric == metric)
        for name, metric in (("open", OPENED), ("click", CLICKED), ("bounce", BOUNCED))
    }
    reached = sorted((books.people[e.person].email, e.campaign) for e in mail if e.metric in (RECEIVED, BOUNCED))
    left = sorted((books.people[e.person].email, e.campaign) for e in mail if e.metric == UNSUBSCRIBED)
    actions: dict[str, list[tuple[Any, ...]]] = {"open": [], "click": [], "bounce": []}
    sent, leavers = [], []
    for campaign in read(client, "/campaigns", "campaigns"):
        key, title = campaign["id"], campaign["settings"]["title"]
        sent += [(entry["email_address"], title) for entry in report(client, key, "sent-to", "sent_to")]
        leavers += [(one["email_address"], title) for one in report(client, key, "unsubscribed", "unsubscribes")]
        for entry in report(client, key, "email-activity", "emails"):
            for done in entry["activity"]:
                actions[done["action"]].append((entry["email_address"], title, done["timestamp"]))

    assert {name: sorted(found) for name, found in actions.items()} == expected
    assert sorted(sent) == reached
    assert sorted(leavers) == left
    assert all(expected.values())


def test_each_tool_has_a_fair_part_of_the_mailings_and_both_together_all(company: Company) -> None:
    mail = [version.thing for version in company.population.reach(_NOW).mail.at(_NOW) if version.thing.campaign]
    newsletters, automated = (sum(map(whose, mail)) for whose in (is_newsletter, is_automated))
    assert newsletters + automated == len(mail)
    assert min(newsletters, automated) > len(mail) / 5


def test_a_newsletter_appears_when_its_last_mail_has_gone_out(client: Client, company: Company) -> None:
    latest = read(client, "/campaigns", "campaigns", sort_dir="DESC", sort_field="send_time")[0]
    sent_at = datetime.fromisoformat(latest["send_time"])
    assert [found["id"] for found in read(client, "/campaigns", "campaigns", since_send_time=sent_at.isoformat())] == [
        latest["id"]
    ]
    assert latest not in read(client, "/campaigns", "campaigns", before_send_time=sent_at.isoformat())
    company.clock.set(sent_at + timedelta(minutes=19))
    assert latest["id"] not in {found["id"] for found in read(client, "/campaigns", "campaigns")}
    company.clock.set(sent_at + timedelta(minutes=20))
    assert latest["id"] in {found["id"] for found in read(client, "/campaigns", "campaigns")}
    done = report(client, latest["id"], "email-activity", "emails", since="2025-10-01T00:00:00+00:00")
    now = iso_offset(seconds(sent_at + timedelta(minutes=20)))
    assert max(one["timestamp"] for entry in done for one in entry["activity"]) <= now


def test_activity_since_a_moment_names_only_who_did_something_after_it(client: Client) -> None:
    latest = read(client, "/campaigns", "campaigns")[-1]
    everyone = report(client, latest["id"], "email-activity", "emails")
    since = sorted(one["timestamp"] for entry in everyone for one in entry["activity"])[-20]
    late = report(client, latest["id"], "email-activity", "emails", since=since)
    assert {len(entry["activity"]) for entry in everyone} >= {0, 1, 2}
    assert sum(len(entry["activity"]) for entry in late) == 19
    assert all(one["timestamp"] > since for entry in late for one in entry["activity"])


def test_the_audience_is_everybody_who_ever_agreed_once(client: Client, company: Company) -> None:
    accounts = company.population.reach(_NOW).accounts.at(_NOW)
    agreed = [v for v in accounts if v.thing.person.twin_of is None and v.thing.marketing != "NOT_SUBSCRIBED"]
    found = members(client)
    assert len({one["email_address"] for one in found}) == len(found) == len(agreed)
    assert {one["status"] for one in found} == {"subscribed", "unsubscribed"}
    assert all(one["timestamp_opt"] <= one["last_changed"] <= iso_offset(_NOW) for one in found)
    left = members(client, status="unsubscribed")
    assert 0 < len(left) < len(found)
    assert {one["status"] for one in left} == {"unsubscribed"}


def test_members_are_filtered_and_ordered_by_their_last_change(client: Client) -> None:
    since, until = "2026-02-05T00:00:00+00:00", "2026-02-09T00:00:00+00:00"
    found = [one["last_changed"] for one in members(client, since_last_changed=since, before_last_changed=until)]
    assert found == sorted(found)
    assert all(since <= changed < until for changed in found)
    backwards = members(client, since_last_changed=since, before_last_changed=until, sort_dir="DESC")
    assert [one["last_changed"] for one in backwards] == found[::-1]
    assert len(found) > 3


def test_a_page_has_ten_entries_unless_asked_for_more(client: Client) -> None:
    path = f"/lists/{audience(client)}/members"
    first, second = (get(client, path, offset=offset).json()["members"] for offset in ("0", "10"))
    assert len(first) == len(second) == 10
    assert first + second == get(client, path, count="20").json()["members"]


def test_fields_trim_an_answer(client: Client) -> None:
    body = get(client, "/campaigns", fields="campaigns.id,campaigns.settings.title,total_items", count="2").json()
    assert set(body) == {"campaigns", "total_items"}
    assert [set(one) for one in body["campaigns"]] == [{"id", "settings"}] * 2
    assert set(body["campaigns"][0]["settings"]) == {"title"}


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/campaigns", {"count": "1001"}, 400),
        ("/campaigns", {"offset": "-1"}, 400),
        ("/campaigns", {"since_send_time": "yesterday"}, 400),
        ("/reports/unknown/sent-to", {}, 404),
        ("/lists/unknown/members", {}, 404),
    ],
)
def test_what_is_asked_wrongly_is_refused_as_a_problem(
    client: Client, path: str, query: dict[str, str], status: int
) -> None:
    answer = get(client, path, **query)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_campaigns_of_another_audience_or_state_are_none(client: Client) -> None:
    assert get(client, "/campaigns", list_id="another").json()["total_items"] == 0
    assert get(client, "/campaigns", status="paused").json()["total_items"] == 0


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic x"}, {"Authorization": "Bearer key"}])
def test_a_wrong_key_is_refused(client: Client, headers: dict[str, str]) -> None:
    assert client.http.get("/mailchimp/3.0/ping", headers=headers).status_code == 401
    assert client.http.get("/mailchimp/3.0/ping", auth=("any", "wrong")).status_code == 401
    assert get(client, "/ping").json() == {"health_status": "Everything's Chimpy!"}


def test_more_calls_at_a_time_than_allowed_are_refused(tmp_path: Path) -> None:
    busy = Company.open(tmp_path, limits=Limits(mailchimp_connections=0))
    answer = asyncio.run(asked_once(busy, "/mailchimp/3.0/ping", auth=AUTH))
    assert answer.status_code == 429
    assert "simultaneous connections" in answer.json()["detail"]
    assert "retry-after" not in answer.headers


async def asked_once(company: Company, path: str, *, auth: tuple[str, str]) -> httpx.Response:
    """Ask a company that has no server of its own."""
    transport = httpx.ASGITransport(build_app(company))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as http:
        return await http.get(path, auth=auth)


@pytest.mark.skipif(not specs().exists(), reason="the vendors' descriptions are not at hand")
def test_answers_match_the_vendors_description(client: Client) -> None:
    document = json.loads((specs() / "mailchimp" / "marketing.json").read_text(encoding="utf-8"))
    campaign = read(client, "/campaigns", "campaigns")[0]["id"]
    paths = {
        "/ping": "/ping",
        "/campaigns": "/campaigns",
        "/lists": "/lists",
        "/lists/{list_id}/members": f"/lists/{audience(client)}/members",
        **{
            f"/reports/{{campaign_id}}/{name}": f"/reports/{campaign}/{name}"
            for name in ("sent-to", "email-activity", "unsubscribed")
        },
    }
    for template, path in paths.items():
        shape = document["paths"][template]["get"]["responses"]["200"]["schema"]
        body = get(client, path).json()
        problems = Draft202012Validator({**shape, "definitions": document.get("definitions", {})}).iter_errors(body)
        assert [(template, list(one.path), one.message[:200]) for one in problems] == []
        unknown = {name for name in body if name not in shape["properties"]}
        assert not unknown


def test_the_company_of_another_day_is_another_answer(client: Client, company: Company) -> None:
    early = get(client, "/campaigns").json()["total_items"]
    company.clock.set(datetime(2025, 11, 1, tzinfo=UTC))
    assert 0 < get(client, "/campaigns").json()["total_items"] < early
