"""Mailchimp: which reports are read, ids that stay the same, offsets, throttles without JSON, naming of fields."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from scoring_platform.contracts.raw import RAW_CONSENTS, RAW_EMAIL_EVENTS
from scoring_platform.errors import CredentialError, PermanentError, TransientError
from scoring_platform.sources.mailchimp import Mailchimp, MailchimpSource
from scoring_platform.sources.protocol import Window
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, page, reply
from scoring_platform_tests.sources.scenario import TOKYO, WINDOW, credential, rows
from scoring_platform_tests.sources.vendor_specs import check_query, openapi

SPEC = "mailchimp/marketing.json"
REPORT = "/3.0/reports/c1"
SENT_AT = "2026-11-20T01:00:00+00:00"
AT = "2026-11-20T08:00:00+00:00"
TARO = {"email_id": "e1", "email_address": "taro@example.jp"}
HANA = {"email_id": "e2", "email_address": "hana@example.jp"}

_TYPING = ("type", "enum", "items", "maximum", "format")

Listings = dict[str, list[dict[str, Any]]]

KEYS = {
    "/3.0/campaigns": "campaigns",
    "/3.0/lists": "lists",
    f"{REPORT}/sent-to": "sent_to",
    f"{REPORT}/email-activity": "emails",
    f"{REPORT}/unsubscribed": "unsubscribes",
}
TEMPLATES = {
    **{path: path.removeprefix("/3.0").replace("c1", "{campaign_id}") for path in KEYS},
    "/3.0/lists/l1/members": "/lists/{list_id}/members",
}


def source(server: Loopback, **settings: Any) -> Mailchimp:
    section = MailchimpSource.model_validate({"endpoint": server.url, "page_size": 2, **settings})
    return Mailchimp(section, server.url, credential, TOKYO)


def serve(server: Loopback, listings: Listings, *, totals: dict[str, int] | None = None) -> None:
    """Answer with parts of ``listings`` by count and offset, the way the vendor does."""
    listings = {"/3.0/campaigns": [{"id": "c1", "send_time": SENT_AT}], "/3.0/lists": [{"id": "l1"}], **listings}

    def answer(seen: Seen) -> Reply:
        found, start = listings.get(seen.path, []), int(seen.query["offset"])
        shown = found[start : start + int(seen.query["count"])]
        total = (totals or {}).get(seen.path, len(found))
        return reply({KEYS.get(seen.path, "members"): shown, "total_items": total})

    server.answer = answer


def did(who: dict[str, str], *actions: dict[str, Any]) -> dict[str, Any]:
    return {**who, "activity": list(actions)}


def member(status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "m1",
        "email_address": "taro@example.jp",
        "status": status,
        "timestamp_opt": "2026-01-02T03:04:05+00:00",
        "last_changed": AT,
        **more,
    }


def asked(server: Loopback, path: str) -> list[Seen]:
    return [seen for seen in server.seen if seen.path == path]


def test_what_became_of_a_campaign_is_named_in_our_words(server: Loopback) -> None:
    activity = did(
        TARO,
        {"action": "open", "timestamp": AT, "ip": "192.0.2.1"},
        {"action": "click", "timestamp": AT, "url": "https://shop.example.jp/", "type": ""},
    )
    bounced = did(HANA, {"action": "bounce", "type": "soft", "timestamp": AT})
    left = {**TARO, "timestamp": AT, "reason": "Unspecified"}
    listings = {"sent-to": [TARO, HANA], "email-activity": [activity, bounced], "unsubscribed": [left]}
    serve(server, {f"{REPORT}/{name}": found for name, found in listings.items()})

    found = rows(source(server), "raw_email_events")

    assert [(row["email"], row["kind"], row["occurred_at"]) for row in found] == [
        ("taro@example.jp", "sent", SENT_AT),
        ("hana@example.jp", "sent", SENT_AT),
        ("taro@example.jp", "open", AT),
        ("taro@example.jp", "click", AT),
        ("hana@example.jp", "bounce", AT),
        ("taro@example.jp", "unsubscribe", AT),
    ]
    assert {(row["campaign_id"], row["machine"]) for row in found} == {("c1", None)}
    assert len({row["event_id"] for row in found}) == 6
    assert all(row.keys() == RAW_EMAIL_EVENTS.columns.keys() - {"source"} for row in found)


def test_the_same_thing_read_again_has_the_same_id(server: Loopback) -> None:
    serve(
        server,
        {f"{REPORT}/sent-to": [TARO], f"{REPORT}/email-activity": [did(TARO, {"action": "open", "timestamp": AT})]},
    )
    first = rows(source(server), "raw_email_events")
    later = Window(WINDOW.since, WINDOW.until + timedelta(days=3))
    assert rows(source(server), "raw_email_events", later) == first


def test_two_opens_of_one_second_are_one_and_clicks_differ_by_their_link(server: Loopback) -> None:
    opens = [{"action": "open", "timestamp": AT, "ip": ip} for ip in ("192.0.2.1", "192.0.2.2")]
    clicks = [{"action": "click", "timestamp": AT, "url": f"https://shop.example.jp/{n}"} for n in (1, 2)]
    serve(server, {f"{REPORT}/email-activity": [did(TARO, *opens, *clicks)]})

    found = rows(source(server), "raw_email_events")

    assert [row["kind"] for row in found] == ["open", "open", "click", "click"]
    assert found[0] == found[1]
    assert len({row["event_id"] for row in found}) == 3


def test_recipients_who_did_nothing_and_actions_nobody_knows_are_no_rows(server: Loopback) -> None:
    serve(server, {f"{REPORT}/email-activity": [did(TARO), did(HANA, {"action": "pondered", "timestamp": AT})]})
    assert rows(source(server), "raw_email_events") == []


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("I no longer want to receive these emails", "unsubscribe"),
        ("The emails are spam and should be reported", "complaint"),
        ("ABUSE", "complaint"),
        ("", "unsubscribe"),
        (None, "unsubscribe"),
    ],
)
def test_who_calls_it_spam_complains(server: Loopback, reason: str | None, kind: str) -> None:
    serve(server, {f"{REPORT}/unsubscribed": [{**TARO, "timestamp": AT, "reason": reason}]})
    assert [row["kind"] for row in rows(source(server), "raw_email_events")] == [kind]


def test_campaigns_are_read_again_as_long_as_they_settle_but_their_recipients_only_while_new(server: Loopback) -> None:
    old = (WINDOW.since - timedelta(days=8)).isoformat()
    serve(server, {"/3.0/campaigns": [{"id": "c1", "send_time": old}], f"{REPORT}/sent-to": [TARO]})

    assert rows(source(server, settle_days=12), "raw_email_events") == []

    [listing] = asked(server, "/3.0/campaigns")
    assert listing.query["since_send_time"] == "2026-11-08T00:00:00+00:00"
    assert listing.query["before_send_time"] == "2026-11-21T00:00:01+00:00"
    assert not asked(server, f"{REPORT}/sent-to")
    assert asked(server, f"{REPORT}/email-activity")[0].query["since"] == "2026-11-19T23:59:59+00:00"


@pytest.mark.parametrize("table", ["raw_email_events", "raw_consents"])
def test_the_calls_are_those_the_vendor_documents(server: Loopback, table: str) -> None:
    serve(server, {})
    rows(source(server, list_ids=["l1"]), table)
    assert server.seen
    for seen in server.seen:
        check_query(seen, documented(), TEMPLATES[seen.path])
        assert base64.b64decode(seen.headers["authorization"].removeprefix("Basic ")) == b"any:secret-api_key"


def test_bodies_are_trimmed_to_what_is_read(server: Loopback) -> None:
    serve(server, {"/3.0/lists/l1/members": [member("subscribed")]})
    rows(source(server), "raw_consents")
    wanted = {"id", "email_address", "status", "timestamp_opt", "last_changed"}
    fields = asked(server, "/3.0/lists/l1/members")[0].query["fields"]
    assert set(fields.split(",")) == {*(f"members.{name}" for name in wanted), "total_items"}


def test_a_listing_is_read_by_offset_up_to_its_total(server: Loopback) -> None:
    recipients = [{"email_id": f"e{n}", "email_address": f"p{n}@example.jp"} for n in range(4)]
    serve(server, {f"{REPORT}/sent-to": recipients})
    assert [row["email"] for row in rows(source(server), "raw_email_events")] == [f"p{n}@example.jp" for n in range(4)]
    assert [seen.query["offset"] for seen in asked(server, f"{REPORT}/sent-to")] == ["0", "2"]


def test_a_page_shorter_than_asked_is_no_end(server: Loopback) -> None:
    recipients = [{"email_id": f"e{n}", "email_address": f"p{n}@example.jp"} for n in range(3)]

    def answer(seen: Seen) -> Reply:
        start = int(seen.query["offset"])
        found = {"/3.0/campaigns": [{"id": "c1", "send_time": SENT_AT}], f"{REPORT}/sent-to": recipients}
        shown = found.get(seen.path, [])
        return reply({KEYS[seen.path]: shown[start : start + 1], "total_items": len(shown)})

    server.answer = answer
    assert len(rows(source(server), "raw_email_events")) == 3


def test_an_empty_page_before_the_end_is_asked_for_again_and_never_taken_for_the_end(server: Loopback) -> None:
    serve(server, {f"{REPORT}/sent-to": [TARO, HANA]}, totals={f"{REPORT}/sent-to": 3})
    with pytest.raises(TransientError, match=r"an empty page at GET /3\.0/reports/c1/sent-to after 2 of 3"):
        rows(source(server), "raw_email_events")
    assert len(asked(server, f"{REPORT}/sent-to")) == 1 + 8


def test_a_total_that_counts_idle_recipients_does_not_keep_activity_from_ending(server: Loopback) -> None:
    path = f"{REPORT}/email-activity"
    serve(server, {path: [did(TARO, {"action": "open", "timestamp": AT})]}, totals={path: 900})
    assert [row["kind"] for row in rows(source(server), "raw_email_events")] == ["open"]


def test_a_page_given_twice_stops_the_reading(server: Loopback) -> None:
    campaigns = reply({"campaigns": [{"id": "c1", "send_time": SENT_AT}], "total_items": 1})
    same = {"sent_to": [TARO, HANA], "total_items": 9}
    server.answer = lambda seen: campaigns if seen.path == "/3.0/campaigns" else reply(same)
    with pytest.raises(PermanentError, match="sent-to gave the same page of 2 rows twice"):
        rows(source(server), "raw_email_events")


@pytest.mark.parametrize("refusal", [page("<html>Forbidden</html>", 403), page("", 403, "text/plain")])
def test_a_refusal_without_json_is_a_throttle_and_waited_for(server: Loopback, refusal: Reply) -> None:
    server.script([refusal, refusal, reply({"health_status": "Everything's Chimpy!"})])
    assert source(server).probe() == "mailchimp: Everything's Chimpy!"
    assert len(server.seen) == 3


def test_a_throttle_that_does_not_end_is_transient_and_says_what_it_was(server: Loopback) -> None:
    server.script([page("", 403)])
    with pytest.raises(TransientError, match=r"403 at GET /3\.0/ping: no JSON"):
        source(server).probe()


def test_too_many_calls_are_waited_for(server: Loopback) -> None:
    problem = {"title": "TooManyRequests", "status": 429, "detail": "You have exceeded the limit."}
    server.script([reply(problem, 429), reply({"health_status": "fine"})])
    assert source(server).probe() == "mailchimp: fine"


@pytest.mark.parametrize(("status", "words"), [(401, "API Key Invalid"), (403, "User Disabled")])
def test_a_refusal_with_json_names_the_variable_and_is_not_repeated(server: Loopback, status: int, words: str) -> None:
    server.script([reply({"title": words, "status": status, "detail": "no"}, status)])
    with pytest.raises(CredentialError, match=rf"{words}.*SCORING_MAILCHIMP_API_KEY") as caught:
        rows(source(server), "raw_consents")
    assert "secret-api_key" not in str(caught.value)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("status", "decision", "at"),
    [("subscribed", "granted", "2026-01-02T03:04:05+00:00"), ("unsubscribed", "revoked", AT)],
)
def test_a_member_who_joined_or_left_decided(server: Loopback, status: str, decision: str, at: str) -> None:
    serve(server, {"/3.0/lists/l1/members": [member(status)]})
    [found] = rows(source(server), "raw_consents")
    assert {name: value for name, value in found.items() if name != "event_id"} == {
        "subject": "taro@example.jp",
        "channel": "email",
        "purpose": "marketing",
        "status": decision,
        "occurred_at": at,
    }
    assert found.keys() == RAW_CONSENTS.columns.keys() - {"source"}


@pytest.mark.parametrize("status", ["cleaned", "pending", "archived", "transactional"])
def test_any_other_member_decided_nothing(server: Loopback, status: str) -> None:
    serve(server, {"/3.0/lists/l1/members": [member(status)]})
    assert rows(source(server), "raw_consents") == []


def test_an_agreement_keeps_its_id_when_the_member_changes_otherwise(server: Loopback) -> None:
    ids = []
    for changed in (AT, "2026-11-20T09:00:00+00:00"):
        serve(server, {"/3.0/lists/l1/members": [member("subscribed", last_changed=changed)]})
        ids += [row["event_id"] for row in rows(source(server), "raw_consents")]
    serve(server, {"/3.0/lists/l1/members": [member("subscribed", timestamp_opt="2026-11-20T09:00:00+00:00")]})
    [again] = rows(source(server), "raw_consents")
    assert ids[0] == ids[1] != again["event_id"]


@pytest.mark.parametrize("unknown", ["", None])
def test_an_agreement_without_a_time_was_given_at_the_last_change(server: Loopback, unknown: str | None) -> None:
    serve(server, {"/3.0/lists/l1/members": [member("subscribed", timestamp_opt=unknown)]})
    assert [row["occurred_at"] for row in rows(source(server), "raw_consents")] == [AT]


def test_members_are_asked_for_latest_change_first_and_without_an_upper_bound(server: Loopback) -> None:
    serve(server, {})
    rows(source(server), "raw_consents", Window(datetime(2026, 11, 20, 1, 2, 3, 999, UTC), WINDOW.until))
    query = asked(server, "/3.0/lists/l1/members")[0].query
    assert query["since_last_changed"] == "2026-11-20T01:02:02+00:00"
    assert (query["sort_field"], query["sort_dir"]) == ("last_changed", "DESC")
    assert "before_last_changed" not in query


def test_only_the_audiences_configured_are_read(server: Loopback) -> None:
    listings = {f"/3.0/lists/{key}/members": [member("subscribed", id=key)] for key in ("l1", "l2", "l3")}
    serve(server, listings)
    chosen = source(server, list_ids=["l3", "l1"])
    assert len(rows(chosen, "raw_consents")) == 2
    assert not asked(server, "/3.0/lists")
    rows(chosen, "raw_email_events")
    assert [seen.query["list_id"] for seen in asked(server, "/3.0/campaigns")] == ["l3", "l1"]
    server.seen.clear()
    rows(source(server), "raw_email_events")
    assert "list_id" not in asked(server, "/3.0/campaigns")[0].query


def test_an_answer_of_another_shape_is_permanent(server: Loopback) -> None:
    serve(server, {f"{REPORT}/sent-to": [{"email_id": "e1"}]})
    with pytest.raises(PermanentError, match=r"raw_email_events in a shape it does not document \(no field"):
        rows(source(server), "raw_email_events")


@pytest.mark.parametrize("wrong", [{"page_size": 1001}, {"page_size": 0}, {"settle_days": -1}])
def test_settings_outside_the_vendors_limits_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        MailchimpSource.model_validate({"endpoint": "https://us1.api.mailchimp.com", **wrong})


def documented() -> dict[str, Any]:
    """The vendor's document, which is Swagger 2: a parameter holds its type itself."""
    paths = {}
    for path, item in openapi(SPEC)["paths"].items():
        parameters = item.get("get", {}).get("parameters", [])
        typed = [{**one, "schema": {key: one[key] for key in _TYPING if key in one}} for one in parameters]
        paths[path] = {"get": {"parameters": typed}}
    return {"paths": paths}
