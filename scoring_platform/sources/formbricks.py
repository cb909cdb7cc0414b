"""Formbricks: answers to the NPS survey.

Belongs here: reading responses, by calls and from the inbox where its webhook brings them at once, and naming their
fields in our contract. Does not belong here: matching a response to a customer, receiving the webhook (``webhooks``).
Both ways name a response alike, so that it is one answer whichever brought it, in its latest revision.

Permission: an API key with read access to the survey's workspace. Limit: 100 calls a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from scoring_platform.config.base import Endpoint, SourceSection
from scoring_platform.http.auth import HeaderAuth
from scoring_platform.http.client import Answer, ApiClient
from scoring_platform.http.limits import RateLimit
from scoring_platform.http.pages import paginate
from scoring_platform.ledger.inbox import Inbox
from scoring_platform.sources.answers import KIND, Findings, SurveyAnswer, bounded, day_of, last_heard, text_of
from scoring_platform.sources.protocol import Page, Row, Window
from scoring_platform.sources.shape import expected_shape, instant_of

READ_AGAIN = timedelta(days=1)
"""How much earlier than asked the inbox is read: what belonged to a day that was not over has its day now."""

_EVENTS = ("responseCreated", "responseUpdated", "responseFinished")
_TEST = "testEndpoint"
_RESPONSES = "/api/v2/management/responses"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FormbricksSource(SourceSection):
    """Formbricks: NPS answers."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_nps_responses"})

    endpoint: Endpoint = Field("https://app.formbricks.com", description="API host")
    survey_id: str = Field(description="The NPS survey")
    score_question: str = Field("nps", description="Id of the 0-10 question")
    comment_question: str = Field("comment", description="Id of the comment question")
    page_size: int = Field(250, ge=1, le=250, description="Responses per page")
    pull: bool = Field(default=True, description="Whether responses are asked for; needs the API key")
    webhook: bool = Field(
        default=False, description="Whether Formbricks posts them to /webhooks/nps/formbricks as well"
    )

    @model_validator(mode="after")
    def _has_a_way(self) -> FormbricksSource:
        if not (self.pull or self.webhook):
            msg = "pull and webhook are both false, so no response can come"
            raise ValueError(msg)
        return self


@dataclass(frozen=True)
class Formbricks:
    """The Formbricks management API, for one survey.

    Args:
        settings: The ``sources.formbricks`` section.
        endpoint: Resolved address.
        credential: Gives ``api_key``.
        zone: Business time zone, which decides the day of an answer.
        inbox: Responses that arrived by webhook.
    """

    settings: FormbricksSource
    endpoint: str
    credential: Callable[[str], str]
    zone: ZoneInfo
    name: str = "formbricks"
    inbox: Inbox | None = None

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield the responses changed since the start of ``window``; see ``Source.fetch``."""
        yield from self.received(window)
        if not self.settings.pull:
            return
        with self._client() as client, expected_shape(self.name, table):
            for answer, _ in self._pages(client, window):
                yield [self.row(response) for response in answer.json["data"]]

    def received(self, window: Window) -> Iterator[Page]:
        """Yield the responses that arrived by webhook within ``window``, or up to a day before it."""
        if self.inbox is None or not self.settings.webhook:
            return
        for page in self.inbox.read(KIND, self.name, since=window.since - READ_AGAIN, until=window.until):
            yield [self.answer(one.event, one.received_at).row for one in page]

    def probe(self) -> str:
        """Ask what the API key may read, or when the webhook was last heard of."""
        if not self.settings.pull:
            return f"formbricks: {last_heard(self.inbox, self.name)}, survey {self.settings.survey_id}"
        with self._client() as client, expected_shape(self.name, "the API key's rights"):
            rights = client.request("GET", "/api/v2/me").json
            rights = rights.get("data", rights)
            readable = len(rights.get("workspaces") or rights.get("environments") or [])
        return f"formbricks: API key for {readable} workspaces, survey {self.settings.survey_id}"

    def answer(self, event: Mapping[str, Any], received_at: datetime | None = None) -> SurveyAnswer:
        """Name the fields of a delivery; see ``answers.Reader``."""
        del received_at  # every response tells when it was changed
        found, given = Findings(), _mapping(event.get("data"))
        found.require(given and event.get("event") in _EVENTS, "this is no event of a response")
        found.require(text_of(given.get("id")), "the response has no id")
        response = {"createdAt": None, "updatedAt": None, **given, "data": _mapping(given.get("data"))}
        response["contactAttributes"] = {**_contact(given), **_mapping(given.get("contactAttributes"))}
        response["variables"] = _mapping(given.get("variables"))
        for name in ("createdAt", "updatedAt"):
            found.require(instant_of(response[name]), f"the response has no {name}, or one that is no time")
        row = self.row({"id": None, **response})
        found.require(row["identity_key"] is None or text_of(row["identity_key"]), "the contact's key is not text")
        score, comment = found.score(row["nps_score"]), found.text(row["raw_text"])
        return SurveyAnswer({**row, "nps_score": score, "raw_text": comment}, tuple(found.problems))

    def is_ours(self, event: Mapping[str, Any]) -> bool:
        """Whether a delivery is about the configured survey; a test of the address is about none."""
        survey = _mapping(event.get("data")).get("surveyId", self.settings.survey_id)
        return event.get("event") != _TEST and survey == self.settings.survey_id

    def row(self, response: Mapping[str, Any]) -> Row:
        """Name a response's fields; a dismissed survey has no score."""
        answers = response["data"]
        kind, key = identity(response)
        return {
            "response_id": response["id"],
            "identity_kind": kind,
            "identity_key": key,
            "survey_date": self._business_day(response["createdAt"]),
            "nps_score": answers.get(self.settings.score_question),
            "raw_text": answers.get(self.settings.comment_question),
            "dimensions": dimensions(response),
            "revision": milliseconds(response["updatedAt"]),
        }

    def _pages(self, client: ApiClient, window: Window) -> Iterator[tuple[Answer, int]]:
        """Pages with their offset, newest change first.

        A response that changes while we read moves to the front and pushes the rest back: rows may come twice, none is
        skipped. With the oldest first, or an upper bound, each such change would hide one row. What changed after the
        window comes along and is read again by the next one.
        """
        size = self.settings.page_size

        def fetch(skip: int) -> tuple[Answer, int]:
            params = {**self._filter(window), "limit": str(size), "skip": str(skip)}
            return client.request("GET", _RESPONSES, params=params), skip

        return paginate(
            fetch(0),
            lambda page: page[1] + size if len(page[0].json["data"]) >= size else None,
            fetch=fetch,
            rows_of=lambda page: page[0].json["data"],
            where=f"formbricks GET {_RESPONSES}",
        )

    def _filter(self, window: Window) -> dict[str, str]:
        return {
            "surveyId": self.settings.survey_id,
            "sortBy": "updatedAt",
            "order": "desc",
            "filterDateField": "updatedAt",
            "startDate": window.since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }

    def _business_day(self, value: str) -> date | str:
        instant = instant_of(value)
        return value if instant is None else day_of(instant, self.zone)

    @cached_property
    def _rate(self) -> RateLimit:
        return RateLimit(100, 60)

    def _client(self) -> ApiClient:
        return ApiClient(
            self.name,
            self.endpoint,
            auth=HeaderAuth(lambda: self.credential("api_key"), "x-api-key", scheme=""),
            rate=self._rate,
            secrets=("api_key",),
        )


def identity(response: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the kind and the key of who answered: the e-mail address, else the shop's customer id, else nobody."""
    attributes = response.get("contactAttributes") or {}
    if attributes.get("email"):
        return "email", attributes["email"]
    if attributes.get("userId"):
        return "customer_id", attributes["userId"]
    return None, None


def _contact(response: Mapping[str, Any]) -> dict[str, Any]:
    """The customer id where a delivery names the contact, but not its attributes."""
    user = _mapping(response.get("contact")).get("userId")
    return {"userId": user} if user else {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def dimensions(response: Mapping[str, Any]) -> dict[str, Any]:
    """Return the survey's own variables and the language; never the contact's attributes, which are personal."""
    language = response.get("language")
    return bounded({**(response.get("variables") or {}), **({"language": language} if language else {})})


def milliseconds(value: str) -> int | None:
    """Return the instant ``value`` in whole milliseconds since 1970, without a detour over floats."""
    instant = instant_of(value)
    return None if instant is None else (instant - _EPOCH) // timedelta(milliseconds=1)
