"""Answers to surveys, posted as each tool posts them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete

from scoring_platform.errors import ConfigurationError
from scoring_platform.ledger.inbox import Inbox
from scoring_platform.ledger.schema import DEAD_LETTERS, INBOX
from scoring_platform.settings import Settings, load_settings
from scoring_platform.sources.nps import Nps, NpsSource
from scoring_platform.sources.opening import open_source
from scoring_platform.sources.protocol import Window
from scoring_platform.webhooks.providers import open_providers
from scoring_platform_tests.webhooks.scenario import Desk, receiving
from scoring_platform_tests.webhooks.survey_tools import TOOLS, Body, Tool, plain, surveyed

JSON, FORMBRICKS, TYPEFORM, MONKEY = (TOOLS[name] for name in ("json", "formbricks", "typeform", "surveymonkey"))
ONCE = {"accepted": 1, "duplicates": 0, "rejected": 0}
AGAIN = {"accepted": 0, "duplicates": 1, "rejected": 0}

each_tool = pytest.mark.parametrize("tool", TOOLS.values(), ids=list(TOOLS))


@pytest.fixture(scope="module")
def surveys(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with every survey tool."""
    return surveyed(tmp_path_factory.mktemp("surveys"))


@pytest.fixture(scope="module")
def _opened(surveys: Settings) -> Iterator[Desk]:
    with receiving(surveys) as opened:
        yield opened


@pytest.fixture
def desk(_opened: Desk) -> Desk:
    """A receiver of all survey tools, empty."""
    with _opened.ledger.writing() as connection:
        connection.execute(delete(INBOX))
        connection.execute(delete(DEAD_LETTERS))
    return _opened


@pytest.fixture
def rows(desk: Desk, surveys: Settings) -> Any:
    """What a run reads from the inbox: the latest revision of each answer, by source and id."""

    def read(*sources: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        found: dict[str, Any] = {}
        for name in sources or ("nps", "formbricks"):
            source: Any = open_source(surveys, name)
            window = Window(now - timedelta(hours=1), now + timedelta(hours=1))
            for page in source.received(window):
                for row in page:
                    known = found.get(row["response_id"])
                    if known is None or row["revision"] >= known["revision"]:
                        found[row["response_id"]] = row
        return found

    return read


@each_tool
def test_an_answer_is_taken_once_however_often_it_comes(desk: Desk, tool: Tool) -> None:
    assert tool.post(desk, tool.body()).json() == ONCE
    for _ in range(2):
        again = tool.post(desk, tool.body())
        assert (again.status_code, again.json()) == (200, AGAIN)
    assert tool.post(desk, tool.body(2)).json() == ONCE
    assert [row.kind for row in desk.stored()] == ["nps", "nps"]


@each_tool
def test_nothing_unsigned_is_taken_and_nothing_changed_on_the_way(desk: Desk, tool: Tool) -> None:
    body = json.dumps(tool.body()).encode()
    good = tool.headers(body)
    wrong = [
        {"Content-Type": "application/json"},
        tool.headers(body, secret="whsec_" + "QUFB" * 8),
        tool.headers(body + b" "),
        {name: value if name == "Content-Type" else value[:-1] for name, value in good.items()},
    ]
    for headers in wrong:
        assert desk.http.post(tool.path, content=body, headers=headers).status_code == 401
    other = next(one for one in TOOLS.values() if one is not tool)
    assert desk.http.post(tool.path, content=body, headers=other.headers(body)).status_code == 401
    assert (desk.keys, desk.reasons) == ([], [])
    assert desk.http.post(tool.path, content=body, headers=good).status_code == 200


@each_tool
def test_a_recorded_request_is_refused_later_and_does_nothing_before(desk: Desk, tool: Tool) -> None:
    late = tool.post(desk, tool.body(), at=time.time() - 301)
    early = tool.post(desk, tool.body(), at=time.time() + 305)
    assert {late.status_code, early.status_code} == ({401} if tool.timed else {200})
    tool.post(desk, tool.body())
    assert tool.post(desk, tool.body()).json() == AGAIN
    assert len(desk.keys) == 1


@each_tool
def test_two_secrets_are_good_while_one_replaces_the_other(tmp_path: Path, tool: Tool) -> None:
    name = "FORMBRICKS" if tool is FORMBRICKS else tool.path.rsplit("/", 1)[1].upper()
    old = "whsec_" + "T0xE" * 8
    with receiving(surveyed(tmp_path, **{f"SCORING_{name}_WEBHOOK_SECRET_PREVIOUS": old})) as desk:
        assert tool.post(desk, tool.body(1)).status_code == 200
        assert tool.post(desk, tool.body(2), secret=old).status_code == 200
        assert tool.post(desk, tool.body(3), secret="whsec_" + "QUFB" * 8).status_code == 401


@each_tool
def test_what_is_signed_but_no_answer_is_refused_and_set_aside(desk: Desk, tool: Tool) -> None:
    bodies: list[Any] = [{}, [], {"event": "x", "data": 1}, b"{", b"null", b"[[]]"]
    for body in bodies:
        answer = tool.post(desk, body)
        assert answer.status_code in (200, 400)
        if answer.status_code == 200:
            assert (body, answer.json()["accepted"]) == ([], 0), "a list of no answers"
    assert desk.keys == []
    assert len(desk.reasons) >= 4


@each_tool
def test_an_address_is_looked_at_before_it_is_used(desk: Desk, tool: Tool) -> None:
    assert desk.http.head(tool.path).status_code == 200


def with_score(tool: Tool, score: Any) -> Body:
    if tool is JSON:
        return tool.body(nps_score=score)
    if tool is FORMBRICKS:
        return tool.body(data={"nps": score})
    return tool.body(answers=[{"type": "number", "number": score, "field": {"type": "nps"}}])


@pytest.mark.parametrize("tool", [JSON, FORMBRICKS, TYPEFORM], ids=["json", "formbricks", "typeform"])
@pytest.mark.parametrize(
    ("given", "kept"), [(0, 0), (10, 10), ("7", 7), (" 10 ", 10), ("９", 9), (8.0, 8), (None, None), ("", None)]
)
def test_scores_are_whole_numbers_from_0_to_10_or_none(
    desk: Desk, rows: Any, tool: Tool, given: Any, kept: Any
) -> None:
    assert tool.post(desk, with_score(tool, given)).status_code == 200
    assert [row["nps_score"] for row in rows().values()] == [kept]


@pytest.mark.parametrize("tool", [JSON, FORMBRICKS, TYPEFORM], ids=["json", "formbricks", "typeform"])
@pytest.mark.parametrize("given", [11, -1, 7.5, "7.5", "eleven", "-1", True, [9], {"a": 1}, "1e1", 10**15])
def test_any_other_score_is_a_dead_letter_with_the_reason(desk: Desk, tool: Tool, given: Any) -> None:
    answer = tool.post(desk, with_score(tool, given))
    assert answer.status_code == 400
    assert answer.json()["error"] == "the score is not a whole number from 0 to 10"
    assert (desk.keys, desk.reasons) == ([], ["the score is not a whole number from 0 to 10"])


# Signed JSON of anybody


@pytest.mark.parametrize(
    ("named", "kind", "key"),
    [
        ({"email": "a@example.jp", "customer_id": "1", "account_number": "2", "crm_id": "3"}, "email", "a@example.jp"),
        ({"email": "", "customer_ref": 77, "account_number": "2"}, "customer_id", "77"),
        ({"account_number": "A-2", "contact_id": "3"}, "account_number", "A-2"),
        ({"contact_id": "003xx"}, "crm_id", "003xx"),
        ({"person_id": 12}, "crm_id", "12"),
    ],
)
def test_a_person_is_named_by_the_surest_key(desk: Desk, rows: Any, named: Body, kind: str, key: str) -> None:
    body = {"id": "r1", "nps_score__c": "9", "answered_at": "2026-11-20", **named}
    assert JSON.post(desk, body).status_code == 200
    (row,) = rows().values()
    assert (row["identity_kind"], row["identity_key"], row["nps_score"]) == (kind, key, 9)
    assert row["survey_date"] == date(2026, 11, 20)


def test_fields_that_nobody_knows_are_kept_unless_they_are_personal(desk: Desk, rows: Any) -> None:
    extra = {"product": "beans", "store": {"city": "Toyama"}, "dimensions": {"plan": "pro"}, "account_number": "A1"}
    personal = {"full_name": "X", "phone": "0", "contact": "b@example.jp"}
    JSON.post(desk, plain(**extra, **personal, blob="x" * 9_000))
    (row,) = rows().values()
    assert row["dimensions"] == {"product": "beans", "store": {"city": "Toyama"}, "plan": "pro", "account_number": "A1"}
    assert desk.stored()[0].event["full_name"] == "X", "in the inbox all is as it was sent"


def test_score_first_and_comment_later_are_one_answer_whatever_comes_first(desk: Desk, rows: Any) -> None:
    first = plain(comment=None, updated_at="2026-11-20T10:00:00+09:00")
    then = plain(comment="fast", updated_at="2026-11-20T10:09:00+09:00")
    for order in ([first, then], [then, first]):
        with desk.ledger.writing() as connection:
            connection.execute(delete(INBOX))
        for body in order:
            assert JSON.post(desk, body).json() == ONCE
        (row,) = rows().values()
        assert (row["raw_text"], row["nps_score"], row["survey_date"]) == ("fast", 9, date(2026, 11, 20))


def test_changes_that_are_counted_go_by_their_number(desk: Desk, rows: Any) -> None:
    for number, score in ((2, 3), (3, 10), (1, 7)):
        JSON.post(desk, plain(revision=number, nps_score=score))
    assert [(row["revision"], row["nps_score"]) for row in rows().values()] == [(3, 10)]
    assert "revision is not a whole number" in JSON.post(desk, plain(revision="two")).json()["error"]


def test_a_list_is_taken_answer_by_answer(desk: Desk) -> None:
    answers = [
        plain(1),
        plain(2, nps_score=11),
        plain(3),
        {"id": "r4", "nps_score": 3},
        {"id": "r5", "email": "a@b.jp"},
    ]
    answer = JSON.post(desk, {"responses": answers})
    assert answer.json() == {"accepted": 2, "duplicates": 0, "rejected": 3}
    assert desk.reasons == [
        "the score is not a whole number from 0 to 10",
        "the answer names nobody (email, customer_id, account_number, crm_id)",
        "the answer has no score (nps_score)",
    ]


def test_an_answer_without_an_id_is_known_by_who_gave_it_and_when(desk: Desk, rows: Any) -> None:
    bare = {"email": "a@example.jp", "nps_score": 9}
    assert JSON.post(desk, bare).json() == ONCE
    assert JSON.post(desk, bare).json() == AGAIN
    assert JSON.post(desk, {**bare, "comment": "fast"}).json() == ONCE
    (row,) = rows().values()
    assert (row["raw_text"], row["nps_score"]) == ("fast", 9)
    JSON.post(desk, {**bare, "answered_at": "2026-11-01"})
    assert len(rows()) == 2


def test_a_description_that_was_changed_never_breaks_what_lies_in_the_inbox(desk: Desk) -> None:
    JSON.post(desk, plain())
    changed = NpsSource.model_validate({"providers": {"survey": {"fields": {"score": "data.rating"}}}})
    now = datetime.now(UTC)
    other = Nps(changed, "", str, ZoneInfo("Asia/Tokyo"), Inbox(desk.ledger), lambda *_: "")
    (page,) = other.received(Window(now - timedelta(hours=1), now + timedelta(hours=1)))
    assert page[0]["nps_score"] is None


# The vendors


def test_formbricks_three_events_of_one_response_are_one_answer(desk: Desk, rows: Any) -> None:
    states: list[tuple[str, Body]] = [
        ("responseCreated", {"updatedAt": "2026-11-20T01:00:00.000Z", "data": {"nps": 9}, "finished": False}),
        ("responseUpdated", {"updatedAt": "2026-11-20T01:05:00.123Z"}),
        ("responseFinished", {"updatedAt": "2026-11-20T01:05:00.123Z"}),
    ]
    for event, changes in reversed(states):
        assert FORMBRICKS.post(desk, FORMBRICKS.body(event=event, **changes)).status_code == 200
    assert rows("formbricks") == {
        "resp1": {
            "response_id": "resp1",
            "identity_kind": "email",
            "identity_key": "ann@example.com",
            "survey_date": date(2026, 11, 20),
            "nps_score": 9,
            "raw_text": "fast",
            "dimensions": {"product": "beans", "language": "ja"},
            "revision": 1795136700123,
        }
    }
    assert len(desk.keys) == 2, "updated and finished tell of one state"


def test_formbricks_contact_without_attributes_is_the_shops_customer(desk: Desk, rows: Any) -> None:
    FORMBRICKS.post(desk, FORMBRICKS.body(1, contactAttributes=None))
    FORMBRICKS.post(desk, FORMBRICKS.body(2, contactAttributes=None, contact=None))
    found = rows("formbricks")
    assert (found["resp1"]["identity_kind"], found["resp1"]["identity_key"]) == ("customer_id", "K1")
    assert found["resp2"]["identity_kind"] is None, "the run sets it aside until it names somebody"


def test_what_formbricks_posts_of_other_surveys_or_as_a_test_is_acknowledged_and_forgotten(desk: Desk) -> None:
    for body in (FORMBRICKS.body(surveyId="s2"), {"event": "testEndpoint"}):
        answer = FORMBRICKS.post(desk, body)
        assert (answer.status_code, answer.json()["accepted"]) == (200, 0)
    assert (desk.keys, desk.reasons) == ([], [])


def test_typeform_answers_are_found_by_type_and_people_by_hidden_fields(desk: Desk, rows: Any) -> None:
    TYPEFORM.post(desk, TYPEFORM.body())
    (row,) = rows().values()
    assert row == {
        "response_id": "forms:g8hc:tok1",
        "identity_kind": "customer_id",
        "identity_key": "K1",
        "survey_date": date(2026, 11, 20),
        "nps_score": 9,
        "raw_text": "fast",
        "dimensions": {"product": "beans", "points": 3},
        "revision": 1795163029000,
    }


def test_typeform_types_may_stand_in_the_definition_only_and_an_address_may_be_asked_for(desk: Desk, rows: Any) -> None:
    answers = [
        {"type": "email", "email": "taro@example.jp", "field": {"id": "E1", "type": "email"}},
        {"type": "number", "number": 4, "field": {"id": "M8"}},
    ]
    TYPEFORM.post(desk, TYPEFORM.body(answers=answers, hidden=None))
    (row,) = rows().values()
    assert (row["identity_kind"], row["identity_key"], row["nps_score"]) == ("email", "taro@example.jp", 4)


def test_surveymonkeys_ids_are_kept_though_it_tells_nothing_else(desk: Desk) -> None:
    assert MONKEY.post(desk, MONKEY.body()).json() == ONCE
    updated = {"event_type": "response_updated", "event_datetime": "2026-11-20T09:56:31+00:00"}
    assert MONKEY.post(desk, MONKEY.body(**updated)).json() == ONCE
    assert MONKEY.post(desk, MONKEY.body(object_id="../../users/me")).status_code == 400
    assert MONKEY.post(desk, MONKEY.body(event_type="response_deleted")).status_code == 400
    assert len(desk.keys) == 2


# Configuration


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"import": {}}, "'import' is the name of files that are imported"),
        ({"formbricks": {}}, "'formbricks' is the name of the section sources.formbricks"),
        ({"forms": {"format": "typeform", "header": "X"}}, "header: not a key of the format typeform"),
        ({"survey": {"score_question": "q1"}}, "score_question: not a key of the format json"),
        ({"survey": {"fields": {"score": []}}}, "at least 1 item"),
    ],
)
def test_a_wrong_description_is_named(tmp_path: Path, section: Body, words: str) -> None:
    path = tmp_path / "scoring.yaml"
    path.write_text(json.dumps({"history_start": "2026-01-01", "sources": {"nps": {"providers": section}}}))
    with pytest.raises(ConfigurationError, match=r"sources\.nps\.providers") as raised:
        load_settings({}, home=tmp_path, config_path=path)
    assert words in str(raised.value)


def test_a_missing_secret_is_said_at_the_start(tmp_path: Path) -> None:
    settings = surveyed(tmp_path, SCORING_FORMS_WEBHOOK_SECRET="")
    with pytest.raises(ConfigurationError, match="set SCORING_FORMS_WEBHOOK_SECRET"):
        open_providers(settings)


def test_answers_that_wait_are_told_of_by_health(desk: Desk, surveys: Settings) -> None:
    JSON.post(desk, plain())
    found = desk.http.get("/healthz").json()
    assert found["status"] == "ok"
    assert set(found["providers"]) == {tool.path.removeprefix("/webhooks/") for tool in TOOLS.values()}
