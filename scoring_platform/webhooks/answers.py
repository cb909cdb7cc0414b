"""From a body to answers of NPS surveys with their keys.

Belongs here: which of a body's answers are kept, and under what key. Does not belong here: what an answer says, which a
reader of the sender's module tells (``sources``). Unlike an event of behaviour, an answer with a score that is none is
refused at once: the sender can mend it, and a report could not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scoring_platform.sources.answers import Reader, refuse
from scoring_platform.webhooks.events import Headers, Split, Splitting, listed, split_items


def answers(
    read: Reader, *, within: str | None = None, ours: Callable[[Mapping[str, Any]], bool] | None = None
) -> Splitting:
    """Return how a provider's bodies are split.

    Args:
        read: Names the fields of an answer.
        within: Where a body that holds several has its list; by default a body is one delivery.
        ours: Whether a delivery is meant for us; one that is not is acknowledged and forgotten.
    """

    def key(item: Mapping[str, Any]) -> str:
        return refuse(read(item, None)).key

    def split(body: Any, _: Headers) -> Split:
        items = [body] if within is None else listed(body, within)
        if ours is not None:
            items = [item for item in items if not isinstance(item, dict) or ours(item)]
        return split_items(items, key)

    return split
