"""One note per Pipedrive person that shows what the customer answered, rewritten in place.

Belongs here: the note's content, finding it, writing it once. Does not belong here: finding the person
(``pipedrive_people``).

The note is known by its record id, or by a line in it that names the customer's key: Pipedrive gives notes no field of
ours. A write may hold some of the values only; the others are kept as the note shows them.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from typing import Any

from scoring_platform.destinations.pipedrive_answers import JUDGED, MADE, Outcome, confirmed, outcome
from scoring_platform.destinations.protocol import CrmReceipt, CrmWrite, Value
from scoring_platform.errors import BudgetExhaustedError, OutcomeUnknownError, PermanentError, TransientError
from scoring_platform.http.pages import paginate
from scoring_platform.http.pipedrive import OLD_GET, OLD_LIST, OLD_WRITE, PipedriveApi

PATH = "/v1/notes"
PAGE_SIZE = 100

_MARK = "scoring-platform"
_BETWEEN = ";"

Item = Mapping[str, Any]


class Notes:
    """The notes of one Pipedrive company that are ours."""

    def __init__(self, api: PipedriveApi) -> None:
        """Read and write with ``api``."""
        self._api = api

    def rewrite(self, write: CrmWrite) -> CrmReceipt | None:
        """Write the note known from an earlier receipt; None when there is no such note any more."""
        if not (write.destination_id or "").isdigit():
            return None
        found = self._get(str(write.destination_id))
        if found.kind != "done" or not _is_ours(found.record, write.customer_id):
            return None
        return self._update(write, found.record)

    def put(self, write: CrmWrite, person_id: str) -> CrmReceipt:
        """Write the note of a person, made if missing."""
        note = self._of_person(person_id, write.customer_id)
        return self._create(write, person_id) if note is None else self._update(write, note)

    def held(self, records: Mapping[str, str], fields: Sequence[str]) -> dict[str, Mapping[str, Value]]:
        """Return what notes show in ``fields``, by customer; one that is gone or no longer ours is left out."""
        found: dict[str, Mapping[str, Value]] = {}
        for customer, note_id in records.items():
            answer = self._get(note_id)
            if answer.kind == "done" and _is_ours(answer.record, customer):
                texts = shown(str(answer.record.get("content") or ""))
                found[customer] = {name: texts.get(name, "").replace(f"{_BETWEEN} ", _BETWEEN) for name in fields}
            elif answer.kind not in ("done", "gone"):
                msg = f"pipedrive did not show note {note_id}: {answer.code}: {answer.text}"
                raise PermanentError(msg)
        return found

    def _update(self, write: CrmWrite, note: Item) -> CrmReceipt:
        before = shown(str(note.get("content") or ""))
        content = page_of(write.customer_id, {**before, **_texts(write.properties)})
        if content == note.get("content"):
            return CrmReceipt(write.customer_id, "acknowledged", str(note["id"]))
        path = f"{PATH}/{note['id']}"
        answer = self._api.call("PUT", path, cost=OLD_WRITE, json={"content": content}, ok=JUDGED, check=confirmed)
        return _receipt(write, outcome(answer))

    def _create(self, write: CrmWrite, person_id: str) -> CrmReceipt:
        body = {"content": page_of(write.customer_id, _texts(write.properties)), "person_id": int(person_id)}
        try:
            answer = self._api.call("POST", PATH, cost=OLD_WRITE, json=body, idempotent=False, ok=MADE, check=confirmed)
        except OutcomeUnknownError as error:
            return self._looked_up(write, person_id, str(error))
        return _receipt(write, outcome(answer))

    def _looked_up(self, write: CrmWrite, person_id: str, text: str) -> CrmReceipt:
        try:
            note = self._of_person(person_id, write.customer_id)
        except (TransientError, BudgetExhaustedError):
            note = None
        if note is None:
            return CrmReceipt(write.customer_id, "unknown", None, "UNCONFIRMED", text)
        return CrmReceipt(write.customer_id, "acknowledged", str(note["id"]))

    def _get(self, note_id: str) -> Outcome:
        answer = self._api.call("GET", f"{PATH}/{note_id}", cost=OLD_GET, ok=JUDGED, check=confirmed)
        return outcome(answer)

    def _of_person(self, person_id: str, customer_id: str) -> Item | None:
        for page in self._pages(person_id):
            for note in page:
                if _is_ours(note, customer_id):
                    return note
        return None

    def _pages(self, person_id: str) -> Iterator[list[Item]]:
        def fetch(start: int = 0) -> Item:
            params = {"person_id": person_id, "start": str(start), "limit": str(PAGE_SIZE)}
            body = self._api.call("GET", PATH, cost=OLD_LIST, params=params).json
            if not isinstance(body, dict) or not isinstance(body.get("data") or [], list):
                msg = f"pipedrive answered without notes at GET {PATH}"
                raise PermanentError(msg)
            return {**body, "data": body.get("data") or []}

        pages = paginate(
            fetch(), _next_start, fetch=fetch, rows_of=lambda page: page["data"], where=f"pipedrive GET {PATH}"
        )
        for page in pages:
            yield page["data"]


def page_of(customer_id: str, values: Mapping[str, str]) -> str:
    """Return the content of a customer's note: a table a person can read, and the line that makes it ours."""
    rows = "".join(
        f"<tr><td><b>{html.escape(name)}:</b></td><td>{html.escape(text)}</td></tr>"
        for name, text in values.items()
        if text
    )
    return f"<table><tbody>{rows}</tbody></table><p>{marker(customer_id)}</p>"


def marker(customer_id: str) -> str:
    """Return the line of a note that names its customer."""
    return html.escape(f"{_MARK} · {customer_id}")


def shown(content: str) -> dict[str, str]:
    """Return what a note of ours shows, by name, whatever Pipedrive has made of the tags."""
    reader = _Texts()
    reader.feed(content)
    reader.close()
    values: dict[str, str] = {}
    name = ""
    for text in reader.texts:
        if text.startswith(f"{_MARK} · "):
            name = ""
        elif name:
            values[name], name = text, ""
        elif text.endswith(":"):
            name = text[:-1]
    return values


class _Texts(HTMLParser):
    """Collects the pieces of text between tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())


def _texts(properties: Mapping[str, Value]) -> dict[str, str]:
    return {name: _text(value) for name, value in properties.items()}


def _text(value: Value) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else f"{_BETWEEN} ".join(part for part in str(value).split(_BETWEEN) if part)


def _is_ours(note: Item, customer_id: str) -> bool:
    content = html.unescape(str(note.get("content") or ""))
    line = f"{_MARK} · {customer_id}"
    # The whole line: a key may begin like another one.
    ends = content.find(line) + len(line)
    return note.get("active_flag") is not False and line in content and content[ends : ends + 1] in ("", "<", "\n")


def _receipt(write: CrmWrite, done: Outcome) -> CrmReceipt:
    if done.kind == "done":
        return CrmReceipt(write.customer_id, "acknowledged", str(done.record["id"]))
    if done.kind == "gone":
        return CrmReceipt(write.customer_id, "retry", None, done.code, done.text)
    return done.refusal(write.customer_id)


def _next_start(page: Item) -> int | None:
    pagination = (page.get("additional_data") or {}).get("pagination") or {}
    following = pagination.get("next_start")
    return following if pagination.get("more_items_in_collection") and isinstance(following, int) else None
