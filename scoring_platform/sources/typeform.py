"""Typeform: answers of a form, as its webhook tells them.

Belongs here: where Typeform's body has our values. Does not belong here: receiving, signatures (``webhooks``), and
answers of other senders (``nps``).

A score or comment is found by the question's reference or id; without one configured, by the type of the question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from scoring_platform.sources.answers import Findings, SurveyAnswer, bounded, day_of, named_by, revision_of, text_of
from scoring_platform.sources.nps_fields import NpsProvider, first_at, identities

_SCORES = ("nps", "opinion_scale")
_COMMENTS = ("long_text", "short_text")
_EVENTS = ("form_response", "form_response_partial")


def answer(
    event: Mapping[str, Any], name: str, *, section: NpsProvider, zone: ZoneInfo, received_at: datetime | None
) -> SurveyAnswer:
    """Name the fields of one delivery; see ``answers.Reader``."""
    found = Findings()
    form = _mapping(event.get("form_response"))
    token, form_id = text_of(first_at(form, ("token", "response_id"))), text_of(form.get("form_id"))
    found.require(form and event.get("event_type") in _EVENTS, "this is no answer of Typeform (form_response)")
    found.require(token and form_id, "the answer has no form_id or token")
    answers, hidden = _answers(form), _mapping(form.get("hidden"))
    at = found.moment(form.get("submitted_at") or form.get("landed_at"), "submitted_at") or received_at
    score = _picked(answers, section.score_question, _SCORES)
    comment = _picked(answers, section.comment_question, _COMMENTS)
    kind, key = named_by([*identities(hidden, section.fields), ("email", _value(_typed(answers, ("email",))))])
    row = {
        "response_id": f"{name}:{form_id}:{token}",
        "identity_kind": kind,
        "identity_key": key,
        "survey_date": None if at is None else day_of(at, zone),
        "nps_score": found.score(_value(score)),
        "raw_text": found.text(_value(comment)),
        "dimensions": bounded({**_others(hidden, section), **_variables(form)}),
        "revision": revision_of(at, zone),
    }
    return SurveyAnswer(row, tuple(found.problems))


def _answers(form: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Answers with the type of their question, which older deliveries tell in the definition only."""
    defined = _mappings(_mapping(form.get("definition")).get("fields"))
    types = {text_of(field.get("id")): field.get("type") for field in defined}
    found: list[Mapping[str, Any]] = []
    for one in _mappings(form.get("answers")):
        field = _mapping(one.get("field"))
        found.append({**one, "field": {**field, "type": field.get("type") or types.get(text_of(field.get("id")))}})
    return found


def _picked(
    answers: Sequence[Mapping[str, Any]], question: str | None, types: Sequence[str]
) -> Mapping[str, Any] | None:
    if question is None:
        return _typed(answers, types)
    return next((one for one in answers if question in (one["field"].get("ref"), one["field"].get("id"))), None)


def _typed(answers: Sequence[Mapping[str, Any]], types: Sequence[str]) -> Mapping[str, Any] | None:
    """The first answer to a question of the first of ``types`` that occurs."""
    return next((one for kind in types for one in answers if one["field"].get("type") == kind), None)


def _value(answer: Mapping[str, Any] | None) -> Any:
    """The value of an answer stands under the name of its own type."""
    if answer is None:
        return None
    kind = answer.get("type")
    return answer.get(kind) if isinstance(kind, str) else None


def _others(hidden: Mapping[str, Any], section: NpsProvider) -> dict[str, Any]:
    used = {path.split(".", 1)[0] for paths in section.fields.of_people for path in paths}
    return {name: value for name, value in hidden.items() if name not in used}


def _variables(form: Mapping[str, Any]) -> dict[str, Any]:
    """Variables of the form, such as a calculated score."""
    named = ((one.get("key"), one) for one in _mappings(form.get("variables")))
    return {key: first_at(one, ("number", "text")) for key, one in named if isinstance(key, str)}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    return (one for one in value if isinstance(one, Mapping)) if isinstance(value, list) else iter(())
