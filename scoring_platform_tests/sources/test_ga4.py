"""Google Analytics 4: the report that is asked for, its pages, quotas, and one row per customer, day and campaign."""

from __future__ import annotations

import json
import logging
from datetime import UTC, date, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from scoring_platform.contracts.raw import RAW_WEB_ACTIVITY
from scoring_platform.errors import BudgetExhaustedError, CredentialError, PermanentError, TransientError
from scoring_platform.sources.ga4 import Ga4, Ga4Source
from scoring_platform.sources.protocol import Window
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, reply
from scoring_platform_tests.sources.scenario import TOKYO, rows
from scoring_platform_tests.sources.vendor_specs import check_body, openapi

SPEC = "ga4/data-v1beta.openapi3.json"
PATH = "/v1beta/properties/42:runReport"

Cells = tuple[str, str, str, str, int, int, int, int]


@pytest.fixture(scope="module")
def key_file() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    uri = "https://oauth2.example.com/token"
    return json.dumps({"client_email": "a@example.com", "private_key": pem.decode(), "token_uri": uri})


@pytest.fixture
def source(server: Loopback, key_file: str) -> Ga4:
    given = {"endpoint": server.url, "token_endpoint": f"{server.url}/token", "property_id": "42", "page_size": 2}
    return Ga4(Ga4Source.model_validate(given), server.url, lambda _: key_file, TOKYO)


def report(cells: list[Cells], total: int | None = None, **metadata: Any) -> Reply:
    dimensions = ("date", "customUser:crm_id", "sessionCampaignName", "sessionMedium")
    metrics = ("sessions", "screenPageViews", "userEngagementDuration", "keyEvents")
    return reply(
        {
            "dimensionHeaders": [{"name": name} for name in dimensions],
            "metricHeaders": [{"name": name, "type": "TYPE_INTEGER"} for name in metrics],
            "rows": [
                {
                    "dimensionValues": [{"value": str(value)} for value in row[:4]],
                    "metricValues": [{"value": str(value)} for value in row[4:]],
                }
                for row in cells
            ],
            "rowCount": len(cells) if total is None else total,
            "metadata": {"timeZone": "Asia/Tokyo", **metadata},
        }
    )


def answering(server: Loopback, *reports: Reply) -> None:
    """Give a token, then the reports in turn."""
    queue = list(reports)

    def answer(seen: Seen) -> Reply:
        if seen.path == "/token":
            assert seen.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
            assert seen.form["assertion"].count(".") == 2
            return reply({"access_token": "ya29", "expires_in": 3599})
        assert seen.path == PATH
        assert seen.headers["authorization"] == "Bearer ya29"
        return queue.pop(0) if len(queue) > 1 else queue[0]

    server.answer = answer


def asked(server: Loopback) -> list[dict[str, Any]]:
    return [seen.json for seen in server.seen if seen.path == PATH]


def test_a_row_keeps_its_values_under_our_names(server: Loopback, source: Ga4) -> None:
    answering(server, report([("20261120", "77", "autumn", "email", 1, 5, 120, 2)]))
    [found] = rows(source, "raw_web_activity")
    assert found == {
        "activity_on": date(2026, 11, 20),
        "customer_ref": "77",
        "client_id": None,
        "campaign": "autumn",
        "medium": "email",
        "sessions": "1",
        "pageviews": "5",
        "engaged_seconds": "120",
        "conversions": "2",
    }
    assert found.keys() == RAW_WEB_ACTIVITY.columns.keys() - {"source"}


def test_the_settling_days_are_read_again_and_the_days_are_business_days(server: Loopback, source: Ga4) -> None:
    answering(server, report([]))
    window = Window(since=datetime(2026, 11, 19, 21, tzinfo=UTC), until=datetime(2026, 11, 20, 15, tzinfo=UTC))
    assert rows(source, "raw_web_activity", window) == []
    assert asked(server)[0]["dateRanges"] == [{"startDate": "2026-11-17", "endDate": "2026-11-20"}]


def test_the_report_is_one_the_vendor_documents_and_has_a_total_order(server: Loopback, source: Ga4) -> None:
    answering(server, report([]))
    rows(source, "raw_web_activity")
    [body] = asked(server)
    names = [dimension["name"] for dimension in body["dimensions"]]
    assert [order["dimension"]["dimensionName"] for order in body["orderBys"]] == names
    assert (body["limit"], body["offset"]) == ("2", "0")
    check_body(body, openapi(SPEC), "RunReportRequest")


def test_pages_are_read_by_offset_until_the_row_count(server: Loopback, source: Ga4) -> None:
    one, two, three = (("20261120", ref, "c", "m", 1, 1, 1, 0) for ref in ("1", "2", "3"))
    answering(server, report([one, two], 3), report([three], 3))
    assert [row["customer_ref"] for row in rows(source, "raw_web_activity")] == ["1", "2", "3"]
    assert [body["offset"] for body in asked(server)] == ["0", "2"]


def test_a_page_that_repeats_stops_the_reading(server: Loopback, source: Ga4) -> None:
    answering(server, report([("20261120", "1", "c", "m", 1, 1, 1, 0)], 3))
    with pytest.raises(PermanentError, match="ga4 runReport gave the same page of 1 rows twice"):
        rows(source, "raw_web_activity")


def test_a_report_that_ends_too_early_is_an_error_and_no_short_day(server: Loopback, source: Ga4) -> None:
    answering(server, report([("20261120", "1", "c", "m", 1, 1, 1, 0)], 3), report([], 3))
    with pytest.raises(TransientError, match="ga4 gave 1 of 3 rows"):
        rows(source, "raw_web_activity")


def test_rows_are_unique_on_their_key_across_media_pages_and_words_for_unknown(server: Loopback, source: Ga4) -> None:
    cells: list[Cells] = [
        ("20261119", "(not set)", "c", "m", 1, 1, 10, 0),
        ("20261119", "7", "c", "cpc", 1, 2, 10, 0),
        ("20261119", "7", "c", "email", 3, 4, 10, 1),
        ("20261120", "", "(not set)", "(none)", 1, 1, 1, 0),
        ("20261120", "(other)", "", "m", 2, 2, 2, 0),
    ]
    answering(server, report(cells[:2], 5), report(cells[2:4], 5), report(cells[4:], 5))
    found = rows(source, "raw_web_activity")
    keys = [(row["activity_on"].day, row["customer_ref"], row["campaign"]) for row in found]
    assert keys == [(19, None, "c"), (19, "7", "c"), (20, None, None)]
    assert (found[1]["sessions"], found[1]["pageviews"], found[1]["medium"]) == ("4", "6", "email")
    assert (found[2]["sessions"], found[2]["engaged_seconds"]) == ("3", "3")


def test_incomplete_figures_and_a_shifted_day_are_logged(
    server: Loopback, source: Ga4, caplog: pytest.LogCaptureFixture
) -> None:
    flags: dict[str, Any] = {"dataLossFromOtherRow": True, "subjectToThresholding": True, "samplingMetadatas": [{}]}
    answering(server, report([], None, timeZone="Europe/Berlin", **flags))
    with caplog.at_level(logging.WARNING):
        rows(source, "raw_web_activity")
    assert "incomplete: dataLossFromOtherRow, subjectToThresholding, sampling" in caplog.text
    assert "counts days in Europe/Berlin, the business in Asia/Tokyo" in caplog.text


def exhausted(words: str) -> Reply:
    return reply({"error": {"code": 429, "message": words, "status": "RESOURCE_EXHAUSTED"}}, 429)


def test_the_daily_quota_stops_at_once(server: Loopback, source: Ga4) -> None:
    answering(server, exhausted("Exhausted property tokens per day."))
    with pytest.raises(BudgetExhaustedError, match="tokens per day"):
        rows(source, "raw_web_activity")
    assert len(asked(server)) == 1


def test_the_hourly_quota_is_not_waited_for(server: Loopback, source: Ga4) -> None:
    answering(server, exhausted("Exhausted property tokens per hour."))
    with pytest.raises(TransientError, match="asked to wait 3600 s"):
        rows(source, "raw_web_activity")
    assert len(asked(server)) == 1


def test_too_many_calls_at_once_and_server_errors_are_repeated_but_rarely(server: Loopback, source: Ga4) -> None:
    answering(server, exhausted("Exhausted concurrent requests quota."), reply({}, 503), report([]))
    assert rows(source, "raw_web_activity") == []
    answering(server, reply({}, 500))
    server.seen.clear()
    with pytest.raises(TransientError):
        rows(source, "raw_web_activity")
    assert len(asked(server)) == 3


def test_an_account_that_may_not_read_the_property_names_the_variable(server: Loopback, source: Ga4) -> None:
    error = {"code": 403, "message": "User does not have sufficient permissions", "status": "PERMISSION_DENIED"}
    answering(server, reply({"error": error}, 403))
    with pytest.raises(CredentialError, match=r"sufficient permissions.*SCORING_GA4_SERVICE_ACCOUNT"):
        rows(source, "raw_web_activity")


def test_in_the_sandbox_tokens_come_from_the_sandbox(server: Loopback, key_file: str) -> None:
    settings = Ga4Source.model_validate({"endpoint": "sandbox", "property_id": "42"})
    answering(server, report([]))
    assert rows(Ga4(settings, server.url, lambda _: key_file, TOKYO), "raw_web_activity") == []
    assert server.seen[0].path == "/token"


def test_the_probe_counts_the_sessions_of_today(server: Loopback, source: Ga4) -> None:
    answering(server, reply({"rows": [{"metricValues": [{"value": "17"}]}], "rowCount": 1}))
    assert source.probe() == "ga4: property 42, 17 sessions today"
    answering(server, reply({"rowCount": 0}))
    assert source.probe() == "ga4: property 42, 0 sessions today"
