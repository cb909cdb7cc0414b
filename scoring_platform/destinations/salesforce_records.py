"""Salesforce collections: up to 200 records in one call, and what became of each.

Belongs here: one call on a collection, the 400 that refuses all of it, the words of errors. Does not belong here: which
rows to send how (``salesforce``), large files (``salesforce_bulk``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scoring_platform.destinations.protocol import CrmReceipt, Value, WriteStatus
from scoring_platform.errors import TransientError
from scoring_platform.http.client import Answer
from scoring_platform.http.salesforce import Session, errors_in
from scoring_platform.http.verdict import fit_words

MAX_RECORDS = 200
"""Records in one call on a collection."""

TRANSIENT = "TRANSIENT"

LOCKED_CODES = frozenset(
    {"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION", "QUERY_TIMEOUT", "REQUEST_RUNNING_TOO_LONG"}
)
"""Somebody else was at work on the same records; a moment later it may go."""

CONFLICT_CODES = frozenset(
    {"DUPLICATE_VALUE", "ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "REQUIRED_FIELD_MISSING"}
)
"""The record was made, merged or deleted after we looked (then its last name is missing); looking again shows how it
stands."""

FIELD_CODES = frozenset(
    {"INVALID_FIELD", "INVALID_FIELD_FOR_INSERT_UPDATE", "NOT_FOUND", "INVALID_TYPE", "INSUFFICIENT_ACCESS_OR_READONLY"}
)
"""A field or a permission is missing: mended by a person once, and then the rows are good."""

_OF_ALL_ROWS = FIELD_CODES - {"INSUFFICIENT_ACCESS_OR_READONLY"}
_AGAIN = LOCKED_CODES | FIELD_CODES | {"ALL_OR_NONE_OPERATION_ROLLED_BACK", "PROCESSING_HALTED"}
_JUDGED = frozenset({200, 400, 404})
_OK = 200

# Wider than a valid address: Salesforce quotes the malformed ones, which are personal data all the same.
_ADDRESS = re.compile(r"[^\s\"'<>()\[\],;:]*[@\uff20][^\s\"'<>()\[\],;:]*")
_TOO_LARGE = re.compile(r"(data value too large:) .*? (\(max)", re.DOTALL)


@dataclass(frozen=True)
class Input:
    """One record to write: named by ``id``, or without one by our key among the ``values``."""

    customer_id: str
    values: Mapping[str, Value]
    id: str | None = None


def upsert(session: Session, inputs: Sequence[Input], *, sobject: str, key: str) -> Iterator[CrmReceipt]:
    """Send ``inputs`` by our key and yield one receipt for each; who is not there is created."""
    yield from _all(session, f"/composite/sobjects/{sobject}/{key}", inputs, sobject=sobject)


def update(session: Session, inputs: Sequence[Input], *, sobject: str) -> Iterator[CrmReceipt]:
    """Send ``inputs`` by record id and yield one receipt for each; nobody is created."""
    yield from _all(session, "/composite/sobjects", inputs, sobject=sobject)


def failed(row: Input, code: str, words: str) -> CrmReceipt:
    """Return the receipt of a row that Salesforce refused, without personal data in it."""
    text = _TOO_LARGE.sub(r"\1 … \2", _ADDRESS.sub("…", words))
    for name in ("LastName", "Email"):
        said = row.values.get(name)
        text = re.sub(rf"(?<!\w){re.escape(str(said))}(?!\w)", "…", text) if said else text
    text = fit_words(text)
    if code in FIELD_CODES:
        text = f"{text}. Run `scoring-platform crm provision` to see which fields and permissions are needed"
    status: WriteStatus = "retry" if code in _AGAIN else "dead"
    return CrmReceipt(row.customer_id, status, None, code, text or "Salesforce gave no reason")


def _all(session: Session, path: str, inputs: Sequence[Input], *, sobject: str) -> Iterator[CrmReceipt]:
    for start in range(0, len(inputs), MAX_RECORDS):
        yield from _send(session, path, inputs[start : start + MAX_RECORDS], sobject=sobject)


def _send(session: Session, path: str, inputs: Sequence[Input], *, sobject: str) -> Iterator[CrmReceipt]:
    def check(answer: Answer) -> None:
        _require_all(answer, len(inputs))

    body = {"allOrNone": False, "records": [_record(one, sobject) for one in inputs]}
    try:
        # A repeat names the same records and says the same of them: it does no harm.
        answer = session.request("PATCH", path, json=body, ok=_JUDGED, check=check)
    except TransientError as error:
        yield from (CrmReceipt(one.customer_id, "retry", None, TRANSIENT, str(error)) for one in inputs)
        return
    if answer.status == _OK:
        # Results come in the order of the records.
        yield from (_receipt(one, result) for one, result in zip(inputs, answer.json, strict=True))
        return
    refusal = errors_in(answer.json)[0]
    code, words = str(refusal["errorCode"]), str(refusal.get("message") or "")
    # A field that is missing is missing for every row: looking for a bad row would find all.
    if len(inputs) == 1 or code in _OF_ALL_ROWS:
        yield from (failed(one, code, words) for one in inputs)
        return
    middle = len(inputs) // 2
    for half in (inputs[:middle], inputs[middle:]):
        yield from _send(session, path, half, sobject=sobject)


def _record(row: Input, sobject: str) -> dict[str, Any]:
    named = {"id": row.id} if row.id else {}
    return {"attributes": {"type": sobject}, **named, **row.values}


def _require_all(answer: Answer, rows: int) -> None:
    if answer.status != _OK:
        fits = bool(errors_in(answer.json))
    else:
        fits = isinstance(answer.json, list) and len(answer.json) == rows
        fits = fits and all(isinstance(one, dict) for one in answer.json)
    if not fits:
        msg = f"salesforce answered {answer.status} to {rows} records with something else than one result for each"
        raise TransientError(msg)


def _receipt(row: Input, result: Mapping[str, Any]) -> CrmReceipt:
    if result.get("success") is True:
        return CrmReceipt(row.customer_id, "acknowledged", result.get("id") or row.id)
    errors = [one for one in result.get("errors") or [] if isinstance(one, dict)]
    if not errors:
        text = "Salesforce's answer says neither success nor why not"
        return CrmReceipt(row.customer_id, "unknown", None, "UNCONFIRMED", text)
    words = dict.fromkeys(str(one.get("message") or "") for one in errors)
    return failed(row, str(errors[0].get("statusCode") or "REFUSED"), "; ".join(word for word in words if word))
