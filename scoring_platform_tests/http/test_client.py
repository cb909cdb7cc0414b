"""The shared client against a real server: what is repeated, what is not, and what an error says."""

from __future__ import annotations

import gzip
import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks
from starlette.responses import Response

from scoring_platform.errors import (
    BudgetExhaustedError,
    ConfigurationError,
    CredentialError,
    OutcomeUnknownError,
    PermanentError,
    TransientError,
)
from scoring_platform.http import bodies
from scoring_platform.http.client import Answer, ApiClient, log_retry
from scoring_platform.http.clocks import watched_clocks
from scoring_platform.http.limits import RateLimit
from scoring_platform.http.verdict import Verdict
from scoring_platform_tests.http.loopback import Hang, Loopback, Reply, Reset, page, reply

OK = reply({"ok": True})


def client(server: Loopback, **options: object) -> ApiClient:
    return ApiClient("acme", server.url, secrets=("api_key",), **options)  # type: ignore[arg-type]


@pytest.fixture
def waits() -> Iterator[list[RetryDetails]]:
    """The retries that were scheduled."""
    scheduled: list[RetryDetails] = []

    def note(details: RetryDetails) -> None:
        scheduled.append(details)

    set_on_retry_hooks([note])
    yield scheduled
    set_on_retry_hooks([log_retry])


@pytest.mark.parametrize(
    "trouble",
    [reply({}, 500), reply({}, 503), Reset(), page("<html>down</html>"), page('{"half": ', kind="application/json")],
    ids=["500", "503", "reset mid-body", "html", "malformed json"],
)
def test_trouble_that_passes_is_repeated_until_the_answer_comes(server: Loopback, trouble: Reply) -> None:
    server.script([trouble, trouble, OK])
    with client(server) as acme:
        assert acme.request("GET", "/things").json == {"ok": True}
    assert len(server.seen) == 3


@pytest.mark.parametrize("trouble", [reply({}, 502), Reset()], ids=["502", "reset mid-body"])
def test_trouble_that_stays_is_a_transient_error_after_the_last_attempt(server: Loopback, trouble: Reply) -> None:
    server.script([trouble])
    with client(server, attempts=3) as acme, pytest.raises(TransientError, match=r"acme .* at GET /things"):
        acme.request("GET", "/things")
    assert len(server.seen) == 3


def test_a_server_that_does_not_answer_is_a_transient_error_that_says_how_long(server: Loopback) -> None:
    server.script([Hang()])
    with client(server, attempts=2, timeout=0.1) as acme, pytest.raises(TransientError, match=r"within 0\.1 s at GET"):
        acme.request("GET", "/things")
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    "trouble", [Hang(), Reset(), reply({}, 500), page("<html>")], ids=["timeout", "reset", "500", "html"]
)
def test_a_call_that_may_have_been_carried_out_is_not_repeated_unless_idempotent(
    server: Loopback, trouble: Reply
) -> None:
    server.script([trouble])
    with client(server, timeout=0.1) as acme, pytest.raises(OutcomeUnknownError, match="not repeated"):
        acme.request("POST", "/things", json={}, idempotent=False)
    assert len(server.seen) == 1


def test_a_throttled_call_is_repeated_even_when_not_idempotent(server: Loopback) -> None:
    server.script([reply({}, 429), OK])
    with client(server) as acme:
        acme.request("POST", "/things", json={}, idempotent=False)
    assert len(server.seen) == 2


def test_a_call_that_never_left_is_repeated_even_when_not_idempotent(waits: list[RetryDetails]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        ApiClient("acme", f"http://127.0.0.1:{port}", attempts=3) as acme,
        pytest.raises(TransientError, match=r"\(ConnectError: 127\.0\.0\.1 refuses it\)") as caught,
    ):
        acme.request("POST", "/things", idempotent=False)
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert len(waits) == 2


def test_retry_after_is_obeyed_in_seconds_and_as_a_date(server: Loopback) -> None:
    now = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
    date = {"Date": format_datetime(now, usegmt=True)}
    later = format_datetime(now + timedelta(seconds=7), usegmt=True)
    assert asked_wait(server, {"Retry-After": "3"}) == 3
    assert asked_wait(server, {"Retry-After": later, **date}) == 7
    assert asked_wait(server, {"Retry-After": format_datetime(now, usegmt=True)}) == 0


def asked_wait(server: Loopback, headers: dict[str, str]) -> float:
    """The wait the client schedules, read from the retry loop in the moment it would begin."""
    server.script([reply({}, 429, headers=headers)])
    scheduled: list[float] = []

    def stop(details: RetryDetails) -> None:
        scheduled.append(details.wait_for)
        raise KeyboardInterrupt

    set_on_retry_hooks([stop])
    try:
        with stamina.set_testing(False), client(server) as acme, pytest.raises(KeyboardInterrupt):
            acme.request("GET", "/things")
    finally:
        set_on_retry_hooks([log_retry])
    return scheduled[0]


def test_a_wait_longer_than_allowed_fails_at_once_and_says_so(server: Loopback) -> None:
    server.script([reply({}, 429, headers={"Retry-After": "3600"})])
    with client(server) as acme, pytest.raises(TransientError, match="asked to wait 3600 s, longer than the 60 s"):
        acme.request("GET", "/things")
    assert len(server.seen) == 1


@pytest.mark.parametrize("header", ["soon", "nan", "inf", "-5"])
def test_a_nonsense_retry_after_does_no_harm(server: Loopback, header: str) -> None:
    server.script([reply({}, 429, headers={"Retry-After": header}), OK])
    with client(server) as acme:
        assert acme.request("GET", "/things").status == 200


def test_401_names_the_variable_to_set(server: Loopback) -> None:
    server.script([reply({"message": "bad key"}, 401)])
    with client(server) as acme, pytest.raises(CredentialError, match=r"bad key\. Set SCORING_ACME_API_KEY to"):
        acme.request("GET", "/things")
    assert len(server.seen) == 1


def test_403_is_a_missing_permission_unless_the_vendor_calls_it_a_throttle(server: Loopback) -> None:
    server.script([reply({"errorCode": "REQUEST_LIMIT"}, 403), OK])
    with client(server) as acme, pytest.raises(CredentialError, match="SCORING_ACME_API_KEY the missing permission"):
        acme.request("GET", "/things")

    def throttle(response: httpx.Response) -> Verdict | None:
        return Verdict("throttled") if "REQUEST_LIMIT" in response.text else None

    server.script([reply({"errorCode": "REQUEST_LIMIT"}, 403), OK])
    with client(server, classify=throttle) as acme:
        assert acme.request("GET", "/things").json == {"ok": True}


def test_a_429_for_the_day_stops_at_once(server: Loopback) -> None:
    def daily(response: httpx.Response) -> Verdict | None:
        return Verdict("exhausted") if "DAILY" in response.text else None

    server.script([reply({"policyName": "DAILY", "message": "daily limit"}, 429)])
    with client(server, classify=daily) as acme, pytest.raises(BudgetExhaustedError, match="daily limit"):
        acme.request("GET", "/things")
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [400, 404, 422, 301, 207])
def test_a_refused_call_is_permanent_and_quotes_the_vendor_briefly(server: Loopback, status: int) -> None:
    server.script([reply({"errors": [{"detail": "no such field " + "x" * 1000}]}, status)])
    with (
        client(server) as acme,
        pytest.raises(PermanentError, match=f"answered {status} at POST /things: no such") as e,
    ):
        acme.request("POST", "/things", json={})
    assert len(str(e.value)) < 520
    assert len(server.seen) == 1


def test_neither_errors_nor_logs_show_queries_addresses_or_secrets(
    server: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    server.script([reply({"message": "taro@example.jp is not valid"}, 400)])
    with caplog.at_level(logging.INFO), client(server, headers={"x-key": "s3cret"}) as acme:
        with pytest.raises(PermanentError) as caught:
            acme.request("GET", "/people/taro@example.jp", params={"email": "taro@example.jp"})
        server.script([reply({"message": "taro@example.jp"}, 500), OK])
        acme.request("GET", "/people", params={"email": "taro@example.jp"})
    assert "acme answered 500 at GET /people: …@…; attempt 2 follows in 0.0 s" in caplog.text
    for text in (str(caught.value), caplog.text):
        assert "taro@" not in text
        assert "s3cret" not in text
        assert "email=" not in text
    assert "GET /people/…" in str(caught.value)


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (page("<html>"), "text/html"),
        (page('{"half":', kind="application/json"), "malformed JSON"),
        (page(""), "text/html"),
    ],
    ids=["html", "malformed", "empty"],
)
def test_an_answer_that_is_never_json_is_permanent_and_says_what_came(
    server: Loopback, trouble: Reply, words: str
) -> None:
    server.script([trouble])
    with (
        client(server, attempts=2) as acme,
        pytest.raises(PermanentError, match=f"acme answered {words} instead of JSON at POST /things"),
    ):
        acme.request("POST", "/things", json={})
    assert len(server.seen) == 2


def test_an_html_error_page_is_not_quoted(server: Loopback) -> None:
    server.script([page("<html><p>secret internals</p></html>", 404)])
    with client(server) as acme, pytest.raises(PermanentError) as caught:
        acme.request("GET", "/things")
    assert "internals" not in str(caught.value)


def test_no_content_is_an_answer_without_json(server: Loopback) -> None:
    server.script([page("", 204)])
    with client(server) as acme:
        assert acme.request("DELETE", "/things/1").json is None


def test_the_body_check_decides_over_a_200(server: Loopback) -> None:
    def check(answer: Answer) -> None:
        if not answer.json["ok"]:
            msg = "acme said ok: false"
            raise TransientError(msg) if answer.json.get("busy") else PermanentError(msg)

    server.script([reply({"ok": False, "busy": True}), OK])
    with client(server) as acme:
        assert acme.request("GET", "/things", check=check).json == {"ok": True}
        server.script([reply({"ok": False})])
        with pytest.raises(PermanentError, match="ok: false"):
            acme.request("GET", "/things", check=check)
        server.script([reply({"ok": False, "busy": True})])
        with pytest.raises(TransientError):
            acme.request("POST", "/things", check=check, idempotent=False)
    assert len(server.seen) == 1


def test_an_error_inside_a_success_is_an_error(server: Loopback) -> None:
    failed = reply({"error": {"code": 500, "message": "backend of taro@example.jp is down"}})
    server.script([failed, OK])
    with client(server) as acme:
        assert acme.request("GET", "/things").json == {"ok": True}
        server.script([failed])
        with pytest.raises(PermanentError, match="answered 200 with an error at GET /things: backend of …@… is down"):
            acme.request("GET", "/things")
        server.script([failed])
        with pytest.raises(OutcomeUnknownError):
            acme.request("POST", "/things", idempotent=False)
        server.script([reply({"error": None, "rows": []})])
        assert acme.request("GET", "/things").json["rows"] == []


def test_an_answer_too_large_to_hold_is_refused_while_it_comes(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "MOST_BYTES", 1 << 20)
    zipped = gzip.compress(b"[" + b" " * (2 << 20) + b"]")
    packed = Response(zipped, headers={"content-encoding": "gzip", "content-type": "application/json"})
    server.script([packed])
    with client(server) as acme, pytest.raises(PermanentError, match=r"more than 1 MB: ask for smaller pages"):
        acme.request("GET", "/things")
    assert len(server.seen) == 1
    monkeypatch.setattr(bodies, "MOST_BYTES", 3 << 20)
    with client(server) as acme:
        assert acme.request("GET", "/things").json == []


def test_an_answer_that_dribbles_for_ever_is_given_up(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_SECONDS", -1.0)
    server.script([OK])
    with client(server, attempts=2) as acme, pytest.raises(TransientError, match="sent one answer for more"):
        acme.request("GET", "/things")
    assert len(server.seen) == 2


def test_a_redirection_names_the_host_and_nothing_else_of_it(server: Loopback) -> None:
    server.script([reply({}, 302, headers={"Location": "https://evil.example.com/catch?token=s3cret"})])
    with (
        client(server) as acme,
        pytest.raises(PermanentError, match=r"on to evil\.example\.com, which are not") as caught,
    ):
        acme.request("GET", "/things")
    assert "s3cret" not in str(caught.value)
    assert len(server.seen) == 1


def test_a_host_nobody_knows_is_told_from_one_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    with (
        ApiClient("acme", "https://acme.example", attempts=2) as acme,
        pytest.raises(TransientError, match=r"nobody knows the host acme\.example at GET /things; check the endpoint"),
    ):
        acme.request("GET", "/things")


def test_the_clocks_of_servers_are_noted_for_who_watches(server: Loopback) -> None:
    ahead = {"Date": format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)}
    server.script([reply({}, headers=ahead), reply({}, headers={"Date": "yesterday"}), OK])
    with client(server) as acme, watched_clocks() as clocks:
        for _ in range(3):
            acme.request("GET", "/things")
    with client(server) as acme:
        acme.request("GET", "/things")
    assert [round(clock.total_seconds() / 60) for clock in clocks] == [5]


def test_links_are_followed_on_the_same_host_only(server: Loopback) -> None:
    server.script([OK])
    with client(server) as acme:
        acme.request("GET", f"{server.url}/next?cursor=a%20b")
        assert server.seen[0].query == {"cursor": "a b"}
        with pytest.raises(PermanentError, match=r"gave a link to evil\.example\.com"):
            acme.request("GET", "https://evil.example.com/next")
    assert len(server.seen) == 1


def test_a_base_address_with_a_path_keeps_it(server: Loopback) -> None:
    server.script([OK])
    with ApiClient("acme", f"{server.url}/shop/") as acme:
        acme.request("GET", "/things")
    assert server.seen[0].path == "/shop/things"


def test_plain_http_is_refused_away_from_loopback() -> None:
    with pytest.raises(ConfigurationError, match="acme must start with https://"):
        ApiClient("acme", "http://api.example.com")
    ApiClient("acme", "https://api.example.com").close()


def test_a_proxy_of_the_environment_never_stands_before_loopback(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.script([OK])
    with client(server) as acme:
        assert acme.request("GET", "/things").status == 200


def test_every_attempt_takes_from_the_rate_limit(server: Loopback) -> None:
    slept: list[float] = []
    rate = RateLimit(2, 10, clock=lambda: 0.0, sleep=slept.append)
    server.script([reply({}, 500), reply({}, 500), reply({}, 500), OK])
    with client(server, rate=rate) as acme:
        acme.request("GET", "/things")
    assert slept == [5.0, 10.0]
