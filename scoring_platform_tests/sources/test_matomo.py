"""Matomo: the visits of a day over its pages, whose day it is, errors that come as a 200, and the sandbox's visits."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from scoring_platform.contracts.raw import RAW_WEB_ACTIVITY
from scoring_platform.errors import CredentialError, PermanentError, TransientError
from scoring_platform.sandbox.connection import Endpoint, ensure
from scoring_platform.sandbox.credentials import credential as sandbox_credential
from scoring_platform.sources.ga4 import Ga4, Ga4Source
from scoring_platform.sources.matomo import Matomo, MatomoSource
from scoring_platform.sources.protocol import Window
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, reply
from scoring_platform_tests.sources.scenario import TOKYO, credential, rows

Visits = list[dict[str, Any]]


def at(day: int, hour: int, zone: ZoneInfo = TOKYO) -> int:
    return int(datetime(2026, 11, day, hour, tzinfo=zone).timestamp())


def visit(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "idVisit": str(number),
        "visitorId": "a1b2",
        "userId": "77",
        "serverTimestamp": at(20, 12),
        "actions": "5",
        "visitDuration": "120",
        "goalConversions": 1,
        "referrerType": "campaign",
        "referrerName": "autumn",
        "campaignMedium": "email",
        **changes,
    }


def source(
    server: Loopback, visits: Callable[[str], Visits], *, zone: str = "Asia/Tokyo", settle_days: int = 0
) -> Matomo:
    """A Matomo with the visits that ``visits`` gives for each of its days, newest first."""

    def answer(seen: Seen) -> Reply:
        form = seen.form
        assert (seen.method, seen.path, seen.query) == ("POST", "/stats/index.php", {})
        assert (form["token_auth"], form["module"], form["format"]) == ("secret-token", "API", "JSON")
        assert form["idSite"] == "4"
        if form["method"] == "SitesManager.getSiteFromId":
            return reply({"idsite": 4, "name": "Coffee", "timezone": zone})
        assert (form["method"], form["period"]) == ("Live.getLastVisitsDetails", "day")
        start = int(form["filter_offset"])
        return reply(visits(form["date"])[start : start + int(form["filter_limit"])])

    server.answer = answer
    url = f"{server.url}/stats"
    given = {"endpoint": url, "site_id": 4, "page_size": 2, "settle_days": settle_days}
    return Matomo(MatomoSource.model_validate(given), url, credential, TOKYO)


def on(day: int, *visits: dict[str, Any]) -> Callable[[str], Visits]:
    return lambda asked: list(visits) if asked == f"2026-11-{day:02d}" else []


def asked_days(server: Loopback) -> list[str]:
    return [seen.form["date"] for seen in server.seen if "date" in seen.form]


DAY = Window(datetime(2026, 11, 19, 15, tzinfo=UTC), datetime(2026, 11, 20, 15, tzinfo=UTC))
"""2026-11-20 in Tokyo."""


def test_a_visit_keeps_its_values_under_our_names(server: Loopback) -> None:
    [found] = rows(source(server, on(20, visit(1))), "raw_web_activity", DAY)
    assert found == {
        "activity_on": date(2026, 11, 20),
        "customer_ref": "77",
        "client_id": "a1b2",
        "campaign": "autumn",
        "medium": "email",
        "sessions": 1,
        "pageviews": 5,
        "engaged_seconds": 120,
        "conversions": 1,
    }
    assert found.keys() == RAW_WEB_ACTIVITY.columns.keys() - {"source"}


def test_the_visits_of_a_visitor_are_added_up_over_all_pages_of_a_day(server: Loopback) -> None:
    found = rows(source(server, on(20, *(visit(number) for number in range(5)))), "raw_web_activity", DAY)
    assert [(row["sessions"], row["pageviews"], row["conversions"]) for row in found] == [(5, 25, 5)]
    offsets = [seen.form["filter_offset"] for seen in server.seen if "date" in seen.form]
    assert offsets == ["0", "2", "4", "5"]


def test_rows_differ_by_customer_visitor_and_campaign_and_visitors_without_a_name_are_kept(server: Loopback) -> None:
    stranger = {"userId": None, "referrerType": "search", "referrerName": "Google", "campaignMedium": ""}
    visits = [
        visit(1),
        visit(2, campaignMedium="cpc"),
        visit(3, campaignMedium="cpc"),
        visit(4, referrerName="winter"),
        visit(5, visitorId="c3d4", **stranger, goalConversions=False),
        visit(6, visitorId="e5f6", **{**stranger, "userId": ""}, goalConversions="0"),
    ]
    found = rows(source(server, on(20, *visits)), "raw_web_activity", DAY)
    keys = {(row["customer_ref"], row["client_id"], row["campaign"]): row for row in found}
    assert len(keys) == len(found)
    assert keys.keys() == {
        ("77", "a1b2", "autumn"),
        ("77", "a1b2", "winter"),
        (None, "c3d4", None),
        (None, "e5f6", None),
    }
    assert keys["77", "a1b2", "autumn"]["medium"] == "cpc"
    assert (keys[None, "c3d4", None]["medium"], keys[None, "c3d4", None]["conversions"]) == ("search", 0)


def test_a_visit_pushed_on_to_the_next_page_by_a_new_one_counts_once(server: Loopback) -> None:
    log = [visit(3), visit(2), visit(1)]

    def visits(_: str) -> Visits:
        if len(asked_days(server)) == 2:
            log.insert(0, visit(4))
        return log

    found = rows(source(server, visits), "raw_web_activity", DAY)
    assert [row["sessions"] for row in found] == [3]


def test_the_settling_days_are_read_again_and_no_other(server: Loopback) -> None:
    assert rows(source(server, lambda _: [], settle_days=2), "raw_web_activity", DAY) == []
    assert asked_days(server) == ["2026-11-18", "2026-11-19", "2026-11-20"]


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Auckland"])
def test_in_another_zone_a_visit_counts_on_the_business_day_and_only_whole_days_are_given(
    server: Loopback, zone: str, caplog: pytest.LogCaptureFixture
) -> None:
    instants = [at(day, hour) for day in (18, 19, 20, 21, 22) for hour in (0, 6, 12, 18, 23)]

    def visits(day: str) -> Visits:
        local = {when: datetime.fromtimestamp(when, ZoneInfo(zone)).date().isoformat() for when in instants}
        return [visit(when, serverTimestamp=when) for when in reversed(instants) if local[when] == day]

    window = Window(DAY.since - timedelta(days=1), DAY.until)
    with caplog.at_level(logging.INFO):
        found = rows(source(server, visits, zone=zone), "raw_web_activity", window)
    assert [(row["activity_on"].day, row["sessions"]) for row in found] == [(19, 5), (20, 5)]
    assert dict.fromkeys(asked_days(server)).keys() == {"2026-11-18", "2026-11-19", "2026-11-20", "2026-11-21"}
    assert f"matomo counts days in {zone}, the business in Asia/Tokyo" in caplog.text


def refused(server: Loopback, words: str) -> Matomo:
    found = source(server, lambda _: [])
    server.script([reply({"result": "error", "message": words})])
    return found


def test_an_error_in_a_200_is_an_error_and_shows_no_token(server: Loopback) -> None:
    wrong = refused(server, "Unable to authenticate with the provided token. It is either invalid or expired.")
    with pytest.raises(CredentialError, match=r"provided token.*SCORING_MATOMO_TOKEN") as caught:
        rows(wrong, "raw_web_activity", DAY)
    assert "secret-token" not in str(caught.value)
    denied = refused(server, "You can't access this resource as it requires 'view' access for the website id = 4.")
    with pytest.raises(CredentialError, match="requires 'view' access"):
        rows(denied, "raw_web_activity", DAY)
    with pytest.raises(PermanentError, match="Visits log is deactivated"):
        rows(refused(server, "Visits log is deactivated in website settings."), "raw_web_activity", DAY)
    assert len(server.seen) == 1


def test_a_query_that_took_too_long_is_repeated(server: Loopback) -> None:
    with pytest.raises(TransientError, match="max execution time"):
        rows(refused(server, "The query exceeded the max execution time."), "raw_web_activity", DAY)
    assert len(server.seen) > 1


@pytest.mark.parametrize(("status", "kind"), [(403, CredentialError), (503, TransientError), (400, PermanentError)])
def test_words_that_are_not_known_leave_the_judgement_to_the_status(
    server: Loopback, status: int, kind: type[Exception]
) -> None:
    found = source(server, lambda _: [])
    server.script([reply({"result": "error", "message": "Something else."}, status)])
    with pytest.raises(kind, match="Something else"):
        rows(found, "raw_web_activity", DAY)


@pytest.mark.parametrize("body", [{"value": 1}, [{"idVisit": "1"}], [visit(1, actions="many")], None])
def test_an_answer_of_another_shape_is_permanent(server: Loopback, body: Any) -> None:
    found = source(server, lambda _: [])
    site = reply({"name": "Coffee", "timezone": "Asia/Tokyo"})
    server.script([site, reply(body)])
    with pytest.raises(PermanentError, match="matomo"):
        rows(found, "raw_web_activity", DAY)


def test_the_probe_names_the_site_and_its_zone(server: Loopback) -> None:
    assert source(server, lambda _: []).probe() == "matomo: Coffee (site 4), days in Asia/Tokyo"


NOW = datetime(2025, 11, 10, 21, tzinfo=UTC)
DAYS = Window(NOW - timedelta(days=2), NOW)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def company(home: Path) -> Iterator[Endpoint]:
    with ensure(home) as endpoint:
        endpoint.set_clock(NOW)
        yield endpoint


def sandboxed(company: Endpoint, home: Path, token: Callable[[str], str] | None = None) -> Matomo:
    settings = MatomoSource.model_validate({"endpoint": "sandbox", "site_id": 1, "page_size": 200})
    return Matomo(settings, company.url("matomo"), token or partial(sandbox_credential, home, "matomo"), TOKYO)


def totals(found: list[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
    sums: Counter[tuple[Any, ...]] = Counter()
    for row in found:
        for name in ("sessions", "pageviews", "engaged_seconds", "conversions"):
            sums[row["activity_on"], row["customer_ref"], name] += int(row[name])
    return sums


def test_the_sandboxs_matomo_saw_the_same_visits_as_its_google_analytics(company: Endpoint, home: Path) -> None:
    given = {"endpoint": "sandbox", "token_endpoint": "sandbox", "property_id": "1"}
    secret = partial(sandbox_credential, home, "ga4")
    google = rows(Ga4(Ga4Source.model_validate(given), company.url("ga4"), secret, TOKYO), "raw_web_activity", DAYS)
    found = rows(sandboxed(company, home), "raw_web_activity", DAYS)
    assert totals(found) == totals(google)
    assert len({tuple(row[name] for name in RAW_WEB_ACTIVITY.key if name != "source") for row in found}) == len(found)
    named = {(row["customer_ref"], row["client_id"]) for row in found if row["customer_ref"]}
    assert len(named) == len({customer for customer, _ in named}) > 50


@pytest.mark.parametrize("kind", ["status", "html", "reset", "malformed"])
def test_trouble_on_the_way_changes_no_row(kind: str, company: Endpoint, home: Path) -> None:
    expected = rows(sandboxed(company, home), "raw_web_activity", DAYS)
    company.add_fault("/matomo", kind, times=2, status=503)
    found = rows(sandboxed(company, home), "raw_web_activity", DAYS)
    company.clear_faults()
    assert found == expected


def test_the_sandbox_wants_its_token(company: Endpoint, home: Path) -> None:
    with pytest.raises(CredentialError, match="SCORING_MATOMO_TOKEN"):
        sandboxed(company, home, lambda _: "wrong").probe()
