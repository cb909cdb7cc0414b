"""Klaviyo: which metrics are read, how pages are followed, and the naming of fields."""

from __future__ import annotations

from typing import Any

import pytest

from scoring_platform.contracts.raw import RAW_CONSENTS, RAW_EMAIL_EVENTS
from scoring_platform.errors import CredentialError, PermanentError
from scoring_platform.sources.klaviyo import DECISIONS, KINDS, Klaviyo, KlaviyoSource, machine
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, reply
from scoring_platform_tests.sources.scenario import TOKYO, credential, rows
from scoring_platform_tests.sources.vendor_specs import check_query, openapi

SPEC = "klaviyo/events-profiles.json"


def source(server: Loopback) -> Klaviyo:
    settings = KlaviyoSource.model_validate({"endpoint": server.url, "page_size": 2})
    return Klaviyo(settings, server.url, credential, TOKYO)


def metrics(*names: str) -> Reply:
    data = [{"type": "metric", "id": f"M{n}", "attributes": {"name": name}} for n, name in enumerate(names)]
    return reply({"data": data, "links": {"self": "…", "next": None}})


def event(
    number: int, properties: dict[str, Any] | None = None, profile: str = "P1", metric: str = "M0"
) -> dict[str, Any]:
    attributes: dict[str, Any] = {"datetime": "2026-11-20T08:00:00+00:00"}
    if properties is not None:
        attributes["event_properties"] = properties
    relationships = {
        "profile": {"data": {"type": "profile", "id": profile}},
        "metric": {"data": {"type": "metric", "id": metric}},
    }
    return {"type": "event", "id": f"e{number}", "attributes": attributes, "relationships": relationships}


def listing(events: list[dict[str, Any]], following: str | None = None, email: str | None = "taro@example.jp") -> Reply:
    included = [{"type": "profile", "id": "P1", "attributes": {"email": email}}]
    return reply({"data": events, "included": included, "links": {"self": "…", "next": following}})


def one_metric(server: Loopback, name: str, answer: Reply) -> None:
    server.answer = lambda seen: metrics(name) if seen.path == "/api/metrics" else answer


@pytest.mark.parametrize(("metric", "kind"), KINDS.items())
def test_each_metric_becomes_its_kind_of_event(server: Loopback, metric: str, kind: str) -> None:
    one_metric(server, metric, listing([event(1, {"$message": "C1"})]))
    [found] = rows(source(server), "raw_email_events")
    assert found == {
        "event_id": "e1",
        "email": "taro@example.jp",
        "campaign_id": "C1",
        "kind": kind,
        "machine": None,
        "occurred_at": "2026-11-20T08:00:00+00:00",
    }


@pytest.mark.parametrize(("metric", "status"), DECISIONS.items())
def test_each_subscription_metric_becomes_its_decision(server: Loopback, metric: str, status: str) -> None:
    one_metric(server, metric, listing([event(1)]))
    [found] = rows(source(server), "raw_consents")
    assert found == {
        "event_id": "e1",
        "subject": "taro@example.jp",
        "channel": "email",
        "purpose": "marketing",
        "status": status,
        "occurred_at": "2026-11-20T08:00:00+00:00",
    }
    assert found.keys() == RAW_CONSENTS.columns.keys() - {"source"}


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, None),
        ({"machine_open": True}, True),
        ({"machine_open": False}, False),
        ({"Apple Privacy Open": "True", "machine_open": False}, True),
        ({"Apple Privacy Open": "False"}, False),
        ({"machine_open": None}, None),
    ],
)
def test_an_open_by_a_proxy_is_told_from_one_by_a_person(properties: dict[str, Any], expected: bool | None) -> None:
    assert machine(properties) is expected


def test_only_opens_say_whether_a_machine_did_it(server: Loopback) -> None:
    one_metric(server, "Opened Email", listing([event(1, {"machine_open": True})]))
    assert rows(source(server), "raw_email_events")[0]["machine"] is True
    one_metric(server, "Clicked Email", listing([event(1, {"machine_open": True})]))
    [found] = rows(source(server), "raw_email_events")
    assert found["machine"] is None
    assert found.keys() == RAW_EMAIL_EVENTS.columns.keys() - {"source"}


def test_metrics_we_do_not_need_are_never_asked_for(server: Loopback) -> None:
    def answer(seen: Seen) -> Reply:
        if seen.path == "/api/metrics":
            return metrics("Placed Order", "Opened Email", "Dropped Email", "Opened Email")
        metric = seen.query["filter"].split('"')[1]
        return listing([event(int(metric[1:]), metric=metric)])

    server.answer = answer
    assert [row["event_id"] for row in rows(source(server), "raw_email_events")] == ["e1", "e3"]


@pytest.mark.parametrize("table", ["raw_email_events", "raw_consents"])
def test_the_calls_are_those_the_vendor_documents(server: Loopback, table: str) -> None:
    server.answer = lambda seen: metrics(*KINDS, *DECISIONS) if seen.path == "/api/metrics" else listing([])
    rows(source(server), table)
    for seen in server.seen:
        check_query(seen, openapi(SPEC), seen.path)
        assert seen.headers["authorization"] == "Klaviyo-API-Key secret-api_key"
        assert seen.headers["revision"] == "2026-07-15"
    window = "greater-or-equal(datetime,2026-11-20T00:00:00.000Z),less-than(datetime,2026-11-21T00:00:00.000Z)"
    assert server.seen[1].query["filter"].split(",", 2)[2] == window


def test_the_next_link_is_followed_as_it_is(server: Loopback) -> None:
    link = f"{server.url}/api/events?page%5Bcursor%5D=a%2Bb&filter=x"

    def answer(seen: Seen) -> Reply:
        if seen.path == "/api/metrics":
            return metrics("Clicked Email")
        return listing([event(2)]) if "page[cursor]" in seen.query else listing([event(1)], link)

    server.answer = answer
    assert [row["event_id"] for row in rows(source(server), "raw_email_events")] == ["e1", "e2"]
    assert server.seen[-1].query == {"page[cursor]": "a+b", "filter": "x"}


def test_a_link_that_repeats_stops_the_reading(server: Loopback) -> None:
    numbers = iter(range(99))

    def answer(seen: Seen) -> Reply:
        if seen.path == "/api/metrics":
            return metrics("Clicked Email")
        return listing([event(next(numbers))], f"{server.url}/api/events?page=same")

    server.answer = answer
    with pytest.raises(PermanentError, match="klaviyo events gave the same page cursor twice"):
        rows(source(server), "raw_email_events")


def test_events_of_another_metric_are_never_mislabelled(server: Loopback) -> None:
    one_metric(server, "Clicked Email", listing([event(1, metric="M7")]))
    with pytest.raises(PermanentError, match="events of another metric than M0"):
        rows(source(server), "raw_email_events")


def test_a_malformed_and_a_missing_address_pass_through(server: Loopback) -> None:
    one_metric(server, "Clicked Email", listing([event(1), event(2, profile="P9")], email="taro＠＠invalid"))
    assert [row["email"] for row in rows(source(server), "raw_email_events")] == ["taro＠＠invalid", None]


def test_a_wrong_key_names_the_variable(server: Loopback) -> None:
    server.script([reply({"errors": [{"code": "not_authenticated", "detail": "Incorrect key."}]}, 401)])
    with pytest.raises(CredentialError, match=r"Incorrect key\..*SCORING_KLAVIYO_API_KEY"):
        rows(source(server), "raw_email_events")


def test_an_answer_of_another_shape_is_permanent(server: Loopback) -> None:
    one_metric(server, "Clicked Email", reply({"data": [{"id": "e1"}]}))
    with pytest.raises(PermanentError, match=r"raw_email_events in a shape it does not document \(no field"):
        rows(source(server), "raw_email_events")


def test_the_probe_says_how_many_metrics_are_there(server: Loopback) -> None:
    server.answer = lambda _: metrics("Opened Email", "Placed Order")
    assert source(server).probe() == "klaviyo: 1 of the metrics we read, revision 2026-07-15"
