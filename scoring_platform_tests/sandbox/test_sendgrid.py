"""The sandbox's SendGrid: suppression lists, and events pushed with a signature."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jsonschema import Draft202012Validator

from scoring_platform.errors import ConfigurationError, TransientError
from scoring_platform.sandbox import connection
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.connection import Endpoint
from scoring_platform.sandbox.credentials import CREDENTIALS, webhook_public_key
from scoring_platform.sandbox.days import seconds
from scoring_platform.sandbox.event_webhook import MOST_EVENTS, SIGNATURE, TIMESTAMP, EventWebhook
from scoring_platform.sandbox.limits import Limits
from scoring_platform.sandbox.mailings import BOUNCED, RECEIVED, SPAM, UNSUBSCRIBED, MailEvent
from scoring_platform.sandbox.newsletters import is_automated
from scoring_platform.sandbox.planting import MALFORMED, event_id
from scoring_platform.sandbox.pushing import UndeliveredError
from scoring_platform.sandbox.server import build_app
from scoring_platform_tests.http.loopback import Loopback, Seen, reply, serving
from scoring_platform_tests.sandbox.client import Client
from scoring_platform_tests.sandbox.conftest import NOW, specs

_NOW = seconds(NOW)
KEY = CREDENTIALS["sendgrid"]["api_key"]
TOOK = {"accepted": True}


@pytest.fixture(scope="module")
def _server() -> Iterator[Loopback]:
    with serving() as loopback:
        yield loopback


@pytest.fixture
def receiver(_server: Loopback) -> Loopback:
    """A receiver that takes everything."""
    _server.seen.clear()
    _server.answer = lambda _: reply(TOOK)
    return _server


@pytest.fixture
def webhook(company: Company, client: Client, tmp_path: Path) -> EventWebhook:
    """The sender of a company that has delivered nothing yet, never really waiting."""
    fresh = Company(tmp_path, company.population, company.clock)
    return EventWebhook(fresh, pause=lambda _: None)


def listed(client: Client, name: str, **query: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {KEY}"}
    return client.http.get(f"/sendgrid/v3/suppression/{name}", params=query, headers=headers)


def automated(company: Company, until: int = _NOW) -> list[MailEvent]:
    books = company.population.reach(until)
    return [version.thing for version in books.mail.at(until) if is_automated(version.thing)]


def told(receiver: Loopback) -> list[dict[str, Any]]:
    return [event for seen in receiver.seen for event in seen.json]


def verify(seen: Seen, public_key: str) -> None:
    key = serialization.load_der_public_key(base64.b64decode(public_key))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signed = seen.headers[TIMESTAMP.lower()].encode() + seen.body
    key.verify(base64.b64decode(seen.headers[SIGNATURE.lower()]), signed, ec.ECDSA(hashes.SHA256()))


def test_every_event_of_an_automated_mail_is_pushed_once(
    webhook: EventWebhook, company: Company, receiver: Loopback
) -> None:
    mail = automated(company)
    delivered = webhook.deliver(f"{receiver.url}/all")
    events = told(receiver)
    ids = [event["sg_event_id"] for event in events]
    assert len(set(ids)) == len(ids) == delivered
    assert {key for key in ids if not key.endswith("p")} == {event_id(event.number) for event in mail}
    processed = [event for event in events if event["event"] == "processed"]
    assert len(processed) == sum(event.metric in (RECEIVED, BOUNCED) for event in mail)
    assert max(event["timestamp"] for event in events) <= _NOW
    assert MALFORMED in {event["email"] for event in events}


def test_batches_are_as_small_as_the_vendors(webhook: EventWebhook, receiver: Loopback) -> None:
    webhook.deliver(f"{receiver.url}/batches")
    sizes = [len(seen.json) for seen in receiver.seen]
    assert len(sizes) > 5
    assert max(sizes) <= MOST_EVENTS
    assert min(sizes[:-1]) > MOST_EVENTS / 2


def test_each_batch_is_signed_over_its_time_and_its_very_bytes(webhook: EventWebhook, receiver: Loopback) -> None:
    webhook.deliver(f"{receiver.url}/signed")
    public_key = webhook_public_key(webhook.company.state_dir)
    for seen in receiver.seen:
        verify(seen, public_key)
    first = receiver.seen[0]
    changed = Seen(first.method, first.path, first.query, first.headers, first.body + b" ")
    with pytest.raises(InvalidSignature):
        verify(changed, public_key)
    later = {**first.headers, TIMESTAMP.lower(): "1"}
    with pytest.raises(InvalidSignature):
        verify(Seen(first.method, first.path, first.query, later, first.body), public_key)


def test_only_what_happened_since_the_last_delivery_is_sent_even_after_a_restart(
    webhook: EventWebhook, company: Company, receiver: Loopback
) -> None:
    url = f"{receiver.url}/again"
    company.clock.set(NOW - timedelta(days=1))
    first = webhook.deliver(url)
    assert webhook.deliver(url) == 0
    company.clock.set(NOW)
    receiver.seen.clear()
    second = EventWebhook(webhook.company).deliver(url)
    stamps = [event["timestamp"] for event in told(receiver)]
    assert 0 < second == len(stamps)
    assert _NOW - 86_400 < min(stamps) <= max(stamps) <= _NOW
    assert webhook.deliver(f"{receiver.url}/elsewhere") == first + second


def test_a_refused_batch_is_sent_again_and_then_the_rest(webhook: EventWebhook, receiver: Loopback) -> None:
    receiver.script([reply({}, 500), reply({}, 429), reply(TOOK)])
    delivered = webhook.deliver(f"{receiver.url}/busy")
    assert receiver.seen[0].body == receiver.seen[1].body == receiver.seen[2].body != receiver.seen[3].body
    assert len({event["sg_event_id"] for event in told(receiver)}) == delivered


def test_the_receivers_wait_is_kept_but_not_for_ever(webhook: EventWebhook, receiver: Loopback) -> None:
    waits: list[float] = []
    busy = [reply({}, 429, headers={"Retry-After": seconds}) for seconds in ("2", "600")]
    receiver.script([*busy, reply({}, 503), reply(TOOK)])
    EventWebhook(webhook.company, pause=waits.append).deliver(f"{receiver.url}/waiting")
    assert waits == [2.0, 5.0, pytest.approx(0.6)]


def test_what_was_never_taken_comes_with_the_next_delivery(webhook: EventWebhook, receiver: Loopback) -> None:
    url = f"{receiver.url}/down"
    receiver.script([reply(TOOK), reply(TOOK), reply({}, 401)])
    with pytest.raises(UndeliveredError, match="did not take the events: 401, 4 times"):
        webhook.deliver(url)
    taken = [event["sg_event_id"] for seen in receiver.seen[:2] for event in seen.json]
    receiver.seen.clear()
    receiver.answer = lambda _: reply(TOOK)
    assert webhook.deliver(url) > 0
    assert not set(taken) & {event["sg_event_id"] for event in told(receiver)}
    assert webhook.deliver(f"{receiver.url}/fresh") == len(taken) + len(
        {event["sg_event_id"] for seen in receiver.seen if seen.path == "/down" for event in seen.json}
    )


def test_a_receiver_that_is_not_there_is_named(webhook: EventWebhook) -> None:
    with pytest.raises(UndeliveredError, match=r"127\.0\.0\.1:1/x did not take the events: no answer \(ConnectError\)"):
        webhook.deliver("http://127.0.0.1:1/x")


def test_delivery_is_asked_for_at_the_control_endpoint(client: Client, receiver: Loopback) -> None:
    endpoint = Endpoint(str(client.http.base_url).rstrip("/"), smtp_port=0, pid=0)
    url = f"{receiver.url}/control"
    assert endpoint.deliver_webhooks("sendgrid", url) == len(told(receiver)) > 1000
    assert endpoint.deliver_webhooks("sendgrid", url) == 0
    verify(receiver.seen[0], connection.credential(client.state_dir.parent, "sendgrid", "webhook_public_key"))


def test_nothing_is_ever_sent_to_another_machine(client: Client) -> None:
    for asked in (
        {"vendor": "sendgrid", "url": "http://example.com/webhooks"},
        {"vendor": "sendgrid", "url": "https://127.0.0.1:1/"},
        {"vendor": "sendgrid", "url": "http://127.0.0.1.example.com/"},
        {"vendor": "sendgrid"},
        {"vendor": "klaviyo", "url": "http://127.0.0.1:1/"},
    ):
        assert client.http.post("/_sandbox/webhooks", json=asked).status_code == 400
    endpoint = Endpoint(str(client.http.base_url).rstrip("/"), smtp_port=0, pid=0)
    with pytest.raises(TransientError, match="did not take POST /_sandbox/webhooks"):
        endpoint.deliver_webhooks("sendgrid", "http://example.com/")


def test_the_key_is_made_once_per_home_and_kept_from_others(tmp_path: Path) -> None:
    one, other = (tmp_path / name for name in ("one", "other"))
    key = connection.credential(one, "sendgrid", "webhook_public_key")
    assert key == connection.credential(one, "sendgrid", "webhook_public_key")
    assert key != connection.credential(other, "sendgrid", "webhook_public_key")
    assert (one / "sandbox" / "sendgrid_webhook_key.pem").stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigurationError, match=r"sendgrid\.webhook_public_key"):
        connection.credential(one, "sendgrid", "password")


def test_a_key_file_of_another_kind_is_named(tmp_path: Path) -> None:
    account = json.loads(connection.credential(tmp_path, "ga4", "service_account"))
    (tmp_path / "sandbox" / "sendgrid_webhook_key.pem").write_text(account["private_key"], encoding="utf-8")
    with pytest.raises(ConfigurationError, match="does not hold an elliptic curve key"):
        connection.credential(tmp_path, "sendgrid", "webhook_public_key")


@pytest.mark.parametrize(
    ("name", "metric"), [("unsubscribes", UNSUBSCRIBED), ("spam_reports", SPAM), ("blocks", BOUNCED)]
)
def test_the_lists_hold_who_left_complained_or_could_not_be_reached(
    client: Client, company: Company, name: str, metric: str
) -> None:
    people = company.population.reach(_NOW).people
    expected = [(event.at, people[event.person].email) for event in automated(company) if event.metric == metric]
    found = [(entry["created"], entry["email"]) for entry in listed(client, name).json()]
    assert found == expected[::-1]


def test_a_list_is_read_in_parts_of_a_span_of_time(client: Client, company: Company) -> None:
    leavings = [event.at for event in automated(company) if event.metric == UNSUBSCRIBED]
    assert len(leavings) > 4
    span = {"start_time": str(leavings[1]), "end_time": str(leavings[-2])}
    whole = [entry["created"] for entry in listed(client, "unsubscribes", **span).json()]
    parts = [listed(client, "unsubscribes", **span, limit="2", offset=str(n)).json() for n in range(0, len(whole), 2)]
    assert whole == leavings[1:-1][::-1] == [entry["created"] for part in parts for entry in part]


@pytest.mark.parametrize("query", [{"limit": "501"}, {"limit": "0"}, {"offset": "x"}, {"start_time": "-1"}])
def test_what_is_asked_wrongly_is_refused(client: Client, query: dict[str, str]) -> None:
    answer = listed(client, "unsubscribes", **query)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"]


def test_a_wrong_key_is_refused_and_every_answer_tells_the_limit(client: Client) -> None:
    wrong = client.http.get("/sendgrid/v3/suppression/unsubscribes", headers={"Authorization": "Bearer SG.wrong"})
    assert wrong.status_code == 401
    limits = listed(client, "unsubscribes").headers
    assert 0 < int(limits["X-RateLimit-Remaining"]) < int(limits["X-RateLimit-Limit"])
    assert int(limits["X-RateLimit-Reset"]) > 1_600_000_000


def test_calls_beyond_the_limit_are_told_when_to_come_back(tmp_path: Path) -> None:
    busy = Company.open(tmp_path, limits=Limits(sendgrid_per_minute=0))
    headers = {"Authorization": f"Bearer {KEY}"}
    answer = asyncio.run(asked_once(busy, "/sendgrid/v3/suppression/unsubscribes", headers=headers))
    assert answer.status_code == 429
    assert 0 < int(answer.headers["X-RateLimit-Reset"]) - time.time() <= 62


async def asked_once(company: Company, path: str, *, headers: dict[str, str]) -> httpx.Response:
    """Ask a company that has no server of its own."""
    transport = httpx.ASGITransport(build_app(company))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as http:
        return await http.get(path, headers=headers)


@pytest.mark.skipif(not specs().exists(), reason="the vendors' descriptions are not at hand")
@pytest.mark.parametrize("name", ["unsubscribes", "spam_reports", "blocks"])
def test_lists_match_the_vendors_description(client: Client, name: str) -> None:
    document = json.loads((specs() / "sendgrid" / "suppressions.v3.json").read_text(encoding="utf-8"))
    content = document["paths"][f"/v3/suppression/{name}"]["get"]["responses"]["200"]["content"]
    shape = {**content["application/json"]["schema"], "components": document["components"]}
    body = listed(client, name).json()
    assert body or name == "spam_reports"
    assert [one.message[:200] for one in Draft202012Validator(shape).iter_errors(body)] == []
