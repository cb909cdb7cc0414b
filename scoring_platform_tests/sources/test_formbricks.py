"""Formbricks: pages that never skip a response, and the naming of fields."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from scoring_platform.contracts.raw import RAW_NPS_RESPONSES
from scoring_platform.errors import CredentialError, PermanentError
from scoring_platform.sources.formbricks import Formbricks, FormbricksSource
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, reply
from scoring_platform_tests.sources.scenario import TOKYO, credential, rows
from scoring_platform_tests.sources.vendor_specs import check_query, openapi

PATH = "/api/v2/management/responses"


def source(server: Loopback, *, page_size: int = 2) -> Formbricks:
    given = {"endpoint": server.url, "survey_id": "s1", "page_size": page_size}
    return Formbricks(FormbricksSource.model_validate(given), server.url, credential, TOKYO)


def response(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"r{number}",
        "createdAt": "2026-11-20T15:30:00.000Z",
        "updatedAt": "2026-11-20T16:00:00.123Z",
        "finished": True,
        "surveyId": "s1",
        "data": {"nps": 9, "comment": "fast", "other": "x"},
        "contactAttributes": {"email": "taro@example.jp", "userId": "77"},
        "variables": {"product": "beans"},
        "language": "ja",
        **changes,
    }


def listing(*responses: dict[str, Any]) -> Reply:
    return reply({"data": list(responses), "meta": {"total": len(responses)}})


def one(server: Loopback, **changes: Any) -> dict[str, Any]:
    server.script([listing(response(1, **changes))])
    [found] = rows(source(server), "raw_nps_responses")
    return found


def test_a_response_keeps_its_values_under_our_names(server: Loopback) -> None:
    found = one(server)
    assert found == {
        "response_id": "r1",
        "identity_kind": "email",
        "identity_key": "taro@example.jp",
        "survey_date": date(2026, 11, 21),
        "nps_score": 9,
        "raw_text": "fast",
        "dimensions": {"product": "beans", "language": "ja"},
        "revision": 1795190400123,
    }
    assert found.keys() == RAW_NPS_RESPONSES.columns.keys() - {"source"}


@pytest.mark.parametrize(
    ("attributes", "identity"),
    [
        ({"email": "taro@example.jp"}, ("email", "taro@example.jp")),
        ({"userId": "77"}, ("customer_id", "77")),
        ({"email": "", "userId": "77"}, ("customer_id", "77")),
        ({"plan": "gold"}, (None, None)),
        (None, (None, None)),
    ],
)
def test_the_answer_belongs_to_the_address_else_to_the_shops_customer(
    server: Loopback, attributes: dict[str, str] | None, identity: tuple[str | None, str | None]
) -> None:
    found = one(server, contactAttributes=attributes)
    assert (found["identity_kind"], found["identity_key"]) == identity


def test_a_dismissed_survey_has_no_score(server: Loopback) -> None:
    found = one(server, data={}, finished=False)
    assert (found["nps_score"], found["raw_text"]) == (None, None)


def test_a_later_change_has_a_greater_revision_on_the_same_day(server: Loopback) -> None:
    early, late = one(server), one(server, updatedAt="2026-11-20T16:00:00.124Z")
    assert late["revision"] == early["revision"] + 1
    assert late["survey_date"] == early["survey_date"]


def test_an_unreadable_time_passes_through(server: Loopback) -> None:
    found = one(server, createdAt="soon", updatedAt="later")
    assert (found["survey_date"], found["revision"]) == ("soon", None)


def test_no_personal_attribute_becomes_a_dimension(server: Loopback) -> None:
    found = one(server, variables=None, language=None, contactAttributes={"email": "taro@example.jp", "city": "Nara"})
    assert found["dimensions"] == {}


class Survey:
    """A survey that is answered while it is read: newest change first, as asked for."""

    def __init__(self, server: Loopback, count: int) -> None:
        self.responses = [response(n, updatedAt=f"2026-11-20T10:00:{n:02d}.000Z") for n in range(count)]
        self.changes = 1
        server.answer = self.answer

    def answer(self, seen: Seen) -> Reply:
        assert (seen.query["sortBy"], seen.query["order"]) == ("updatedAt", "desc")
        listed = sorted(self.responses, key=lambda one: str(one["updatedAt"]), reverse=True)
        skip, limit = int(seen.query["skip"]), int(seen.query["limit"])
        if self.changes:
            self.changes -= 1
            self.responses[0] = {**self.responses[0], "updatedAt": "2026-11-21T00:00:00.000Z"}
        return listing(*listed[skip : skip + limit])


def test_a_response_that_changes_while_we_read_hides_no_other(server: Loopback) -> None:
    Survey(server, 7)
    found = [row["response_id"] for row in rows(source(server), "raw_nps_responses")]
    assert set(found) == {"r1", "r2", "r3", "r4", "r5", "r6"}
    assert len(found) > len(set(found))


def test_a_page_exactly_full_is_followed_by_one_more_call(server: Loopback) -> None:
    server.script([listing(response(1), response(2)), listing()])
    assert len(rows(source(server), "raw_nps_responses")) == 2
    assert [seen.query["skip"] for seen in server.seen] == ["0", "2"]


def test_a_page_that_repeats_stops_the_reading(server: Loopback) -> None:
    server.script([listing(response(1), response(2))])
    with pytest.raises(
        PermanentError, match="formbricks GET /api/v2/management/responses gave the same page of 2 rows"
    ):
        rows(source(server), "raw_nps_responses")


def test_the_call_is_one_the_vendor_documents(server: Loopback) -> None:
    server.script([listing()])
    rows(source(server), "raw_nps_responses")
    [seen] = server.seen
    assert seen.path == PATH
    assert seen.headers["x-api-key"] == "secret-api_key"
    assert seen.query["startDate"] == "2026-11-20T00:00:00.000Z"
    check_query(seen, openapi("formbricks/management.v2.json"), "/management/responses")


def test_a_wrong_key_names_the_variable(server: Loopback) -> None:
    server.script([reply({"error": {"code": 401, "message": "Unauthorized"}}, 401)])
    with pytest.raises(CredentialError, match=r"Unauthorized.*SCORING_FORMBRICKS_API_KEY"):
        rows(source(server), "raw_nps_responses")


@pytest.mark.parametrize("wrapped", [True, False])
def test_the_probe_counts_what_the_key_may_read(server: Loopback, wrapped: bool) -> None:
    rights = {"organizationId": "o", "workspaces": [{"workspaceId": "w"}]}
    server.script([reply({"data": rights} if wrapped else rights)])
    assert source(server).probe() == "formbricks: API key for 1 workspaces, survey s1"
