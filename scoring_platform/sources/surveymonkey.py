"""SurveyMonkey: answers of a survey. Its webhook tells ids only, so they are fetched when the inbox is read.

Belongs here: what a delivery points at, calls to the API, and the naming of its fields. Does not belong here: receiving
and signatures (``webhooks``), answers of other senders (``nps``).

An app may make 500 calls a day. What was pointed at is therefore read a hundred at a time, from the earliest pointer
on; only what is not among it is asked for by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from scoring_platform.errors import PermanentError
from scoring_platform.http.auth import HeaderAuth
from scoring_platform.http.client import Answer, ApiClient
from scoring_platform.http.limits import RateLimit
from scoring_platform.http.pages import paginate
from scoring_platform.http.verdict import Verdict
from scoring_platform.sources.answers import (
    Findings,
    SurveyAnswer,
    bounded,
    day_of,
    moment,
    named_by,
    revision_of,
    text_of,
)
from scoring_platform.sources.nps_fields import NpsProvider, identities
from scoring_platform.sources.protocol import Page, Row
from scoring_platform.sources.shape import expected_shape

TOKEN = "token"  # noqa: S105 - the name of a secret
PER_PAGE = 100

_EVENTS = ("response_completed", "response_updated", "response_created")
_MARGIN = timedelta(hours=1)
_SCORES = 11
_ID = re.compile(r"\d{1,20}", re.ASCII)
_NUMBER = re.compile(r"\s*(\d{1,2})(?!\d)")
_OR_GONE = frozenset({200, 404})


def pointer(event: Mapping[str, Any], name: str, *, zone: ZoneInfo, received_at: datetime | None) -> SurveyAnswer:
    """Read what a delivery points at, as far as the row is known from it; see ``answers.Reader``."""
    found, named = Findings(), ids(event)
    found.require(event.get("event_type") in _EVENTS, "this is no event of a completed or changed response")
    found.require(named, "the event names no response of a survey (object_id, resources.survey_id)")
    at = found.moment(event.get("event_datetime"), "event_datetime") or received_at
    day = None if at is None else day_of(at, zone)
    row = {"response_id": f"{name}:{named}", "survey_date": day, "revision": revision_of(at, zone)}
    return SurveyAnswer(row, tuple(found.problems))


def ids(event: Mapping[str, Any]) -> str | None:
    """Return the ids of survey and response, joined by a colon; None when a delivery does not name both as numbers."""
    resources = event.get("resources")
    survey = text_of((resources if isinstance(resources, Mapping) else {}).get("survey_id"))
    survey = survey or (text_of(event.get("filter_id")) if event.get("filter_type") == "survey" else None)
    response = text_of(event.get("object_id"))
    # They become parts of addresses that are called.
    both = survey is not None and response is not None and _ID.fullmatch(survey) and _ID.fullmatch(response)
    return f"{survey}:{response}" if both else None


@dataclass
class Responses:
    """The responses of one account, fetched by pointer.

    Args:
        name: The provider.
        section: Its description.
        endpoint: Resolved address.
        token: Gives the access token.
        zone: Business time zone.
    """

    name: str
    section: NpsProvider
    endpoint: str
    token: Callable[[], str]
    zone: ZoneInfo
    _surveys: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def fetch(self, pointers: Mapping[str, datetime]) -> Iterator[Page]:
        """Yield the responses of ``pointers``: by id of survey and response, when the earliest was told of."""
        surveys: dict[str, dict[str, datetime]] = {}
        for key, at in pointers.items():
            survey, _, response = key.partition(":")
            surveys.setdefault(survey, {})[response] = at
        if not surveys:
            return
        with self._client() as client, expected_shape(self.name, "a response"):
            for survey, wanted in surveys.items():
                yield from self._survey(client, survey, wanted)

    def row(self, response: Mapping[str, Any], survey: str, questions: Sequence[Mapping[str, Any]]) -> Row:
        """Name a response's fields."""
        found, given = Findings(), _answers(response)
        people = {**(response.get("custom_variables") or {})}
        kind, key = named_by([*identities(people, self.section.fields), ("email", _address(response))])
        created, changed = moment(response.get("date_created")), moment(response.get("date_modified"))
        at = created or changed
        used = {path for paths in self.section.fields.of_people for path in paths}
        return {
            "response_id": f"{self.name}:{survey}:{response['id']}",
            "identity_kind": kind,
            "identity_key": key,
            "survey_date": None if at is None else day_of(at, self.zone),
            "nps_score": found.score(_score(given, questions, self.section.score_question)),
            "raw_text": found.text(_comment(given, questions, self.section.comment_question)),
            "dimensions": bounded({name: value for name, value in people.items() if name not in used}),
            "revision": revision_of(changed or created, self.zone),
        }

    def _survey(self, client: ApiClient, survey: str, wanted: Mapping[str, datetime]) -> Iterator[Page]:
        questions = _questions(client.request("GET", f"/v3/surveys/{survey}/details").json)
        missing = set(wanted)
        for page in self._changed(client, survey, since=min(wanted.values()) - _MARGIN):
            missing -= {str(response["id"]) for response in page}
            yield [self.row(response, survey, questions) for response in page]
        for response_id in sorted(missing):
            path = f"/v3/surveys/{survey}/responses/{response_id}/details"
            answer = client.request("GET", path, ok=_OR_GONE, check=_as_it_is)
            if answer.status == httpx.codes.OK:  # one that was deleted meanwhile says nothing
                yield [self.row(answer.json, survey, questions)]

    def _changed(self, client: ApiClient, survey: str, *, since: datetime) -> Iterator[list[Mapping[str, Any]]]:
        path = f"/v3/surveys/{survey}/responses/bulk"
        bounds = {
            "start_modified_at": since.astimezone(UTC).isoformat(timespec="seconds"),
            "sort_by": "date_modified",
            "sort_order": "ASC",
            "per_page": str(PER_PAGE),
        }

        def part(number: int) -> tuple[int, Any]:
            return number, client.request("GET", path, params={**bounds, "page": str(number)}).json

        parts = paginate(
            part(1),
            lambda found: found[0] + 1 if (found[1].get("links") or {}).get("next") else None,
            fetch=part,
            rows_of=lambda found: found[1]["data"],
            where=f"surveymonkey GET {path}",
        )
        return (body["data"] for _, body in parts)

    def _client(self) -> ApiClient:
        return ApiClient(
            self.name,
            self.endpoint,
            auth=HeaderAuth(self.token, scheme="bearer "),
            rate=RateLimit(120, 60),
            classify=verdict,
            secrets=(TOKEN,),
        )


def verdict(response: httpx.Response) -> Verdict | None:
    """Tell the limit of a minute, which is waited for, from that of the day, which ends the reading."""
    if response.status_code != httpx.codes.TOO_MANY_REQUESTS:
        return None
    left = response.headers.get("X-Ratelimit-App-Global-Day-Remaining", "")
    if left.isdigit() and int(left) == 0:
        return Verdict("exhausted")
    reset = response.headers.get("X-Ratelimit-App-Global-Minute-Reset", "")
    return Verdict("throttled", wait=float(reset) if reset.isdigit() else None)


def _as_it_is(answer: Answer) -> None:
    """A 404 says why, which would be taken for an error."""


def _questions(details: Any) -> list[Mapping[str, Any]]:
    return [question for page in details["pages"] for question in page.get("questions") or []]


def _answers(response: Mapping[str, Any]) -> dict[str, Sequence[Mapping[str, Any]]]:
    pages = response.get("pages") or []
    return {str(one["id"]): one.get("answers") or [] for page in pages for one in page.get("questions") or []}


def _score(
    given: Mapping[str, Sequence[Mapping[str, Any]]], questions: Sequence[Mapping[str, Any]], configured: str | None
) -> int | None:
    """The number that the chosen answer is called by."""
    for question in questions:
        names = _choices(question)
        if str(question["id"]) != configured and (configured or sorted(names.values()) != list(range(_SCORES))):
            continue
        chosen = [str(answer.get("choice_id")) for answer in given.get(str(question["id"]), [])]
        return next((names[choice] for choice in chosen if choice in names), None)
    if configured:
        msg = f"the survey has no question {configured}: correct score_question"
        raise PermanentError(msg)
    return None


def _choices(question: Mapping[str, Any]) -> dict[str, int]:
    """Numbers by choice; a label beside a number, such as `0 - not at all likely`, does no harm."""
    choices = (question.get("answers") or {}).get("choices") or []
    read = {str(choice["id"]): _NUMBER.match(str(choice.get("text", ""))) for choice in choices}
    return {choice: int(number[1]) for choice, number in read.items() if number}


def _comment(
    given: Mapping[str, Sequence[Mapping[str, Any]]], questions: Sequence[Mapping[str, Any]], configured: str | None
) -> str | None:
    open_ended = [str(question["id"]) for question in questions if question.get("family") == "open_ended"]
    for question in [configured] if configured else open_ended:
        words = [str(answer["text"]) for answer in given.get(question, []) if answer.get("text")]
        if words:
            return "\n".join(words)
    return None


def _address(response: Mapping[str, Any]) -> Any:
    contact = (response.get("metadata") or {}).get("contact") or {}
    return (contact.get("email") or {}).get("value") or response.get("email_address")
