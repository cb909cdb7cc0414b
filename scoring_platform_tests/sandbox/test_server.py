"""What the vendors of the sandbox answer over HTTP."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.days import date_of, day_of, iso_z, opens_at, seconds
from scoring_platform.sandbox.faults import Fault
from scoring_platform.sandbox.limits import FixedWindow, LeakyBucket
from scoring_platform.sandbox.planting import MALFORMED
from scoring_platform.sandbox.shopify_pages import comes_again
from scoring_platform_tests.sandbox.client import (
    CUSTOMERS,
    EVENTS,
    GRAPHQL,
    ORDERS,
    REPORT,
    RESPONSES,
    TICKETS,
    Client,
)
from scoring_platform_tests.sandbox.conftest import NOW

_NOW = seconds(NOW)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", GRAPHQL), ("GET", EVENTS), ("POST", REPORT), ("GET", TICKETS), ("GET", RESPONSES)],
)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong", "x-api-key": "wrong"}])
def test_without_the_right_credential_every_vendor_refuses(
    client: Client, method: str, path: str, headers: dict[str, str]
) -> None:
    assert client.http.request(method, path, headers=headers, json={}).status_code == 401


@pytest.mark.parametrize("path", ["/shopify/admin/oauth/access_token", "/zendesk/oauth/tokens"])
def test_a_wrong_client_secret_gets_no_token(client: Client, path: str) -> None:
    grant = {"grant_type": "client_credentials", "client_id": "sandbox-shop-client", "client_secret": "guess"}
    assert client.http.post(path, data=grant).status_code == 401


@pytest.mark.parametrize("claims", [{"iss": "other@example.com"}, {"exp": 1}, {"scope": "mail"}, {"aud": "elsewhere"}])
def test_an_assertion_with_a_wrong_claim_gets_no_token(client: Client, claims: dict[str, Any]) -> None:
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": client.assertion(**claims)}
    assert client.http.post("/ga4/token", data=grant).status_code == 401


def test_an_assertion_whose_signature_was_changed_gets_no_token(client: Client) -> None:
    head, payload, signature = client.assertion().split(".")
    forged = f"{head}.{payload}.{signature[::-1]}"
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": forged}
    assert client.http.post("/ga4/token", data=grant).status_code == 401


def test_the_mail_tool_wants_a_revision(client: Client) -> None:
    headers = {**client.klaviyo_headers()}
    del headers["revision"]
    assert client.http.get(EVENTS, headers=headers).status_code == 400


def test_every_order_comes_once_apart_from_those_the_shop_repeats(client: Client, company: Company) -> None:
    listed = Counter(int(order["legacyResourceId"]) for order in client.orders(size=40))
    company.instant()
    assert set(listed) == {version.number for version in company.population.books.orders.at(_NOW)}
    repeated = {number for number, times in listed.items() if times > 1}
    assert repeated
    assert all(comes_again(number) and listed[number] == 2 for number in repeated)


def test_a_repeated_order_stands_on_two_pages_and_never_twice_on_one(client: Client) -> None:
    for page in client.pages(ORDERS, "orders", size=40):
        ids = [order["legacyResourceId"] for order in page]
        assert len(ids) == len(set(ids)) <= 40


def test_every_customer_event_ticket_and_answer_comes_once(client: Client, company: Company) -> None:
    books = company.population.reach(_NOW)
    customers = [node for page in client.pages(CUSTOMERS, "customers", size=250) for node in page]
    assert len({node["legacyResourceId"] for node in customers}) == len(customers) == len(books.accounts.at(_NOW))
    events = [item["id"] for page in client.events(**{"page[size]": "1000"}) for item in page["data"]]
    assert len(set(events)) == len(events) == len(books.mail.at(_NOW))
    tickets = [item["id"] for page in client.tickets(size=50) for item in page["tickets"]]
    assert len(set(tickets)) == len(tickets) == len(books.tickets.page(_NOW, until=_NOW - 60))
    answers = [item["id"] for skip in (0, 50, 100, 150) for item in client.responses(skip=str(skip))["data"]]
    assert len(set(answers)) == len(answers) == min(200, len(books.responses.at(_NOW)))


def test_report_rows_come_once_across_pages(client: Client, company: Company) -> None:
    asked = {"orderBys": [{"dimension": {"dimensionName": name}} for name in ("date", "customUser:crm_id")]}
    rows: list[Any] = []
    total = 1
    while len(rows) < total:
        page = client.report("2025-10-01", "2026-02-10", limit="4000", offset=str(len(rows)), **asked).json()
        rows, total = rows + page["rows"], page["rowCount"]
    keys = [tuple(cell["value"] for cell in row["dimensionValues"]) for row in rows]
    assert len(set(keys)) == len(keys) == total
    sessions = sum(int(row["metricValues"][0]["value"]) for row in rows)
    log = company.population.books.visits
    assert sessions == sum(visit.sessions for visit in log.first(log.known(_NOW)))


def test_nothing_of_the_future_is_shown(client: Client, company: Company) -> None:
    company.population.reach(opens_at(day_of(_NOW) + 20))
    latest = max(order["updatedAt"] for order in client.orders("updated_at:>='2026-02-09T00:00:00Z'"))
    assert "2026-02-10" < latest <= iso_z(_NOW)
    pages = client.events(filter="greater-or-equal(datetime,2026-02-09T00:00:00Z)")
    assert max(item["attributes"]["timestamp"] for page in pages for item in page["data"]) <= _NOW
    stamps = [item["generated_timestamp"] for page in client.tickets() for item in page["tickets"]]
    assert max(stamps) <= _NOW - 60
    newest = client.responses(sortBy="updatedAt", order="desc", limit="1")["data"][0]["updatedAt"]
    assert newest <= iso_z(_NOW)
    days = [row["dimensionValues"][0]["value"] for row in client.report("2026-02-01", "2026-03-01").json()["rows"]]
    assert max(days) == "20260210"


def test_an_order_refunded_later_shows_as_it_was(client: Client, company: Company) -> None:
    orders = company.population.reach(_NOW).orders
    refunded = next(v for v in reversed(orders.at(_NOW)) if v.thing.payment == "PARTIALLY_REFUNDED")
    ask = 'query { order(id: "gid://shopify/Order/%d") { updatedAt totalRefundedSet { shopMoney { amount } } } }'
    after = client.graphql(ask % refunded.number)["data"]["order"]
    company.clock.set(datetime.fromtimestamp(refunded.since - 1, UTC))
    before = client.graphql(ask % refunded.number)["data"]["order"]
    assert after["updatedAt"] == iso_z(refunded.since)
    assert after["totalRefundedSet"]["shopMoney"]["amount"] == f"{refunded.thing.refunded}.0"
    assert before["updatedAt"] < after["updatedAt"]
    assert before["totalRefundedSet"]["shopMoney"]["amount"] == "0.0"


def test_web_figures_settle_within_days(client: Client, company: Company) -> None:
    early = client.report("2026-02-10", "2026-02-10").json()["rowCount"]
    company.clock.set(NOW + timedelta(days=3))
    late = client.report("2026-02-10", "2026-02-10").json()["rowCount"]
    assert 0 < early < late


def test_orders_are_filtered_by_their_last_change(client: Client) -> None:
    since, until = "2026-02-09T15:00:00Z", "2026-02-10T15:00:00Z"
    changed = client.orders(f"updated_at:>='{since}' AND updated_at:<'{until}'")
    assert 15 < len(changed) < 120
    assert all(since <= order["updatedAt"] < until for order in changed)


def test_customers_are_filtered_by_whole_days(client: Client) -> None:
    found = [n for page in client.pages(CUSTOMERS, "customers", "updated_at:>='2026-02-09T18:00:00Z'") for n in page]
    assert min(node["updatedAt"] for node in found)[:10] == "2026-02-09"
    assert {node["metafield"]["value"] for node in found} <= {"granted", "denied"}


def test_planted_orders_reach_the_client_as_they_are(client: Client, company: Company) -> None:
    day = day_of(_NOW) - 1
    orders = {order["legacyResourceId"]: order for order in client.orders("updated_at:>='2026-01-01T00:00:00Z'")}
    for number in range(day - 20, day):
        for item in company.population.planted(date_of(number))["raw_orders"]:
            order = orders[item.record_id]
            assert (order["currencyCode"] == "XTS") == (item.kind == "currency")
            assert (order["totalPriceSet"]["shopMoney"]["amount"] is None) == (item.kind == "amount")
    second = "greater-or-equal(datetime,2026-02-10T02:00:00Z),less-than(datetime,2026-02-10T02:00:01Z)"
    page = next(client.events(filter=second, include="profile"))
    emails = [item["attributes"]["email"] for item in page["included"]]
    assert emails.count(MALFORMED) == 1


def test_events_can_be_asked_by_metric(client: Client) -> None:
    metrics = client.http.get("/klaviyo/api/metrics", headers=client.klaviyo_headers()).json()["data"]
    clicked = next(item["id"] for item in metrics if item["attributes"]["name"] == "Clicked Email")
    events = [item for page in client.events(filter=f'equals(metric_id,"{clicked}")') for item in page["data"]]
    assert len(events) > 50
    assert {item["relationships"]["metric"]["data"]["id"] for item in events} == {clicked}


def test_a_filter_the_vendor_does_not_know_is_refused(client: Client) -> None:
    answer = client.http.get(EVENTS, params={"filter": "equals(email,x)"}, headers=client.klaviyo_headers())
    assert answer.status_code == 400
    assert "errors" in client.graphql(ORDERS, {"n": 10, "q": "email:x"})
    assert client.report("2026-02-01", "2026-02-02", metrics=[{"name": "luck"}]).status_code == 400


def test_a_query_tells_its_cost_and_a_dear_one_is_refused(client: Client) -> None:
    cost = client.graphql(ORDERS, {"n": 50})["extensions"]["cost"]
    assert cost["requestedQueryCost"] == 64
    assert cost["throttleStatus"]["currentlyAvailable"] <= cost["throttleStatus"]["maximumAvailable"]
    dear = "query { orders(first: 250) { nodes { lineItems(first: 250) { nodes { id } } } } " + " ".join(
        f"o{n}: orders(first: 250) {{ nodes {{ id }} }}" for n in range(3)
    )
    answer = client.graphql(dear + " }")
    assert answer["errors"][0]["extensions"]["code"] == "MAX_COST_EXCEEDED"


def test_an_empty_bucket_refuses_until_points_come_back() -> None:
    ticks = [0.0]
    bucket = LeakyBucket(100, 10, clock=lambda: ticks[0])
    assert bucket.take(100)
    assert not bucket.take(50)
    ticks[0] = 5.0
    assert bucket.take(50)
    bucket.give_back(30)
    assert bucket.available == 30


def test_a_window_refuses_until_the_next_one() -> None:
    ticks = [0.0]
    window = FixedWindow(2, 60, clock=lambda: ticks[0])
    assert [window.take() for _ in range(3)] == [True, True, False]
    ticks[0] = 60.0
    assert window.take()
    assert window.remaining == 1


def test_a_throttled_shop_says_so_in_a_successful_answer(client: Client) -> None:
    headers = client.shopify_headers
    client.http.post("/_sandbox/faults", json={"path_prefix": GRAPHQL, "kind": "throttle"})
    answer = client.http.post(GRAPHQL, json={"query": "{ shop { name } }"}, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["errors"][0]["extensions"]["code"] == "THROTTLED"
    assert "data" in client.graphql("{ shop { name } }")


def test_planned_statuses_hit_so_many_requests_and_no_more(client: Client, company: Company) -> None:
    company.faults.add(Fault("/formbricks", "status", times=2, status=503, retry_after=1))
    answers = [client.http.get(RESPONSES) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 401]
    assert answers[0].headers["retry-after"] == "1"


def test_html_and_broken_json_can_be_planned(client: Client, company: Company) -> None:
    company.faults.add(Fault("/zendesk", "html", status=502))
    company.faults.add(Fault("/zendesk", "malformed"))
    page, broken = client.http.get(TICKETS), client.http.get(TICKETS)
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html")
    with pytest.raises(ValueError, match="Expecting"):
        broken.json()


def test_a_reset_breaks_off_in_the_middle_of_the_answer(client: Client, company: Company) -> None:
    company.faults.add(Fault("/klaviyo", "reset"))
    with pytest.raises(httpx.RemoteProtocolError):
        client.http.get(EVENTS)


def test_a_timeout_gives_no_answer(client: Client, company: Company) -> None:
    company.faults.add(Fault("/klaviyo", "timeout"))
    with pytest.raises(httpx.ReadTimeout):
        client.http.get(EVENTS, timeout=0.1)


def test_a_page_can_be_repeated(client: Client, company: Company) -> None:
    headers, params = client.klaviyo_headers(), {"page[size]": "2"}
    first = client.http.get(EVENTS, params=params, headers=headers).json()
    company.faults.add(Fault("/klaviyo", "repeat_page"))
    assert client.http.get(first["links"]["next"], headers=headers).json() == first
    assert client.http.get(first["links"]["next"], headers=headers).json()["data"] != first["data"]


def test_an_unknown_fault_is_refused(client: Client) -> None:
    answer = client.http.post("/_sandbox/faults", json={"path_prefix": "/", "kind": "earthquake"})
    assert answer.status_code == 400
    assert "repeat_page" in answer.json()["error"]


def test_requests_are_counted_with_whether_they_write(client: Client) -> None:
    client.graphql("{ shop { name } }")
    client.http.post("/hubspot/crm/v3/objects/contacts/batch/upsert", json={})
    counted = {
        (r["vendor"], r["path"].rsplit("/", 1)[-1]): r for r in client.http.get("/_sandbox/requests").json()["requests"]
    }
    assert (counted["shopify", "graphql.json"]["count"], counted["shopify", "graphql.json"]["writes"]) == (1, False)
    assert counted["hubspot", "upsert"]["writes"] is True


def test_the_clock_can_be_set_given_back_and_survives(client: Client, company: Company) -> None:
    def show(text: str | None) -> Any:
        return client.http.post("/_sandbox/clock", json={"now": text}).json()

    assert show("2026-01-20T21:00:00Z") == {"now": "2026-01-20T21:00:00Z", "set": True}
    assert Company.open(company.state_dir).now() == datetime(2026, 1, 20, 21, tzinfo=UTC)
    assert client.http.get("/healthz").json()["now"] == "2026-01-20T21:00:00Z"
    assert show(None)["set"] is False
    assert abs(company.now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert client.http.post("/_sandbox/clock", json={"now": "soon"}).status_code == 400
