"""Answers in the inbox as a source: what SurveyMonkey's ids lead to, and one answer whichever way it came."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scoring_platform.errors import BudgetExhaustedError, CredentialError, PermanentError
from scoring_platform.ledger.inbox import Inbox, Post
from scoring_platform.sources.formbricks import Formbricks, FormbricksSource
from scoring_platform.sources.nps import IMPORTED, Nps, NpsSource, reader
from scoring_platform.sources.nps_fields import NpsProvider
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, reply
from scoring_platform_tests.scenario import Home, close_home, open_home
from scoring_platform_tests.sources.scenario import TOKYO, WINDOW, credential, rows
from scoring_platform_tests.webhooks.survey_tools import formbricks, plain, surveymonkey

TABLE = "raw_nps_responses"
SCALE = [{"id": str(500 + number), "text": f"{number}" if number else "0 - not likely"} for number in range(11)]
DETAILS = {
    "pages": [
        {
            "questions": [
                {"id": "20", "family": "single_choice", "answers": {"choices": [{"id": "1", "text": "2 shops"}]}},
                {"id": "21", "family": "matrix", "subtype": "rating", "answers": {"choices": SCALE, "rows": []}},
                {"id": "22", "family": "open_ended"},
            ]
        }
    ]
}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    opened = open_home(tmp_path / "home")
    yield opened
    close_home(opened)


def answered(number: int, score: int = 9, **changes: Any) -> dict[str, Any]:
    """A response of SurveyMonkey's API."""
    given = {"id": "21", "answers": [{"choice_id": str(500 + score), "row_id": "7"}]}
    why = {"id": "22", "answers": [{"text": "fast"}]}
    return {
        "id": str(1_000 + number),
        "date_created": "2026-11-20T08:50:00+00:00",
        "date_modified": "2026-11-20T08:56:31+00:00",
        "custom_variables": {"account_number": "A1", "product": "beans"},
        "response_status": "completed",
        "pages": [{"id": "1", "questions": [given, why]}],
        **changes,
    }


def surveys(home: Home, server: Loopback, *numbers: int, **section: Any) -> Nps:
    """A source of which SurveyMonkey told the ids of these responses."""
    inbox = Inbox(home.ledger)
    events = [(f"e{number}", surveymonkey(number)) for number in numbers]
    inbox.store([Post("nps", "monkey", events)], clock=lambda: WINDOW.since)
    given = {"providers": {"monkey": {"format": "surveymonkey", "endpoint": server.url, **section}}}
    settings = NpsSource.model_validate(given)
    return Nps(settings, "", credential, TOKYO, inbox, lambda system, name: f"{system}-{name}")


def api(*listed: dict[str, Any], alone: dict[str, dict[str, Any]] | None = None) -> Any:
    """What the API answers: a listing in pages of two, and single responses."""

    def answer(seen: Seen) -> Reply:
        if seen.path.endswith("/surveys/99/details"):
            return reply(DETAILS)
        if seen.path.endswith("/responses/bulk"):
            page = int(seen.query["page"])
            part = list(listed[2 * page - 2 : 2 * page])
            more = {"next": "…"} if len(listed) > 2 * page else {}
            return reply({"data": part, "links": more})
        found = (alone or {}).get(seen.path.split("/")[-2])
        return reply(found) if found else reply({"error": {"id": "1020", "message": "gone"}}, 404)

    return answer


def test_surveymonkeys_responses_are_fetched_when_the_inbox_is_read(home: Home, server: Loopback) -> None:
    server.answer = api(answered(1), answered(2, 3), answered(3, 0))
    found = rows(surveys(home, server, 1, 2, 3), TABLE)

    assert found[0] == {
        "response_id": "monkey:99:1001",
        "identity_kind": "account_number",
        "identity_key": "A1",
        "survey_date": date(2026, 11, 20),
        "nps_score": 9,
        "raw_text": "fast",
        "dimensions": {"product": "beans"},
        "revision": 1795164991000,
    }
    assert [row["nps_score"] for row in found] == [9, 3, 0]
    assert [seen.headers["authorization"] for seen in server.seen] == ["bearer monkey-token"] * 3
    assert server.seen[1].query["start_modified_at"] == "2026-11-20T07:56:31+00:00"


def test_what_the_listing_lacks_is_asked_for_by_itself_and_what_was_deleted_left_out(
    home: Home, server: Loopback
) -> None:
    server.answer = api(answered(1), alone={"1002": answered(2, 6)})
    found = rows(surveys(home, server, 1, 2, 3), TABLE)

    assert [(row["response_id"], row["nps_score"]) for row in found] == [("monkey:99:1001", 9), ("monkey:99:1002", 6)]


def test_without_ids_nothing_is_asked(home: Home, server: Loopback) -> None:
    assert rows(surveys(home, server), TABLE) == []
    assert server.seen == []


def test_questions_can_be_named(home: Home, server: Loopback) -> None:
    server.answer = api(answered(1))
    assert [row["nps_score"] for row in rows(surveys(home, server, 1, score_question="21"), TABLE)] == [9]
    with pytest.raises(PermanentError, match="no question 77: correct score_question"):
        rows(surveys(home, server, 1, score_question="77"), TABLE)


def test_a_survey_that_was_dismissed_or_not_finished_has_no_score(home: Home, server: Loopback) -> None:
    server.answer = api(answered(1, pages=[]))
    (row,) = rows(surveys(home, server, 1), TABLE)
    assert (row["nps_score"], row["raw_text"]) == (None, None)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply({}, 429, headers={"X-Ratelimit-App-Global-Day-Remaining": "0"}), BudgetExhaustedError),
        (reply({"error": {"message": "no"}}, 401), CredentialError),
        (reply({"unexpected": 1}), PermanentError),
    ],
)
def test_trouble_is_told_by_its_consequence(
    home: Home, server: Loopback, answer: Reply, error: type[Exception]
) -> None:
    server.script([answer])
    with pytest.raises(error):
        rows(surveys(home, server, 1), TABLE)


def test_an_answer_of_formbricks_is_one_whichever_way_it_came(home: Home, server: Loopback) -> None:
    delivery = formbricks()
    inbox = Inbox(home.ledger)
    inbox.store([Post("nps", "formbricks", [("k", delivery)])], clock=lambda: WINDOW.since)
    section = FormbricksSource.model_validate({"survey_id": "s1", "endpoint": server.url, "webhook": True})
    server.script([reply({"data": [delivery["data"]], "meta": {}})])
    pushed, pulled = rows(Formbricks(section, server.url, credential, TOKYO, inbox=inbox), TABLE)

    assert pushed == pulled


def test_without_pulling_formbricks_needs_no_key_and_says_when_it_was_heard_of(home: Home) -> None:
    section = FormbricksSource.model_validate({"survey_id": "s1", "pull": False, "webhook": True})
    inbox = Inbox(home.ledger)
    source = Formbricks(section, "http://127.0.0.1:1", credential, TOKYO, inbox=inbox)
    assert source.probe() == "formbricks: no webhook answer yet, survey s1"
    inbox.store([Post("nps", "formbricks", [("k", formbricks())])], clock=lambda: WINDOW.since)
    assert source.probe() == "formbricks: last webhook answer 2026-11-20T00:00:00+00:00, survey s1"
    assert [row["nps_score"] for row in rows(source, TABLE)] == [9]
    with pytest.raises(ValueError, match="no response can come"):
        FormbricksSource.model_validate({"survey_id": "s1", "pull": False})


@pytest.mark.parametrize(
    ("given", "day"),
    [
        ("2026-11-20T15:00:00Z", date(2026, 11, 21)),
        ("2026-11-20T15:00:00", date(2026, 11, 21)),
        ("2026-11-20T23:59:00+09:00", date(2026, 11, 20)),
        ("2026-11-20", date(2026, 11, 20)),
        (1_795_136_700, date(2026, 11, 20)),
        ("1795136700123", date(2026, 11, 20)),
        ("0001-01-01T00:00:00+09:00", date(1, 1, 1)),
    ],
)
def test_a_time_has_its_business_day(given: Any, day: date) -> None:
    found = reader(IMPORTED, NpsProvider(), TOKYO)(plain(answered_at=given), None)
    assert (found.row["survey_date"], found.problems) == (day, ())


@pytest.mark.parametrize("given", ["yesterday", "20/11/2026", [], {}, True, -5, 1e300, "2026-13-01"])
def test_a_time_that_is_none_is_said_to_be_none(given: Any) -> None:
    found = reader(IMPORTED, NpsProvider(), TOKYO)(plain(answered_at=given), None)
    assert found.problems == ("answered_at is not a time",)


def test_an_answer_dated_after_the_end_of_a_run_is_read_again_by_the_next(home: Home) -> None:
    inbox = Inbox(home.ledger)
    at = WINDOW.since - timedelta(hours=20)
    inbox.store([Post("nps", IMPORTED, [("k", plain())])], clock=lambda: at)
    source = Nps(NpsSource(), "", credential, TOKYO, inbox, lambda *_: "")
    assert len(rows(source, TABLE)) == 1
    assert source.probe() == "nps: 1 answers wait for the next run, the last came at 2026-11-19T04:00:00+00:00"
    assert datetime(2026, 11, 19, 4, tzinfo=UTC) == at
