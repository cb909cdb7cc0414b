"""The receiver over real HTTP: what is let in, what is kept, and what each answer means."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from scoring_platform.ledger.extracts import advance_watermarks
from scoring_platform.ledger.inbox import Inbox
from scoring_platform.settings import Settings
from scoring_platform.webhooks.health import Health
from scoring_platform.webhooks.providers import open_providers
from scoring_platform.webhooks.receiver import build_app
from scoring_platform_tests.webhooks.scenario import (
    MAIL,
    OLD_SECRET,
    SECRET,
    WEBSITE,
    Desk,
    Mailer,
    configured,
    form,
    receiving,
    serving,
    signed,
)

NOTHING_NEW = {"accepted": 0, "duplicates": 0, "rejected": 0}


def new(count: int = 1, **others: int) -> dict[str, int]:
    return {**NOTHING_NEW, "accepted": count, **others}


# What is kept


def test_an_event_is_kept_as_it_was_sent_unknown_fields_and_all(desk: Desk) -> None:
    event = form(note="十勝 ☕", nested={"deep": [1, 2.5, None, True]}, big=2**63 - 1)
    before = datetime.now(UTC)
    answer = desk.post(event)

    assert (answer.status_code, answer.json()) == (200, new())
    (row,) = desk.stored()
    assert (row.kind, row.provider, row.key, row.event) == ("events", "website", "f1", event)
    assert before <= row.received_at <= datetime.now(UTC)


@pytest.mark.parametrize("wrap", [lambda events: events, lambda events: {"events": events, "sent_by": "site"}])
def test_several_events_may_come_together(desk: Desk, wrap: Any) -> None:
    assert desk.post(wrap([form(1), form(2), form(1)])).json() == new(2, duplicates=1)
    assert desk.keys == ["f1", "f2"]


def test_an_event_delivered_again_is_acknowledged_and_kept_once(desk: Desk) -> None:
    assert desk.post(form()).json() == new()
    again = desk.post(form(note="the sender did not hear the first answer"))

    assert (again.status_code, again.json()) == (200, {**NOTHING_NEW, "duplicates": 1})
    assert "note" not in desk.stored()[0].event


def test_the_same_event_from_many_at_once_is_kept_once(desk: Desk) -> None:
    with ThreadPoolExecutor(20) as many:
        answers = list(many.map(lambda _: desk.post(form()), range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert sum(answer.json()["accepted"] for answer in answers) == 1
    assert desk.keys == ["f1"]


def test_two_receivers_share_one_ledger(tmp_path: Path) -> None:
    settings = configured(tmp_path)
    with receiving(settings) as one, receiving(settings) as other, ThreadPoolExecutor(8) as many:
        jobs = [many.submit(desk.post, form(number)) for number in range(20) for desk in (one, other)]
        answers = [job.result() for job in jobs]
        assert {answer.status_code for answer in answers} == {200}
        assert sum(answer.json()["accepted"] for answer in answers) == 20
        assert sorted(one.keys) == sorted(f"f{number}" for number in range(20))


def test_an_event_without_an_id_counts_once_however_it_is_written(desk: Desk) -> None:
    event = {"kind": "form", "occurred_at": "2026-03-02"}
    desk.post(event)
    desk.post({"occurred_at": "2026-03-02", "kind": "form"})
    desk.post({**event, "kind": "download"})

    assert desk.keys[0].startswith("sha256:")
    assert len(desk.keys) == 2


def test_a_number_is_an_id_and_a_very_long_id_fits(desk: Desk) -> None:
    for key in (7, "7", " 7 ", "x" * 300, "x" * 300, "x" * 301):
        assert desk.post(form(id=key)).status_code == 200

    assert desk.keys[0] == "7"
    assert len(desk.keys) == 3
    assert max(len(key) for key in desk.keys) < 100


def test_a_bad_date_is_not_the_receivers_business(desk: Desk) -> None:
    assert desk.post(form(occurred_at="the day before yesterday", email=["?"])).json() == new()


def test_sendgrids_batch_becomes_one_row_per_event_and_a_bad_one_does_not_stop_the_rest(
    desk: Desk, mailer: Mailer
) -> None:
    batch = [{"sg_event_id": "e1", "event": "open"}, {"event": "click", "email": "a@example.jp"}, {"sg_event_id": "e2"}]
    body = json.dumps(batch).encode()
    answer = desk.http.post(MAIL, content=body, headers=mailer.signed(body))

    assert (answer.status_code, answer.json()) == (200, new(2, rejected=1))
    assert [(row.kind, row.provider, row.key) for row in desk.stored()] == [
        ("email", "sendgrid", "e1"),
        ("email", "sendgrid", "e2"),
    ]
    (letter,) = desk.letters()
    assert letter.reason == "an event has no sg_event_id"
    assert json.loads(letter.body) == batch[1]
    desk.http.post(MAIL, content=body, headers=mailer.signed(body))
    assert len(desk.letters()) == 1, "what is sent again is set aside once"


# What is refused


@pytest.mark.parametrize("path", ["/webhooks/events/nobody", "/webhooks/nps/website", "/webhooks/email/website"])
def test_an_unknown_provider_is_not_found(desk: Desk, path: str) -> None:
    assert desk.post(form(), path).status_code == 404


def test_only_posting_is_receiving(desk: Desk) -> None:
    assert desk.http.get(WEBSITE).status_code == 405
    assert desk.http.put(WEBSITE, content=b"{}").status_code == 405
    assert desk.http.head(WEBSITE).status_code == 200, "some vendors look whether the address exists"
    assert desk.http.head("/webhooks/events/nobody").status_code == 404


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_another_content_type_is_refused_before_anything_is_read(desk: Desk, kind: str) -> None:
    body = json.dumps(form()).encode()
    headers = {**signed(body), "Content-Type": kind}
    assert desk.http.post(WEBSITE, content=body, headers=headers).status_code == 415
    compressed = gzip.compress(body)
    headers = {**signed(compressed), "Content-Encoding": "gzip"}
    assert desk.http.post(WEBSITE, content=compressed, headers=headers).status_code == 415


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/cloudevents+json"]
)
def test_json_under_its_other_names_is_taken(desk: Desk, kind: str) -> None:
    body = json.dumps(form()).encode()
    assert desk.http.post(WEBSITE, content=body, headers={**signed(body), "Content-Type": kind}).status_code == 200


def test_what_is_not_signed_or_signed_by_somebody_else_leaves_no_trace(desk: Desk) -> None:
    body = json.dumps(form()).encode()
    good = signed(body)
    wrong = [
        {name: value for name, value in good.items() if name != "X-Signature"},
        {name: value for name, value in good.items() if name != "X-Timestamp"},
        signed(body, "another-secret-still"),
        signed(body + b" "),
        signed(body, at=time.time() - 301),
        signed(body, at=time.time() + 305),
        {**good, "X-Signature": "é" * 64},
    ]
    for headers in wrong:
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        answer = desk.http.post(WEBSITE, content=body, headers=encoded)
        assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})
    assert (desk.keys, desk.reasons) == ([], [])
    assert desk.http.post(WEBSITE, content=body, headers=good).status_code == 200


def test_two_secrets_are_good_while_one_replaces_the_other(tmp_path: Path) -> None:
    settings = configured(tmp_path, SCORING_WEBSITE_WEBHOOK_SECRET_PREVIOUS=OLD_SECRET)
    with receiving(settings) as desk:
        assert desk.post(form(1), secret=SECRET).status_code == 200
        assert desk.post(form(2), secret=OLD_SECRET).status_code == 200
    with receiving(configured(tmp_path)) as desk:
        assert desk.post(form(3), secret=OLD_SECRET).status_code == 401
        assert desk.keys == ["f1", "f2"]


BAD_BODIES = [
    (b"", "not JSON"),
    (b'{"id": "1"', "not JSON"),
    (b"\xff\xfe{}", "not UTF-8"),
    (b'"text"', "neither an object nor a list"),
    (b"[1]", "an event is not an object"),
    (b"{}", "neither what happened (kind) nor when (occurred_at)"),
    (b"[" * 100_000, "deeper than 64"),
    (b'{"id": ' * 70 + b"1" + b"}" * 70, "deeper than 64"),
    (b'{"id": "1", "kind": NaN}', "NaN"),
    (b'{"id": "1", "kind": -Infinity}', "-Infinity"),
    (b'{"id": "1", "kind": 1e999}', "too large"),
    (b'{"id": "1", "kind": 9223372036854775808}', "64 bits"),
    (b'{"id": "1", "kind": ' + b"9" * 50_000 + b"}", "64 bits"),
    (b'{"id": "1", "kind": "a", "kind": "b"}', "the same key twice"),
    (b'{"id": "1", "kind": "\\ud800"}', "lone surrogate"),
    (b'{"id": "1", "\\udfff": "form"}', "lone surrogate"),
    (b'{"id": "1", "kind": "a\\u0000b"}', "NUL"),
    (b'{"id": "\\u0000", "kind": "a"}', "NUL"),
    (b"[" + b",".join([b"{}"] * 10_001) + b"]", "more than 10000 events"),
]


@pytest.mark.parametrize(("body", "words"), BAD_BODIES, ids=[words[:25] for _, words in BAD_BODIES])
def test_what_is_signed_but_makes_no_sense_is_refused_and_set_aside_with_the_reason(
    desk: Desk, body: bytes, words: str
) -> None:
    for _ in range(2):
        answer = desk.post(body)
        assert answer.status_code == 400
        assert words in answer.json()["error"]
    (letter,) = desk.letters()
    assert words in letter.reason
    assert len(letter.body) <= 65_536
    assert (letter.kind, letter.provider) == ("events", "website")
    assert desk.keys == []


UNHOLDABLE = [
    (b'"half of a smile: \\ud83d"', "lone surrogate"),
    (b'"\\u0000"', "NUL"),
    (b"18446744073709551615", "64 bits"),
    (b"1e999", "too large"),
    (b"-Infinity", "-Infinity"),
    (b'{"a": 1, "a": 2}', "the same key twice"),
]


@pytest.mark.parametrize(("value", "words"), UNHOLDABLE, ids=[words for _, words in UNHOLDABLE])
@pytest.mark.parametrize("wrap", [b"[%s]", b'{"events": [%s]}'], ids=["list", "object"])
def test_one_event_that_no_table_can_hold_does_not_take_its_batch_with_it(
    desk: Desk, value: bytes, words: str, wrap: bytes
) -> None:
    bad = b'{"id": "f2", "kind": "form", "properties": {"note": %s}}' % value
    batch = [json.dumps(form(1)).encode(), bad, json.dumps(form(3)).encode()]
    answer = desk.post(wrap % b", ".join(batch))
    assert (answer.status_code, answer.json()) == (200, {"accepted": 2, "duplicates": 0, "rejected": 1})
    assert sorted(desk.keys) == ["f1", "f3"]
    (letter,) = desk.letters()
    assert words in letter.reason
    assert '"id":"f2"' in letter.body


def test_an_address_with_a_slash_behind_it_is_not_found_and_leads_nowhere_else(desk: Desk) -> None:
    for path in (WEBSITE + "/", "/healthz/"):
        answer = desk.post(form(), path)
        assert (answer.status_code, answer.headers.get("location")) == (404, None)
    assert desk.keys == []


def test_a_body_over_the_limit_is_refused_before_it_is_whole(desk: Desk) -> None:
    large = json.dumps(form(note="x" * 1_048_576)).encode()
    assert desk.post(large).status_code == 413
    # Only announced, never sent: the answer comes nevertheless.
    assert answer_to(desk, b"Content-Length: 1048577\r\n\r\n") == 413
    assert answer_to(desk, b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n") in (400, 413)
    # Without a length: refused once too much has come, while the rest is still missing.
    chunk = b"80001\r\n" + b"x" * 0x80001 + b"\r\n"
    assert answer_to(desk, b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 2) == 413
    assert desk.reasons == []


def test_a_provider_may_have_limits_of_its_own(tmp_path: Path) -> None:
    limits = {"max_body_bytes": 2_000_000, "tolerance_seconds": 3_600, "requests_per_minute": 2}
    settings = configured(tmp_path, receiver={"max_body_bytes": 1_024, "providers": {"website": limits}})
    with receiving(settings, ticks=lambda: 0.0) as desk:
        assert desk.post(form(note="x" * 1_500_000)).status_code == 200
        assert desk.post(form(2), at=time.time() - 3_000).status_code == 200
        for _ in range(5):
            assert desk.post(form(3), secret="of somebody who knows nothing").status_code == 401
        refused = desk.post(form(3))
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
        assert desk.keys == ["f1", "f2"]


def test_requests_are_let_in_again_as_time_goes_on(tmp_path: Path) -> None:
    now = [0.0]
    settings = configured(tmp_path, receiver={"requests_per_minute": 60})
    with receiving(settings, ticks=lambda: now[0]) as desk:
        answers = [desk.post(form(number)).status_code for number in range(61)]
        assert answers == [200] * 60 + [429]
        now[0] += 1
        assert desk.post(form(61)).status_code == 200
        assert desk.post(form(62)).status_code == 429


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    with receiving(configured(tmp_path), body_seconds=0.2) as desk:
        assert answer_to(desk, b"Content-Length: 100\r\n\r\n{") == 408


def answer_to(desk: Desk, rest: bytes) -> int:
    """Send the head of a request and a part of its body by hand, and return the status of the answer."""
    parts = urlsplit(str(desk.http.base_url))
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as raw:
        head = f"POST {WEBSITE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
        with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered and gone
            raw.sendall(head + rest)
        return int(raw.recv(1_000).split(b" ", 2)[1])


# When the inbox cannot be written


@pytest.fixture
def broken(desk: Desk) -> Desk:
    """A receiver whose ledger lost its table."""
    with desk.ledger.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE inbox RENAME TO elsewhere")
    return desk


def test_an_inbox_that_cannot_be_written_makes_the_sender_come_again_and_nothing_is_lost(
    broken: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = broken.post(form())

    assert (answer.status_code, answer.json()) == (503, {"error": "come again later"})
    assert answer.headers["retry-after"] == "30"
    assert broken.http.get("/healthz").status_code == 503
    assert "a@example.jp" not in caplog.text
    assert "OperationalError" in caplog.text
    with broken.ledger.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO inbox")
    assert broken.post(form()).json() == new()


def test_no_log_line_has_a_secret_or_anything_personal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with receiving(configured(tmp_path)) as desk, caplog.at_level(logging.INFO):
        desk.post(form())
        desk.post(form(), secret="of somebody who knows nothing")
        desk.post(form(), secret="of somebody who knows nothing")
        desk.post([form(kind=None, occurred_at=None), form(2)])
        desk.post(b'{"email": "a@example.jp"')

    told = [record.getMessage() for record in caplog.records if record.name.startswith("scoring_platform")]
    assert len(told) == 3, "many refusals are one line a minute"
    assert not any(secret in caplog.text for secret in (SECRET, "knows nothing", "example.jp"))


# Health


def test_health_says_how_long_events_wait_for_a_run(tmp_path: Path) -> None:
    settings = configured(tmp_path)
    later = datetime.now(UTC) + timedelta(hours=2)
    with receiving(settings) as desk:
        assert desk.http.get("/healthz").json() == {
            "status": "ok", "inbox": "can be written", "waiting": 0, "oldest_waiting_seconds": None,
            "providers": {"events/website": {"waiting": 0, "oldest_waiting_seconds": None}},
        }  # fmt: skip
        desk.post([form(1), form(2)])
        found = examined(desk, settings, later)
        assert found["waiting"] == found["providers"]["events/website"]["waiting"] == 2
        assert 7_195 <= found["oldest_waiting_seconds"] <= 7_201
        tables = settings.sources_in_use["webhooks"]
        advance_watermarks(desk.ledger, {("webhooks", "raw_events"): later})
        assert examined(desk, settings, later)["waiting"] == 2, "consents were not read yet"
        advance_watermarks(desk.ledger, dict.fromkeys((("webhooks", table) for table in tables), later))
        assert examined(desk, settings, later)["waiting"] == 0
        assert desk.keys == ["f1", "f2"], "examining leaves nothing behind"


def examined(desk: Desk, settings: Settings, now: datetime) -> Any:
    inbox, providers = Inbox(desk.ledger), open_providers(settings)
    health = Health(inbox, providers, gives=settings.sources_in_use, clock=lambda: now)
    with serving(build_app(providers, inbox, health=health)) as url:
        return desk.http.get(f"{url}/healthz").json()
