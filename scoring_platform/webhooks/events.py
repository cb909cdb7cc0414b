"""From a body to events with their keys, per provider.

Belongs here: where a body has its events, what makes one, what its id is. Does not belong here: what an event means,
which the source decides when it reads the inbox: a mapping that was wrong can be mended without losing anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scoring_platform.errors import PermanentError
from scoring_platform.ledger.inbox import DeadLetter
from scoring_platform.sources.webhooks import WebhookProvider, at_path
from scoring_platform.webhooks.payload import Unholdable, check, storable

MOST_EVENTS = 10_000
"""Events in one request; more are a mistake."""

_LONGEST_KEY = 255

Headers = Mapping[str, str]


@dataclass(frozen=True)
class Split:
    """Events by key, and what was none."""

    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)


Splitting = Callable[[Any, Headers], Split]
"""Splits a parsed body; raises PermanentError when it cannot hold events at all."""


def generic(provider: WebhookProvider) -> Splitting:
    """Return how a configured provider's bodies are split."""

    def split(body: Any, _: Headers) -> Split:
        return split_items(listed(body, provider.events), lambda event: _generic_key(event, provider))

    return split


def sendgrid(body: Any, _: Headers) -> Split:
    """Split SendGrid's array of events."""
    if not isinstance(body, list):
        raise PermanentError("the body is not an array of events")  # noqa: EM101 - the whole message
    return split_items(body, _sendgrid_key)


def listed(body: Any, path: str) -> Sequence[Any]:
    """Return the events of a body that is one, a list of them, or holds the list at ``path``.

    Raises:
        PermanentError: It is none of these.
    """
    if isinstance(body, list):
        return body
    if not isinstance(body, dict):
        raise PermanentError("the body is neither an object nor a list")  # noqa: EM101 - the whole message
    inner = at_path(body, path)
    return inner if isinstance(inner, list) else [body]


def split_items(items: Sequence[Any], key: Callable[[Mapping[str, Any]], str]) -> Split:
    """Give each item its key; what raises PermanentError or is no object goes aside, and the others stay."""
    if len(items) > MOST_EVENTS:
        msg = f"the body has more than {MOST_EVENTS} events"
        raise PermanentError(msg)
    split = Split()
    for item in items:
        try:
            check(item)
            split.events.append((key(_object(item)), item))
        except PermanentError as error:
            split.dead.append(DeadLetter(str(error), storable(canonical(item))))
    return split


def key_of(value: Any) -> str | None:
    """Return an id as a key: text and whole numbers are ids, a very long one by its hash."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value).strip()
    return (text if len(text) <= _LONGEST_KEY else _hash(text)) or None


def canonical(value: Any) -> str:
    """Return JSON text that is the same for equal values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_as_given)


def _as_given(value: Unholdable) -> Any:
    return value.given


def _object(item: Any) -> Mapping[str, Any]:
    if not isinstance(item, dict):
        raise PermanentError("an event is not an object")  # noqa: EM101 - the whole message
    return item


def _generic_key(event: Mapping[str, Any], provider: WebhookProvider) -> str:
    fields = provider.fields
    if at_path(event, fields.kind) is None and at_path(event, fields.occurred_at) is None:
        msg = f"an event says neither what happened ({fields.kind}) nor when ({fields.occurred_at})"
        raise PermanentError(msg)
    return key_of(at_path(event, fields.id)) or _hash(canonical(event))


def _sendgrid_key(event: Mapping[str, Any]) -> str:
    key = key_of(event.get("sg_event_id"))
    if key is None:
        raise PermanentError("an event has no sg_event_id")  # noqa: EM101 - the whole message
    return key


def _hash(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
