"""The description of a sender of NPS answers, and reading by it a body that has our values under names of its own.

Belongs here: the keys of one provider, and the signed JSON of anybody. Does not belong here: vendors with a wording of
their own (a module each), the source (``nps``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, model_validator

from scoring_platform.config.base import Endpoint, Section
from scoring_platform.sources.answers import (
    IDENTITIES,
    Findings,
    SurveyAnswer,
    bounded,
    day_of,
    named_by,
    revision_of,
    text_of,
)
from scoring_platform.sources.signing import Signing
from scoring_platform.sources.webhooks import at_path

SURVEYMONKEY_HOST = "https://api.surveymonkey.com"


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Paths = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_several), Field(min_length=1)]
"""Places where a value may stand, the first that has one counts."""


class AnswerFields(Section):
    """Where our values stand: names joined by dots, such as `data.contact.email`; of several, the first that is there.

    Of Typeform these are names of hidden fields, of SurveyMonkey those of custom variables.
    """

    id: Paths = Field(("id", "response_id"), description="The answer's id; without one, see docs/nps.md")
    score: Paths = Field(("nps_score", "nps_score__c", "score"), description="0 to 10; null when it was dismissed")
    comment: Paths = Field(("comment", "nps_comment", "nps_comment__c", "raw_text"), description="What was written")
    email: Paths = Field(("email",), description="E-mail address")
    customer_id: Paths = Field(("customer_id", "customer_ref"), description="The shop's customer id")
    account_number: Paths = Field(("account_number",), description="Number of the account")
    crm_id: Paths = Field(("crm_id", "contact_id", "person_id"), description="Id of the CRM's contact or person")
    answered_at: Paths = Field(
        ("answered_at", "survey_date", "created_at"), description="When it was answered; UTC unless it names an offset"
    )
    updated_at: Paths = Field(("updated_at",), description="When it was last changed")
    revision: Paths = Field(("revision",), description="Number of the change, for senders that count them")
    dimensions: Paths = Field(("dimensions", "properties"), description="What answers are compared by, as an object")

    @property
    def of_people(self) -> tuple[tuple[str, ...], ...]:
        """Places of what names people."""
        return (self.email, self.customer_id, self.account_number, self.crm_id)


class NpsProvider(Signing):
    """One sender of answers. The keys up to `fields` are of the format `json`; the vendors sign in their own way."""

    format: Literal["json", "typeform", "surveymonkey"] = Field("json", description="Whose bodies it sends")
    events: str = Field("responses", min_length=1, description="Where a body that holds several answers has its list")
    fields: AnswerFields = AnswerFields()
    score_question: str | None = Field(
        None, min_length=1, description="Id or reference of the 0-10 question; by default found by its type"
    )
    comment_question: str | None = Field(
        None, min_length=1, description="Id or reference of the comment question; by default found by its type"
    )
    endpoint: Endpoint = Field(SURVEYMONKEY_HOST, description="SurveyMonkey's API; an account may have its own")

    @model_validator(mode="after")
    def _has_no_keys_of_others(self) -> NpsProvider:
        json_only = {*Signing.model_fields, "events"}
        foreign = {
            "json": {"score_question", "comment_question", "endpoint"},
            "typeform": json_only | {"endpoint"},
            "surveymonkey": json_only,
        }[self.format]
        given = sorted(foreign & self.model_fields_set)
        if given:
            msg = f"{', '.join(given)}: not a key of the format {self.format}"
            raise ValueError(msg)
        return self


def answer(
    event: Mapping[str, Any], name: str, *, section: NpsProvider, zone: ZoneInfo, received_at: datetime | None
) -> SurveyAnswer:
    """Name the fields of an answer in JSON; see ``answers.Reader``."""
    found, fields = Findings(), section.fields
    answered = found.moment(first_at(event, fields.answered_at), fields.answered_at[0])
    updated = found.moment(first_at(event, fields.updated_at), fields.updated_at[0])
    kind, key = named_by(identities(event, fields))
    found.require(key, f"the answer names nobody ({', '.join(IDENTITIES)})")
    found.require(_has(event, fields.score), f"the answer has no score ({fields.score[0]})")
    given, counted = text_of(first_at(event, fields.id)), _revision(event, fields, found)
    at = answered or received_at
    row = {
        "response_id": f"{name}:{given or _unnamed(kind, key, None if at is None else answered or day_of(at, zone))}",
        "identity_kind": kind,
        "identity_key": key,
        "survey_date": None if at is None else day_of(at, zone),
        "nps_score": found.score(first_at(event, fields.score)),
        "raw_text": found.text(first_at(event, fields.comment)),
        "dimensions": bounded(_dimensions(event, fields, kind)),
        "revision": revision_of(updated or received_at, zone) if counted is None else counted,
    }
    return SurveyAnswer(row, tuple(found.problems))


def identities(values: Mapping[str, Any], fields: AnswerFields) -> Iterator[tuple[str, Any]]:
    """Give every value that may name the person, the surest first."""
    for kind, paths in zip(IDENTITIES, fields.of_people, strict=True):
        yield kind, first_at(values, paths)


def first_at(values: Mapping[str, Any], paths: Sequence[str]) -> Any:
    """Return what stands at the first of ``paths`` where something stands."""
    return next((found for path in paths if (found := at_path(values, path)) not in (None, "")), None)


def _has(event: Mapping[str, Any], paths: Sequence[str]) -> bool:
    """Whether a score is told, be it that there is none."""
    for path in paths:
        holder, _, name = path.rpartition(".")
        inside = at_path(event, holder) if holder else event
        if (isinstance(inside, Mapping) and name in inside) or at_path(event, path) is not None:
            return True
    return False


def _unnamed(kind: str | None, key: str | None, at: object) -> str:
    """An answer without an id is known by who gave it and when."""
    return hashlib.sha256(f"{kind}\n{key}\n{at}".encode("utf-8", "replace")).hexdigest()[:32]


def _revision(event: Mapping[str, Any], fields: AnswerFields, found: Findings) -> int | None:
    value = first_at(event, fields.revision)
    if value is None:
        return None
    text = text_of(value) or ""
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    found.problems.append(f"{fields.revision[0]} is not a whole number")
    return None


def _dimensions(event: Mapping[str, Any], fields: AnswerFields, kind: str | None) -> dict[str, Any]:
    """What a sender tells beside our values; an account number too, unless it names the person."""
    own = first_at(event, fields.dimensions)
    used = {path.split(".", 1)[0] for paths in fields.model_dump().values() for path in paths}
    rest = {name: value for name, value in event.items() if name not in used}
    account = first_at(event, fields.account_number) if kind != "account_number" else None
    return {**(own if isinstance(own, Mapping) else {}), **({"account_number": account} if account else {}), **rest}
